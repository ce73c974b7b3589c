"""The hub's clock, as far as this process has seen it: what tokens are signed by, and records dated by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic

from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS
from nhagent.logs import Log

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

CORRECTED: Final = timedelta(minutes=5)
"""Within this of the hub's time, a clock that was wrong counts as corrected."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

_log = Log(__name__)


class HubClock:
    """Tells the hub's time from ours and from what its replies have shown.

    Args:
        clock: gives our time, aware.
    """

    def __init__(self, clock: Callable[[], datetime]) -> None:
        self._clock = clock
        self._offset = timedelta()
        self._followed, self._followed_at = _NEVER, 0.0
        self._seen: float | None = None

    def observe(self, skew: float | None) -> None:
        """Take over what a connection has seen.

        Args:
            skew: seconds that the hub's clock was ahead of `signing_time` at the last reply; None: no reply.
        """
        self._seen = skew

    @property
    def skew(self) -> float | None:
        """Seconds that the hub's clock was ahead of ours at the last reply; None before one."""
        return None if self._seen is None else self._seen + self._offset.total_seconds()

    @property
    def ahead(self) -> int:
        """The whole seconds by which the hub's clock is ahead of ours; 0 where the two are close."""
        skew = self.skew
        return 0 if skew is None or abs(skew) <= CLOCK_TOLERANCE_SECONDS else round(skew)

    def now(self) -> datetime:
        """The time by the hub's clock, as far as it was seen; else by ours."""
        if self._seen is None and not self._offset:
            return self._clock()
        skew = self.skew
        if skew is None or abs(skew) <= CLOCK_TOLERANCE_SECONDS:
            return self.signing_time()
        return self._clock() + timedelta(seconds=skew)

    def signing_time(self) -> datetime:
        """The time by our clock, or by the hub's where a token signed by ours was refused."""
        ours = self._clock()
        if self._offset and abs(ours - self._hub_time()) <= CORRECTED:
            self._offset = timedelta()  # somebody has set our clock since
        return ours + self._offset

    @property
    def explains_refusal(self) -> bool:
        """Whether the skew that was seen is a reason for the hub to refuse a token."""
        return self._seen is not None and abs(self._seen) > CLOCK_TOLERANCE_SECONDS

    def follow(self) -> None:
        """Sign by the hub's clock from now on.

        It can be believed: its ``Date`` came over verified TLS, or from this machine itself.
        """
        assert self._seen is not None
        side = "behind" if self._seen > 0 else "ahead of"
        _log.warning(
            "this device's clock is %.0f s %s the hub's, by which is signed now", abs(self._seen), side
        )
        self._offset += timedelta(seconds=self._seen)
        self._followed, self._followed_at = self._clock() + self._offset, monotonic()

    def forget_connection(self) -> None:
        """Forget what the last connection showed; drop the offset once our clock is right."""
        skew = self.skew
        if skew is not None and abs(skew) <= CLOCK_TOLERANCE_SECONDS:
            self._offset = timedelta()  # ours is right by now
        self._seen = None

    def _hub_time(self) -> datetime:
        """What the hub's clock shows by now, going by how long this machine has run since it was followed."""
        return self._followed + timedelta(seconds=monotonic() - self._followed_at)
