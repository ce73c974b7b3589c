"""Times as hubs and HTTP write them."""

from __future__ import annotations

import re
from datetime import UTC, datetime


def read_moment(text: str | None) -> datetime | None:
    """Read a time in any form that the service, its SDKs and its documentation write.

    With a fraction of 3 or 7 digits or none, without seconds, with ``Z``, ``+01:00``, ``+0000``, or no zone
    (UTC).

    Returns:
        The time, aware; None where there is none, or for the service's year 9999, which means never.

    Raises:
        ValueError: it is no time.
    """
    if not text or text.startswith("9999"):
        return None
    moment = datetime.fromisoformat(text)
    try:
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except OverflowError as error:
        raise ValueError(f"{text} is beyond the calendar") from error


def read_http_date(text: str | None) -> datetime | None:
    """Read an HTTP date; None where there is none that makes sense."""
    if not text:
        return None
    from email.utils import parsedate_to_datetime

    try:
        moment = parsedate_to_datetime(text)
        return (moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)).astimezone(UTC)
    except (ValueError, TypeError, OverflowError):
        return None


def read_retry_after(text: str | None, now: datetime) -> float | None:
    """Read a Retry-After in either form, whole or broken seconds or an HTTP date, as seconds from now."""
    if not text:
        return None
    if re.fullmatch(r"\d{1,99}(\.\d{1,99})?", text.strip(), re.ASCII):
        return float(text)
    moment = read_http_date(text)
    return None if moment is None else max(0.0, (moment - now).total_seconds())
