"""``nhagent wait``: until the hub has accepted this device, for scripts and units. Nothing is sent.

Whoever registers the device, the daemon or a timer, writes the state files; these are looked at.
"""

from __future__ import annotations

from pathlib import Path
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from nhagent.commands.setup import read_setup
from nhagent.reconcile.declaration import PRIMARY
from nhagent.report import StartState

if TYPE_CHECKING:
    from collections.abc import Callable

    from nhagent.commands.setup import Setup
    from nhagent.report import Status

LOOK_SECONDS: Final = 0.25
"""Between two looks at the state files."""
_ACCEPTED: Final = frozenset({StartState.IN_SYNC, StartState.DRIFTED})
"""A device that has drifted is registered: a change of it, or a refresh, is still on its way."""


def wait(
    config: str | None,
    seconds: float,
    *,
    clock: Callable[[], float] = monotonic,
    pause: Callable[[float], None] = sleep,
) -> tuple[bool, Status, str | None]:
    """Wait until the hub has accepted the device.

    Args:
        config: the configuration file's path; None: the usual one.
        seconds: how long; 0: one look.
        clock: gives seconds.
        pause: waits so many of them.

    Returns:
        Whether it has, before the time was up; what the device remembers; and the file from which its push
        channel is read, where that is not there or empty.

    Raises:
        ConfigurationError: the configuration is wrong.
    """
    setup = read_setup(config)
    ends = clock() + seconds
    seen: object = None
    while True:
        now = _look(setup)
        if now != seen:
            seen, status = now, setup.agent.status()
        left = ends - clock()
        is_accepted = status.state in _ACCEPTED and setup.memory.holds_device()
        if is_accepted or left <= 0:
            return is_accepted, status, _lacking_file(setup)
        pause(min(LOOK_SECONDS, left))


def _lacking_file(setup: Setup) -> str | None:
    """Give the file that should hold the device's own push channel, and does not."""
    path = setup.channel_files.get(PRIMARY)
    try:
        return path if path is not None and not Path(path).stat().st_size else None
    except OSError:
        return path


def _look(setup: Setup) -> list[tuple[int, int, int] | None]:
    """What tells whether the state files are still the same."""
    found: list[tuple[int, int, int] | None] = []
    for path in setup.memory.files:
        try:
            facts = Path(path).stat()
        except OSError:
            found.append(None)
        else:
            found.append((facts.st_mtime_ns, facts.st_ino, facts.st_size))
    return found
