"""What a restart must not make forgotten: that the hub asked for time, and how often it did.

A device that reboots in a loop is then no attack, and one whose key is refused says so.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Final

from nhagent.device.state import Trouble
from nhagent.device.store import Store
from nhagent.errors import CredentialError, Curve, HeldBack, HubError, NhagentError, StateError
from nhagent.retry import backoff
from nhagent.retry.loop import Counted, uptime

NOTE_SECONDS: Final = 1.0
_OUTLIVES: Final = {Curve.THROTTLE, Curve.BLOCKED}
"""The curves whose failures are remembered across restarts."""


class DurableTries:
    """`nhagent.retry.loop.Tries` of a device, as far as need be on its disk.

    Args:
        store: the device's files.
        clock: gives the time, aware.
    """

    def __init__(self, store: Store, clock: Callable[[], datetime]) -> None:
        self._store = store
        self._clock = clock
        self._counted = Counted()
        self._trouble: Trouble | None = None
        self._own: Trouble | None = None
        self._found: Trouble | None = None
        self._held: Trouble | None = None  # what is waited for: so long, from then on, so much of it slept
        self._pause = 0.0
        self._since = 0.0
        self._waited = 0.0
        self._waited_in_all = 0.0

    def recall(self, trouble: Trouble | None) -> None:
        """Take over what is on disk."""
        self._trouble = trouble

    def check(self, trouble: Trouble | None, spread: timedelta = timedelta(), seed: str = "") -> None:
        """Hold back what it is not time for yet.

        Args:
            trouble: what stood in the way last.
            spread: over how long after their boot a fleet's first requests are spread.
            seed: what gives this device its place in that, the same every time.

        Raises:
            HeldBack: it is not time yet.
        """
        if trouble is not None and trouble.curve != Curve.BLOCKED.value:
            left = self._left(trouble)
            if left > 0:
                raise HeldBack(
                    f"{trouble.kind} was the hub's last answer, and its time is not over: nothing is sent "
                    f"for {left:.0f} s",
                    retry_after=left,
                )
        left = 0.0
        if spread:  # it begins with the boot
            left = spread.total_seconds() * backoff.slot(seed) - uptime() - self._waited_in_all
        if left > 0:
            raise HeldBack(
                f"startup_spread: this device's turn after the boot comes in {left:.0f} s", retry_after=left
            )

    def _left(self, trouble: Trouble) -> float:
        """Seconds until the next try may be made."""
        now = self._clock()
        if trouble not in {self._held, self._found}:
            self._found = trouble
            trouble = self._taken_over(trouble, now)
        # An injected sleep takes none of it.
        left = self._pause - max(uptime() - self._since, self._waited)
        by_the_clock = (trouble.until - now).total_seconds()
        return min(left, by_the_clock) if trouble != self._own else left

    def _taken_over(self, trouble: Trouble, now: datetime) -> Trouble:
        """Begin to wait for what another process was told.

        Where the clock was set back, what is on disk lies in the future, and would do so at every start until
        that day has come: it is reckoned anew, once.
        """
        pause = (trouble.until - max(now, trouble.at)).total_seconds()
        pause = max(0.0, min(pause, backoff.LONGEST_PAUSE_SECONDS))
        if (trouble.until - now).total_seconds() > pause:
            trouble = replace(trouble, at=now, until=now + timedelta(seconds=pause))
            self._note(trouble)
        self._hold(trouble, pause)
        return trouble

    def _hold(self, trouble: Trouble, pause: float) -> None:
        self._held = trouble
        self._pause, self._since, self._waited = pause, uptime(), 0.0

    def before(self, error: NhagentError) -> int:
        """How many tries in a row have failed on this error's curve, before this one."""
        trouble = self._trouble
        on_disk = trouble.tries if trouble is not None and trouble.curve == error.curve.value else 0
        return max(on_disk, self._counted.before(error))

    def failed(self, error: NhagentError, tries: int, pause: float) -> None:
        """Count a failure; one that a restart must not make forgotten is written down, if it can be."""
        self._counted.failed(error, tries, pause)
        told_when = isinstance(error, HubError) and error.retry_after is not None
        if not told_when and error.curve not in _OUTLIVES:
            return
        if not isinstance(error, HubError | CredentialError):
            return
        if error.curve is Curve.BLOCKED and not self._store.is_begun:
            return  # nothing was written yet, and nothing is for this
        now = self._clock()
        try:
            until = now + timedelta(seconds=pause)
        except OverflowError:  # a clock at the end of all years
            return
        trouble = Trouble(type(error).__name__, error.curve.value, now, tries, until)
        if self._note(trouble):
            self._own = trouble
            self._hold(trouble, pause)

    def _note(self, trouble: Trouble) -> bool:
        """Write it down if that can be; whether it was."""
        try:
            with self._store.lock(NOTE_SECONDS):
                self._store.note(trouble)
        except StateError:  # what stands in the way itself is told
            return False
        self._trouble = trouble
        return True

    def waited(self, seconds: float) -> None:
        """So long was waited, as asked."""
        self._waited += seconds
        self._waited_in_all += seconds

    def succeeded(self) -> None:
        """Nothing stands in the way any more."""
        self._counted.succeeded()
        self._trouble = None
