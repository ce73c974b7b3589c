"""When to try, and to try again. Pure: an error, how often it was met, and a random number in; seconds out.

A device that is alone must not wait long, and a fleet must not come back as one. What stumbles is tried again
after about a second, growing. Who is told that the hub has too much to do, without being told when to come
back, takes a moment of the next minutes at random: all of a fleet are told so within the same seconds, and a
hub that takes a three-hundredth of them each second has then taken nearly all by the end of it. The constants
come out of ``examples/fleet_simulation.py``.
"""

from __future__ import annotations

from typing import Final

from nhagent.errors import Curve, HubError, NhagentError

FAULT_SECONDS: Final = 1.0
FAULT_LIMIT_SECONDS: Final = 300.0
LOCAL_SECONDS: Final = 60.0
LOCAL_LIMIT_SECONDS: Final = 900.0
BLOCKED_SECONDS: Final = 3600.0
BLOCKED_LIMIT_SECONDS: Final = 86400.0
THROTTLE_LEAST_SECONDS: Final = 25.0
THROTTLE_SPREAD_SECONDS: Final = 360.0
THROTTLE_LIMIT_SECONDS: Final = 3600.0
RETRY_AFTER_LIMIT_SECONDS: Final = 3600.0
RETRY_AFTER_JITTER: Final = 0.2
RETRY_AFTER_TRIES: Final = 3
"""So often a hub's Retry-After alone is believed; if it then still refuses, it counts on fewer devices."""
LONGEST_PAUSE_SECONDS: Final = RETRY_AFTER_LIMIT_SECONDS + THROTTLE_LIMIT_SECONDS
"""No hub can bring about a longer one: what is remembered of one is believed so far."""
REFRESH_SLOTS: Final = 0.1
"""Part of the refresh interval over which a fleet's refreshes are spread."""
VERIFY_SECONDS: Final = 300.0
LONGEST_WAIT_SECONDS: Final = 900.0
"""Of one wait in the background: the clock is looked at in between, since laptops sleep."""

_GROWING: Final = {
    Curve.FAULT: (FAULT_SECONDS, FAULT_LIMIT_SECONDS),
    Curve.LOCAL: (LOCAL_SECONDS, LOCAL_LIMIT_SECONDS),
    Curve.BLOCKED: (BLOCKED_SECONDS, BLOCKED_LIMIT_SECONDS),
}


def delay(error: NhagentError, tries: int, random: float) -> float:
    """Seconds to wait before the next try.

    Args:
        error: why the last try failed.
        tries: how many tries in a row have failed on the same curve before that one.
        random: a number from 0 to 1, drawn for this wait.

    Returns:
        The hub's Retry-After, a second at the least, capped, with a little added; after throttling without
        one some time within a spread that doubles with every try; else what doubles with every try, give or
        take half of it.
    """
    if isinstance(error, HubError) and error.retry_after is not None:
        asked = min(max(error.retry_after, FAULT_SECONDS), RETRY_AFTER_LIMIT_SECONDS)
        if tries < RETRY_AFTER_TRIES:
            return asked * (1 + RETRY_AFTER_JITTER * random)
        return asked + _spread(tries - RETRY_AFTER_TRIES, random)
    if error.curve is Curve.THROTTLE:
        return THROTTLE_LEAST_SECONDS + _spread(tries, random)
    first, limit = _GROWING[error.curve]
    return _doubled(first, tries, limit) * (0.5 + random)


def slot(identity: str) -> float:
    """A device's own place within whatever a fleet is spread over, from 0 to 1: the same every time."""
    from hashlib import blake2b

    digest = blake2b(identity.encode(), digest_size=8, person=b"nhagent slot").digest()
    return int.from_bytes(digest, "big") / 2**64


def refresh_lag(interval: float, identity: str) -> float:
    """Seconds after its falling due at which a device's refresh goes out in the background."""
    return REFRESH_SLOTS * interval * slot(identity)


def verify_after(random: float) -> float:
    """Seconds after a write at which the hub, which accepts before it has written, is asked once."""
    return VERIFY_SECONDS * (0.5 + random)


def _spread(tries: int, random: float) -> float:
    return _doubled(THROTTLE_SPREAD_SECONDS, tries, THROTTLE_LIMIT_SECONDS) * random


def _doubled(first: float, tries: int, limit: float) -> float:
    return min(limit, first * 2.0 ** min(tries, 32))
