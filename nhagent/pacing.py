"""When to try again. Pure: an error, how often it was tried, and a random number in; seconds out."""

from __future__ import annotations

from typing import Final

from nhagent.errors import Curve, HubError, NhagentError

FAULT_SECONDS: Final = 1.0
FAULT_LIMIT_SECONDS: Final = 300.0
THROTTLE_SECONDS: Final = 60.0
THROTTLE_LIMIT_SECONDS: Final = 3600.0
LOCAL_SECONDS: Final = 60.0
LOCAL_LIMIT_SECONDS: Final = 900.0
RETRY_AFTER_LIMIT_SECONDS: Final = 3600.0
RETRY_AFTER_JITTER: Final = 0.2

_CURVES: Final = {
    Curve.FAULT: (FAULT_SECONDS, FAULT_LIMIT_SECONDS),
    Curve.THROTTLE: (THROTTLE_SECONDS, THROTTLE_LIMIT_SECONDS),
    Curve.LOCAL: (LOCAL_SECONDS, LOCAL_LIMIT_SECONDS),
}


def delay(error: NhagentError, attempt: int, random: float) -> float:
    """Seconds to wait before the next try.

    Args:
        error: why the last try failed.
        attempt: how many tries have failed before that one.
        random: a number from 0 to 1, drawn for this wait.

    Returns:
        The hub's Retry-After, capped and with a little added so that a fleet does not come back as one; else
        what doubles with every try, give or take half of it.
    """
    if isinstance(error, HubError) and error.retry_after is not None:
        asked = min(error.retry_after, RETRY_AFTER_LIMIT_SECONDS)
        return asked * (1 + RETRY_AFTER_JITTER * random)
    first, limit = _CURVES[error.curve]
    grown = min(limit, first * 2.0 ** min(attempt, 32))
    return grown * (0.5 + random)
