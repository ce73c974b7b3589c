"""End a process on SIGTERM or SIGINT, whatever its main thread waits for.

The signal raises `Stopped` in the main thread, which ends at once what Python itself waits for. A library
may wait in C code, a plug-in may catch every exception, and whoever reads standard error may have stopped
reading. So a second thread hears of the signal too, and ends the process if the main thread has not.
"""

from __future__ import annotations

import os
import signal
import sys
from typing import TYPE_CHECKING, Final, NoReturn

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import FrameType

GRACE_SECONDS: Final = 0.8
"""Time for the main thread to end by itself. What it leaves undone is as after a power cut."""
SIGNALS: Final = (signal.SIGTERM, signal.SIGINT)


class Stopped(BaseException):
    """Ends the program wherever it is; nothing of ours catches it on the way."""


class StopSignals:
    """Obeys SIGTERM and SIGINT from `obey` on.

    Args:
        last_words: says that the process ends, where the main thread does not come to it; never waits.
    """

    def __init__(self, last_words: Callable[[], object]) -> None:
        self._last_words = last_words
        self._calling: int | None = None

    def obey(self) -> None:
        """Raise `Stopped` on either signal; end the process if that does not. In the main thread."""
        for number in SIGNALS:
            signal.signal(number, _stop)
        if sys.platform == "win32":  # where signals write only to sockets
            return
        from threading import Thread

        listening, self._calling = os.pipe()
        os.set_blocking(self._calling, False)
        signal.set_wakeup_fd(self._calling, warn_on_full_buffer=False)
        Thread(
            target=_end_after, args=(listening, self._last_words), name="nhagent-stop", daemon=True
        ).start()

    def let_go(self) -> None:
        """Let the second thread end. Handlers of signals stay as they are."""
        if self._calling is not None:
            signal.set_wakeup_fd(-1)
            os.close(self._calling)
            self._calling = None


def _stop(_: int, __: FrameType | None) -> NoReturn:
    for number in SIGNALS:
        signal.signal(number, signal.SIG_IGN)  # once is enough
    raise Stopped


def _end_after(listening: int, last_words: Callable[[], object]) -> None:
    """End the process some time after a signal that stops it was written into a pipe."""
    from time import sleep

    try:
        if sys.platform != "win32":  # the main thread is the one whose wait a signal must end
            signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
        while numbers := os.read(listening, 4096):
            if not set(SIGNALS).isdisjoint(numbers):
                sleep(GRACE_SECONDS)
                last_words()
                os._exit(0)  # skips what else waits at the end of a process, such as threads of others
    finally:
        os.close(listening)
