"""What most tests start from: an emulated hub, and a device whose channels and clock can be turned."""

from __future__ import annotations

import logging
import os
import stat
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, settings

from nhagent import HubClient
from nhagent.emulator import Emulator
from tests.device_under_test import Device

# A loaded machine must not fail a property for being slow, nor CI for a draw that nobody can repeat.
settings.register_profile(
    "nhagent",
    deadline=None,
    derandomize=os.environ.get("NHAGENT_CI") == "1",
    suppress_health_check=[HealthCheck.too_slow],
)
settings.load_profile("nhagent")

_FAULT_TABLE: dict[tuple[str, str], Counter[str]] = {}


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int | None:
    """Give ``-n auto`` one worker more than there are cores: many tests wait."""
    return None if "PYTEST_XDIST_AUTO_NUM_WORKERS" in os.environ else (os.cpu_count() or 1) + 1


@pytest.hookimpl(tryfirst=True)
def pytest_cmdline_main(config: pytest.Config) -> None:
    """Let a worker that is done take over what is left of another's: some tests are long."""
    if getattr(config.option, "numprocesses", None) and config.option.dist == "no":
        config.option.dist = "worksteal"


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


@pytest.fixture(autouse=True)
def _log_level_of_its_own() -> Iterator[None]:
    """A command that runs in this process sets the level of nhagent's logger."""
    yield
    logging.getLogger("nhagent").setLevel(logging.NOTSET)


@pytest.fixture
def device(notification_hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Device:
    # It is given all that it needs; what it finds by itself is what its tests are about.
    for name in ("NHAGENT_CONNECTION_STRING", "NHAGENT_STATE_DIR"):
        monkeypatch.delenv(name, raising=False)
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
