"""Checks of what is on this machine: the configuration, the state folder, its lock, and the state."""

from __future__ import annotations

import os
import stat
import sys
from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from nhagent.commands.doctor.findings import Check, Unchecked, Wrong, shown_time
from nhagent.commands.output import in_a_row
from nhagent.commands.setup import read_setup
from nhagent.filesystem import Disk, locked
from nhagent.reconcile.expressions import doubts_about
from nhagent.report import StartState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nhagent.commands.doctor.findings import Findings
    from nhagent.report import Status

LOCK_SECONDS: Final = 1.0
"""How long the lock is waited for."""

MIN_FREE_BYTES: Final = 64 * 1024
"""A disk with less room is full: a state file is written whole beside the old one."""

OTHERS_MODES: Final = 0o077
"""What the group and all others may do with a file."""
_RUN_AS_OWNER: Final = "run doctor as the user that runs nhagent, or as root: nhagent --service doctor"


def check_configuration(findings: Findings) -> str:
    """Read the configuration."""
    findings.setup = read_setup(findings.config)
    return findings.setup.path


def checks_of_templates(findings: Findings) -> Iterator[Check]:
    """Tell of what looks like an expression in a template and is none: the hub may refuse it, or may not."""
    setup = findings.setup
    for doubt in doubts_about(setup.platform, setup.declared):
        place, _, fact = doubt.partition(": ")
        yield Check(place, None, fact)


def check_state_folder(findings: Findings) -> str:
    """See whether the state folder, or the one that it will be made in, can be used by this user alone."""
    folder = findings.setup.agent.state_folder
    nearest = folder
    while not os.path.lexists(nearest):
        nearest = str(Path(nearest).parent)
    try:
        is_folder = stat.S_ISDIR(Path(nearest).stat().st_mode)
    except OSError as error:
        raise Wrong(f"{nearest} cannot be looked at ({error.strerror})", _RUN_AS_OWNER) from None
    if not is_folder:
        raise Wrong(f"{nearest} is in the way: it is not a folder", "move it away, or set $NHAGENT_STATE_DIR")
    if nearest == folder:
        _check_owner(folder)
    _check_room(nearest)
    return folder if nearest == folder else f"{folder} (not made yet)"


def check_lock(findings: Findings) -> str:
    """See whether another process holds the lock."""
    path = findings.setup.memory.lock
    if not os.path.isfile(path):  # noqa: PTH113 - Path.is_file raises where it may not look
        return "nobody has ever taken it"
    began = monotonic()
    try:
        with locked(Disk(), path, LOCK_SECONDS, sleep):
            return "free"
    except BlockingIOError:
        if findings.has_red:
            raise Unchecked(
                "another process of this app holds it, and may wait for what is red above"
            ) from None
        raise Wrong(
            f"another process of this app has held it for the {monotonic() - began:.1f} s of waiting",
            "let that process finish; if it hangs, stop it",
        ) from None
    except OSError as error:
        raise Unchecked(f"cannot be looked at ({error.strerror})") from None


def check_state(findings: Findings) -> str:
    """See what the device remembers, and whether it can be read and is this machine's."""
    status = findings.status
    if status.unreadable:
        raise Wrong(
            f"{' and '.join(status.unreadable)} in {status.state_dir} cannot be read",
            "run nhagent register: it sets that aside and writes the whole device to the hub",
        )
    if status.state is StartState.CLONED:
        raise Wrong(
            "this disk was copied from another machine",
            "run nhagent register once the platform gives this machine a channel of its own; if it is "
            f"the same device with new hardware, remove {status.state_dir} first",
        )
    return f"{status.state}: {', '.join(_facts_of(status))}"


def _facts_of(status: Status) -> list[str]:
    facts = {
        "installation": status.installation_id,
        "at": status.namespace,
        "accepted": shown_time(status.accepted_at),
        "verified": shown_time(status.verified_at),
        "leaving": " and ".join(status.to_delete),
        "last error": status.last_error and f"{status.last_error} ({in_a_row(status.failures)})",
        "next attempt": shown_time(status.next_attempt),
    }
    told = [f"{name} {fact}" for name, fact in facts.items() if fact]
    if status.state is StartState.DISABLED:
        return ['unregistered by request, "nhagent enable" lifts it', *told]
    if status.state in {StartState.NEW, StartState.IDENTIFIED}:
        return ['not registered yet, "nhagent register" does it', *told]
    return told


def check_modes(findings: Findings) -> str:
    """See whether others may get at what the device remembers: its push channels are among it."""
    folder = findings.setup.agent.state_folder
    if sys.platform == "win32" or not os.path.isdir(folder):  # noqa: PTH112 - as above
        return "nothing is kept yet" if sys.platform != "win32" else "access lists say it here"
    for path, fact in _files_of(folder).items():
        if fact.st_mode & OTHERS_MODES:
            right = "700" if path == folder else "600"
            raise Wrong(
                f"others may get at {path} (mode {fact.st_mode & 0o777:04o})", f"chmod {right} {path}"
            )
    return "nobody else may get at what is kept"


def _files_of(folder: str) -> dict[str, os.stat_result]:
    try:
        paths = [folder, *(entry.path for entry in os.scandir(folder) if entry.is_file())]
        return {path: Path(path).stat() for path in paths}
    except OSError as error:
        raise Wrong(
            f"{folder} cannot be read ({error.strerror})", "give it to the user that runs nhagent"
        ) from None


def _check_owner(folder: str) -> None:
    if sys.platform == "win32":  # access lists say it there
        return
    facts = _files_of(folder)
    if os.geteuid() == 0:
        _check_owner_for_root(folder, {path: fact.st_uid for path, fact in facts.items()})
    else:
        for path, fact in facts.items():
            if fact.st_uid != os.geteuid():
                raise Wrong(
                    f"{path} belongs to user {fact.st_uid}, and this is user {os.geteuid()}",
                    f"{_RUN_AS_OWNER}, or give the folder to this one with chown -R",
                )


def _check_owner_for_root(folder: str, owners: dict[str, int]) -> None:
    """See that one user owns everything: root also looks at the folders of services, which are others'."""
    home = str(Path(folder).parent.parent)  # the state folder of all apps, made for the service
    model = home if Path(home).stat().st_uid else folder
    owner = Path(model).stat().st_uid
    for path, one in owners.items():
        if one != owner:
            raise Wrong(
                f"{path} belongs to user {one}, and {model} to user {owner}",
                f"give it to the folder's user: chown --reference={model} {path}",
            )


def _check_room(folder: str) -> None:
    """See whether something could be written, as far as that can be told without doing so."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise Wrong(
            f"{folder} cannot be written",
            "give it to the user that runs nhagent, or mount its file system for writing",
        )
    if sys.platform == "win32":
        return
    room = os.statvfs(folder)
    left = (room.f_bfree if os.geteuid() == 0 else room.f_bavail) * room.f_frsize
    if room.f_blocks and left < MIN_FREE_BYTES:
        raise Wrong(f"the disk of {folder} is full ({left} bytes are left)", "make room on it")
    if room.f_files and not room.f_ffree:
        raise Wrong(f"the disk of {folder} takes no more files", "remove some")
