"""Checks of systemd's units: whether the device's service runs, with what is there now, and may read it."""

from __future__ import annotations

import os
import stat
from functools import partial
from pathlib import Path
from time import monotonic, time
from typing import TYPE_CHECKING, Final

from nhagent.commands.doctor.findings import Check, Unchecked, Wrong
from nhagent.report import StartState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nhagent.commands.doctor.findings import Findings
    from nhagent.commands.doctor.units import Unit

TIMED: Final = {"nhagent.service": ("nhagent-refresh.timer", "nhagent-refresh.service")}
"""The units that keep a service's device fresh in its place."""
SLACK_SECONDS: Final = 2.0
"""How exactly the start of a service is known."""
FIRST_SECONDS: Final = 10.0
"""How long a service may take to register a device."""


def checks_of_units(findings: Findings) -> Iterator[Check]:
    """Look at all units of nhagent, and, with ``--service``, at that of the device most closely."""
    own = findings.service
    for unit in findings.units:
        name = f"{unit.name} (user)" if unit.is_users else unit.name
        if own is not None and (unit.is_users or unit.name not in {own, *TIMED.get(own, ())}):
            yield Check(name, None, f"{unit.state}: of another device")
        elif unit.has_failed:
            fact = f"{unit.state}, result {unit.result}, exit code {unit.exit_code}"
            yield Check(name, False, fact, _read_why(unit))
        elif unit.name == own:
            yield findings.check(name, partial(_check_own, findings, unit))
        else:
            yield Check(name, True, unit.state)
    of_system = {unit.name for unit in findings.units if not unit.is_users}
    if own is not None and findings.knows_units and own not in of_system:
        yield Check(own, False, "is not installed", "nhagent units --install")


def check_readable(findings: Findings) -> str:
    """See whether the service's own user may read what its configuration names."""
    setup = findings.setup
    try:
        user = Path(setup.agent.state_folder).stat().st_uid
    except OSError:
        user = -1  # systemd makes one for the service when it starts
    bundles = () if setup.ca_bundle is None else (setup.ca_bundle,)
    for path in dict.fromkeys((setup.path, *setup.channel_files.values(), *bundles)):
        if not os.path.lexists(path):
            continue  # its own check tells that
        whole = Path(path).absolute()
        try:
            for folder in dict.fromkeys((*reversed(whole.parents), *reversed(whole.resolve().parents))):
                if not _may(folder, user, stat.S_IXUSR):
                    raise Wrong(f"{folder} is closed to the service's user", f"chmod o+x {folder}")
            if not _may(whole, user, stat.S_IRUSR):
                raise Wrong(f"{path} cannot be read by the service's user", f"chmod 644 {path}")
        except OSError:  # a link that leads nowhere, or what has gone meanwhile: its own check tells that
            continue
    return "the configuration, the files of its channels, and ca_bundle"


def _may(path: Path, user: int, right: int) -> bool:
    """Whether a user has a right, as the owner or as anybody.

    Raises:
        Unchecked: a group has it alone, and which groups the service is in is not known.
    """
    if user == 0:
        return True
    facts = path.stat()
    if facts.st_uid == user:
        return bool(facts.st_mode & right)
    if facts.st_gid and facts.st_mode & right >> 3 and not facts.st_mode & right >> 6:
        raise Unchecked(f"{path} is open to the group {facts.st_gid} alone: see that the service is in it")
    return bool(facts.st_mode & right >> 6)


def _check_own(findings: Findings, unit: Unit) -> str:
    if unit.state == "masked":
        raise Wrong("is masked, so that nothing starts it", f"systemctl unmask {unit.name}")
    if unit.state == "inactive":
        timed = [other for other in findings.units if other.name in TIMED.get(unit.name, ())]
        if any(other.state == "active" for other in timed):
            return "inactive: a timer keeps the device fresh"
        raise Wrong("is not running", f"systemctl enable --now {unit.name}")
    if unit.state != "active":
        return unit.state
    path = unit.credential_file
    if path is not None and _is_newer(path, unit.started):
        raise Wrong(
            f"was started before {path} was written, and has the connection string of then",
            f"systemctl restart {unit.name}",
        )
    if unit.started is not None and monotonic() - unit.started > FIRST_SECONDS:
        status = findings.known_status
        if status is not None and status.state in {StartState.NEW, StartState.IDENTIFIED}:
            if findings.has_red:
                raise Unchecked("active, and waits for what is red above")
            raise Wrong("runs, and has not registered the device", _read_why(unit))
    return unit.state


def _is_newer(path: str, started: float | None) -> bool:
    """Whether a file was written after a moment by the monotonic clock."""
    if started is None:
        return False
    try:
        written = Path(path).stat().st_mtime
    except OSError:
        return False
    return written - (time() - monotonic() + started) > SLACK_SECONDS


def _read_why(unit: Unit) -> str:
    return f"read why: journalctl {'--user ' if unit.is_users else ''}-u {unit.name}"
