"""Turning the wheel: until it is done or the time is up, or for ever. The one place that waits.

It knows nothing of devices and hubs: a turn is any callable that gives a `Report`. A turn that could not
finish, for a reason that waiting may mend, reports ``waiting`` with its error; any other reason is raised.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from threading import current_thread, main_thread
from typing import Final, Protocol

from nhagent.errors import Curve, HeldBack, NhagentError, is_failure
from nhagent.logs import Log
from nhagent.report import Report
from nhagent.retry import backoff

SOON_SECONDS: Final = 1.0
IDLE_SECONDS: Final = 60.0
"""The least between two turns in the background, and after one that had nothing to send, whatever is due."""

_log = Log(__name__)


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


def uptime() -> float:
    """Seconds that have passed, while the machine slept too where that is told; nobody can set it back."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


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
        started = uptime()
        try:
            report = turn(max(0.0, timeout - spent))
        except NhagentError as error:
            pause_after(error, tries, random)
            raise
        spent += uptime() - started
        requests, steps = requests + report.requests, steps + report.steps
        report = replace(report, requests=requests, steps=steps, elapsed=spent)
        if report.error is None:
            tries.succeeded()
            return report
        pause = pause_after(report.error, tries, random)
        if spent + pause > timeout:
            return replace(report, next_attempt=clock() + timedelta(seconds=pause))
        # Counted as asked, not as measured: an injected sleep then ends at its deadline as a real one does.
        slept = _slept_through(pause, clock, sleep)
        spent += slept
        tries.waited(slept)


def _slept_through(pause: float, clock: Callable[[], datetime], sleep: Callable[[float], None]) -> float:
    """Sleep until a pause is over by what was slept or by the wall clock; gives the seconds slept."""
    is_over = _passed_by(clock, pause)
    slept = 0.0
    while slept < pause and not is_over():
        part = min(pause - slept, backoff.LONGEST_WAIT_SECONDS)
        sleep(part)
        slept += part
    return slept


def _passed_by(clock: Callable[[], datetime], seconds: float) -> Callable[[], bool]:
    """What tells whether so many seconds have passed by the wall clock; one that fails says no."""

    def now() -> datetime | None:
        try:
            return clock()
        except Exception:  # noqa: BLE001 - the app's own clock may raise anything; the other clock goes on
            return None

    began = now()

    def is_over() -> bool:
        moment = now()
        return began is not None and moment is not None and (moment - began).total_seconds() >= seconds

    return is_over


def pause_after(error: NhagentError, tries: Tries, random: Callable[[], float]) -> float:
    """Seconds to wait after a failure, which is counted; what held us back was counted when it came."""
    if isinstance(error, HeldBack):
        return backoff.delay(error, 0, random())
    before = tries.before(error)
    pause = backoff.delay(error, before, random())
    tries.failed(error, before + 1, pause)
    return pause


