"""What stands in the way, how often it was met, and when the next attempt may be made.

A failure is decided once, when it is met: its delay is drawn, and the moment before which nothing is sent is
the same in the report, in the status, on disk, and in the report of the next process. What a hub asked for
outlives a restart: a device in a reboot loop does not hammer the hub, and one whose key is refused says so.
"""

from __future__ import annotations

import sys
import threading
import time
from datetime import datetime, timedelta

from nhagent.curves import Curve
from nhagent.device.state import RetryState
from nhagent.errors import CredentialError, HeldBack, HubError, StateError
from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS
from nhagent.interruption import check
from nhagent.logs import Log
from nhagent.retry import backoff
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from nhagent.device.store import Store
    from nhagent.errors import NhagentError

NOTE_SECONDS: Final = 1.0
"""How long the lock is waited for to write a failure down."""
NEGLIGIBLE_SECONDS: Final = 0.001
"""A shorter rest of a wait counts as over: a sum of sleeps is not exact."""
_OUTLIVES: Final = (Curve.THROTTLE, Curve.BLOCKED)
"""The curves whose failures are remembered across restarts."""


def uptime() -> float:
    """Give the seconds since some start, those of a sleeping machine included where the system tells them."""
    if sys.platform == "linux":
        return time.clock_gettime(time.CLOCK_BOOTTIME)
    return time.monotonic()


_log = Log(__name__)


class _Wait(Value):
    """A retry state that is waited for in this process.

    Attributes:
        state: what is waited for.
        found: the state as read from disk, if its times had to be corrected.
        seconds: how long, from then on.
        began: the uptime when it began.
        slept: the seconds slept in all when it began.
        is_own: this process met the failure, so that only its own time counts, and no wall clock.
    """

    state: RetryState
    found: RetryState
    seconds: float
    began: float
    slept: float
    is_own: bool


class _Latest(threading.local):
    """The latest failure of a thread.

    Attributes:
        wait: what is waited for after it.
        pause: seconds from it to the next attempt.
    """

    wait: _Wait | None = None
    pause: float = backoff.LOCAL_SECONDS


