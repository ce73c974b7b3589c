"""What systemd wants to hear from a service, and how its journal wants its lines."""

from __future__ import annotations

import os
import sys
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Mapping

MAX_STATUS_BYTES: Final = 500
"""Longer lines are cut: systemd drops a message of more than 4096 bytes, with the READY=1 that is in it."""

MICROSECONDS: Final = 1_000_000


def notify(state: str, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell systemd a state. Never raises.

    Args:
        state: such as ``READY=1``; several at once stand on lines of their own.
        environ: where systemd's address is looked for.

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


def watchdog_seconds(environ: Mapping[str, str] = os.environ) -> float | None:
    """Give the watchdog interval in seconds within which systemd expects a message; None: it expects none."""
    usec, pid = environ.get("WATCHDOG_USEC", ""), environ.get("WATCHDOG_PID", "")
    if not usec.isdecimal() or int(usec) == 0 or pid not in {"", str(os.getpid())}:
        return None
    return int(usec) / MICROSECONDS


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
