"""Every error of the tree, met with secrets planted everywhere: nothing that is shown of it holds one."""

from __future__ import annotations

import html
import json
import logging
import shutil
import socket
import threading
import traceback
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend

from nhagent import (
    Agent,
    BrowserChannel,
    ConnectionString,
    HubClient,
    Installation,
    Platform,
    Registration,
    SecondaryTile,
    Template,
    errors,
)
from nhagent.channels.simple import from_plugin
from nhagent.commands.cli import main, to_json
from nhagent.device.credential_sources import FoundCredential
from nhagent.device.state import State, Sweep
from nhagent.device.store import Store
from nhagent.emulator import Emulator
from nhagent.hub.transport import Request, Response
from nhagent.reconcile.declaration import Asked
from nhagent.registrars import Step
from nhagent.session.hub_session import Source
from tests.conftest import TOAST

from .marks import HANDLES, MARK, PROXY, SIGNATURE, TILE, TOKEN, Secrets, forms, handles, key_of, quoting

STYLES = ["installation", "registration"]
BRANCHES = {errors.NhagentError, errors.StateError, errors.HubError}
WNS = HANDLES["wns"]


class Cursed(Exception):
    """The app's own exception, with all that it knows in its text."""

    def __init__(self) -> None:
        super().__init__(f"no channel for {WNS} ({HANDLES['gcm']!r}) with {TOKEN}")


@dataclass
class World:
    """A hub, a device with marked channels, and all that was shown of it."""

    hub: Emulator
    folder: Path
    caplog: pytest.LogCaptureFixture
    style: str = "installation"
    secrets: Secrets = field(init=False)
    channel: Any = WNS
    others: tuple[str, ...] = (WNS, TILE)

    def __post_init__(self) -> None:
        self.secrets = Secrets((key_of(self.hub.listen), key_of(self.hub.full)))

    def agent(self, **changes: Any) -> Agent:
        settings: dict[str, Any] = {
            "app": "thermostat",
            "hub": self.hub.hub,
            "platform": "wns",
            "channel": lambda: self.channel,
            "tags": ["kitchen"],
            "templates": {"alert": TOAST},
            "secondary_tiles": {"weather": SecondaryTile(channel=TILE)},
            "style": self.style,
            "connection_string": self.hub.listen,
            "state_dir": self.folder,
            "sleep": lambda _: None,
            "random": lambda: 0.5,
        }
        return Agent(**{**settings, **changes})

    def start(self, **changes: Any) -> errors.NhagentError:
        """Start once; what comes of it is an error."""
        agent = self.agent(**changes)
        self.check(repr(agent), "an agent")
        try:
            report = agent.start(timeout=0)
        except errors.NhagentError as error:
            return error
        self.check(f"{report!r} {json.dumps(to_json(report))}", "a report")
        assert report.error is not None
        return report.error

    def fail(self, status: int, match: str = "*", says: str | None = None, **headers: str) -> None:
        """Let the hub refuse, and quote all that it was sent."""
        words = f"{says or ''} {self.quoted()}"
        body = f"<Error><Code>{status}</Code><Detail>{words}.TrackingId:a_G1,TimeStamp:1</Detail></Error>"
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        self.hub.fail(match, status=status, body=body, headers=named, times=50)

    def quoted(self) -> str:
        """All that this hub was sent, in every form."""
        raw, listen = self.channel, self.hub.listen
        parts = [raw] if isinstance(raw, str) else [raw["endpoint"], *raw["keys"].values()]
        return quoting(listen, key_of(listen), *parts, *self.others)

    def check(self, text: str, where: str) -> None:
        self.secrets.check(text, where)

    def check_error(self, error: BaseException) -> None:
        """All that is ever shown of an error."""
        shown = f"{error} {error!r} {error.args!r} {vars(error)!r}"
        self.check(shown, type(error).__name__)
        self.check("".join(traceback.format_exception(error)), f"the traceback of {type(error).__name__}")
        if isinstance(error, errors.NhagentError):
            self.check(json.dumps(to_json(error)), "--json")

    def check_rest(self) -> None:
        """The logs of everybody, and what is on disk."""
        logging.getLogger("test").debug("the log is on")
        assert "the log is on" in self.caplog.text
        self.check(self.caplog.text, "a log")
        for path in self.folder.rglob("*.json"):
            if path.name != "vault.json":
                self.secrets.check_state(path.read_text(), str(path))


