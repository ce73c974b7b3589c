"""The units of nhagent, where systemd knows them: how they fare, and which credential is theirs alone."""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

from nhagent.device.credential_sources import SYSTEMD_CREDENTIAL

UNITS: Final = ("nhagent.service", "nhagent@*.service", "nhagent-refresh.service", "nhagent-refresh.timer")
MANAGERS: Final = ((), ("--user",))
SECONDS: Final = 5.0
PLAIN: Final = "/etc/credstore"
ENCRYPTED: Final = "/etc/credstore.encrypted"
"""Where systemd looks for a credential that a unit names without a path."""
_PROPERTIES: Final = "Id,LoadState,ActiveState,Result,ExecMainStatus,FragmentPath,DropInPaths"
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
        state: ``active``, ``failed`` and so on.
        result: ``success``, or how it ended last.
        exit_code: of its last process, or ``none``.
        files: the unit's file and its drop-ins, in the order in which they count.
    """

    name: str
    is_users: bool
    state: str
    result: str
    exit_code: str
    files: tuple[str, ...]

    @property
    def has_failed(self) -> bool:
        return self.state == "failed" or self.result not in {"", "success"}

    @property
    def credential_file(self) -> str | None:
        """Where systemd finds the connection string that it hands to this unit alone; None: it hands none."""
        *_, last = (None, *_LOADED.finditer("\n".join(map(_text_of, self.files))))
        if last is None or last["name"] is None:
            return None
        instance = self.name.partition("@")[2].removesuffix(".service")
        source = (last["source"] or SYSTEMD_CREDENTIAL).replace("%i", instance)
        return os.path.join(ENCRYPTED if last["how"] else PLAIN, source)


def installed() -> Iterator[Unit]:
    """The units of the system's manager, and of the user's own."""
    from shutil import which
    from subprocess import DEVNULL, SubprocessError, run

    systemctl = which("systemctl")
    if systemctl is None:
        return
    for manager in MANAGERS:
        try:
            done = run(  # noqa: S603 - a program of the system, and nothing from outside among its arguments
                [systemctl, *manager, "show", *UNITS, f"--property={_PROPERTIES}"],
                stdin=DEVNULL,
                capture_output=True,
                timeout=SECONDS,
                check=False,
            )
        except (OSError, SubprocessError):
            continue
        yield from units_of(done.stdout.decode(errors="replace"), is_users=bool(manager))


def units_of(shown: str, *, is_users: bool = False) -> Iterator[Unit]:
    """What ``systemctl show`` says of the units that are there."""
    for block in shown.split("\n\n"):
        facts = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
        if facts.get("LoadState", "not-found") == "not-found":
            continue
        name, state, result = (facts.get(part, "") for part in ("Id", "ActiveState", "Result"))
        files = (facts.get("FragmentPath", ""), *facts.get("DropInPaths", "").split())
        yield Unit(name, is_users, state, result, facts.get("ExecMainStatus", "none"), files)


def _text_of(path: str) -> str:
    try:
        with open(path, encoding="utf-8", errors="replace") as file:
            return file.read(64 * 1024)
    except OSError:
        return ""
