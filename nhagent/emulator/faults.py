"""Ordered faults: what goes wrong with which of the next requests."""

from __future__ import annotations

import math
import re
import threading
from collections.abc import Mapping
from dataclasses import dataclass
from random import Random
from typing import Final, Literal
from urllib.parse import unquote

from nhagent.emulator.changes import Changes

_TOKEN = re.compile(r"[-!#$%&'*+.^_`|~0-9A-Za-z]+")
_HEADER_VALUE = re.compile("[\t\x20-\x7e\x80-\xff]*")
_FRAMING_HEADERS = {"content-length", "transfer-encoding"}
_STATUSES = range(200, 600)
_CHOICES: Final = {
    "reset": ("before", "after"),
    "chunked": ("garbage", "endless"),
    "encoding": ("gzip",),
    "ignored": ("always", "unchanged"),
}


@dataclass(frozen=True, slots=True)
class Fault:
    """One thing that goes wrong: what the reply is, how it is delivered, or both.

    Attributes:
        match: a method or ``*``, then optionally a space and a part of the path after the hub's name, in any
            case.
        status: answer this instead of carrying the request out; None carries it out.
        times: the number of requests that it applies to; None for one, or with ``probability`` for every one.
        headers: of the reply with ``status``; each replaces the service's own of that name.
        body: of the reply with ``status``; None for the service's error form, or an empty one below 400.
        delay: seconds between deciding the reply and sending it.
        cut_after: bytes of the reply, its head included, after which the connection is closed.
        reset: send no reply: the connection is reset (RST), before the request is carried out, or after.
        drip: seconds after each single byte of the reply, its head included.
        chunked: chunks whose sizes are not numbers, or chunks until the client hangs up.
        encoding: how the body is compressed, whether or not the client asked for it.
        size: bytes to which the body is padded with spaces, before it is compressed.
        late: seconds of the hub's clock between the reply to a write and the write itself.
        ignored: reply as if a write were carried out, and do nothing: ``always``, or where an installation is
            put again with the content of its last PUT, whatever its expiration (``unchanged``).
        probability: of going wrong, for each request that it is meant for; None: it always does.
        seed: of the random numbers for that, so that they are the same in every run.

    Raises:
        ValueError: a value is out of range, or two contradict each other.
    """

    match: str
    status: int | None = None
    times: int | None = None
    headers: Mapping[str, str] | None = None
    body: str | None = None
    delay: float = 0.0
    cut_after: int | None = None
    reset: Literal["before", "after"] | None = None
    drip: float = 0.0
    chunked: Literal["garbage", "endless"] | None = None
    encoding: Literal["gzip"] | None = None
    size: int | None = None
    late: float = 0.0
    ignored: Literal["always", "unchanged"] | None = None
    probability: float | None = None
    seed: int | None = None

    def __post_init__(self) -> None:
        self._check_delivery()
        self._check_reset()
        self._check_match()
        self._check_chance()
        self._check_reply()

    @property
    def makes_body(self) -> bool:
        """Whether it changes the reply's body, which is then sent even where HTTP has none, as with 204."""
        return self.chunked is not None or self.encoding is not None or self.size is not None

    @property
    def changes_write(self) -> bool:
        """Whether a write is not carried out at once."""
        return bool(self.late or self.ignored)

    @property
    def changes_delivery(self) -> bool:
        """Whether the reply is not sent whole and at once."""
        return bool(
            self.delay or self.drip or self.cut_after is not None or self.reset is not None or self.makes_body
        )

    def applies_to(self, method: str, path: str) -> bool:
        """Return whether it is meant for a request.

        Args:
            method: in capitals.
            path: as sent, from the ``/`` after the hub's name on.
        """
        wanted, _, part = self.match.strip().partition(" ")
        if wanted not in ("*", method) and wanted.upper() != method:
            return False
        part = part.strip().lower()
        return part in path.lower() or part in unquote(path).lower()

    def _check_delivery(self) -> None:
        for name, seconds in (("delay", self.delay), ("drip", self.drip), ("late", self.late)):
            # Longer ones cannot be waited for.
            if not 0 <= seconds <= threading.TIMEOUT_MAX:
                most = int(threading.TIMEOUT_MAX)
                raise ValueError(f"A fault's {name} is a number of seconds up to {most}, not {seconds}.")
        if self.cut_after is not None and self.cut_after < 0:
            raise ValueError(f"A reply cannot be cut after {self.cut_after} bytes.")
        if self.size is not None and self.size < 1:
            raise ValueError(f"A reply cannot be padded to {self.size} bytes.")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in (None, *known):
                raise ValueError(f"A fault's {name} is {' or '.join(known)}, not {getattr(self, name)!r}.")
        if self.chunked == "endless" and self.size is not None:
            raise ValueError("A body without end has no size.")

    def _check_reset(self) -> None:
        if self.reset is None:
            return
        if self.cut_after is not None or self.drip or self.makes_body:
            raise ValueError("A fault that resets the connection sends no reply: only a delay goes with it.")
        if self.status is not None:
            raise ValueError("A fault that resets the connection sends no reply: it has no status.")

    def _check_chance(self) -> None:
        if self.probability is not None and not 0 < self.probability <= 1:
            raise ValueError(f"A fault's probability is above 0 and at most 1, not {self.probability}.")
        if self.seed is not None and self.probability is None:
            raise ValueError("A fault without a probability always happens: it has no seed.")
        if self.changes_write and (self.status is not None or self.reset == "before"):
            raise ValueError("A write that is not sent to the hub cannot be late or ignored there.")

    def _check_match(self) -> None:
        if not self.match.strip():
            raise ValueError("A fault's match is a method or *, then optionally a part of the path.")
        if self.times is not None and self.times < 1:
            raise ValueError(f"A fault applies to at least one request, not to {self.times}.")

    def _check_reply(self) -> None:
        if self.status is None and (self.headers or self.body):
            raise ValueError("A fault without a status sends the real reply: it has no headers and no body.")
        if self.status is not None and self.status not in _STATUSES:
            raise ValueError(f"A fault's status is {_STATUSES[0]} to {_STATUSES[-1]}, not {self.status}.")
        if self.body is not None and any("\ud800" <= character <= "\udfff" for character in self.body):
            raise ValueError("A fault's body has half of a surrogate pair, which cannot be sent.")
        names = set(map(str.lower, self.headers or {}))
        if self.chunked is not None and names & _FRAMING_HEADERS:
            raise ValueError("A fault's chunks need a Transfer-Encoding of their own: leave its header out.")
        for name, value in (self.headers or {}).items():
            if not _TOKEN.fullmatch(name) or not _HEADER_VALUE.fullmatch(value):
                raise ValueError(f"The header {name!r} cannot be sent.")