@pytest.fixture
def world(notification_hub: Emulator, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> World:
    caplog.set_level(logging.DEBUG)
    caplog.set_level(logging.DEBUG, "nhagent")
    return World(notification_hub, tmp_path / "state", caplog)


Case = Callable[[World, pytest.MonkeyPatch], BaseException]


def raised(act: Callable[[], object]) -> errors.NhagentError:
    with pytest.raises(errors.NhagentError) as caught:
        act()
    return caught.value


def failing(status: int, says: str = "", **headers: str) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        world.fail(status, says=says, **headers)
        return world.start()

    return meet


def before_its_turn(world: World, _: pytest.MonkeyPatch) -> BaseException:
    return world.start(startup_spread=timedelta(days=36500))


def held_back(world: World, _: pytest.MonkeyPatch) -> BaseException:
    assert world.agent().start().error is None
    world.channel = f"{WNS}&new=2"
    for method in ("PUT", "PATCH"):
        world.fail(429, method, Retry_After="70", says="slower")
    world.start()
    return world.start()


def refused_write(status: int) -> Case:
    """The hub refuses a later write, with which the handle goes out anew."""

    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        assert world.agent().start().error is None
        world.channel = f"{WNS}&new=2"
        for method in ("PUT", "PATCH"):
            world.fail(status, method)
        return world.start()

    return meet


def client_conflict(world: World, _: pytest.MonkeyPatch) -> BaseException:
    registration = Registration(Platform.WNS, WNS)
    with HubClient(world.hub.listen, world.hub.hub) as client:
        client.hide([TILE])
        world.fail(412)
        return raised(lambda: client.update_registration("1-2-3", registration, "7"))


def gone_again(world: World, _: pytest.MonkeyPatch) -> BaseException:
    with HubClient(world.hub.listen, world.hub.hub) as client:
        client.hide([TILE])
        world.fail(410)
        return raised(lambda: client.create_or_update_registration("1-2-3", Registration(Platform.WNS, WNS)))


def record_missing(world: World, _: pytest.MonkeyPatch) -> BaseException:
    with HubClient(world.hub.listen, world.hub.hub) as client:
        client.hide([TILE])
        world.fail(404, says="Installation not found")
        return raised(
            lambda: client.patch_installation("a", [{"op": "replace", "path": "/pushChannel", "value": WNS}])
        )


def invalid_by_any_platform(platform: str) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        world.channel, world.others = HANDLES[platform], ()
        world.fail(400)
        return world.start(platform=platform, templates={}, secondary_tiles={})

    return meet


def unregistering(world: World, _: pytest.MonkeyPatch) -> BaseException:
    """A deletion has no handle in it; the hub quotes it all the same."""
    assert world.agent().start().error is None
    world.fail(400, "DELETE")
    return raised(world.agent().unregister)


def settings_wrong(**changes: Any) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        return raised(lambda: world.agent(**{"platform": "wns", **changes}).start(timeout=0))

    return meet


def listen_string_as(name: str, change: Callable[[str], str] = str) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        return raised(lambda: world.agent(**{name: change(world.hub.listen)}).start(timeout=0))

    return meet


def token_callable(token: Callable[[], str]) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        return world.start(connection_string=token, endpoint=world.hub.endpoint)

    return meet


def refused_token(world: World, _: pytest.MonkeyPatch) -> BaseException:
    world.hub.fail("*", status=401, body=f"<Error><Detail>{quoting(TOKEN)}</Detail></Error>")
    return world.start(connection_string=lambda: TOKEN, endpoint=world.hub.endpoint)


def raising(error: BaseException) -> Callable[[], Any]:
    def source() -> Any:
        raise error

    return source


def raising_in_turn(error: Exception) -> Callable[[], Any]:
    def source() -> Any:
        try:
            raising(Cursed())()
        except Cursed:
            raise error  # noqa: B904 - what led to it is to be met

    return source


class CursedRing(KeyringBackend):
    """A key ring whose failures say all that it holds."""

    priority = 1

    def __init__(self, error: type[Exception], text: str) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._error, self._text = error, text

    def get_password(self, service: str, username: str) -> str | None:
        raise self._error(self._text)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise self._error(password)


def key_ring(error: type[Exception], quoting: Callable[[str], str] = str) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        before = keyring.get_keyring()
        keyring.set_keyring(CursedRing(error, quoting(world.hub.listen)))
        try:
            return world.start(connection_string=None)
        finally:
            keyring.set_keyring(before)

    return meet


def damaged_state(world: World, _: pytest.MonkeyPatch) -> BaseException:
    assert world.agent().start().error is None
    [path] = world.folder.rglob("state.json")
    text = path.read_text()
    path.write_text(text + "}")
    try:
        return raised(lambda: world.agent().add_tags("later"))
    finally:
        path.write_text(text)


def locked_state(world: World, _: pytest.MonkeyPatch) -> BaseException:
    agent = world.agent()
    with Store(agent._store.folder).lock(1):
        return raised(lambda: agent.add_tags("later"))


def unwritable_state(world: World, _: pytest.MonkeyPatch) -> BaseException:
    world.folder.parent.mkdir(exist_ok=True)
    (world.folder.parent / "file").write_text("")
    return world.start(state_dir=world.folder.parent / "file" / "state")


def source_that_fails(source: Callable[[], Any], **changes: Any) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        return world.start(channel=source, **changes)

    return meet


def captive_portal(world: World, _: pytest.MonkeyPatch) -> BaseException:
    page = f"<html>{world.quoted()}</html>"
    world.hub.fail("*", status=200, body=page, headers={"Content-Type": "text/html"}, times=9)
    return world.start()


def another_kind(world: World, _: pytest.MonkeyPatch) -> BaseException:
    kind = f"text/{HANDLES['gcm']}"
    world.hub.fail("*", status=200, body="x", headers={"Content-Type": kind}, times=9)
    return world.start(platform="gcm", channel=HANDLES["gcm"], templates={}, secondary_tiles={})


def cut(after: int) -> Case:
    def meet(world: World, _: pytest.MonkeyPatch) -> BaseException:
        world.hub.fail("*", cut_after=after, times=9)
        return world.start()

    return meet


def late(world: World, _: pytest.MonkeyPatch) -> BaseException:
    world.hub.fail("*", delay=2, times=9)
    with HubClient(world.hub.listen, world.hub.hub, timeout=0.2) as client:
        return raised(lambda: list(client.registrations_by_channel(WNS)))


def elsewhere(endpoint: str, **environment: str) -> Case:
    def meet(world: World, monkeypatch: pytest.MonkeyPatch) -> BaseException:
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        return world.start(connection_string=world.hub.listen.replace(f"{world.hub.endpoint}/", endpoint))

    return meet


def tls_of_a_stranger(world: World, _: pytest.MonkeyPatch) -> BaseException:
    with Emulator(world.hub.hub, tls=True) as hub:
        world.secrets = Secrets((*world.secrets.keys, key_of(hub.listen)))
        return world.start(connection_string=hub.listen)


def no_http(world: World, _: pytest.MonkeyPatch) -> BaseException:
    with echoing("") as endpoint:
        return world.start(connection_string=world.hub.listen.replace(f"{world.hub.endpoint}/", endpoint))


def document_of_another(world: World, _: pytest.MonkeyPatch) -> BaseException:
    answer = json.dumps({"installationId": "a", "platform": HANDLES["gcm"], "pushChannel": WNS})
    world.hub.fail("GET", status=200, body=answer, headers={"Content-Type": "application/json"})
    with HubClient(world.hub.listen, world.hub.hub) as client:
        client.hide([HANDLES["gcm"]])
        return raised(lambda: client.get_installation("a"))


CASES: dict[type[errors.NhagentError], dict[str, Case]] = {
    errors.ConfigurationError: {
        "a tile with the device's channel": settings_wrong(
            channel=WNS, secondary_tiles={"weather": SecondaryTile(channel=WNS)}
        ),
        "a handle that is no Apple token": settings_wrong(platform="apns", channel=WNS),
        "a handle of two lines": settings_wrong(channel=f"{WNS}\n{TILE}"),
        "half a subscription": settings_wrong(platform="browser", channel={"endpoint": HANDLES["gcm"]}),
        "connection string as hub": listen_string_as("hub"),
        "connection string as app": listen_string_as("app", lambda text: f"{text}\n"),
        "key as app": listen_string_as("app", lambda text: text.rpartition(";")[2]),
        "connection string as installation id": listen_string_as("installation_id"),
        "key as installation id": listen_string_as("installation_id", lambda text: text.rpartition(";")[2]),
        "token as installation id": settings_wrong(installation_id=TOKEN),
        "token without its name as installation id": settings_wrong(installation_id=TOKEN.split("&")[1]),
        "connection string as user id": listen_string_as("user_id"),
        "key as user id": settings_wrong(user_id=f"SharedAccessKey={MARK}="),
        "token as a tag": settings_wrong(tags=[TOKEN.split("&")[1]]),
        "connection string as endpoint": listen_string_as("endpoint"),
        "connection string as platform": listen_string_as("platform"),
        "connection string as state folder": listen_string_as("state_dir"),
        "connection string as CA": listen_string_as("ca_bundle"),
        "key without its name": listen_string_as("connection_string", key_of),
        "half a connection string": listen_string_as("connection_string", lambda it: it.partition(";")[2]),
        "another hub's": listen_string_as("connection_string", lambda text: f"{text};EntityPath=another"),
    },
    errors.CredentialError: {
        "a key of more than Listen": lambda world, _: raised(
            lambda: world.agent(connection_string=world.hub.full)
        ),
        "a token callable that fails": token_callable(raising(Cursed())),
        "a token callable that raises our own": token_callable(
            raising_in_turn(errors.CredentialError(f"{TOKEN} for {WNS} by SharedAccessKey={MARK}"))
        ),
        "a token callable that gives something else": token_callable(lambda: SIGNATURE),
        "a token with a line break": token_callable(lambda: f"{TOKEN}\nX: y"),
        "a key ring that fails": key_ring(RuntimeError),
        "a key ring that quotes a key": key_ring(RuntimeError, lambda text: f"bad padding in {key_of(text)}"),
        "a key ring that is not set up": key_ring(keyring.errors.InitError),
    },
    errors.KeyringLocked: {"a key ring that is locked": key_ring(keyring.errors.KeyringLocked)},
    errors.StateUnreadable: {"a state that makes no sense": damaged_state},
    errors.StateLocked: {"a state at which another is at work": locked_state},
    errors.StateUnwritable: {"a folder that cannot be": unwritable_state},
    errors.ChannelError: {
        "a source that fails": source_that_fails(raising(Cursed())),
        "a source that fails in turn": source_that_fails(raising(KeyError(WNS))),
        "a source that exits": source_that_fails(raising(SystemExit(f"no {WNS}"))),
        "a source that calls a client": source_that_fails(
            lambda: Installation("a", Platform.APNS, HANDLES["gcm"])
        ),
        "a source that gives two lines": source_that_fails(lambda: f"{WNS}\n{TILE}"),
        "a source that gives a list": source_that_fails(lambda: [WNS]),
        "a source of another platform": source_that_fails(
            lambda: HANDLES["gcm"], platform="apns", templates={}, secondary_tiles={}
        ),
        "half a subscription": source_that_fails(
            lambda: json.dumps({"endpoint": HANDLES["browser"]["endpoint"]}),
            platform="browser", templates={}, secondary_tiles={},
        ),
        "a plug-in that is not there": source_that_fails(from_plugin("no_such_module:channel")),
    },
    errors.InvalidRequest: {
        "400": failing(400),
        "413": failing(413),
        "400 on a later write": refused_write(400),
        "400 of a deletion": unregistering,
        **{f"400 for {platform}": invalid_by_any_platform(platform) for platform in HANDLES},
    },
    errors.Unauthorized: {
        "401": failing(401),
        "401 of a token callable": refused_token,
    },
    errors.Forbidden: {"403": failing(403)},
    errors.QuotaExceeded: {"403 of a quota": failing(403, "The quota is exceeded")},
    errors.HubNotFound: {"404 of the hub": failing(404, "No service is hosted here")},
    errors.RecordNotFound: {"404 of a record": record_missing},
    errors.RegistrationGone: {"410": gone_again},
    errors.ConcurrencyConflict: {"412": client_conflict},
    errors.Throttled: {
        "429": failing(429, Retry_After="7"),
        "403 with Retry-After": failing(403, Retry_After="7"),
        "409": failing(409),
    },
    errors.HeldBack: {"before its turn after the boot": before_its_turn, "429 before": held_back},
    errors.HubUnavailable: {
        "408": failing(408),
        "500": failing(500),
        "503 on a later write": refused_write(503),
        "redirect": failing(302, Location=f"https://elsewhere.example/{MARK}"),
        "captive portal": captive_portal,
        "another kind": another_kind,
        "document of another": document_of_another,
        "no reply": cut(0),
        "half a head": cut(40),
        "half a body": cut(420),
        "late": late,
        "no HTTP": no_http,
        "TLS of a stranger": tls_of_a_stranger,
        "dead address": elsewhere("sb://127.0.0.1:9/"),
        "dead DNS": elsewhere("sb://no-such-host.invalid/"),
        "no host": elsewhere("sb://a..b/"),
        "dead proxy": elsewhere("sb://no-such-host.invalid/", HTTPS_PROXY=PROXY),
        "proxy that cannot be read": elsewhere(
            "sb://no-such-host.invalid/", HTTPS_PROXY=f"http://{MARK}User:{MARK}/{MARK}@proxy.example:80"
        ),
        "proxy with no port": elsewhere(
            "sb://no-such-host.invalid/", HTTPS_PROXY=f"http://proxy.example:{MARK}"
        ),
        "proxy of another scheme": elsewhere(
            "sb://no-such-host.invalid/", HTTPS_PROXY=f"{MARK}://u:{MARK}@proxy.example:1"
        ),
        "token callable that calls a client": token_callable(
            raising_in_turn(errors.HubUnavailable(f"no {TOKEN}", detail=f"at {WNS} with {TOKEN}"))
        ),
        "token callable without its backend": token_callable(raising(OSError(f"no {TOKEN} at {WNS}"))),
    },
}  # fmt: skip
FLAT = [
    (kind, name, style)
    for kind, cases in CASES.items()
    for name in cases
    for style in (STYLES if issubclass(kind, errors.HubError) else STYLES[:1])
]


def tree() -> set[type[errors.NhagentError]]:
    found: list[type[errors.NhagentError]] = [errors.NhagentError]
    for kind in found:
        found += kind.__subclasses__()
    return {kind for kind in found if kind.__module__ == errors.__name__}


def test_every_error_of_the_tree_is_provoked() -> None:
    assert tree() - BRANCHES == CASES.keys()
    for kind in BRANCHES:
        assert kind.__subclasses__(), "a class that nothing branches off is raised itself"


@pytest.mark.parametrize(
    ("kind", "name", "style"), FLAT, ids=[f"{kind.__name__}: {name}: {style}" for kind, name, style in FLAT]
)
def test_error_is_met_and_no_secret_is_shown(
    world: World, monkeypatch: pytest.MonkeyPatch, kind: type[errors.NhagentError], name: str, style: str
) -> None:
    for variable in ("HTTPS_PROXY", "https_proxy", "ALL_PROXY", "all_proxy", "NO_PROXY", "no_proxy"):
        monkeypatch.delenv(variable, raising=False)
    world.style = style
    error = CASES[kind][name](world, monkeypatch)
    assert type(error) is kind, repr(error)
    world.check_error(error)
    world.hub.clear_faults()
    world.check(repr(world.agent().status()), "a status")
    world.check_rest()


# A hub that sends back all that it was sent.


@contextmanager
def echoing(head: str) -> Iterator[str]:
    """A server that answers each request with the request itself, and its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(2)
                asked = connection.recv(1 << 20)
                want = int(asked.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
                while len(asked.partition(b"\r\n\r\n")[2]) < want:
                    asked += connection.recv(1 << 20)
                said = asked
                if head:
                    text = html.escape(asked.decode("utf-8", "replace"))
                    body = f"<Error><Code>1</Code><Detail>{text}</Detail></Error>".encode()
                    length = f"Content-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
                    said = f"{head}\r\n{length}".encode() + body
                connection.sendall(said)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stop.set()
        server.join()
        listener.close()


def installation(platform: Platform, channel: Any) -> Installation:
    tiles = {"weather": SecondaryTile(channel=TILE)} if platform is Platform.WNS else {}
    return Installation("a", platform, channel, secondary_tiles=tiles)


CALLS: dict[str, Callable[[HubClient, Platform, Any], object]] = {
    "put": lambda hub, platform, channel: hub.put_installation(installation(platform, channel)),
    "get": lambda hub, platform, channel: hub.get_installation("a"),
    "patch": lambda hub, platform, channel: hub.patch_installation(
        "a", [{"op": "replace", "path": "/pushChannel", "value": channel}]
    ),
    "delete": lambda hub, platform, channel: hub.delete_installation("a"),
    "id": lambda hub, platform, channel: hub.create_registration_id(),
    "create": lambda hub, platform, channel: hub.create_registration(Registration(platform, channel)),
    "write": lambda hub, platform, channel: hub.create_or_update_registration(
        "1", Registration(platform, channel, template=None)
    ),
    "read": lambda hub, platform, channel: hub.get_registration("1"),
    "remove": lambda hub, platform, channel: hub.delete_registration("1"),
    "list": lambda hub, platform, channel: list(
        hub.registrations_by_channel(
            BrowserChannel.parse(channel) if platform is Platform.BROWSER else channel
        )
    ),
    "tag": lambda hub, platform, channel: list(hub.registrations_by_tag("kitchen")),
}


@pytest.mark.parametrize("head", ["HTTP/1.1 400 Bad Request", "HTTP/1.1 200 OK", ""])
@pytest.mark.parametrize("platform", list(HANDLES))
def test_hub_that_sends_back_what_it_was_sent_is_veiled(world: World, platform: str, head: str) -> None:
    with echoing(head) as endpoint:
        listen = world.hub.listen.replace(f"{world.hub.endpoint}/", endpoint)
        for name, call in CALLS.items():
            for key in (listen, lambda: TOKEN):
                with HubClient(key, world.hub.hub, endpoint=endpoint, timeout=5) as client:
                    world.check(repr(client), "a client")
                    if head.endswith("OK") and name in {"put", "patch", "delete", "remove"}:
                        call(client, Platform(platform), HANDLES[platform])
                        continue
                    error = raised(lambda: call(client, Platform(platform), HANDLES[platform]))  # noqa: B023
                    world.check_error(error)
                    assert str(error).count("\n") < 60
    world.check_rest()


def test_short_words_of_the_hub_stay_what_they_are() -> None:
    from nhagent.models import marks_of
    from nhagent.redaction import in_prose, redacted

    assert redacted("the body is bad", secrets=["b"], marks=marks_of(["a"])) == "the body is bad"
    assert redacted("not 'a'", marks=marks_of(["a"])).startswith("not '#")
    assert in_prose(OSError("the push service is away")) == "OSError: the push service is away"
    assert in_prose(KeyError(WNS)) == "KeyError: …"
    for secret in [*handles(), SIGNATURE]:
        for form in list(forms(secret))[:-1]:
            assert MARK.lower() not in redacted(f"({form})", secrets=[secret]).lower()


# What is made on the way.


@pytest.mark.parametrize("style", STYLES)
def test_no_value_shows_a_secret_in_its_repr(world: World, style: str) -> None:
    world.style = style
    agent = world.agent()
    shown: list[object] = [agent, *agent.plan(), agent.start(), agent.status(), *agent.plan()]
    world.channel = f"{WNS}&z={MARK}"
    memory = agent._wheel.recall()
    asked = agent._wheel.ask(memory)
    draft = agent._wheel.draft(memory, asked, None)
    shown += [memory, asked, draft, *draft.steps, *map(str, draft.steps), agent._wheel.terms]
    assert draft.steps
    with HubClient(world.hub.listen, world.hub.hub) as client:
        registrations = list(client.registrations_by_channel(WNS))
        assert registrations
        shown += [client, *registrations, client._exchange, client._exchange._transport]
    connection = ConnectionString.parse(world.hub.listen)
    browser = BrowserChannel.parse(HANDLES["browser"])
    tile = SecondaryTile(channel=TILE)
    shown += [
        connection, str(connection), f"{connection}", browser, str(browser), tile, Source("x", connection),
        Installation("a", Platform.WNS, WNS, secondary_tiles={"weather": tile}),
        Installation("a", Platform.BROWSER, browser),
        Registration(Platform.APNS, HANDLES["apns"], template=Template("{}"), template_name="t"),
        FoundCredential(world.hub.listen, "x"), Asked({"channel": WNS}),
        Request("GET", "http://x/", {"Authorization": TOKEN}, WNS.encode()),
        Response(200, {"x": TOKEN}, WNS.encode()), State(foreign=(WNS,), channels={"wns": {"channel": WNS}}),
        Sweep("wns", WNS), Step("PUT", "x", "y", "z", becomes=Registration(Platform.WNS, WNS)),
        world.hub, *world.hub.log(), world.hub._rules,
    ]  # fmt: skip
    for value in shown:
        world.check(repr(value), type(value).__name__)
        for part in getattr(value, "__dict__", {}).values():
            if type(part).__module__.startswith("nhagent"):
                world.check(repr(part), type(part).__name__)
    world.check_rest()


@pytest.mark.parametrize("style", STYLES)
def test_whole_life_of_a_device_leaves_no_secret_in_logs_and_state(world: World, style: str) -> None:
    world.style = style
    agent = world.agent(on_registered=lambda _: raising(Cursed())(), on_error=lambda _: raising(Cursed())())
    seen = [agent.start()]
    assert "a callback of the app failed (Cursed" in world.caplog.text
    world.channel = f"{WNS}&2"
    seen += [agent.start(), agent.add_tags("later"), agent.refresh(force=True)]
    world.channel = None
    seen += [agent.start(), world.agent(channel=raising(Cursed())).start()]
    assert "source failed" in world.caplog.text
    seen += [agent.unregister()]
    agent.enable()
    world.channel = WNS
    seen += [world.agent(connection_string=lambda: signed(world), endpoint=world.hub.endpoint).start()]
    assert seen[-1].outcome == "registered"
    [folder] = [path.parent for path in world.folder.rglob("state.json")]
    (folder / "state.json").write_text("{")
    seen += [agent.start()]
    other = "registration" if style == "installation" else "installation"
    seen += [world.agent(style=other).start()]
    for report in seen:
        world.check(f"{report!r} {json.dumps(to_json(report))}", "a report")
    world.check_rest()


def signed(world: World) -> str:
    return ConnectionString.parse(world.hub.listen).token(f"{world.hub.endpoint}/", datetime.now(UTC))


def test_bug_on_the_way_leaves_nothing_behind_in_the_log(world: World) -> None:
    class Bug(Exception):
        pass

    agent = world.agent(clock=raising(Bug("the clock")))
    with pytest.raises(Bug):
        agent.start()
    world.check_rest()


# Through the command, in this process.

CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}", style = "{style}" }}
device = {{ platform = "wns", tags = ["kitchen"] }}
channel = {{ {channel} }}
[tiles.weather]
channel = {{ file = "tile" }}
"""


@pytest.fixture
def command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Runs the command with --json, checks all that it showed, and gives the object."""
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(world.folder))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", world.hub.listen)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tile").write_text(TILE)

    def run(
        *arguments: str, style: str, channel: str | None = None, first_start: bool = False
    ) -> dict[str, Any]:
        config = tmp_path / "config.toml"
        given = channel or f"value = {json.dumps(WNS)}"
        config.write_text(CONFIG.format(hub=world.hub.hub, style=style, channel=given))
        shown = []
        for form in ([], ["--json"]):
            if first_start:  # of a device that was told nothing yet: no wait is remembered
                shutil.rmtree(world.folder, ignore_errors=True)
            main([*arguments, "-vv", *form, "--config", str(config)])
            printed = capsys.readouterr()
            world.check(printed.out, f"stdout of {arguments}")
            world.check(printed.err, f"stderr of {arguments}")
            shown.append(printed.out)
        document: dict[str, Any] = json.loads(shown[-1])
        return document

    return run


STATUSES = {
    400: "InvalidRequest", 401: "Unauthorized", 403: "Forbidden", 404: "HubNotFound", 409: "Throttled",
    410: "RegistrationGone", 412: "ConcurrencyConflict", 429: "Throttled", 503: "HubUnavailable",
}  # fmt: skip


@pytest.mark.parametrize("style", STYLES)
def test_command_shows_no_secret_whatever_the_hub_answers(
    world: World, command: Callable[..., dict[str, Any]], style: str
) -> None:
    for status, kind in STATUSES.items():
        world.fail(status)
        for name in ("register", "plan"):
            timeout = ["--timeout", "0"] if name == "register" else []
            error = command(name, *timeout, style=style, first_start=True)["error"]
            assert error["type"] == kind
            world.check(json.dumps(error), "--json")
        world.hub.clear_faults()
    assert command("register", style=style)["outcome"] == "unchanged", "the first of the two has done it"
    for status in STATUSES:
        world.fail(status, "DELETE")
        command("unregister", "--timeout", "0", style=style)
        world.hub.clear_faults()
        command("enable", style=style)
    world.check_rest()


PLUGIN = f"""
from asyncio import CancelledError
class Odd(dict):
    def items(self):
        raise ValueError({WNS!r})
def fails(): raise RuntimeError({WNS!r})
def stops(): raise KeyboardInterrupt({WNS!r})
def cancels(): raise CancelledError({WNS!r})
def leaves(): raise SystemExit({WNS!r})
def chatters():
    return Odd()
"""


@pytest.mark.parametrize("style", STYLES)
def test_command_shows_no_secret_when_a_plug_in_breaks_it(
    world: World,
    tmp_path: Path,
    command: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    style: str,
) -> None:
    (tmp_path / "marked_plugin.py").write_text(PLUGIN)
    for name, kind in {
        "fails": "ChannelError",
        "cancels": "ChannelError",
        "leaves": "ChannelError",
    }.items():
        shown = command("register", "--timeout", "0", style=style, channel=f'plugin = "marked_plugin:{name}"')
        assert shown["error"]["type"] == kind
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace("leaves", "stops"))
    assert main(["register", "--json", "--config", str(config)]) == 130
    text = config.read_text().replace('"wns"', '"browser"').replace("stops", "chatters")
    config.write_text(text.partition("[tiles")[0])
    assert main(["register", "--json", "--config", str(config)]) == 70
    printed = capsys.readouterr()
    assert "this is a fault in nhagent" in printed.err
    world.check(printed.out + printed.err, "a crash")
    world.check_rest()


def test_connection_string_as_an_argument_is_not_repeated(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["login", world.hub.listen],
        [world.hub.listen],
        ["register", "--timeout", world.hub.listen],
    ):
        for form in ([], ["--json"]):
            with pytest.raises(SystemExit), ExitStack():
                main([*arguments, *form])
    printed = capsys.readouterr()
    assert "usage: nhagent" in printed.err
    world.check(printed.out + printed.err, "wrong usage")
