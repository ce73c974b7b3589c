"""What the emulator was asked, in the order in which it decided its answers."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field

from nhagent.emulator.http_messages import Request

NOT_CARRIED_OUT = 0
"""The status of a request whose connection a fault reset before anything was decided."""
KEPT = 100_000
"""Entries kept; the oldest make room, so that an emulator left running does not grow for ever."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request that was not a control request."""

    method: str
    path: str
    """As sent, percent-coded, without the query."""
    query: str = field(repr=False)
    """As sent; empty when there was none. Not in its ``repr``: a list by channel has a handle in it."""
    status: int
    """Of the reply that was decided, even when it was then held back or cut; 0 when a reset came before."""
    key: str | None
    """The name of the key that the token claims, whether or not it was accepted."""


class Log:
    """A list that many threads append to."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._entries: deque[tuple[LogEntry, bytes]] = deque(maxlen=KEPT)

    def append(self, request: Request, status: int, key: str | None) -> None:
        entry = LogEntry(request.method, request.path, request.query, status, key)
        with self._lock:
            self._entries.append((entry, request.body))

    def entries(self) -> list[LogEntry]:
        with self._lock:
            return [entry for entry, _ in self._entries]

    def bodies(self) -> list[bytes]:
        with self._lock:
            return [body for _, body in self._entries]

    def clear(self) -> None:
        with self._lock:
            self._entries.clear()
