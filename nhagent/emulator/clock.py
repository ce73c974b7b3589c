"""The emulator's clock, and the three forms in which the service writes a time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
from functools import lru_cache

from nhagent.emulator.changes import Changes

NEVER = "9999-12-31T23:59:59.9999999Z"
"""The expiration time of what does not expire."""

_NOON_HOUR = 12
LAST_SECOND = 253_402_300_799.0
"""The end of the year 9999, seconds since 1970: the last time that can be written."""

# Every form that a shipped client sends: without seconds, with up to seven decimals, with or without a zone,
# whose colon may be missing ("2024-05-01T12:20+0200" comes from Android and iOS).
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)


class Clock:
    """The machine's time plus an offset that tests set.

    Args:
        changes: told when it is moved.
    """

    def __init__(self, changes: Changes | None = None) -> None:
        self._changes = changes or Changes()
        self._offset = 0.0

    @property
    def offset(self) -> float:
        """Seconds that it is ahead of the machine's, behind when negative."""
        return self._offset

    def now(self) -> float:
        """Return the time, seconds since 1970. At the calendar's end it stands still."""
        return min(time.time() + self._offset, LAST_SECOND)

    def move(self, offset: float) -> None:
        """Set the offset to the machine's time.

        Args:
            offset: seconds ahead, behind when negative.

        Raises:
            ValueError: the time would lie outside the calendar.
        """
        try:
            datetime.fromtimestamp(time.time() + offset, UTC)
        except (OverflowError, OSError, ValueError) as error:
            raise ValueError(f"An offset of {offset} seconds leaves the calendar.") from error
        self._offset = offset
        self._changes.note("faults")


def http_date(seconds: float) -> str:
    """Write a time as the Date header has it.

    Args:
        seconds: since 1970.
    """
    return _http_date(int(seconds))


@lru_cache(maxsize=1)  # needed up to a thousand times within one second
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def iso_time(seconds: float) -> str:
    """Write a time as expiration times are kept: UTC, seven decimals, ``Z``.

    Args:
        seconds: since 1970.
    """
    # Not by strftime, which does not pad a year before 1000.
    return f"{datetime.fromtimestamp(int(seconds), UTC).isoformat()[:19]}.0000000Z"


def error_time(seconds: float) -> str:
    """Write a time as error details have it: ``11/7/2018 12:18:37 AM``, UTC, without leading zeros.

    Args:
        seconds: since 1970.
    """
    at = datetime.fromtimestamp(seconds, UTC)
    half = "AM" if at.hour < _NOON_HOUR else "PM"
    return f"{at.month}/{at.day}/{at.year} {at.hour % _NOON_HOUR or _NOON_HOUR}:{at:%M:%S} {half}"


def seconds_in(text: str) -> float:
    """Read a client's time as seconds since 1970; as `utc_iso`, whole seconds count."""
    return datetime.fromisoformat(utc_iso(text)[:19] + "+00:00").timestamp()


def utc_iso(text: str) -> str:
    """Write a client's time as the service returns it: UTC, seven decimals, ``Z``.

    Args:
        text: an ISO 8601 time; without a zone it is UTC.

    Raises:
        ValueError: not an ISO 8601 time.
    """
    match = _ISO.fullmatch(text.strip())
    if match is None:
        raise ValueError(f"'{text}' is not a valid time.")
    year, month, day, hour, minute, second, decimals, _, sign, zone_hours, zone_minutes = match.groups()
    zone = timedelta(hours=int(zone_hours or 0), minutes=int(zone_minutes or 0))
    local = datetime(  # noqa: DTZ001  the zone follows in the next line
        int(year), int(month), int(day), int(hour), int(minute), int(second or 0)
    )
    try:
        at = local.replace(tzinfo=timezone(-zone if sign == "-" else zone)).astimezone(UTC)
    except OverflowError:
        # 9999-12-31 west of Greenwich lies in the year 10000: still "never".
        if year == "9999":
            return NEVER
        raise ValueError(f"'{text}' is not a valid time.") from None
    return f"{at.isoformat()[:19]}.{(decimals or '')[:7]:0<7}Z"
