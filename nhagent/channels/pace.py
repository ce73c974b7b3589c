"""Time for threads that wait for a push service: real, or a test's own."""

from __future__ import annotations

from threading import Event
from typing import TYPE_CHECKING, Final

from nhagent.channels.web_socket import wait_for

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

LONGEST_SECONDS: Final = 60.0
"""Longest single wait: a machine that slept is seen soon after."""


REAL_SECONDS: Final = 0.001
"""How long a socket is really waited for where waits take no time."""


class Ended(Exception):
    """Nobody wants this any more."""


class Pace:
    """Tells the time that has passed, and waits; until it is ended.

    Args:
        lived: gives the seconds that have passed, those of a sleeping machine too.
        sleep: waits some seconds in place of real waits, and takes no time; None: real ones.
    """

    def __init__(self, lived: Callable[[], float], sleep: Callable[[float], None] | None) -> None:
        self._real = lived
        self._sleep = sleep
        self._slept = 0.0
        self._is_ended = False
        self._woken = Event()

    def end(self) -> None:
        """End every wait, now and later."""
        self._is_ended = True
        self._woken.set()

    def wake(self) -> None:
        """Let the wait of the moment look whether it is over."""
        self._woken.set()

    def check(self) -> None:
        """Go on, unless it is ended.

        Raises:
            Ended: it is.
        """
        if self._is_ended:
            raise Ended

    def lived(self) -> float:
        """Give the seconds that have passed, waits included."""
        return self._real() + self._slept

    def rest(self, seconds: float, is_over: Callable[[], bool] = lambda: False) -> None:
        """Wait.

        Args:
            seconds: how long.
            is_over: tells whether there is nothing more to wait for; asked when it is woken.

        Raises:
            Ended: it was ended.
        """
        until = self.lived() + seconds
        while (left := until - self.lived()) > 0 and not is_over():
            self.check()
            if self._sleep is not None:
                self._skip(left)
            elif self._woken.wait(min(left, LONGEST_SECONDS)):
                self._woken.clear()
        self.check()

    def wait_for(self, readable: socket.socket, seconds: float) -> bool:
        """Wait until a socket can be read, or so many seconds; tell which."""
        if self._sleep is None:
            return wait_for(readable, seconds)
        if wait_for(readable, REAL_SECONDS):
            return True
        self._skip(seconds)
        return False

    def _skip(self, seconds: float) -> None:
        assert self._sleep is not None
        self._sleep(seconds)
        self._slept += seconds
