"""Ways to meet each error of the tree, with secrets in every place that it could quote."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import keyring
import keyring.errors
import pytest
from keyring.backend import KeyringBackend

from nhagent import (
    HubClient,
    Platform,
    Registration,
)
from nhagent.device.store import Store
from nhagent.emulator import Emulator

from .echo import echoing
from .marks import HANDLES, TILE, TOKEN, Secrets, key_of, quoting
from .world import WNS, Cursed, World, raised, raising

Case = Callable[[World, pytest.MonkeyPatch], BaseException]


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
        client._exchange.channels = lambda: [TILE]
        world.fail(412)
        return raised(lambda: client.update_registration("1-2-3", registration, "7"))


def gone_again(world: World, _: pytest.MonkeyPatch) -> BaseException:
    with HubClient(world.hub.listen, world.hub.hub) as client:
        client._exchange.channels = lambda: [TILE]
        world.fail(410)
        return raised(lambda: client.put_registration("1-2-3", Registration(Platform.WNS, WNS)))


def record_missing(world: World, _: pytest.MonkeyPatch) -> BaseException:
    with HubClient(world.hub.listen, world.hub.hub) as client:
        client._exchange.channels = lambda: [TILE]
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
    with Store(agent.state_folder).lock(1):
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
        client._exchange.channels = lambda: [HANDLES["gcm"]]
        return raised(lambda: client.get_installation("a"))
