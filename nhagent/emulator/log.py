"""The requests that the emulator answered, in the order in which it decided the answers."""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from nhagent.emulator.changes import Changes
from nhagent.emulator.http_messages import Request
from nhagent.emulator.json_text import NotJson, read_json

NOT_CARRIED_OUT = 0
"""The status of a request whose connection a fault reset before anything was decided."""
KEPT = 100_000
"""Entries kept; older ones are dropped, so that an emulator left running does not grow for ever."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    """One request that was not a control request.

    Attributes:
        method: in capitals.
        path: as sent, percent-coded, without the query.
        query: as sent; empty when there was none. Not in the ``repr``, since a list by channel has a handle
            in it.
        status: of the reply that was decided, even when it was then held back or cut; 0 when the connection
            was reset before that.
        key: the name of the key that the token claims, whether or not it was accepted; None without a token.
    """

    method: str
    path: str
    query: str = field(repr=False)
    status: int
    key: str | None


class Log:
    """A list of requests that many threads append to.

    Args:
        changes: told of every one.
    """

    def __init__(self, changes: Changes | None = None) -> None:
        self._changes = changes or Changes()
        self._lock = threading.Lock()
        self._entries: deque[tuple[LogEntry, bytes]] = deque(maxlen=KEPT)

    def append(self, request: Request, status: int, key: str | None) -> None:
        """Append a request.

        Args:
            request: the request.
            status: see `LogEntry`.
            key: see `LogEntry`.
        """
        entry = LogEntry(request.method, request.path, request.query, status, key)
        with self._lock:
            self._entries.append((entry, request.body))
        self._changes.note("requests")

    def entries(self) -> list[LogEntry]:
        """Return every entry kept, oldest first."""
        with self._lock:
            return [entry for entry, _ in self._entries]

    def bodies(self) -> list[bytes]:
        """Return the requests' bodies, in the order of `entries`."""
        with self._lock:
            return [body for _, body in self._entries]

    def is_put_again(self, request: Request) -> bool:
        """Return whether a PUT repeats the last successful one of the same address.

        Args:
            request: the PUT. Members that say when an installation expires do not count.
        """
        with self._lock:
            for entry, body in reversed(self._entries):
                if (entry.method, entry.path, entry.status) == ("PUT", request.path, HTTPStatus.OK):
                    return request.method == "PUT" and _content(body) == _content(request.body)
        return False

    def clear(self) -> None:
        """Remove every entry."""
        with self._lock:
            self._entries.clear()
        self._changes.note("requests")


def _content(body: bytes) -> Any:
    """Return an installation's content but for its expiration; a body that is not JSON as it is."""
    try:
        document = read_json(body)
    except NotJson:
        return body
    if not isinstance(document, dict):
        return document
    return {name: value for name, value in document.items() if name.lower() != "expirationtime"}
