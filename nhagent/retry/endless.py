"""Attempts for ever: retries as errors ask for, refreshes when that is due, verifies a first write once."""

from __future__ import annotations

from threading import current_thread, main_thread

from nhagent.curves import Curve
from nhagent.errors import NhagentError, is_failure
from nhagent.interruption import Interrupted
from nhagent.logs import Log
from nhagent.retry import backoff
from nhagent.retry.loop import passed_by
from nhagent.retry.state import uptime
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Final, TypeAlias

    from nhagent.report import Report, Verification
    from nhagent.retry.loop import Failures

    News: TypeAlias = Report | Verification | NhagentError
    """What an attempt, or a look at the hub, came to."""

SOON_SECONDS: Final = 1.0
"""Least time between two attempts in the background."""
EXPIRY_MARGIN: Final = 0.1
"""The part of what is left of a push channel's life at whose beginning its source is asked again."""
MAX_EXPIRY_MARGIN_SECONDS: Final = 86400.0
"""Longest such part."""
IDLE_SECONDS: Final = 60.0
"""Least time between two attempts in the background after one that had nothing to send, whatever is due."""

_log = Log(__name__)


class Work(Value):
    """What is done for ever.

    Attributes:
        attempt: one pass of the device; True: write the whole whatever its age.
        verify: asks the hub whether it holds what it accepted; where it does not, another pass follows.
        interval: gives the seconds after which a refresh is due by uptime alone, whatever the clock says.
        refresh_first: whether the first attempt is a refresh whatever the age.
        told: is given what each attempt and each look at the hub came to, and the seconds until the next.
        expires: gives the seconds until a push channel that was given ends, or None.
    """

    attempt: Callable[[bool], Report]
    verify: Callable[[], Verification]
    interval: Callable[[], float]
    refresh_first: bool
    told: Callable[[News, float], None]
    expires: Callable[[], float | None] = lambda: None


class Time(Value):
    """By what time is told, and waited for.

    Attributes:
        clock: gives the time, aware.
        wait: waits some seconds, or less where somebody asks for an attempt at once: then it gives True.
            Whatever it raises ends all of this.
        lived: gives the seconds that have passed, waits included; nobody can set it back.
        random: gives a number from 0 to 1.
    """

    clock: Callable[[], datetime]
    wait: Callable[[float], bool]
    lived: Callable[[], float]
    random: Callable[[], float]


