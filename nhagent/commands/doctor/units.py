"""The units of nhagent that systemd knows: how they fare, and which credential is theirs alone."""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nhagent.commands.service import CREDENTIALS
from nhagent.device.credential_sources import SYSTEMD_CREDENTIAL
from nhagent.regular_files import read_start

if TYPE_CHECKING:
    from collections.abc import Iterator

UNITS: Final = ("nhagent.service", "nhagent@*.service", "nhagent-refresh.service", "nhagent-refresh.timer")
MANAGERS: Final = ((), ("--user",))
"""systemctl's options for the system's manager and the user's own."""

SYSTEMCTL_SECONDS: Final = 5.0
"""How long systemctl may take."""

MAX_SHOWN_BYTES: Final = 256 * 1024
"""How much of what systemctl prints is read; `nhagent@*.service` may be many."""

ENCRYPTED_CREDENTIALS: Final = "/etc/credstore.encrypted"
"""Where systemd looks for a credential that a unit names without a path."""

MAX_FILE_BYTES: Final = 64 * 1024
"""How much of a unit's file is read."""

_PROPERTIES: Final = (
    "Id,LoadState,ActiveState,Result,ExecMainStatus,ExecMainStartTimestampMonotonic,FragmentPath,DropInPaths"
)
# An empty assignment, as in a drop-in, takes back the ones before it.
_LOADED: Final = re.compile(
    rf"^LoadCredential(?P<how>Encrypted)?=(?P<name>{re.escape(SYSTEMD_CREDENTIAL)}(?::(?P<source>\S+))?)?\s*$",
    re.MULTILINE,
)


@dataclass(frozen=True, slots=True)
class Unit:
    """A unit that is installed.

    Attributes:
        name: its id.
        is_users: whether it is one of the user's own manager.
        state: ``active``, ``failed``, ``masked`` and so on.
        result: ``success``, or how it ended last.
        exit_code: of its last process, or ``none``.
        started: when that began, in seconds of the monotonic clock; None where there was none.
        files: the unit's file and its drop-ins, in the order in which they count.
    """

    name: str
    is_users: bool
    state: str
    result: str
    exit_code: str
    started: float | None
    files: tuple[str, ...]

    @property
    def has_failed(self) -> bool:
        """Whether it failed, now or at its last run."""
        return self.state == "failed" or self.result not in {"", "success"}

    @property
    def instance(self) -> str:
        """What stands between ``@`` and ``.service``; "" where there is no ``@``."""
        return self.name.partition("@")[2].removesuffix(".service")

    @property
    def credential_file(self) -> str | None:
        """Where systemd finds the connection string that it shows to this unit alone; None: it shows none."""
        *_, last = (None, *_LOADED.finditer("\n".join(map(_text_of, self.files))))
        if last is None or last["name"] is None:
            return None
        source = (last["source"] or SYSTEMD_CREDENTIAL).replace("%i", self.instance)
        return str(Path(ENCRYPTED_CREDENTIALS if last["how"] else CREDENTIALS, source))


def installed(*more: str) -> tuple[list[Unit], bool]:
    """Give the units of the system's manager, and of the user's own, and whether the system's has answered.

    Args:
        more: names of units to ask for beside the usual ones, such as one of a template that does not run.
    """
    from shutil import which

    from nhagent.channels import child

    systemctl = which("systemctl")
    found: dict[Unit, None] = {}
    is_known = False
    for manager in () if systemctl is None else MANAGERS:
        try:
            ended = child.run(
                [str(systemctl), *manager, "show", *UNITS, *more, f"--property={_PROPERTIES}"],
                seconds=SYSTEMCTL_SECONDS,
                cap=MAX_SHOWN_BYTES,
                environment=child.environment(),
            )
        except child.ChildFailed:
            continue
        is_known |= not manager and ended.status == 0
        found |= dict.fromkeys(_units_of(ended.output.decode(errors="replace"), is_users=bool(manager)))
    return list(found), is_known


def _units_of(shown: str, *, is_users: bool) -> Iterator[Unit]:
    """Read what ``systemctl show`` says of the units that are there."""
    for block in shown.split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if facts.get("LoadState", "not-found") == "not-found":
            continue
        name, state, result = (facts.get(part, "") for part in ("Id", "ActiveState", "Result"))
        if facts.get("LoadState") == "masked":
            state = "masked"
        files = (facts.get("FragmentPath", ""), *facts.get("DropInPaths", "").split())
        exit_code = facts.get("ExecMainStatus", "none")
        micros = facts.get("ExecMainStartTimestampMonotonic", "")
        started = int(micros) / 1e6 if micros.isdecimal() and micros != "0" else None
        yield Unit(name, is_users, state, result, exit_code, started, files)


def _text_of(path: str) -> str:
    try:
        return read_start(path, MAX_FILE_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""
