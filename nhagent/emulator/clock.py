"""The emulator's clock, and the three ways in which the service writes and reads a time."""

from __future__ import annotations

import re
import time
from datetime import UTC, datetime, timedelta, timezone
from email.utils import formatdate
from functools import lru_cache

NEVER = "9999-12-31T23:59:59.9999999Z"

# Every form that a shipped client sends: without seconds, with up to seven decimals, with or without a zone,
# whose colon may be missing ("2024-05-01T12:20+0200" comes from Android and iOS).
_ISO = re.compile(
    r"(\d{4})-(\d\d)-(\d\d)T(\d\d):(\d\d)(?::(\d\d)(?:\.(\d{1,9}))?)?\s*(?:([Zz])|([+-])(\d\d):?(\d\d))?",
    re.ASCII,
)


class Clock:
    """The machine's time, moved by an offset that tests set."""

    def __init__(self) -> None:
        self._offset = 0.0

    def now(self) -> float:
        """Seconds since 1970, moved."""
        return time.time() + self._offset

    def move(self, offset: float) -> None:
        """Stand `offset` seconds ahead of the machine's time, behind it when negative.

        Raises:
            ValueError: that lies outside the calendar.
        """
        try:
            datetime.fromtimestamp(time.time() + offset, UTC)
        except (OverflowError, OSError, ValueError) as error:
            raise ValueError(f"An offset of {offset} seconds leaves the calendar.") from error
        self._offset = offset


def http_date(seconds: float) -> str:
    """The Date header's form."""
    return _http_date(int(seconds))


@lru_cache(maxsize=1)  # a busy second asks for it a thousand times
def _http_date(seconds: int) -> str:
    return formatdate(seconds, usegmt=True)


def error_time(seconds: float) -> str:
    """The form inside error details: `11/7/2018 12:18:37 AM`, UTC, no zeros before month, day and hour."""
    at = datetime.fromtimestamp(seconds, UTC)
    half = "AM" if at.hour < 12 else "PM"
    return f"{at.month}/{at.day}/{at.year} {at.hour % 12 or 12}:{at:%M:%S} {half}"


def utc_iso(text: str) -> str:
    """A client's time as the service gives it back: UTC, seven decimals, `Z`. No zone means UTC.

    Raises:
        ValueError: `text` is no time.
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
