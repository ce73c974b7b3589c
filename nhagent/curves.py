"""How the attempts after an error are spaced: a word on each error's class."""

from __future__ import annotations

from enum import Enum


class Curve(Enum):
    """How the attempts after an error are spaced; see `nhagent.retry.backoff`."""

    FAULT = "fault"  # a transient fault of the network or the hub: soon again
    THROTTLE = "throttle"  # the hub asks for less: spread over minutes
    LOCAL = "local"  # something on this device must change first: a minute and more
    BLOCKED = "blocked"  # a person must change something: an hour and more
