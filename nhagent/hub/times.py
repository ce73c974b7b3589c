"""Read times as hubs and HTTP write them."""

from __future__ import annotations

from datetime import UTC, datetime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CLOCK_TOLERANCE_SECONDS: Final = 60.0
"""Two clocks that differ by at most this many seconds count as equal: so little explains no refused token."""

FIRST_YEAR: Final = 2000
LAST_YEAR: Final = 9000
"""A date outside these years tells no time: durations are added to it, and there was no hub before."""
_NEVER: Final = "9999"  # the year by which the service says that a record does not expire
_MAX_DIGITS: Final = 99
_MAX_DATE_CHARACTERS: Final = 200


def read_moment(text: str | None) -> datetime | None:
    """Read a time in any form that the service, its SDKs and its documentation write.

    With a fraction of 3 or 7 digits or none, without seconds, with ``Z``, ``+01:00``, ``+0000``, or no zone
    (UTC).

    Args:
        text: an ISO 8601 timestamp, or None or empty where there is none.

    Returns:
        The time, aware, in UTC; None where there is none, or for the service's year 9999, which means never.

    Raises:
        ValueError: not an ISO 8601 timestamp.
    """
    if not text or text.startswith(_NEVER):
        return None
    moment = datetime.fromisoformat(text)
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is beyond the calendar") from error


def read_http_date(text: str | None) -> datetime | None:
    """Read a time as HTTP headers have it.

    Args:
        text: the header's value, or None where there is no such header.

    Returns:
        The time, aware, in UTC; None where there is none, or an invalid one.
    """
    if not text or len(text) > _MAX_DATE_CHARACTERS:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        moment = (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None
    return moment if FIRST_YEAR <= moment.year <= LAST_YEAR else None


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After in either form: seconds, whole or with a fraction, or an HTTP date.

    Args:
        text: the header's value, or None where there is no such header.
        now: the hub's time, aware, from which a date is counted.

    Returns:
        Seconds from now, at least 0; None where there is none, or an invalid one.
    """
    if not text:
        return None
    number = text.strip()
    if _is_number(number):
        return float(number)  # which takes other characters for blanks than strip does
    moment = read_http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())


def _is_number(text: str) -> bool:
    whole, point, fraction = text.partition(".")
    parts = (whole, fraction) if point else (whole,)
    return all(part.isascii() and part.isdecimal() and len(part) <= _MAX_DIGITS for part in parts)
