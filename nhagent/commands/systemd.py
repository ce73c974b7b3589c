"""What systemd wants to hear from a service, and how its journal wants its lines."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

MAX_STATUS_BYTES: Final = 500
"""Longer lines are cut: systemd drops a message of more than 4096 bytes, with the READY=1 that is in it."""

MAX_UNTOLD: Final = 16
"""How many messages are kept for a manager that is too busy to take them."""

MAX_DIGITS: Final = 18
"""Digits of a number that is believed: of thousands, Python makes none."""

ALIVE: Final = "WATCHDOG=1"
"""The sign of life; it is the only message that is not worth telling later."""

MICROSECONDS: Final = 1_000_000


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd a state. Never raises, and never waits for whoever should listen.

    Args:
        state: such as ``READY=1``; several at once stand on lines of their own.
        environ: where systemd's address is looked for.

    Returns:
        Whether it was taken: somebody is there, and is not so busy that no more messages fit.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address or sys.platform == "win32":
        return False
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.setblocking(False)  # a manager that is stuck must not take the service with it
            door.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            door.send("\n".join(map(_bounded, state.splitlines())).encode())
    except (OSError, ValueError):  # it has gone, is busy, or is not a socket of this kind
        return False
    return True


class Messages:
    """Tell systemd states in their order; one that it did not take is told again before the next.

    Args:
        tell: tells systemd a state; False: it was not taken.
    """

    def __init__(self, tell: Callable[[str], object] = notify) -> None:
        self._tell = tell
        self._untold: list[str] = []

    def send(self, state: str) -> None:
        """Tell a state, and before it those that were not taken. Never waits."""
        untold = [*self._untold, state]
        while untold and self._tell(untold[0]) is not False:
            del untold[0]
        self._untold = [state for state in untold if state != ALIVE][-MAX_UNTOLD:]


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """Give the watchdog interval in seconds within which systemd expects a message; None: it expects none."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or len(usec) > MAX_DIGITS or pid not in {"", str(os.getpid())}:
        return None
    return int(usec) / MICROSECONDS or None


def writes_to_journal(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether standard error goes to the journal."""
    try:
        device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
        facts = os.fstat(2)
        return (int(device), int(inode)) == (facts.st_dev, facts.st_ino)
    except (ValueError, OSError):
        return False


def as_error(text: str) -> str:
    """Give text with the priority of an error before each line."""
    return "\n".join(f"<3>{line}" for line in text.splitlines())


def _bounded(line: str) -> str:
    """A line as systemd takes it: UTF-8, though a file's name in it may be none, and not too long."""
    text = line.encode("utf-8", "backslashreplace")
    if len(text) <= MAX_STATUS_BYTES:
        return text.decode()
    return text[: MAX_STATUS_BYTES - 3].decode("utf-8", "ignore") + "…"
