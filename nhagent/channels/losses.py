"""Why there is no connection to a push service, and how long a device waits before the next one. Pure.

A push service that restarts loses every device in the same second, so that a lost connection is made again
after a spread of minutes; what is sent meanwhile waits at the service. A device that is alone with its
trouble, since its network was away or it slept, is back within seconds. The constants come out of
``examples/fleet_simulation.py``.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

SPREAD_LEAST_SECONDS: Final = 5.0
"""Shortest delay after a push service has ended a connection."""
SPREAD_SECONDS: Final = 360.0
"""First range within which a fleet comes back."""
YOUNG_SECONDS: Final = 30.0
"""The same for a connection that had just begun: it grows with its age, since a fleet's are hours old."""
FAULT_SECONDS: Final = 5.0
"""First delay where no connection came about."""
LIMIT_SECONDS: Final = 1800.0
"""Longest delay, and largest range, before jitter."""
SOON_SECONDS: Final = 2.0
"""Mean delay where this device alone has lost its connection."""
AWAY_SECONDS: Final = 4 * 3600.0
"""Mean delay where the push service asks to be left alone."""
MAX_DOUBLINGS: Final = 16


class Cause(Enum):
    """Why there is no connection."""

    ENDED = "ended"  # the push service ended it, as it does with all of them when it restarts
    SILENT = "silent"  # nothing came for longer than the service is ever silent, or this machine slept
    UNREACHABLE = "unreachable"  # none came about: the network, a proxy, TLS
    REFUSED = "refused"  # the push service is there, and takes none
    AWAY = "away"  # the push service asks to be left alone for long
    RENEWED = "renewed"  # this device ended it, to make it again


class Lost(Exception):
    """There is no connection any more, or none came about.

    Attributes:
        cause: why.
        fact: the same in words.
    """

    def __init__(self, cause: Cause, fact: str) -> None:
        super().__init__(fact)
        self.cause = cause
        self.fact = fact


def pause_after(
    cause: Cause, failures: int, random: float, *, age: float = SPREAD_SECONDS, was_ended: bool = False
) -> float:
    """Give the seconds to wait before the next connection.

    Args:
        cause: why there is none.
        failures: how many attempts before have failed since the last connection that was of use.
        random: a number from 0 to 1, drawn for this wait.
        age: how many seconds the connection had lasted.
        was_ended: the push service had ended the last one that was of use: the whole fleet is under way.
    """
    if cause is Cause.AWAY:
        return AWAY_SECONDS * (0.5 + random)
    if was_ended or cause is Cause.REFUSED:
        return SPREAD_LEAST_SECONDS + _doubled(SPREAD_SECONDS, max(0, failures - 1)) * random
    if cause is Cause.ENDED:
        return SPREAD_LEAST_SECONDS + _doubled(min(SPREAD_SECONDS, YOUNG_SECONDS + age), failures) * random
    if cause is Cause.UNREACHABLE:
        return _doubled(FAULT_SECONDS, failures) * (0.5 + random)
    return _doubled(SOON_SECONDS, failures) * (0.5 + random)


def _doubled(first: float, times: int) -> float:
    return min(LIMIT_SECONDS, first * 2.0 ** min(times, MAX_DOUBLINGS))
