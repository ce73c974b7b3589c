"""Threads that can be told to stop: whatever they wait for then ends at once.

Without this a thread that nobody wants any more would wait for a key ring, a lock or the next attempt, and go
on to send and write.
"""

from __future__ import annotations

from threading import TIMEOUT_MAX, Thread, local
from time import monotonic
from time import sleep as real_sleep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from queue import SimpleQueue
    from threading import RLock
    from typing import Final, TypeAlias

    Waker: TypeAlias = SimpleQueue[None]
    """Something is put into it once what is waited for may have happened: that blocks no thread."""

LOOK_SECONDS: Final = 0.1
"""Pause between two looks at whether a lock is still wanted."""


class Interrupted(BaseException):
    """This thread was told to stop. Nothing catches it on the way."""


class Interruption:
    """A way to tell a thread to stop. A context manager: within its block the thread's waits end then."""

    def __init__(self) -> None:
        self.woken = _new_waker()
        self._is_told = False

    def __enter__(self) -> None:
        _of_thread.interruption = self

    def __exit__(self, *_: object) -> None:
        _of_thread.interruption = None

    def interrupt(self) -> None:
        """Tell the thread to stop."""
        self._is_told = True
        self.woken.put(None)

    def check(self) -> None:
        """Go on, unless this thread was told to stop.

        Raises:
            Interrupted: it was.
        """
        if self._is_told:
            raise Interrupted


class _OfThread(local):
    interruption: Interruption | None = None


_of_thread: Final = _OfThread()


def sleep(seconds: float) -> None:
    """Sleep.

    Raises:
        Interrupted: this thread was told to stop.
    """
    if _of_thread.interruption is None:
        real_sleep(seconds)
    else:
        wait(waker(), lambda: False, seconds)


def waker() -> Waker:
    """Give what wakes `wait` in this thread."""
    interruption = _of_thread.interruption
    return _new_waker() if interruption is None else interruption.woken


def _new_waker() -> Waker:
    from queue import SimpleQueue  # an unchanged start waits for nobody

    return SimpleQueue()


def wait(woken: Waker, is_over: Callable[[], bool], seconds: float | None) -> bool:
    """Wait until something is over.

    Args:
        woken: from `waker`.
        is_over: tells whether it is.
        seconds: how long to wait at most; None: as long as it takes.

    Returns:
        Whether it is over.

    Raises:
        Interrupted: this thread was told to stop.
    """
    from queue import Empty

    until = None if seconds is None else monotonic() + seconds
    while not is_over():
        check()
        left = TIMEOUT_MAX if until is None else min(until - monotonic(), TIMEOUT_MAX)
        if left <= 0:
            return False
        try:
            woken.get(timeout=left)
        except Empty:
            continue
    return True


def check() -> None:
    """Go on, unless this thread was told to stop.

    Raises:
        Interrupted: it was.
    """
    if _of_thread.interruption is not None:
        _of_thread.interruption.check()


def run_beside(
    call: Callable[[], object], seconds: float | None, name: str, *, given_up: Callable[[Thread], object]
) -> None:
    """Run a call that may never end in a thread of its own, and wait for its end.

    Args:
        call: the call; it must not raise.
        seconds: how long to wait at most; None: as long as it takes.
        name: the thread's.
        given_up: is given the thread where it is left behind.

    Raises:
        Interrupted: this thread was told to stop; the other is left behind.
    """
    woken, ended = waker(), [False]

    def run() -> None:
        try:
            call()
        finally:
            ended[0] = True
            woken.put(None)

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        wait(woken, lambda: ended[0], seconds)
    finally:
        if ended[0]:
            thread.join()
        else:
            given_up(thread)


def acquired(lock: RLock, seconds: float) -> bool:
    """Acquire a lock of this process within so many seconds; gives whether it did.

    Raises:
        Interrupted: this thread was told to stop.
    """
    if _of_thread.interruption is None:
        return lock.acquire(timeout=min(max(0.0, seconds), TIMEOUT_MAX))
    until = monotonic() + max(0.0, seconds)
    while True:
        check()
        left = until - monotonic()
        if lock.acquire(timeout=max(0.0, min(left, LOOK_SECONDS))):
            return True
        if left <= 0:
            return False