class Retries:
    """Decides when the next attempt may be made, and remembers it: on disk where a restart must know it.

    Args:
        store: the device's files.
        clock: gives the time, aware.
        random: gives a number from 0 to 1.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime], random: Callable[[], float]) -> None:
        self._store = store
        self._clock = clock
        self._random = random
        self._failures: dict[Curve, int] = {}
        self._stored: RetryState | None = None
        self._recalled: RetryState | None = None
        self._latest = _Latest()
        self._held: _Wait | None = None  # for what is on disk
        self._slept = 0.0  # by sleeps that were injected, and returned at once

    @property
    def pause(self) -> float:
        """Seconds from the latest failure of this thread to its next attempt."""
        return self._latest.pause

    def load(self, stored: RetryState | None) -> None:
        """Take over what is on disk."""
        self._stored = stored

    def check(self, stored: RetryState | None) -> None:
        """Hold back what it is not time for yet.

        Args:
            stored: what is on disk.

        Raises:
            HeldBack: the time that the hub asked for is not over.
        """
        if stored is None or stored.curve == Curve.BLOCKED.value or not stored.binds:
            return
        if self._held is None or stored not in (self._held.state, self._held.found):
            self._held = self._taken_over(stored)
        self._held = self._dated_again(self._held)
        self._hold_back(self._held, f"{stored.kind} was the hub's last answer, and its time is not over")

    def settled(self, stored: RetryState | None) -> None:
        """Nothing had to be sent: strike out what stood in the way, or say, once, that the hub refused.

        Args:
            stored: what is on disk.
        """
        if stored is not None and not stored.binds:
            self.write_down(None)
        elif stored is not None and stored.curve == Curve.BLOCKED.value and stored != self._recalled:
            self._recalled = stored
            _log.warning(
                "nothing had to be sent; the last attempt to send ended with %s, and whether the hub would "
                "answer otherwise now is not known: run nhagent doctor, or refresh",
                stored.kind,
            )

    def check_spread(self, spread: timedelta, identity: str) -> None:
        """Hold back a device whose turn after the boot has not come.

        Args:
            spread: over how long after their boot a fleet's first requests are spread.
            identity: gives this device its place in that, the same every time.

        Raises:
            HeldBack: it is not its turn yet.
        """
        if not spread:
            return
        left = spread.total_seconds() * backoff.slot(identity) - uptime() - self._slept
        if left > 0:
            now = self._clock()
            state = RetryState("HeldBack", 0, _after(now, left), Curve.FAULT.value, now)
            wait = self._beginning(state, left, is_own=True)
            self._hold_back(wait, "startup_spread: this device's turn after the boot has not come")

    def decide(self, error: NhagentError) -> RetryState:
        """Record a failure, where it is met: draw when the next attempt may be made.

        A `HeldBack` is not a new failure: the earlier one is given back.

        Args:
            error: why the attempt failed.

        Returns:
            What is to be remembered of it.
        """
        latest = self._latest
        if latest.wait is not None and isinstance(error, HeldBack):
            return latest.wait.state
        # Whoever waits needs a pause, also where the app's own random or clock is what fails.
        latest.pause = backoff.LOCAL_SECONDS
        before = self._failures_before(error)
        latest.pause = seconds = backoff.delay(error, before, self._random())
        now = self._clock()
        binds = self._binds(error)
        state = RetryState(
            type(error).__name__, before + 1, _after(now, seconds), error.curve.value, now, binds
        )
        self._failures[error.curve] = state.failures
        latest.wait = self._beginning(state, seconds, is_own=True)
        return state

    def must_be_on_disk(self, error: NhagentError, state: RetryState) -> bool:
        """Whether a failure is written down: it says when to come back, or something new of the device.

        Args:
            error: why the attempt failed.
            state: what `decide` made of it.
        """
        if isinstance(error, HeldBack | StateError):
            return False
        if (not state.binds or error.curve is Curve.BLOCKED) and not self._store.is_begun:
            return False  # nothing was written yet, and nothing is for this
        stored = self._stored
        is_known = stored is not None and stored.kind == state.kind
        return state.binds or not (is_known or self._hides_a_hold(state, stored))

    @staticmethod
    def _binds(error: NhagentError) -> bool:
        """Whether it says when to come back, or that a person must act."""
        if not isinstance(error, HubError | CredentialError):
            return False
        return error.curve in _OUTLIVES or getattr(error, "retry_after", None) is not None

    def record(self, error: NhagentError) -> RetryState:
        """Record a failure, and write down what must outlive a restart. Not under the lock.

        Args:
            error: why the attempt failed.

        Returns:
            What is to be remembered of it.
        """
        state = self.decide(error)
        if self.must_be_on_disk(error, state):
            self.write_down(state)
        return state

    def write_down(self, state: RetryState | None) -> None:
        """Write down what stands in the way, or that nothing does, if that can be done at once."""
        check()  # what a thread that was told to stop has met is of its own making
        try:
            with self._store.lock(NOTE_SECONDS):
                stored = self._store.load().state.retry
                if state is None and stored is not None and stored.binds:
                    return  # another process has met it since
                if state is not None and self._hides_a_hold(state, stored):
                    return
                self._store.note(state)
        except StateError:  # what stands in the way itself is told
            return
        if state is not None:
            self.written_down(state)

    def _hides_a_hold(self, state: RetryState, stored: RetryState | None) -> bool:
        """Whether a lesser failure would make the device forget that the hub asked for time, or refused."""
        if stored is None or not stored.binds:
            return False
        if stored.curve == Curve.BLOCKED.value:
            return not state.binds
        is_own = state.kind == CredentialError.__name__ or not state.binds
        return is_own and stored.not_before > self._clock()

    def written_down(self, state: RetryState) -> None:
        """Take over a retry state that is now on disk."""
        self._stored = state
        wait = self._latest.wait
        if wait is not None and wait.state == state:
            self._held = wait

    def slept(self, seconds: float, took: float) -> None:
        """Record a sleep. An injected one returns at once, so that the uptime does not show it.

        Args:
            seconds: how long was slept, as asked.
            took: how long it took by the uptime.
        """
        if took < seconds / 2:
            self._slept += seconds

    def succeeded(self) -> None:
        """Forget what stood in the way."""
        self._failures.clear()
        self._stored = self._latest.wait = None

    def _failures_before(self, error: NhagentError) -> int:
        """How many consecutive attempts have failed on this error's curve, before this one."""
        stored = self._stored
        counts = stored is not None and stored.binds and stored.curve == error.curve.value
        on_disk = stored.failures if stored is not None and counts else 0
        return max(on_disk, self._failures.get(error.curve, 0))

    def _beginning(
        self, state: RetryState, seconds: float, *, is_own: bool, found: RetryState | None = None
    ) -> _Wait:
        return _Wait(state, found or state, seconds, uptime(), self._slept, is_own)

    def _taken_over(self, found: RetryState) -> _Wait:
        """Begin to wait for what another process was told.

        Where the clock was set back, what is on disk lies in the future, and would do so at every start until
        that day has come: its times are corrected, once.
        """
        now = self._clock()
        seconds = (found.not_before - max(now, found.met_at)).total_seconds()
        seconds = max(0.0, min(seconds, backoff.LONGEST_PAUSE_SECONDS))
        stored = found
        if (found.not_before - now).total_seconds() > seconds:
            stored = found.changed(met_at=now, not_before=now + timedelta(seconds=seconds))
            self.write_down(stored)
        return self._beginning(stored, seconds, is_own=False, found=found)

    def _dated_again(self, wait: _Wait) -> _Wait:
        """Correct the moment until which is waited, where the clock was set meanwhile."""
        left, now = self._left_of(wait), self._clock()
        off = (wait.state.not_before - now).total_seconds() - left
        if left < NEGLIGIBLE_SECONDS or abs(off) <= CLOCK_TOLERANCE_SECONDS:
            return wait
        state = wait.state.changed(met_at=now, not_before=_after(now, left))
        self.write_down(state)
        return wait.changed(state=state, found=state)

    def _left_of(self, wait: _Wait) -> float:
        """Seconds until a wait is over."""
        left = wait.seconds - max(uptime() - wait.began, self._slept - wait.slept)
        return left if wait.is_own else min(left, (wait.state.not_before - self._clock()).total_seconds())

    def _hold_back(self, wait: _Wait, why: str) -> None:
        left = self._left_of(wait)
        if left < NEGLIGIBLE_SECONDS:
            return
        self._latest.wait, self._latest.pause = wait, max(left, backoff.FAULT_SECONDS)
        raise HeldBack(
            f"{why}: nothing is sent for {left:.0f} s",
            "wait: nhagent goes on by itself",
            retry_after=left,
            not_before=wait.state.not_before,
        )


def _after(now: datetime, seconds: float) -> datetime:
    try:
        return now + timedelta(seconds=seconds)
    except OverflowError:  # a clock at the end of the calendar
        return datetime.max.replace(tzinfo=now.tzinfo)
