"""Secrets in the wrong place, in a traceback's variables, in debug output; control characters of others."""

from __future__ import annotations

import copy
import pickle
import signal
import socket
import subprocess
import sys
import threading
import traceback
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any, NoReturn
from urllib.parse import quote, unquote

import pytest

from nhagent import BrowserChannel, ConnectionString, HubClient, SecondaryTile, Template, errors
from nhagent.channels import simple
from nhagent.commands.cli import main
from nhagent.redaction import redacted
from nhagent.secret import HiddenCallable, Secret, holds_hub_secret, holds_secret, is_key
from nhagent.visible import visible
from tests.events import HANG_SECONDS
from tests.serving import serving

from .frames import texts_in_frames
from .marks import HANDLES, MARK, PROXY, SIGNATURE, TILE, TOKEN, VAULT_KEY, handles, key_of
from .world import WNS, World, raised, raising

BARE = "Qzm4rk" + "aB3/" * 9 + "x="
"""The shape of an access key by itself."""


def planted(world: World) -> list[str]:
    user, password = PROXY.removeprefix("http://").partition("@")[0].split(":")
    return [
        world.hub.listen, world.hub.full, key_of(world.hub.listen), key_of(world.hub.full), TOKEN, SIGNATURE,
        *handles(), user, password, VAULT_KEY, BARE,
    ]  # fmt: skip


def test_at_least_fifteen_secrets_are_planted(world: World) -> None:
    assert len(set(planted(world))) >= 15


def test_secret_is_shown_by_nothing(world: World) -> None:
    for text in planted(world):
        held = Secret(text)
        shown = f"{held!r} {held!s} {held} {held:>40} {[held]!r} {HiddenCallable(partial(str, text))!r}"
        assert text not in shown
        assert held.reveal() == text
        assert copy.deepcopy({"a": held}) == {"a": Secret(text)}
        for protocol in range(pickle.HIGHEST_PROTOCOL + 1):
            with pytest.raises(TypeError, match="cannot be pickled"):
                pickle.dumps(held, protocol)
    connection = ConnectionString.parse(world.hub.listen)
    assert connection.key.reveal() == key_of(world.hub.listen)
    assert connection.key.reveal() not in repr(connection)


MISPLACED: dict[str, Callable[[str], dict[str, Any]]] = {
    "channel": lambda text: {"channel": text},
    "given channel": lambda text: {"channel": lambda: text},
    "tile": lambda text: {"secondary_tiles": {"a": SecondaryTile(channel=lambda: text)}, "channel": text},
    "tag": lambda text: {"tags": [text]},
    "tag of a template": lambda text: {"templates": {"a": Template("<a/>", tags=[text])}},
    "template's body": lambda text: {"templates": {"a": Template(f"<toast>{text}</toast>")}},
    "template's header": lambda text: {"templates": {"a": Template("<a/>", headers={"X-WNS-Tag": text})}},
    "template's name": lambda text: {"templates": {text: Template("<a/>", {"X-WNS-Type": "wns/raw"})}},
    "push variable": lambda text: {"push_variables": {"who": text}},
    "user id": lambda text: {"user_id": text},
    "app": lambda text: {"app": text},
    "hub": lambda text: {"hub": text},
    "style": lambda text: {"style": text},
    "endpoint": lambda text: {"endpoint": text},
    "endpoint's query": lambda text: {"endpoint": f"sb://ns.example/?{text}"},
    "endpoint's user": lambda _: {"endpoint": f"sb://{MARK}:{MARK}@ns.example/"},
    "state folder": lambda text: {"state_dir": f"/var/lib/{text}"},
    "CA bundle": lambda text: {"ca_bundle": f"/etc/{text}"},
    "installation id": lambda text: {"installation_id": text},
    "channel file": lambda text: {"channel": simple.from_file(f"/run/{text}")},
    "channel command": lambda text: {"channel": simple.from_command(["give", f"--key={text}"])},
    "channel variable": lambda text: {"channel": simple.from_environment(text)},
    "channel credential": lambda text: {"channel": simple.from_credential(text)},
    "channel plugin": lambda text: {"channel": simple.from_plugin(f"{text}:a")},
    "refresh": lambda text: {"refresh_every": text},
    "spread": lambda text: {"startup_spread": text},
}  # fmt: skip