class Endless:
    """Turns for ever: tries again as errors ask for, refreshes when that is due, verifies a first write once.

    Args:
        turn: one run of the device; True: write the whole whatever its age.
        verify: asks the hub whether it holds what it accepted; True where another turn is due at once.
        interval: gives the seconds after which a refresh is due by uptime alone, whatever the clock says.
        refresh_first: whether the first turn is a refresh whatever the age.
        clock: gives the time, aware.
        wait: waits some seconds, or less where somebody asks for a turn at once: then it gives True. Whatever
            it raises ends all of this.
        lived: seconds that have passed, waits included; nobody can set it back.
        random: gives a number from 0 to 1.
        tries: counts failures.
        told: is given what each turn came to, and the seconds until the next; None: nobody is.
    """

    def __init__(
        self,
        turn: Callable[[bool], Report],
        *,
        verify: Callable[[], bool],
        interval: Callable[[], float],
        refresh_first: bool,
        clock: Callable[[], datetime],
        wait: Callable[[float], bool],
        lived: Callable[[], float],
        random: Callable[[], float],
        tries: Tries,
        told: Callable[[Report | NhagentError, float], None] | None = None,
    ) -> None:
        self._turn = turn
        self._verify = verify
        self._interval = interval
        self._clock = clock
        self._wait = wait
        self._lived = lived
        self._random = random
        self._tries = tries
        self._told = told or (lambda _, __: None)
        self._verify_at: float | None = None
        self._looks_again = False
        self._refresh_at = lived() + (0.0 if refresh_first else interval())
        self._due: datetime | None = None
        self._ending: BaseException | None = None
        self._hurried = 0  # so many rests in a row were shortened by a poke

    def live(self) -> None:
        """Turn until `wait` raises something, or a signal strikes."""
        while True:
            try:
                self._turn_and_rest()
            except BaseException as fault:
                if self._is_the_end(fault):
                    raise
                self._rest_after_fault(fault)

    def _turn_and_rest(self) -> None:
        forced = self._lived() >= self._refresh_at
        try:
            report = self._turn(forced)
        except NhagentError as error:
            self._rest_after(error, error)
            return
        if report.error is not None:
            self._rest_after(report.error, report)
        else:
            self._went_well(report, forced=forced)

    def _is_the_end(self, raised: BaseException) -> bool:
        """Whether it was raised to end all of this: by `wait`, or by a signal, which the main thread gets."""
        if raised is self._ending:
            return True
        return not is_failure(raised) and current_thread() is main_thread()

    def _rest_after_fault(self, fault: BaseException) -> None:
        """A rest as after a fault of ours; what the rest itself needs may be what failed."""
        from nhagent.redaction import in_prose

        _log.error("a fault, in nhagent or in the app's clock (%s); tried again", in_prose(fault))
        try:
            self._rest_after(_Unforeseen(f"a fault: {in_prose(fault)}"))
        except BaseException as again:
            if self._is_the_end(again):
                raise
            self._rest(backoff.LOCAL_SECONDS)

    def _went_well(self, report: Report, *, forced: bool) -> None:
        self._tries.succeeded()
        if forced or report.next_attempt != self._due:  # the whole was written: its age begins anew
            self._due, self._refresh_at = report.next_attempt, self._lived() + self._interval()
        if report.calls_for_verification:
            self._verify_at = self._lived() + backoff.verify_after(self._random())
            self._looks_again = False
        least = SOON_SECONDS if report.requests else IDLE_SECONDS
        self._told(report, max(least, self._left()))
        # The first poke after a rest is obeyed at once; who pokes whenever it has looked makes no busy loop.
        self._hurried = min(self._hurried, 1)
        before = self._lived()
        if self._rest_until_due(least):
            self._hold_on(before + SOON_SECONDS * self._hurried)

    def _rest_after(self, error: NhagentError, came_to: Report | NhagentError | None = None) -> None:
        """Wait as long as an error asks for, or until somebody asks for a turn."""
        pause = pause_after(error, self._tries, self._random)
        self._told(came_to or error, pause)
        began, is_over = self._lived(), _passed_by(self._clock, pause)
        while (left := began + pause - self._lived()) > 0 and not is_over():
            if self._rest(left):
                # Whoever pokes at every failure waits longer each time, as after failures without a poke.
                least = min(pause, backoff.FAULT_LIMIT_SECONDS, SOON_SECONDS * 2.0 ** min(self._hurried, 32))
                self._hold_on(began + least)
                return
        self._hurried = 0
        # Over by the wall clock alone, it may have been set: what the hub asked for still holds.
        self._tries.waited(pause - max(0.0, left))

    def _hold_on(self, until: float) -> None:
        """After a poke: wait for the least that must lie between two turns, whoever pokes meanwhile."""
        self._hurried += 1
        while (left := until - self._lived()) > 0:
            self._rest(left)

    def _rest_until_due(self, least: float) -> bool:
        """Wait until a refresh is due by the wall clock or by uptime, or until poked; verify on the way.

        Returns:
            Whether somebody poked.
        """
        while True:
            if self._rest(max(least, self._left())):
                return True
            looks = self._verify_at is not None and self._lived() >= self._verify_at
            if looks and self._verified_drift():
                return False
            if self._lived() >= self._refresh_at or (self._due is not None and self._clock() >= self._due):
                return False

    def _left(self) -> float:
        """Seconds until something is due."""
        left = self._refresh_at - self._lived()
        if self._due is not None:
            left = min(left, (self._due - self._clock()).total_seconds())
        if self._verify_at is not None:
            left = min(left, self._verify_at - self._lived())
        return left

    def _verified_drift(self) -> bool:
        """Look; a look that failed is made once more, as late as the first one, or as its error asks for."""
        self._verify_at, is_first, self._looks_again = None, not self._looks_again, False
        try:
            return self._verify()
        except NhagentError as error:
            _log.info("not verified: %s", error)
            if is_first:
                self._looks_again = True
                pause = max(backoff.delay(error, 0, self._random()), backoff.verify_after(self._random()))
                self._verify_at = self._lived() + pause
            return False

    def _rest(self, seconds: float) -> bool:
        """Wait, but not for long at once: a clock that jumped is then seen soon. Whether somebody poked."""
        try:
            return self._wait(min(seconds, backoff.LONGEST_WAIT_SECONDS))
        except BaseException as ending:
            self._ending = ending
            raise


class _Unforeseen(NhagentError):
    """What must not end the thread: a fault of ours or of the app's."""

    curve = Curve.LOCAL
