"""Tells those who wait that something has changed, such as the log or the deliveries."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Final, Literal

Subject = Literal["requests", "deliveries", "hub", "faults"]
"""What can change: the log, the deliveries, what the hub holds, or the faults and the clock."""

SUBJECTS: Final[tuple[Subject, ...]] = ("requests", "deliveries", "hub", "faults")


class Changes:
    """Counts the changes, and lets threads wait for the next one."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        self._count = 0
        self._latest: dict[Subject, int] = dict.fromkeys(SUBJECTS, 0)
        self._waiting = 0
        self._ended = False

    @property
    def count(self) -> int:
        """The number of changes so far."""
        return self._count

    def note(self, subject: Subject) -> None:
        """Count one change, and wake who waits."""
        with self._changed:
            self._count += 1
            self._latest[subject] = self._count
            if self._waiting:
                self._changed.notify_all()

    def begin(self) -> None:
        """Let threads wait (again): the emulator starts."""
        self._ended = False

    def end(self) -> None:
        """Wake who waits for the last time: the emulator closes."""
        with self._changed:
            self._ended = True
            self._changed.notify_all()

    @property
    def has_ended(self) -> bool:
        """Whether the emulator closes."""
        return self._ended

    def since(self, count: int) -> list[Subject]:
        """Return what has changed after so many changes."""
        with self._changed:
            return [subject for subject, latest in self._latest.items() if latest > count]

    def wait_for(self, is_so: Callable[[], object], seconds: float | None) -> bool:
        """Wait until something is so, which is asked again after every change.

        Args:
            is_so: asked without any lock held.
            seconds: longest wait; None: as long as the emulator runs.

        Returns:
            Whether it is so; false when the time is over, or the emulator closes.
        """
        until = None if seconds is None else time.monotonic() + seconds
        while True:
            seen = self._count
            if is_so():
                return True
            left = None if until is None else until - time.monotonic()
            if self._ended or (left is not None and left <= 0):
                return False
            self._wait(seen, left)

    def _wait(self, seen: int, seconds: float | None) -> None:
        with self._changed:
            self._waiting += 1
            try:
                self._changed.wait_for(lambda: self._ended or self._count != seen, seconds)
            finally:
                self._waiting -= 1