@pytest.mark.parametrize("place", MISPLACED)
def test_secret_that_does_not_belong_is_refused_not_stored_and_not_shown(world: World, place: str) -> None:
    for text in (world.hub.listen, TOKEN, quote(world.hub.listen), f"SharedAccessKey={MARK}aB3/+="):

        def act(text: str = text) -> None:
            report = world.agent(**{"first_run_list": False, **MISPLACED[place](text)}).start(timeout=0)
            if report.error is not None:
                raise report.error

        error = raised(act)
        assert isinstance(error, errors.ConfigurationError | errors.ChannelError), repr(error)
        world.check_error(error)
        world.check_rest()
    assert not world.hub.log(), "something was sent"


FILE = """
app = {app!r}
hub = {{ name = "{hub}", {in_hub} }}
device = {{ platform = "wns", {in_device} }}
channel = {{ {channel} }}
[refresh]
{refresh}
"""


@pytest.mark.parametrize(
    ("part", "says"),
    [
        ("channel", "value = '{}'"), ("channel", "file = '{}'"), ("channel", "env = '{}'"),
        ("channel", "command = ['a', '{}']"), ("channel", "credential = '{}'"), ("channel", "plugin = '{}'"),
        ("channel", "'{}' = 1"), ("in_hub", "ca_bundle = '{}'"), ("in_hub", "endpoint = '{}'"),
        ("in_hub", "'{}' = 'x'"), ("in_device", "push_variables = {{ a = '{}' }}"),
        ("in_device", "tags = ['{}']"),
        ("in_device", "push_variables = {{ '{}' = 'a' }}"), ("in_device", "expires_after = '{}'"),
        ("in_device", "installation_id = '{}'"), ("refresh", "every = '{}'"),
        ("refresh", "startup_spread = '{}'"), ("app", "{}"),
    ],
)  # fmt: skip
def test_configuration_file_with_a_secret_elsewhere_is_refused_and_not_shown(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    part: str, says: str,
) -> None:  # fmt: skip
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(world.folder))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", world.hub.listen)
    for text in (world.hub.listen, TOKEN):
        parts = {
            "app": "a",
            "hub": world.hub.hub,
            "in_hub": "",
            "in_device": "",
            "refresh": "",
            "channel": "value = 'x'",
        }
        (tmp_path / "c.toml").write_text(
            FILE.format(**{**parts, part: says.format(text)}).replace(", }", " }")
        )
        assert main(["register", "--timeout", "0", "-vv", "--config", str(tmp_path / "c.toml")]) in {75, 78}
        printed = capsys.readouterr()
        assert "nhagent: " in printed.err or "why: " in printed.out
        world.check(printed.out + printed.err, part)
    world.check_rest()
    assert not world.hub.log(), "something was sent"


@pytest.mark.parametrize(
    "variable", ["NHAGENT_CONFIG", "NHAGENT_STATE_DIR", "STATE_DIRECTORY", "NHAGENT_CONNECTION_STRING_FILE"]
)
def test_secret_in_a_variable_of_another_purpose_is_not_shown(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str],
    variable: str,
) -> None:  # fmt: skip
    monkeypatch.delenv("NHAGENT_STATE_DIR", raising=False)
    (tmp_path / "c.toml").write_text(
        "app = 'a'\nhub = { name = 'h' }\ndevice = { platform = 'wns' }\nchannel = { value = 'x' }"
    )
    monkeypatch.setenv("NHAGENT_CONFIG", str(tmp_path / "c.toml"))
    monkeypatch.setenv("STATE_DIRECTORY", str(world.folder))
    for text in (world.hub.listen, TOKEN, BARE, f"/{BARE}"):
        monkeypatch.setenv(variable, text)
        assert main(["register", "--timeout", "0"]) != 0
        printed = capsys.readouterr()
        if not text.startswith("/"):
            world.check(printed.out + printed.err, variable)


