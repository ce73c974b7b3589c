"""A headless device that obtains its push channel by itself, and a hub with a push service beside it."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest

from nhagent import Agent
from nhagent.channels import Message, WebPushChannel
from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS, happens


@dataclass
class Receiving:
    """What a device has received, while it receives."""

    messages: list[Message] = field(default_factory=list)
    raised: list[BaseException] = field(default_factory=list)

    @property
    def texts(self) -> list[str | None]:
        return [message.text for message in self.messages]


@dataclass
class FakeTime:
    """Time that passes when somebody waits for it; a millisecond of it is real, for the sockets."""

    seconds: float = 0.0
    slept: list[float] = field(default_factory=list)

    def sleep(self, seconds: float) -> None:
        self.seconds += seconds
        self.slept.append(seconds)
        time.sleep(0.001)


@dataclass
class HeadlessDevice:
    """Its attributes are what the world gives it."""

    hub: Emulator
    folder: Path
    machine: str = "first"
    vapid: str = ""
    server: str = ""
    settings: dict[str, Any] = field(default_factory=dict)

    def channel(self, **changes: Any) -> WebPushChannel:
        server = changes.pop("server", self.server or self.hub.push)
        key = changes.pop("vapid_public_key", self.vapid or self.hub.vapid_public_key)
        return WebPushChannel(key, server=server, ca_bundle=self.hub.ca, **changes)

    def agent(self, **changes: Any) -> Agent:
        given: dict[str, Any] = {
            "app": "sensor",
            "hub": self.hub.hub,
            "channel": self.channel() if "channel" not in changes else None,
            "tags": ["attic"],
            "connection_string": self.hub.listen,
            "ca_bundle": self.hub.ca,
            "state_dir": self.folder,
            "random": lambda: 0.0,
            "machine": lambda: self.machine,
            "first_run_list": False,
        }
        return Agent(**{**given, **self.settings, **changes})

    @property
    def held(self) -> dict[str, Any]:
        """The one installation that the hub holds."""
        [installation] = self.hub.contents()["installations"]
        return dict(installation)

    @property
    def subscriptions(self) -> list[str]:
        """The channels that the push service knows, of all users."""
        return [name for user in self.hub.push_service.state().values() for name in user["channels"]]

    def is_connected(self) -> bool:
        return any(user["connected"] for user in self.hub.push_service.state().values())

    def push(self, text: str, **how: Any) -> int:
        return self.hub.send_push(self.held["installationId"], text, **how).status

    def path(self, name: str) -> Path:
        return self.folder / "sensor" / self.hub.hub / name

    @contextmanager
    def receiving(
        self, receive: Callable[..., object], take: Callable[[Message], object] | None = None
    ) -> Iterator[Receiving]:
        """Receive in a thread, once the device is connected, until the block ends."""
        received, stop = Receiving(), Event()

        def on_message(message: Message) -> None:
            if take is not None:
                take(message)
            received.messages.append(message)

        def run() -> None:
            try:
                receive(on_message, stop)
            except BaseException as error:
                received.raised.append(error)

        thread = Thread(target=run, daemon=True)
        thread.start()
        try:
            assert happens(lambda: self.is_connected() or received.raised)
            yield received
        finally:
            stop.set()
            thread.join(HANG_SECONDS)
            assert not thread.is_alive()


@pytest.fixture
def headless(notification_hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> HeadlessDevice:
    for name in ("NHAGENT_CONNECTION_STRING", "NHAGENT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
    return HeadlessDevice(notification_hub, tmp_path / "state")


@pytest.fixture
def fake_time() -> FakeTime:
    return FakeTime()
