"""When to retry: from an error, how often it was met, and a random number to seconds. Pure.

A device that is alone must not wait long, and a fleet must not come back as one. Transient faults are retried
after about a second, growing. A device that is throttled without being told when to come back takes a random
moment of the next minutes: all of a fleet are told so within the same seconds, and a hub that takes a
three-hundredth of them each second has then taken nearly all by the end of it. The constants come out of
``examples/fleet_simulation.py``.
"""

from __future__ import annotations

from nhagent.curves import Curve
from nhagent.errors import HubError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

    from nhagent.errors import NhagentError

FAULT_SECONDS: Final = 1.0
"""First delay after a transient fault, and the shortest Retry-After that is obeyed."""
FAULT_LIMIT_SECONDS: Final = 300.0
"""Longest delay after transient faults, before jitter."""
LOCAL_SECONDS: Final = 60.0
"""First delay where something on this device must change first."""
LOCAL_LIMIT_SECONDS: Final = 900.0
"""Longest such delay, before jitter."""
BLOCKED_SECONDS: Final = 3600.0
"""First delay where a person must change something."""
BLOCKED_LIMIT_SECONDS: Final = 86400.0
"""Longest such delay, before jitter."""
THROTTLE_LEAST_SECONDS: Final = 25.0
"""Shortest delay after throttling without Retry-After."""
THROTTLE_SPREAD_SECONDS: Final = 360.0
"""First range within which a throttled fleet's next requests are spread."""
THROTTLE_LIMIT_SECONDS: Final = 3600.0
"""Largest such range."""
RETRY_AFTER_LIMIT_SECONDS: Final = 3600.0
"""Longest Retry-After that is obeyed as it is."""
RETRY_AFTER_JITTER: Final = 0.2
"""Largest part of a Retry-After that is added to it."""
RETRY_AFTER_TRIES: Final = 3
"""Replies with Retry-After that are obeyed before a spread is added: the hub then counts on fewer devices."""
LONGEST_PAUSE_SECONDS: Final = RETRY_AFTER_LIMIT_SECONDS + THROTTLE_LIMIT_SECONDS
"""Longest delay that a hub can bring about; a stored one is believed up to here."""
REFRESH_SLOTS: Final = 0.1
"""Part of the refresh interval over which a fleet's refreshes are spread."""
VERIFY_SECONDS: Final = 300.0
"""Mean delay between a write and the look whether the hub has kept it."""
LONGEST_WAIT_SECONDS: Final = 900.0
"""Longest single sleep; the clock is looked at in between, since laptops sleep."""
MAX_DOUBLINGS: Final = 32
"""Consecutive failures after which a delay is not doubled any more; every limit is reached long before."""

_GROWING: Final = {
    Curve.FAULT: (FAULT_SECONDS, FAULT_LIMIT_SECONDS),
    Curve.LOCAL: (LOCAL_SECONDS, LOCAL_LIMIT_SECONDS),
    Curve.BLOCKED: (BLOCKED_SECONDS, BLOCKED_LIMIT_SECONDS),
}


def delay(error: NhagentError, failures: int, random: float) -> float:
    """Give the seconds to wait before the next attempt.

    Args:
        error: why the last attempt failed.
        failures: how many consecutive attempts had failed on the same curve before that one.
        random: a number from 0 to 1, drawn for this wait.

    Returns:
        The hub's Retry-After, at least a second, capped, with a little added; after throttling without one
        some time within a spread that doubles with every failure; else what doubles with every failure, give
        or take half of it.
    """
    if isinstance(error, HubError) and error.retry_after is not None:
        asked = min(max(error.retry_after, FAULT_SECONDS), RETRY_AFTER_LIMIT_SECONDS)
        if failures < RETRY_AFTER_TRIES:
            return asked * (1 + RETRY_AFTER_JITTER * random)
        return asked + _spread(failures - RETRY_AFTER_TRIES, random)
    if error.curve is Curve.THROTTLE:
        return THROTTLE_LEAST_SECONDS + _spread(failures, random)
    first, limit = _GROWING[error.curve]
    return doubled(first, failures, limit) * (0.5 + random)


def doubled(first: float, times: int, limit: float) -> float:
    """Double a delay so many times, up to a limit in seconds."""
    return min(limit, first * 2.0 ** min(times, MAX_DOUBLINGS))


def slot(identity: str) -> float:
    """Give a device's own place, from 0 to 1, in whatever a fleet is spread over: the same every time."""
    from nhagent.hashes import blake2b

    digest = blake2b(identity.encode(), digest_size=8, person=b"nhagent slot").digest()
    return int.from_bytes(digest, "big") / 2**64


def refresh_lag(interval: float, identity: str) -> float:
    """Give the seconds after the due time at which a device refreshes in the background."""
    return REFRESH_SLOTS * interval * slot(identity)


def verify_after(random: float) -> float:
    """Give the seconds from a write to its one verification: a hub accepts before it has written."""
    return VERIFY_SECONDS * (0.5 + random)


def _spread(failures: int, random: float) -> float:
    return doubled(THROTTLE_SPREAD_SECONDS, failures, THROTTLE_LIMIT_SECONDS) * random
