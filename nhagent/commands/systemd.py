"""What systemd wants to hear from a service, and how its journal wants its lines."""

from __future__ import annotations

import logging
import os
import sys
from collections.abc import Mapping
from typing import Final

# By syslog's priorities, which the journal reads from the beginning of a line.
_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)


MAX_STATUS_BYTES: Final = 500
"""systemd drops what is longer than 4096 in all, with the READY=1 that is in it."""


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd a state, such as ``READY=1``; several at once stand on lines of their own. Never raises.

    Returns:
        Whether anybody was there to hear it.
    """
    address = environ.get("NOTIFY_SOCKET", "")
    if not address or sys.platform == "win32":
        return False
    import socket

    try:
        with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
            door.connect(f"\0{address[1:]}" if address.startswith("@") else address)
            door.sendall("\n".join(map(_bounded, state.splitlines())).encode())
    except (OSError, ValueError):  # a manager that has gone must not take the service with it
        return False
    return True


def _bounded(line: str) -> str:
    """A line as systemd takes it: text, of which half a character may be a file's name, and not too long."""
    text = line.encode("utf-8", "backslashreplace")
    if len(text) <= MAX_STATUS_BYTES:
        return text.decode()
    return text[: MAX_STATUS_BYTES - 3].decode("utf-8", "ignore") + "…"


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """How often at the least systemd wants a sign of life from this process, or None."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or pid not in {"", str(os.getpid())}:
        return None
    return int(usec) / 1_000_000


def writes_to_journal(environ: Mapping[str, str] = os.environ) -> bool:
    """Whether standard error goes to the journal."""
    try:
        device, _, inode = environ.get("JOURNAL_STREAM", "").partition(":")
        facts = os.fstat(2)
        return (int(device), int(inode)) == (facts.st_dev, facts.st_ino)
    except (ValueError, OSError):
        return False


class JournalFormatter(logging.Formatter):
    """Log lines with their priority before each."""

    def format(self, record: logging.LogRecord) -> str:
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def as_error(text: str) -> str:
    """Text with the priority of an error before each line."""
    return "\n".join(f"<3>{line}" for line in text.splitlines())
