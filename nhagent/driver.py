"""Turning the wheel: until it is done or the time is up, or for ever. The one place that waits.

It knows nothing of devices and hubs: a turn is any callable that gives a `Report`. A turn that could not
finish, for a reason that waiting may mend, reports ``waiting`` with its error; any other reason is raised.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import Event, Thread, current_thread
from time import monotonic
from typing import Final, Protocol, Self

from nhagent import pacing
from nhagent.errors import Curve, HeldBack, NhagentError
from nhagent.report import Report

STOP_SECONDS: Final = 5.0
"""How long the end of the background thread is waited for."""
SOON_SECONDS: Final = 1.0
"""The least between two turns in the background, whatever is due."""

_log = logging.getLogger(__name__)


class Tries(Protocol):
    """Counts what failed, one after the other, so that the waits grow; a device's memory does so durably."""

    def before(self, error: NhagentError) -> int:
        """How many tries in a row have failed on this error's curve, before this one."""
        ...

    def failed(self, error: NhagentError, tries: int, pause: float) -> None:
        """A try has failed, the so-many-th, and the next one is so many seconds away."""
        ...

    def waited(self, seconds: float) -> None:
        """So long was waited after a failure, as asked: an injected sleep takes no time."""
        ...

    def succeeded(self) -> None:
        """Nothing stands in the way any more."""
        ...


class Counted:
    """`Tries` of one process."""

    def __init__(self) -> None:
        self._counts: dict[Curve, int] = {}

    def before(self, error: NhagentError) -> int:
        return self._counts.get(error.curve, 0)

    def failed(self, error: NhagentError, tries: int, pause: float) -> None:  # noqa: ARG002 - part of the port
        self._counts[error.curve] = tries

    def waited(self, seconds: float) -> None:
        """It is not asked for."""

    def succeeded(self) -> None:
        self._counts.clear()


def drive(
    turn: Callable[[float], Report],
    *,
    timeout: float,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    random: Callable[[], float],
    tries: Tries | None = None,
) -> Report:
    """Turn until a turn succeeds, or the next one would begin after the deadline.

    Args:
        turn: one turn; is given the seconds that are left.
        timeout: seconds that all turns and waits may take; the first turn is always made.
        clock: gives the time, aware.
        sleep: waits some seconds.
        random: gives a number from 0 to 1.
        tries: counts failures; None: for this call alone.

    Returns:
        The last turn's report, with the requests, steps and time of all of them.

    Raises:
        NhagentError: a turn raised it: waiting cannot mend it.
    """
    tries = tries or Counted()
    spent = 0.0
    requests: int = 0
    steps: tuple[str, ...] = ()
    while True:
        started = monotonic()
        try:
            report = turn(max(0.0, timeout - spent))
        except NhagentError as error:
            pause_after(error, tries, random)
            raise
        spent += monotonic() - started
        requests, steps = requests + report.requests, steps + report.steps
        report = replace(report, requests=requests, steps=steps, elapsed=spent)
        if report.error is None:
            tries.succeeded()
            return report
        pause = pause_after(report.error, tries, random)
        if spent + pause > timeout:
            return replace(report, next_attempt=clock() + timedelta(seconds=pause))
        sleep(pause)
        # Counted as asked, not as measured: an injected sleep then ends at its deadline as a real one does.
        spent += pause
        tries.waited(pause)


def pause_after(error: NhagentError, tries: Tries, random: Callable[[], float]) -> float:
    """Seconds to wait after a failure, which is counted; what held us back was counted when it came."""
    if isinstance(error, HeldBack):
        return pacing.delay(error, 0, random())
    before = tries.before(error)
    pause = pacing.delay(error, before, random())
    tries.failed(error, before + 1, pause)
    return pause


