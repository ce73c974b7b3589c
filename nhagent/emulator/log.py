"""The requests that the emulator answered, in the order in which it decided the answers."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from http import HTTPStatus
from typing import Any

from nhagent.emulator.changes import Changes
from nhagent.emulator.http_messages import Refused, Reply, Request
from nhagent.emulator.json_text import NotJson, read_json

NOT_CARRIED_OUT = 0
"""The status of a request whose connection a fault reset before anything was decided."""
KEPT = 100_000
"""Entries kept; older ones are dropped, so that an emulator left running does not grow for ever."""
WHOLE_KEPT = 1_000
"""Exchanges kept with headers and replies."""
SHOWN_BYTES = 64 * 1024
"""Longest part of a body that an exchange shows."""


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


@dataclass(frozen=True, slots=True)
class Exchange:
    """One request and its reply, for people who look at it.

    Attributes:
        number: counts requests from 1, in the order of the log.
        at: by the hub's clock, seconds since 1970.
        entry: its entry in the log.
        headers: the request's, but for ``Authorization``.
        body: the request's, at most `SHOWN_BYTES` of it.
        reply_headers: those that were decided; the web server adds those that frame the body.
        reply_body: likewise at most `SHOWN_BYTES`.
        strict: the status and the words with which a hub that is not lenient would have refused it; None
            where it would not have, or where this hub is itself not lenient.
    """

    number: int
    at: float
    entry: LogEntry
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    reply_headers: Mapping[str, str] = field(repr=False)
    reply_body: bytes = field(repr=False)
    strict: tuple[int, str] | None


@dataclass(frozen=True, slots=True)
class _Kept:
    """What an exchange is made from when somebody looks at it."""

    number: int
    at: float
    entry: LogEntry
    request: Request
    reply: Reply
    strict: Refused | None

    def shown(self) -> Exchange:
        headers = {
            name: value for name, value in self.request.headers.items() if name.lower() != "authorization"
        }
        strict = None if self.strict is None else (self.strict.status, self.strict.detail or "")
        body, reply_body = self.request.body[:SHOWN_BYTES], self.reply.body[:SHOWN_BYTES]
        return Exchange(
            self.number, self.at, self.entry, headers, body, self.reply.headers, reply_body, strict
        )


class Log:
    """A list of requests that many threads append to.

    Args:
        changes: told of every one.

    Attributes:
        tell: called with every entry.
    """

    def __init__(self, changes: Changes | None = None) -> None:
        self.tell: Callable[[LogEntry], object] = lambda _: None
        self._changes = changes or Changes()
        self._lock = threading.Lock()
        self._entries: deque[tuple[LogEntry, bytes]] = deque(maxlen=KEPT)
        self._whole: deque[_Kept] = deque(maxlen=WHOLE_KEPT)
        self._count = 0

    def append(
        self, request: Request, reply: Reply, key: str | None, at: float, strict: Refused | None = None
    ) -> None:
        """Append a request.

        Args:
            request: the request.
            reply: the reply that was decided.
            key: see `LogEntry`.
            at: by the hub's clock, seconds since 1970.
            strict: the refusal of a hub that is not lenient; None where it would not have refused.
        """
        entry = LogEntry(request.method, request.path, request.query, reply.status, key)
        with self._lock:
            self._count += 1
            self._entries.append((entry, request.body))
            self._whole.append(_Kept(self._count, at, entry, request, reply, strict))
        self.tell(entry)
        self._changes.note("requests")

    def entries(self) -> list[LogEntry]:
        """Return every entry kept, oldest first."""
        with self._lock:
            return [entry for entry, _ in self._entries]

    def bodies(self) -> list[bytes]:
        """Return the requests' bodies, in the order of `entries`."""
        with self._lock:
            return [body for _, body in self._entries]

    def exchanges(self, limit: int = 50, before: int | None = None) -> list[Exchange]:
        """Return the latest exchanges, newest first.

        Args:
            limit: most of them that are returned.
            before: only those with a lower number.
        """
        with self._lock:
            kept = [each for each in reversed(self._whole) if before is None or each.number < before]
        return [each.shown() for each in kept[:limit]]

    def exchange(self, number: int) -> Exchange:
        """Return one exchange.

        Raises:
            KeyError: there is none with that number, or no longer.
        """
        with self._lock:
            for each in self._whole:
                if each.number == number:
                    return each.shown()
        raise KeyError(number)

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
            self._whole.clear()
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