class Endless:
    """Makes attempts for ever.

    Args:
        work: what is done.
        time: by what time is told, and waited for.
        failures: decides when the next attempt may be made.
    """

    def __init__(self, work: Work, time: Time, failures: Failures) -> None:
        self._work = work
        self._time = time
        self._failures = failures
        self._verify_at: float | None = None
        self._looks_again = False
        self._refresh_at = time.lived() + (0.0 if work.refresh_first else work.interval())
        self._due: datetime | None = None
        self._ending: BaseException | None = None
        self._hurried = 0  # consecutive rests that a poke has shortened

    def run(self) -> None:
        """Run until `Time.wait` raises something, or a signal strikes."""
        while True:
            try:
                self._attempt_and_rest()
            except BaseException as fault:
                if self._is_the_end(fault):
                    raise
                self._rest_after_fault(fault)

    def _attempt_and_rest(self) -> None:
        forced = self._time.lived() >= self._refresh_at
        try:
            report = self._work.attempt(forced)
        except NhagentError as error:
            self._rest_after(error, error)
            return
        if report.error is not None:
            self._rest_after(report.error, report)
        else:
            self._went_well(report, forced=forced)

    def _is_the_end(self, raised: BaseException) -> bool:
        """Whether it was raised to end all of this: by `wait`, or by a signal, which the main thread gets."""
        if raised is self._ending or isinstance(raised, Interrupted):
            return True
        return not is_failure(raised) and current_thread() is main_thread()

    def _rest_after_fault(self, fault: BaseException) -> None:
        """Rest as after a fault of ours; what the rest itself needs may be what failed."""
        from nhagent.redaction import in_prose

        _log.error("a fault, in nhagent or in the app's clock (%s); tried again", in_prose(fault))
        unforeseen = _Unforeseen(
            f"a fault: {in_prose(fault)}", "report it, if it is not in the app's own code"
        )
        try:
            self._failures.decide(unforeseen)
            self._rest_after(unforeseen)
        except BaseException as again:
            if self._is_the_end(again):
                raise
            self._rest(backoff.LOCAL_SECONDS)

    def _went_well(self, report: Report, *, forced: bool) -> None:
        self._failures.succeeded()
        if forced or report.refresh_due != self._due:  # the whole was written: its age begins again
            self._due, self._refresh_at = report.refresh_due, self._time.lived() + self._work.interval()
        if report.calls_for_verification:
            self._verify_at = self._time.lived() + backoff.verify_after(self._time.random())
            self._looks_again = False
        least = SOON_SECONDS if report.requests else IDLE_SECONDS
        self._work.told(report, max(least, min(self._left(), backoff.LONGEST_WAIT_SECONDS)))
        # Obey the first poke after a rest at once; delay further ones, so that they make no busy loop.
        self._hurried = min(self._hurried, 1)
        before = self._time.lived()
        if self._rest_until_due(least):
            self._hold_on(before + SOON_SECONDS * self._hurried)

    def _rest_after(self, error: NhagentError, came_to: Report | NhagentError | None = None) -> None:
        """Wait as long as an error asks for, or until somebody asks for an attempt."""
        pause = self._failures.pause
        self._work.told(came_to or error, pause)
        began, is_over = self._time.lived(), passed_by(self._time.clock, pause)
        while (left := began + pause - self._time.lived()) > 0 and not is_over():
            if self._rest(left):
                # Whoever pokes at every failure waits longer each time, as after failures without a poke.
                most = min(pause, backoff.FAULT_LIMIT_SECONDS)
                self._hold_on(began + backoff.doubled(SOON_SECONDS, self._hurried, most))
                return
        self._hurried = 0

    def _hold_on(self, until: float) -> None:
        """After a poke: wait for the least that must lie between two attempts, whoever pokes meanwhile."""
        self._hurried += 1
        while (left := until - self._time.lived()) > 0:
            self._rest(left)

    def _rest_until_due(self, least: float) -> bool:
        """Wait until it is time to ask the channel sources again, or a refresh is due, or until poked.

        A refresh is due by the wall clock or by uptime. The hub is asked on the way what it holds.

        Returns:
            Whether somebody poked.
        """
        ask_at = self._time.lived() + self._seconds_until_asking()
        while True:
            if self._rest(min(max(least, self._left()), ask_at - self._time.lived())):
                return True
            lived = self._time.lived()
            if self._verify_at is not None and lived >= self._verify_at and self._verified_drift():
                return False
            if self._time.lived() >= min(self._refresh_at, ask_at):
                return False
            if self._due is not None and self._time.clock() >= self._due:
                return False

    def _seconds_until_asking(self) -> float:
        """Seconds until the channel sources are asked again: before a push channel that they gave ends."""
        left = self._work.expires()
        if left is None:
            return backoff.LONGEST_WAIT_SECONDS
        before = min(max(left * EXPIRY_MARGIN, IDLE_SECONDS), MAX_EXPIRY_MARGIN_SECONDS)
        return min(max(left - before, IDLE_SECONDS), backoff.LONGEST_WAIT_SECONDS)

    def _left(self) -> float:
        """Seconds until something is due."""
        left = self._refresh_at - self._time.lived()
        if self._due is not None:
            left = min(left, (self._due - self._time.clock()).total_seconds())
        if self._verify_at is not None:
            left = min(left, self._verify_at - self._time.lived())
        return left

    def _verified_drift(self) -> bool:
        """Verify; repeat a failed verification once, as late as the first one, or as its error asks for."""
        self._verify_at, is_first, self._looks_again = None, not self._looks_again, False
        try:
            found = self._work.verify()
        except NhagentError as error:
            _log.info("not verified: %s", error)
            if is_first:
                self._looks_again = True
                pause = max(self._failures.pause, backoff.verify_after(self._time.random()))
                self._verify_at = self._time.lived() + pause
            return False
        least = SOON_SECONDS if found.in_sync else 0.0
        self._work.told(found, max(least, min(self._left(), backoff.LONGEST_WAIT_SECONDS)))
        return not found.in_sync

    def _rest(self, seconds: float) -> bool:
        """Wait, but not for long at once: a clock that jumped is then seen soon. Whether somebody poked."""
        lived, began = self._time.lived(), uptime()
        try:
            return self._time.wait(min(seconds, backoff.LONGEST_WAIT_SECONDS))
        except BaseException as ending:
            self._ending = ending
            raise
        finally:
            self._failures.slept(self._time.lived() - lived, uptime() - began)


class _Unforeseen(NhagentError):
    """What must not end the thread: a fault of ours or of the app's."""

    curve = Curve.LOCAL
