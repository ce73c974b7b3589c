"""Faults to order: what goes wrong with which of the next requests."""

from __future__ import annotations

import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote

from nhagent.emulator.reply_delivery import WHOLE, Delivery

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile("[\t\x20-\x7e\x80-\xff]*")


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong.

    Raises:
        ValueError: a value is out of range, or nothing would go wrong.
    """

    match: str
    """A method or `*`, then optionally a space and a part of the path after the hub's name, any case."""
    status: int | None = None
    """Answer this instead of carrying the request out; None carries it out."""
    times: int = 1
    """Requests that it strikes."""
    headers: Mapping[str, str] | None = None
    """Of the reply with `status`; each replaces the service's own of that name."""
    body: str | None = None
    """Of the reply with `status`; None for the service's error form, or nothing below 400."""
    delivery: Delivery = WHOLE
    """How the reply goes out."""

    def __post_init__(self) -> None:
        if not self.match.strip():
            raise ValueError("A fault's match is a method or *, then optionally a part of the path.")
        if self.status is not None and not 200 <= self.status <= 599:
            raise ValueError(f"A fault's status is 200 to 599, not {self.status}.")
        if self.times < 1:
            raise ValueError(f"A fault strikes at least once, not {self.times} times.")
        if self.status is None and (self.headers or self.body):
            raise ValueError("A fault without a status sends the real reply: it has no headers and no body.")
        if self.status is None and self.delivery == WHOLE:
            raise ValueError(
                "A fault needs a status, or a way in which the reply goes out: nothing would go wrong."
            )
        if self.status is not None and self.delivery.reset is not None:
            raise ValueError("A fault that resets the connection sends no reply: it has no status.")
        names = set(map(str.lower, self.headers or {}))
        if self.delivery.chunked is not None and names & {"content-length", "transfer-encoding"}:
            raise ValueError("A fault's chunks need a Transfer-Encoding of their own: leave its header out.")
        for name, value in (self.headers or {}).items():
            if not _TOKEN.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"The header {name!r} cannot be sent.")

    def strikes(self, method: str, path: str) -> bool:
        """Whether it is meant for this request.

        Args:
            method: in capitals.
            path: as sent, from the `/` after the hub's name on.
        """
        wanted, _, part = self.match.strip().partition(" ")
        if wanted not in ("*", method) and wanted.upper() != method:
            return False
        part = part.strip().lower()
        return part in path.lower() or part in unquote(path).lower()


class Faults:
    """The queue: of those that are meant for a request the oldest strikes."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._queue: list[tuple[Fault, int]] = []

    def __bool__(self) -> bool:
        """Whether any fault is waiting."""
        return bool(self._queue)

    def add(self, fault: Fault) -> None:
        with self._lock:
            self._queue.append((fault, fault.times))

    def take(self, method: str, path: str) -> Fault | None:
        """The fault that strikes this request, spent by one, or None."""
        with self._lock:
            for place, (fault, left) in enumerate(self._queue):
                if fault.strikes(method, path):
                    self._queue[place : place + 1] = [(fault, left - 1)] if left > 1 else []
                    return fault
        return None

    def clear(self) -> None:
        with self._lock:
            self._queue.clear()
