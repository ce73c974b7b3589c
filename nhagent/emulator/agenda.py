"""What is to be done later, by the hub's clock: scheduled sends, and writes that take effect late."""

from __future__ import annotations

import heapq
import itertools
import threading
from collections.abc import Callable

from nhagent.emulator.clock import Clock

_LONGEST_SECONDS = 3600.0
"""Longest single wait: the machine's clock may be set meanwhile."""


class Agenda:
    """Does things when their time has come, on a thread that begins with the first of them.

    Args:
        clock: the hub's; it can be moved at any time.
    """

    def __init__(self, clock: Clock) -> None:
        self._clock = clock
        self._changed = threading.Condition()
        self._items: list[tuple[float, int, Callable[[], object]]] = []
        self._numbers = itertools.count()
        self._thread: threading.Thread | None = None
        self._is_closed = False
        self._at_work = threading.RLock()

    def add(self, at: float, action: Callable[[], object]) -> None:
        """Do something at a time, or as soon as possible when that is over.

        Args:
            at: by the hub's clock, seconds since 1970.
            action: raises nothing.
        """
        with self._changed:
            if self._is_closed:
                return
            heapq.heappush(self._items, (at, next(self._numbers), action))
            if self._thread is None:
                self._thread = threading.Thread(target=self._work, name="emulator agenda", daemon=True)
                self._thread.start()
            self._changed.notify_all()

    def wake(self) -> None:
        """Do what is due now: the clock was moved."""
        self.do_what_is_due()
        with self._changed:
            self._changed.notify_all()

    def do_what_is_due(self) -> None:
        """Do everything whose time has come, and return when it is done."""
        if not self._items:
            return
        # Whoever comes while another thread is at it waits until that is done.
        with self._at_work:
            while (action := self._next_due()) is not None:
                action()

    def clear(self) -> None:
        """Forget everything."""
        with self._changed:
            self._items.clear()

    def close(self) -> None:
        """Do no more."""
        with self._changed:
            self._is_closed = True
            self._items.clear()
            self._changed.notify_all()
            thread = self._thread
        if thread is not None and thread is not threading.current_thread():
            thread.join(1.0)

    def _next_due(self) -> Callable[[], object] | None:
        with self._changed:
            if not self._items or self._items[0][0] > self._clock.now():
                return None
            return heapq.heappop(self._items)[2]

    def _work(self) -> None:
        while not self._is_closed:
            self.do_what_is_due()
            with self._changed:
                if self._is_closed:
                    return
                left = self._items[0][0] - self._clock.now() if self._items else _LONGEST_SECONDS
                self._changed.wait(min(max(left, 0.0), _LONGEST_SECONDS))