class Background:
    """Turns for ever in a thread of its own. A context manager: it stops at the end of its block.

    Args:
        turn: one run of the device; True: write the whole whatever its age.
        verify: asks the hub whether it holds what it accepted; True where another turn is due at once.
        interval: seconds after which a refresh is due by uptime alone, where the clock cannot be trusted.
        clock: gives the time, aware.
        wait: waits some seconds; None: until poked or stopped, if that is earlier.
        random: gives a number from 0 to 1.
        cut: ends whatever exchange is under way.
        tries: counts failures.
    """

    def __init__(
        self,
        turn: Callable[[bool], Report],
        *,
        verify: Callable[[], bool],
        interval: float,
        clock: Callable[[], datetime],
        wait: Callable[[float], None] | None,
        random: Callable[[], float],
        cut: Callable[[], None],
        tries: Tries,
    ) -> None:
        self._turn = turn
        self._verify = verify
        self._interval = interval
        self._clock = clock
        self._wait = wait
        self._random = random
        self._cut = cut
        self._tries = tries
        self._stopping = False
        self._woken = Event()
        self._waited = 0.0
        self._began = monotonic()
        self._verify_at: float | None = None
        self._thread = Thread(target=self._live, name="nhagent", daemon=True)

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stop()

    def start(self) -> None:
        """Begin."""
        self._thread.start()

    def poke(self) -> None:
        """Look at once whether something has changed."""
        self._woken.set()

    def stop(self) -> None:
        """Stop at once, in the middle of an exchange too, which the next start then makes again."""
        self._stopping = True
        self._woken.set()
        self._cut()
        if self._thread.is_alive() and current_thread() is not self._thread:
            self._thread.join(STOP_SECONDS)
            if self._thread.is_alive():
                _log.warning("the background thread is still busy, with a channel source perhaps; it is left")

    @property
    def is_alive(self) -> bool:
        """Whether it has begun and not ended."""
        return self._thread.is_alive()

    def _live(self) -> None:
        """The thread: a turn, and the wait that it asks for."""
        refresh_at = self._interval  # by uptime
        due_before: datetime | None = None
        while not self._stopping:
            report: Report | None = None
            try:
                report = self._turn(self._lived() >= refresh_at)
                error = report.error
            except NhagentError as raised:
                error = raised
            except Exception:  # noqa: BLE001 - nothing may end the thread
                _log.exception("a fault in nhagent, or in a clock or channel source of the app; tried again")
                error = _Unforeseen("a fault")
            if report is None or error is not None:
                assert error is not None
                self._rest_after(error)
                continue
            self._tries.succeeded()
            if report.next_attempt != due_before:  # the whole was written: its age begins anew
                due_before, refresh_at = report.next_attempt, self._lived() + self._interval
            if report.calls_for_verification:
                self._verify_at = self._lived() + pacing.verify_after(self._random())
            self._rest_until(report.next_attempt, refresh_at)

    def _rest_after(self, error: NhagentError) -> None:
        """Wait as long as an error asks for, or until poked."""
        pause = pause_after(error, self._tries, self._random)
        ends = self._lived() + pause
        while self._lived() < ends and not self._stopping:
            if self._rest(ends - self._lived()):
                return
        self._tries.waited(pause)

    def _rest_until(self, due: datetime | None, refresh_at: float) -> None:
        """Wait until a refresh is due by the wall clock or by uptime, or until poked; verify on the way."""
        while not self._stopping:
            left = refresh_at - self._lived()
            if due is not None:
                left = min(left, (due - self._clock()).total_seconds())
            if self._verify_at is not None:
                left = min(left, self._verify_at - self._lived())
            if self._rest(max(left, SOON_SECONDS)):
                return
            if self._verify_at is not None and self._lived() >= self._verify_at:
                self._verify_at = None
                if self._verified_drift():
                    return
            if self._lived() >= refresh_at or (due is not None and self._clock() >= due):
                return

    def _verified_drift(self) -> bool:
        try:
            return self._verify()
        except NhagentError as error:
            _log.info("not verified: %s", error)
            return False

    def _rest(self, seconds: float) -> bool:
        """Wait, but not for long at once: a clock that jumped is then seen soon. Whether somebody poked."""
        piece = min(seconds, pacing.LONGEST_WAIT_SECONDS)
        if self._wait is None:
            self._woken.wait(piece)
        elif not self._woken.is_set():
            self._wait(piece)
            self._waited += piece
        return self._poked()

    def _poked(self) -> bool:
        poked = self._woken.is_set()
        if not self._stopping:
            self._woken.clear()
        return poked

    def _lived(self) -> float:
        """Seconds since it was made. An injected wait counts as asked."""
        return monotonic() - self._began + self._waited


class _Unforeseen(NhagentError):
    """What must not end the thread: a fault of ours or of the app's."""

    curve = Curve.LOCAL