NO_FAULT: Final = Fault("*")
"""The fault of a reply with which nothing goes wrong: it is sent as it is, whole and at once."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """A fault in the queue, with the number of requests that it still applies to."""

    fault: Fault
    left: float
    random: Random

    def happens(self) -> bool:
        """Return whether it goes wrong this time."""
        return self.fault.probability is None or self.random.random() < self.fault.probability


class Faults:
    """The queue of ordered faults. The oldest that is meant for a request applies to it.

    Args:
        changes: told of every order.
    """

    def __init__(self, changes: Changes | None = None) -> None:
        self._changes = changes or Changes()
        self._lock = threading.Lock()
        self._queue: list[_Waiting] = []

    def __bool__(self) -> bool:
        """Return whether any fault is waiting."""
        return bool(self._queue)

    def add(self, fault: Fault) -> None:
        """Append a fault.

        Raises:
            ValueError: nothing would go wrong.
        """
        if fault.status is None and not fault.changes_delivery and not fault.changes_write:
            raise ValueError("A fault needs a status, or a change of the delivery: nothing would go wrong.")
        times = math.inf if fault.probability is not None else 1
        random = Random(fault.seed)  # noqa: S311 - chance, not a secret
        with self._lock:
            self._queue.append(_Waiting(fault, times if fault.times is None else fault.times, random))
        self._changes.note("faults")

    def take(self, method: str, path: str) -> Fault:
        """Return the fault that applies to a request, or `NO_FAULT`, and count the request.

        Args:
            method: in capitals.
            path: as sent, from the ``/`` after the hub's name on.
        """
        with self._lock:
            for waiting in self._queue:
                if waiting.fault.applies_to(method, path) and waiting.happens():
                    waiting.left -= 1
                    break
            else:
                return NO_FAULT
            if waiting.left < 1:
                self._queue.remove(waiting)
        self._changes.note("faults")
        return waiting.fault

    def waiting(self) -> list[tuple[Fault, float]]:
        """Return every fault that waits, with the number of requests that it still applies to."""
        with self._lock:
            return [(waiting.fault, waiting.left) for waiting in self._queue]

    def clear(self) -> None:
        """Remove every fault."""
        with self._lock:
            self._queue.clear()
        self._changes.note("faults")