def test_partial_that_holds_a_key_is_shown_by_no_frame(world: World) -> None:
    def sign(key: str, *, token: Any) -> Any:
        if isinstance(token, BaseException):
            raise token
        return token

    for token in (OSError("away"), ValueError(MARK), "no token", f"{TOKEN}\nx", TOKEN):
        held = partial(sign, f"{MARK}{BARE}", token=token)
        world.hub.fail("*", status=401, times=1)
        error = world.start(connection_string=held, endpoint=world.hub.endpoint)
        world.check_error(error)
    error = raised(lambda: world.agent(connection_string=partial(sign, BARE, token="")))
    world.check_error(error)
    error = raised(lambda: HubClient(partial(sign, BARE, token=""), world.hub.hub, endpoint="ftp://x"))
    world.check_error(error)


def test_constructors_that_refuse_show_no_handle_in_a_frame(world: World) -> None:
    browser = HANDLES["browser"]
    for act in (
        lambda: BrowserChannel(f"http://{MARK}", browser["keys"]["p256dh"], browser["keys"]["auth"]),
        lambda: HubClient(world.hub.listen, world.hub.hub, timeout=-1),
        lambda: HubClient(key_of(world.hub.listen), world.hub.hub),
        lambda: ConnectionString.parse(key_of(world.hub.listen)),
        lambda: ConnectionString.parse(f"{world.hub.listen};SharedAccessKey={MARK}"),
        lambda: ConnectionString.parse(f"{world.hub.listen};{MARK}"),
        lambda: world.agent(channel=f"{WNS}\n{TILE}"),
        lambda: world.agent(startup_spread=None),
    ):
        world.check_error(raised(act))


class Stopped(BaseException):
    """Ends a program in the middle of an exchange, as KeyboardInterrupt does."""


def test_frames_of_the_http_stack_are_empty_when_a_program_is_ended_in_an_exchange(world: World) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows has no signal that ends an exchange")
    is_over = threading.Event()

    def end(*_: object) -> NoReturn:
        raise Stopped

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGUSR1)
        is_over.wait(HANG_SECONDS)

    before = signal.signal(signal.SIGUSR1, end)
    try:
        with serving(answer) as address:
            client = HubClient(world.hub.listen, world.hub.hub, endpoint=address)
            with pytest.raises(Stopped) as caught:
                list(client.registrations_by_channel(WNS))
            is_over.set()
    finally:
        signal.signal(signal.SIGUSR1, before)
    assert "urllib3" in "".join(traceback.format_tb(caught.value.__traceback__))
    for where, text in texts_in_frames(caught.value):
        world.check(text, where)


DEBUGGED = """
import http.client, logging, sys, traceback
http.client.HTTPConnection.debuglevel = 2  # as an app does that wants to see what goes over the wire
logging.basicConfig(level=1, stream=sys.stdout)
from nhagent import Agent, SecondaryTile
hub, listen, folder, channel, tile = sys.argv[1:]
agent = Agent(
    app="thermostat", hub=hub, platform="wns", channel=channel, connection_string=listen, state_dir=folder,
    secondary_tiles={"weather": SecondaryTile(channel=tile)},
)
try:
    print("came to:", agent.start(timeout=0).outcome)
except Exception:
    traceback.print_exc(file=sys.stdout)
"""


def test_debug_output_of_the_http_stack_has_no_secret(world: World) -> None:
    def printed(channel: str) -> str:
        given = [world.hub.hub, world.hub.listen, str(world.folder), channel, TILE]
        ended = subprocess.run(
            [sys.executable, "-c", DEBUGGED, *given],
            capture_output=True, text=True, check=True, timeout=HANG_SECONDS,
        )  # fmt: skip
        world.check(ended.stdout + ended.stderr, "what is printed")
        assert "urllib3" in ended.stdout
        return ended.stdout

    assert "came to: registered" in printed(WNS)
    world.fail(400)
    world.channel = f"{WNS}&2"
    assert "InvalidRequest" in printed(world.channel)
    world.check_error(world.start())
    world.check_rest()


