"""A device kept fresh in a thread of its own."""

from __future__ import annotations

from collections.abc import Callable
from threading import Event, Thread, current_thread
from time import monotonic
from typing import Final, Self

from nhagent.errors import ConfigurationError
from nhagent.interruption import Interrupted, Interruption
from nhagent.logs import Log
from nhagent.retry.state import uptime

STOP_SECONDS: Final = 5.0
"""How long the end of the thread is waited for."""
FAULT_SECONDS: Final = 60.0
"""How long it rests, in real time, where its own waits fail."""

LOOK_SECONDS: Final = 2.0
"""How often files are looked at while it waits."""

_log = Log(__name__)


class Background:
    """A thread that runs until it is stopped. A context manager: it stops at the end of its block.

    Args:
        live: what runs. It is given what to wait by, less where somebody pokes: then that gives True; and
            what tells the seconds that have passed, those that were slept as asked.
        cut: aborts the exchange of a thread and forbids new ones.
        looks: gives what files that push channels come from look like; another look ends a wait.
        sleep: waits some seconds in place of the thread's own waits, and takes no time; None: real ones.
    """

    def __init__(
        self,
        live: Callable[[Callable[[float], bool], Callable[[], float]], None],
        *,
        cut: Callable[[Thread], None],
        looks: Callable[[], object] = lambda: None,
        sleep: Callable[[float], None] | None = None,
    ) -> None:
        self._live = live
        self._cut = cut
        self._looks = looks
        self._seen = looks()
        self._sleep = sleep
        self._slept = 0.0
        self._stopping = False
        self._woken = Event()
        self._interruption = Interruption()
        self._thread = Thread(target=self._run, name="nhagent", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin.

        Raises:
            ConfigurationError: it has begun before, or was stopped.
        """
        if self._thread.ident is not None or self._stopping:
            raise ConfigurationError(
                "keep_fresh: this background was started or stopped before, and runs once",
                "call keep_fresh again for another",
            )
        self._thread.start()

    def poke(self) -> None:
        """Look at once whether something has changed."""
        self._woken.set()

    def stop(self) -> None:
        """Stop at once, in the middle of an exchange too, which the next start then makes again."""
        self._stopping = True
        self._woken.set()
        self._interruption.interrupt()
        self._cut(self._thread)
        if self._thread.is_alive() and current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                _log.warning("the background thread is still busy, with a channel source perhaps; it is left")

    @property
    def is_alive(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.is_alive()

    @property
    def is_at_work(self) -> bool:
        """Whether it is alive and was not asked to stop."""
        return self.is_alive and not self._stopping

    def _wait(self, seconds: float) -> bool:
        if self._sleep is None:
            self._wait_for_a_change(seconds)
        elif not self._woken.is_set():
            self._sleep(seconds)
            self._slept += seconds
        poked = self._woken.is_set()
        self._woken.clear()
        if self._stopping:  # looked at last: a stop that comes later wakes the next wait
            raise Interrupted
        return poked

    def _wait_for_a_change(self, seconds: float) -> None:
        until = monotonic() + seconds
        while (left := until - monotonic()) > 0 and not self._woken.wait(min(left, LOOK_SECONDS)):
            seen = self._looks()
            if seen != self._seen:
                self._seen = seen
                self._woken.set()

    def _lived(self) -> float:
        return uptime() + self._slept

    def _run(self) -> None:
        while not self._stopping:
            try:
                with self._interruption:
                    self._live(self._wait, self._lived)
            except Interrupted:
                return
            except BaseException as fault:  # noqa: BLE001 - the app's own sleep may raise anything
                from nhagent.redaction import in_prose

                _log.error("a fault, in nhagent or in the app's sleep (%s); tried again", in_prose(fault))
                self._woken.clear()
                if not self._stopping:
                    self._woken.wait(FAULT_SECONDS)
