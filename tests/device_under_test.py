"""The device that most tests start: its agent, its channels and clock, and the hub that it registers with."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from zlib import crc32

from nhagent import Agent, HubClient, Platform, Registration, Report, SecondaryTile, Template
from nhagent.emulator import Emulator

TOAST = Template(
    body="<toast><text id='1'>$(message)</text></toast>", headers={"X-WNS-Type": "wns/toast"}, tags=["alerts"]
)

PLAIN: dict[str, Any] = {"templates": {}, "secondary_tiles": {}}


@dataclass
class Device:
    """A device with a hub to register with. Its attributes are what the world gives it."""

    hub: Emulator
    folder: Path
    channel: Any = "https://push.example/1"
    tile_channel: Any = "https://push.example/tile/1"
    offset: timedelta = timedelta()
    slept: list[float] = field(default_factory=list)

    def agent(self, **changes: Any) -> Agent:
        """The agent as the app makes it at a start."""
        settings: dict[str, Any] = {
            "app": "thermostat",
            "hub": self.hub.hub,
            "platform": "wns",
            "channel": lambda: self._given(self.channel),
            "tags": ["kitchen"],
            "templates": {"alert": TOAST},
            "secondary_tiles": {"weather": SecondaryTile(channel=lambda: self._given(self.tile_channel))},
            "connection_string": self.hub.listen,
            "ca_bundle": self.hub.ca,
            "state_dir": self.folder,
            "clock": lambda: datetime.now(UTC) + self.offset,
            "sleep": self.slept.append,
            "random": lambda: 0.5,
            "first_run_list": False,
        }
        return Agent(**{**settings, **changes})

    def start(self, **changes: Any) -> Report:
        return self.agent(**changes).start()

    def seen(self) -> list[str]:
        """The methods that the hub saw since it was last asked."""
        methods = [entry.method for entry in self.hub.log()]
        self.hub.clear_log()
        return methods

    def held(self) -> list[dict[str, Any]]:
        """The installations that the hub holds."""
        installations: list[dict[str, Any]] = self.hub.contents()["installations"]
        return installations

    @property
    def files(self) -> dict[str, Path]:
        """The device's files by name."""
        return {path.name: path for path in self.folder.rglob("*") if path.is_file()}

    @staticmethod
    def _given(value: Any) -> Any:
        if isinstance(value, Exception):
            raise value
        return value


def rewrite(path: Path, change: Callable[[dict[str, Any]], object]) -> None:
    """Change what one of a device's files says, as if the device had written it."""
    document = json.loads(path.read_text())
    del document["checksum"]
    change(document)
    checksum = crc32(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())
    path.write_text(json.dumps({**document, "checksum": checksum}))


def respell(path: Path, text: str, instead: str) -> None:
    """Replace a text in one of a device's files, as if the device had written it so."""
    document = json.loads(path.read_text())
    changed = json.loads(json.dumps(document, ensure_ascii=False).replace(text, instead))
    assert changed != document
    rewrite(path, lambda written: written.update({key: changed[key] for key in written}))


def register(device: Device, **changes: Any) -> Report:
    return device.start(**{"style": "registration", "first_run_list": True, **changes})


def first_run(device: Device, **changes: Any) -> Report:
    return device.start(**{"first_run_list": True, **changes})


def plant(backend: HubClient, channel: str, count: int = 1) -> None:
    """What a device without memory leaves behind: the same again, and what nobody declares any more."""
    for number in range(count):
        backend.create_registration(Registration(Platform.WNS, channel, [f"stale-{number}"]))
        backend.create_registration(
            Registration(Platform.WNS, channel, template=TOAST, template_name="alert")
        )
        backend.create_registration(Registration(Platform.WNS, channel, template=TOAST, template_name="old"))