STEERING = "a\x1b[2Jb\x07c\x7fd\x9b31me\u202ef\u2066g\udc80h\rI\x00"


def test_control_characters_are_written_as_escapes() -> None:
    assert visible(STEERING) == r"a\x1b[2Jb\x07c\x7fd\x9b31me\u202ef\u2066g\udc80h\x0dI\x00"
    assert visible("two\nlines\r\nand a third: ü 漢 😀 \xa0") == "two\nlines\nand a third: ü 漢 😀 \xa0"


def test_control_characters_of_a_hub_an_app_and_a_file_name_reach_no_terminal(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    said = "Bad \x7f\x9b31m\u202e words"
    world.hub.fail("*", status=400, body=f"<Error><Code>400</Code><Detail>{said}</Detail></Error>", times=9)
    error = world.start()
    assert isinstance(error, errors.HubError)
    assert r"\x9b31m\u202e" in error.detail
    source = world.agent(channel=raising(errors.ChannelError(STEERING))).plan()
    folder = tmp_path / "odd\x1b[2J\x9b\u202e"
    folder.mkdir()
    monkeypatch.setenv("NHAGENT_CONFIG", str(folder / "no.toml"))
    assert main(["register"]) == 78
    printed = capsys.readouterr()
    assert r"\x1b[2J\x9b\u202e" in printed.err
    for text in (str(error), repr(error), error.detail, str(source), printed.err, world.caplog.text):
        assert not set(text) & set("\x00\x07\x1b\x7f\x9b\u202e\u2066\udc80")


def test_handle_is_recognised_decoded_in_another_case_and_cut() -> None:
    marks = dict.fromkeys(handles(), "#1")
    for handle in handles():
        forms = [handle, unquote(handle), quote(handle, safe=""), handle.upper(), unquote(handle).lower()]
        forms += [form[:length] for form in forms[3:] for length in (17, len(form) - 1) if len(form) > 17]
        forms.append(quote(handle, safe="")[: 3 * 17])
        for form in forms:
            shown = redacted(f"It says <{form}> here", marks=marks)
            assert MARK.lower() not in shown.lower(), shown
            assert handle[:16].lower() not in shown.lower()
            assert shown.startswith("It says <")
            assert shown.endswith("> here")


def test_shapes_of_secrets_are_told_from_what_looks_alike() -> None:
    for text in (
        "SharedAccessKey=a", "sharedaccesskey : a", '{"SharedAccessKey":"a"}', "SharedAccessKey%3Da",
        "SharedAccessKey%253Da", "SharedAccessKey&#61;a", "SharedAccessSignature sr=x", "a&sig=b&se=1&skn=c",
    ):  # fmt: skip
        assert holds_hub_secret(text), text
        assert holds_secret(text), text
    assert holds_secret("x?sig=1")
    for text in (
        "design=1", "sig", "signature", "SharedAccessKeyName=listen", WNS, TILE, "https://a/b.png?sr=b&sig=c",
        "the SharedAccessKey is secret",
    ):  # fmt: skip
        assert not holds_hub_secret(text), text
    assert is_key(BARE)
    assert not is_key(BARE[:-1])
    assert not is_key("a" * 43 + "=")


def test_shapes_are_told_in_linear_work() -> None:
    """Text of one name after the other, each of which begins as a secret does."""
    for unit in ("sharedaccesskey ", "sig ", "sharedaccesskey\t\t\t", "%25", "&amp;"):
        seen = [_calls_of(unit * size) for size in (1000, 2000)]
        assert seen[1] <= 2.1 * seen[0] + 10


def _calls_of(text: str) -> int:
    calls = 0

    def count(frame: object, event: str, _: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(count)
    try:
        holds_secret(text)
    finally:
        sys.setprofile(None)
    return calls
