"""``nhagent --service doctor``: whether the device's own service runs, with what is there now."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path
from time import monotonic
from typing import Any

import pytest

from nhagent.commands import doctor

from .set_up import AS_ROOT, Doctored
from .test_units import installs

__all__ = ["installs"]

SERVICE = Path(__file__).parents[3] / "systemd/nhagent.service"
UNIT = (
    "Id={}\nLoadState=loaded\nActiveState={}\nResult=success\nExecMainStatus=0\n"
    "ExecMainStartTimestampMonotonic={}\nFragmentPath={}\nDropInPaths=\n"
)


def unit(name: str, state: str, *, for_seconds: float = 3600, file: Path = SERVICE) -> str:
    return UNIT.format(name, state, int((monotonic() - for_seconds) * 1e6), file)


def looked_at(made: Doctored, service: str = "nhagent.service") -> dict[str, dict[str, Any]]:
    """The checks by name."""
    _, document, _ = doctor.examine(str(made.config), service=service)
    return {check["name"]: check for check in document["checks"]}


def test_running_service_is_green(make: Callable[..., Doctored], installs: Callable[..., None]) -> None:
    made = make()
    installs(unit("nhagent.service", "active"))
    checks = looked_at(made)
    assert (checks["nhagent.service"]["ok"], checks["nhagent.service"]["fact"]) == (True, "active")
    assert checks["readable"]["ok"]


def test_service_that_does_not_run_is_red(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    installs(unit("nhagent.service", "inactive"), unit("nhagent-refresh.timer", "inactive"))
    red = looked_at(made)["nhagent.service"]
    assert (red["ok"], red["fact"]) == (False, "is not running")
    assert red["next"] == "systemctl enable --now nhagent.service"


def test_timer_stands_in_for_the_daemon(make: Callable[..., Doctored], installs: Callable[..., None]) -> None:
    made = make()
    installs(unit("nhagent.service", "inactive"), unit("nhagent-refresh.timer", "active"))
    assert looked_at(made)["nhagent.service"]["ok"]


def test_service_that_is_not_installed_is_red(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    installs()
    red = looked_at(made)["nhagent.service"]
    assert (red["ok"], red["fact"], red["next"]) == (False, "is not installed", "nhagent units --install")


def test_units_of_other_devices_are_no_fault_of_this_one(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make()
    installs(unit("nhagent.service", "failed"), unit("nhagent@bell.service", "active"))
    checks = looked_at(made, "nhagent@bell.service")
    assert (checks["nhagent.service"]["ok"], checks["nhagent@bell.service"]["ok"]) == (None, True)


def test_service_that_runs_without_having_registered_is_red(
    make: Callable[..., Doctored], installs: Callable[..., None]
) -> None:
    made = make(registered=False)
    made.device_folder.mkdir(mode=0o700, parents=True)
    (made.folder / "state").chmod(0o700)
    installs(unit("nhagent.service", "active"))
    red = looked_at(made)["nhagent.service"]
    assert (red["ok"], red["fact"]) == (False, "runs, and has not registered the device")
    assert red["next"] == "read why: journalctl -u nhagent.service"
    installs(unit("nhagent.service", "active", for_seconds=1))
    assert looked_at(made)["nhagent.service"]["ok"], "it has only just begun"


def test_connection_string_that_is_newer_than_the_service_is_told(
    make: Callable[..., Doctored], installs: Callable[..., None], tmp_path: Path
) -> None:
    made = make()
    credential, file = tmp_path / "credential", tmp_path / "nhagent.service"
    credential.write_text("Endpoint=…")
    file.write_text(f"[Service]\nLoadCredential=nhagent.connection-string:{credential}\n")
    installs(unit("nhagent.service", "active", file=file))
    red = looked_at(made)["nhagent.service"]
    assert not red["ok"]
    assert red["fact"].startswith(f"was started before {credential} was written")
    assert red["next"] == "systemctl restart nhagent.service"
    os.utime(credential, (0, 0))
    assert looked_at(made)["nhagent.service"]["ok"]


def test_missing_credential_is_told_by_its_path(
    make: Callable[..., Doctored], installs: Callable[..., None], tmp_path: Path
) -> None:
    made = make()
    made.environment.delenv("NHAGENT_CONNECTION_STRING")
    made.environment.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    path, file = tmp_path / "missing", tmp_path / "nhagent@.service"
    file.write_text(f"[Service]\nLoadCredential=nhagent.connection-string:{path}\n")
    installs(unit("nhagent.service", "active"), unit("nhagent@bell.service", "active", file=file))
    red = looked_at(made, "nhagent@bell.service")["credentials"]
    assert red["fact"] == f"none: {path} is not there"
    assert red["next"] == (
        f"as root: install -D -m 600 /dev/stdin {path}, and systemctl restart nhagent@bell.service"
    )


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a folder away")
def test_file_that_the_service_cannot_read_is_red(
    make: Callable[..., Doctored], installs: Callable[..., None], tmp_path: Path
) -> None:
    if sys.platform == "win32":
        return
    made = make()
    installs(unit("nhagent.service", "active"))
    os.chown(made.folder / "state/thermostat" / made.hub.hub, 65534, 65534)
    closed = next(folder for folder in reversed(tmp_path.parents) if not folder.stat().st_mode & 0o001)
    red = looked_at(made)["readable"]
    assert (red["ok"], red["next"]) == (False, f"chmod o+x {closed}")


@pytest.mark.skipif(not AS_ROOT, reason="only root can give a folder away")
def test_link_is_followed_to_where_the_service_cannot_go(
    make: Callable[..., Doctored], installs: Callable[..., None], tmp_path_factory: pytest.TempPathFactory
) -> None:
    if sys.platform == "win32":
        return
    made = make()
    installs(unit("nhagent.service", "active"))
    os.chown(made.device_folder, 65534, 65534)
    closed = made.folder / "closed"
    closed.mkdir(mode=0o700)
    for folder in (made.folder, *made.folder.parents):
        if not folder.stat().st_mode & 0o001:
            folder.chmod(0o711)
    made.config.chmod(0o644)
    made.channel("channel").rename(closed / "channel")
    made.channel("channel").symlink_to(closed / "channel")
    assert looked_at(made)["readable"]["next"] == f"chmod o+x {closed}"
    closed.chmod(0o711)
    (closed / "channel").unlink()
    assert looked_at(made)["readable"]["ok"], "that it leads nowhere is told by the channel's own check"
    closed.chmod(0o710)
    os.chown(closed, 0, 4)
    (closed / "channel").write_text("https://push.example/1")
    check = looked_at(made)["readable"]
    assert (check["ok"], check["fact"]) == (
        None, f"{closed} is open to the group 4 alone: see that the service is in it",
    )  # fmt: skip


@pytest.mark.parametrize("state", ["masked", "users alone", "nobody answers"])
def test_service_that_cannot_start_is_told_apart(
    make: Callable[..., Doctored], installs: Callable[..., None], tmp_path: Path, state: str
) -> None:
    made = make()
    if state == "masked":
        masked = unit("nhagent.service", "inactive").replace("LoadState=loaded", "LoadState=masked")
        installs(masked)
        assert looked_at(made)["nhagent.service"]["next"] == "systemctl unmask nhagent.service"
    elif state == "users alone":
        installs(of_user=(unit("nhagent.service", "active"),))
        assert looked_at(made)["nhagent.service"]["fact"] == "is not installed"
    else:
        installs()
        (tmp_path / "bin/systemctl").write_text("#!/bin/sh\nexit 1\n")
        assert "nhagent.service" not in looked_at(made)
