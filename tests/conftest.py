"""What most tests start from: an emulated hub, and a device whose channels and clock can be turned."""

from __future__ import annotations

import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from nhagent import Agent, HubClient, Platform, Registration, Report, SecondaryTile, Template
from nhagent.emulator import Emulator

# A loaded machine must not fail a property for being slow, nor CI for a draw that nobody can repeat.
settings.register_profile(
    "nhagent",
    deadline=None,
    derandomize=os.environ.get("NHAGENT_CI") == "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nhagent")

TOAST = Template(
    body="<toast><text id='1'>$(message)</text></toast>", headers={"X-WNS-Type": "wns/toast"}, tags=["alerts"]
)


_FAULT_TABLE: dict[tuple[str, str], Counter[str]] = {}


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--fault-matrix", action="store_true", help="print how each flow ends by each fault")


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    if not config.getoption("--fault-matrix"):
        return
    terminalreporter.section("fault matrix: how often a flow ends how, for each of its requests")
    for (flow, fault), outcomes in sorted(_FAULT_TABLE.items()):
        ends = ", ".join(f"{count} x {outcome}" for outcome, count in sorted(outcomes.items()))
        terminalreporter.write_line(f"{flow:<46} {fault:<16} {ends}")


@pytest.fixture
def fault_table() -> dict[tuple[str, str], Counter[str]]:
    """What the fault matrix has shown so far; ``--fault-matrix`` prints it."""
    return _FAULT_TABLE


@pytest.fixture(autouse=True)
def _no_credentials_from_outside(monkeypatch: pytest.MonkeyPatch) -> None:
    """The machine's own settings are not part of any test."""
    for name in list(os.environ):
        if name.startswith("NHAGENT_") and not name.startswith(("NHAGENT_LIVE", "NHAGENT_CI")):
            monkeypatch.delenv(name)
    for name in ("CREDENTIALS_DIRECTORY", "STATE_DIRECTORY"):
        monkeypatch.delenv(name, raising=False)


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


@pytest.fixture
def device(notification_hub: Emulator, tmp_path: Path) -> Device:
    return Device(notification_hub, tmp_path / "state")


@pytest.fixture
def another_namespace(tls_notification_hub: Emulator) -> dict[str, Any]:
    """What an agent is given to go to another namespace, which has a hub of the same name."""
    return {"connection_string": tls_notification_hub.listen, "ca_bundle": tls_notification_hub.ca}


@pytest.fixture
def unwritable(tmp_path: Path) -> Path:
    """A state folder that not even root can make: a file stands in its way."""
    (tmp_path / "file").write_text("")
    return tmp_path / "file" / "state"


@pytest.fixture
def write_config(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "config.toml"
        path.write_text(text)
        return str(path)

    return write


@pytest.fixture
def secret_file(tmp_path: Path) -> Callable[[str], str]:
    def write(text: str) -> str:
        path = tmp_path / "connection-string"
        path.write_text(text)
        path.chmod(stat.S_IRUSR | stat.S_IWUSR)
        return str(path)

    return write


PLAIN: dict[str, Any] = {"templates": {}, "secondary_tiles": {}}


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


@pytest.fixture
def rows(device: Device) -> Callable[[], dict[str, dict[str, Any]]]:
    """The registrations at the hub by what they are, each kind of which must be there once."""

    def read() -> dict[str, dict[str, Any]]:
        found: dict[str, dict[str, Any]] = {}
        for row in device.hub.contents()["registrations"]:
            name = "/".join(filter(None, (row.get("secondaryTileName"), row.get("templateName", "native"))))
            assert name not in found, f"two of {name}"
            found[name] = row
        return found

    return read


@pytest.fixture
def backend(device: Device) -> Iterator[HubClient]:
    with HubClient(device.hub.full, device.hub.hub) as client:
        yield client
