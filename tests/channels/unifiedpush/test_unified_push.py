"""A desktop program gets its push channel from the distributor on its session bus, and from nobody else."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

if sys.platform == "win32":
    pytest.skip("Windows has no session bus", allow_module_level=True)
pytest.importorskip("jeepney", reason="jeepney is not installed")
pytest.importorskip("http_ece", reason="http_ece is not installed")

import os
import subprocess
import tempfile
from contextlib import contextmanager
from threading import Event, Thread

import jeepney

from nhagent import Agent, Outcome
from nhagent.channels import Message, UnifiedPushChannel
from nhagent.channels.encryption import new_pair
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from tests.events import HANG_SECONDS, happens

from .distributor import CONNECTOR, SERVICE, Distributor, Encrypting, Peer, send_as, session_bus

pytestmark = pytest.mark.slow

PUBLIC, OTHER = new_pair()[1], new_pair()[1]


@pytest.fixture
def bus(monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    with tempfile.TemporaryDirectory() as folder, session_bus(Path(folder)) as address:
        monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", address)
        yield address


@pytest.fixture
def distributor(bus: str) -> Iterator[Distributor]:
    distributor = Distributor(bus)
    yield distributor
    distributor.close()


@pytest.fixture
def stranger(bus: str) -> Iterator[Peer]:
    peer = Peer(bus)
    yield peer
    peer.close()


class Desktop:
    """A desktop program."""

    def __init__(self, hub: Emulator, folder: Path) -> None:
        self.hub, self.folder = hub, folder
        self.received: list[str | None] = []
        self.connected = Event()

    def agent(self, key: str = PUBLIC, **changes: Any) -> Agent:
        given: dict[str, Any] = {
            "app": "sensor",
            "hub": self.hub.hub,
            "channel": UnifiedPushChannel(key, SERVICE),
            "tags": ["desk"],
            "connection_string": self.hub.listen,
            "state_dir": self.folder,
            "random": lambda: 0.0,
            "machine": lambda: "first",
            "first_run_list": False,
        }
        return Agent(**{**given, **changes})

    @property
    def held(self) -> dict[str, Any]:
        [held] = self.hub.contents()["installations"]
        return dict(held["pushChannel"])

    def sender(self) -> Encrypting:
        return Encrypting(self.held["p256dh"], self.held["auth"])

    @contextmanager
    def receiving(
        self, agent: Agent, distributor: Distributor, take: Callable[[Message], object] | None = None
    ) -> Iterator[None]:
        stop, before = Event(), len(distributor.registered)

        def on_message(message: Message) -> None:
            if take is not None:
                take(message)
            self.received.append(message.text)

        thread = Thread(target=agent.receive, args=(on_message, stop), daemon=True)
        thread.start()
        try:
            assert happens(lambda: len(distributor.registered) > before)
            assert happens(lambda: self.hub.contents()["installations"])
            yield
        finally:
            stop.set()
            thread.join(HANG_SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def desktop(notification_hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Desktop:
    for name in ("NHAGENT_CONNECTION_STRING", "NHAGENT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return Desktop(notification_hub, tmp_path / "state")


def test_first_start_registers_with_the_distributor_and_the_hub(
    desktop: Desktop, distributor: Distributor
) -> None:
    report = desktop.agent().start()
    assert (report.outcome, report.in_sync) == (Outcome.REGISTERED, True)
    assert desktop.held["endpoint"] == "https://push.example/1"
    [known] = distributor.known.values()
    assert (known.service, known.vapid) == (SERVICE, PUBLIC)
    assert desktop.agent().start().requests == 0
    assert len(distributor.registered) == 1


def test_message_of_the_distributor_is_decrypted_handed_on_and_answered_with_its_id(
    desktop: Desktop, distributor: Distributor
) -> None:
    agent = desktop.agent()
    agent.start()
    with desktop.receiving(agent, distributor):
        [token] = distributor.known
        assert distributor.registered == [token, token]  # at every start, under the same token
        sender = desktop.sender()
        assert distributor.send(token, sender.encrypted("hello ☂"), "m-1") == {"id": ("s", "m-1")}
        assert distributor.send(token, sender.encrypted("without an id")) == {"id": ("s", "")}
        again = sender.encrypted("twice")
        assert distributor.send(token, again, "m-2") == distributor.send(token, again, "m-2")
        other = sender.encrypted("with an id that another had")
        assert distributor.send(token, other, "m-2") == {"id": ("s", "m-2")}
        assert happens(lambda: len(desktop.received) == 4)
    assert desktop.received == ["hello ☂", "without an id", "twice", "with an id that another had"]


def test_stranger_on_the_bus_is_refused_whatever_he_calls(
    desktop: Desktop, distributor: Distributor, stranger: Peer, caplog: pytest.LogCaptureFixture
) -> None:
    agent = desktop.agent()
    agent.start()
    before = desktop.held
    with desktop.receiving(agent, distributor):
        [token] = distributor.known
        content = desktop.sender().encrypted("not from the distributor")
        denied = "org.freedesktop.DBus.Error.AccessDenied"
        assert send_as(stranger, token, content) == denied
        moved = {"token": ("s", token), "endpoint": ("s", "https://evil.example/")}
        assert stranger.call(CONNECTOR, "NewEndpoint", "a{sv}", (moved,)) == denied
        assert stranger.call(CONNECTOR, "Unregistered", "a{sv}", ({"token": ("s", token)},)) == denied
        distributor.send(token, desktop.sender().encrypted("from the distributor"))
        assert happens(lambda: desktop.received == ["from the distributor"])
        unknown = "org.freedesktop.DBus.Error.UnknownMethod"
        assert distributor.call(CONNECTOR, "Nonsense", "a{sv}", ({"token": ("s", token)},)) == unknown
        assert distributor.call(CONNECTOR, "Message") == unknown
    assert desktop.held == before
    assert f"a stranger on the session bus ({stranger.unique_name}) called Message: refused" in caplog.text


def test_address_that_the_distributor_changes_is_registered_at_once(
    desktop: Desktop, distributor: Distributor
) -> None:
    agent = desktop.agent()
    agent.start()
    with desktop.receiving(agent, distributor):
        [token] = distributor.known
        distributor.move(token, "https://push.example/moved")
        assert happens(lambda: desktop.held["endpoint"] == "https://push.example/moved")
        distributor.move(token, "http://push.example/plain")  # no address for a subscription
    assert desktop.held["endpoint"] == "https://push.example/moved"


def test_distributor_that_goes_and_comes_back_is_registered_with_again(
    desktop: Desktop, distributor: Distributor, bus: str
) -> None:
    agent = desktop.agent()
    agent.start()
    with desktop.receiving(agent, distributor):
        [token] = distributor.known
        distributor.close()
        second = Distributor(bus)
        try:
            assert happens(lambda: second.registered == [token])
            assert happens(lambda: token in second.known)
            assert happens(lambda: second.send(token, desktop.sender().encrypted("by the second")))
            assert happens(lambda: desktop.received)
        finally:
            second.close()
    assert set(desktop.received) == {"by the second"}


def test_subscription_that_the_distributor_ends_is_followed_by_another(
    desktop: Desktop, distributor: Distributor
) -> None:
    agent = desktop.agent()
    agent.start()
    with desktop.receiving(agent, distributor):
        [token] = distributor.known
        distributor.end(token)
        assert happens(lambda: desktop.held["endpoint"] == "https://push.example/2")
        assert happens(lambda: list(distributor.known) not in ([], [token]))
        [second] = distributor.known
        distributor.send(second, desktop.sender().encrypted("to the new one"))
        assert happens(lambda: desktop.received == ["to the new one"])


@pytest.mark.parametrize(
    ("reason", "words", "pending"),
    [
        ("INTERNAL_ERROR", "failed inside", True),
        ("NETWORK", "has no network", True),
        ("ACTION_REQUIRED", "wants somebody to do something first", False),
        ("VAPID_REQUIRED", "wants a VAPID key", False),
        ("UNAUTHORIZED", "does not serve this program", False),
        ("SOMETHING_NEW", "gives no subscription", True),
    ],
)
def test_distributor_that_refuses_is_told_with_its_reason(
    reason: str, words: str, pending: bool, desktop: Desktop, distributor: Distributor
) -> None:
    distributor.fails = reason
    report = desktop.agent().start(timeout=0)
    error = report.channel_errors["channel"]
    assert words in error.fact
    assert error.pending is pending
    distributor.fails = None
    assert desktop.agent(sleep=lambda _: None).start().outcome is Outcome.REGISTERED
    assert len(set(distributor.registered)) == 1


@pytest.mark.usefixtures("bus")
def test_bus_without_a_distributor_and_no_bus_at_all_are_told(
    desktop: Desktop, monkeypatch: pytest.MonkeyPatch
) -> None:
    report = desktop.agent().start(timeout=0)
    assert "no UnifiedPush distributor on the session bus" in str(report.channel_errors["channel"])
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS")
    report = desktop.agent().start(timeout=0)
    assert "there is no session bus: nobody is logged in" in str(report.channel_errors["channel"])
    monkeypatch.setenv("DBUS_SESSION_BUS_ADDRESS", "unix:path=/nowhere")
    assert desktop.agent().start(timeout=0).outcome is Outcome.WAITING


def test_name_that_another_program_has_is_told(
    desktop: Desktop, distributor: Distributor, stranger: Peer
) -> None:
    stranger.own(SERVICE)
    report = desktop.agent().start(timeout=0)
    assert "another program has the name com.example.Sensor" in str(report.channel_errors["channel"])
    assert distributor.registered == []


def test_another_key_makes_another_subscription_and_the_old_one_is_given_back(
    desktop: Desktop, distributor: Distributor
) -> None:
    desktop.agent().start()
    [first] = distributor.known
    assert desktop.agent(OTHER).start().outcome is Outcome.UPDATED
    [second] = distributor.known
    assert second != first
    assert distributor.known[second].vapid == OTHER
    assert desktop.agent(OTHER).unregister().outcome is Outcome.DISABLED
    assert distributor.known == {}


def test_example_of_a_desktop_app_is_registered_and_reached(
    notification_hub: Emulator, distributor: Distributor, tmp_path: Path
) -> None:
    example = Path(__file__).parents[3] / "examples" / "desktop_push.py"
    environment = {
        **os.environ,
        "HUB": notification_hub.hub,
        "VAPID_PUBLIC_KEY": PUBLIC,
        "NHAGENT_CONNECTION_STRING": notification_hub.listen,
        "NHAGENT_STATE_DIR": str(tmp_path / "state"),
    }
    address = jeepney.DBusAddress(
        "/org/unifiedpush/Connector", "com.example.Weather", "org.unifiedpush.Connector2"
    )
    distributor.program = address
    given = [sys.executable, "-W", "error", str(example)]
    with subprocess.Popen(given, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline().startswith("registered: installation ")
            assert happens(lambda: len(distributor.registered) == 2)
            [token] = distributor.known
            [held] = notification_hub.contents()["installations"]
            sender = Encrypting(held["pushChannel"]["p256dh"], held["pushChannel"]["auth"])
            distributor.send(token, sender.encrypted("rain"))
            assert process.stdout.readline() == "received: 'rain'\n"
        finally:
            process.kill()


@pytest.mark.parametrize(
    "name", ["", "weather", "com..x", "com.1x", "com.exa mple", "com." + "x" * 300, 5, None]
)
def test_service_that_is_no_name_is_refused(name: Any) -> None:
    with pytest.raises(ConfigurationError, match="service"):
        UnifiedPushChannel(PUBLIC, name)


def test_message_longer_than_any_is_answered_and_dropped(desktop: Desktop, distributor: Distributor) -> None:
    agent = desktop.agent()
    agent.start()
    with desktop.receiving(agent, distributor):
        [token] = distributor.known
        assert distributor.send(token, b"x" * 5000) == {}
        distributor.send(token, desktop.sender().encrypted("short"))
        assert happens(lambda: desktop.received == ["short"])
