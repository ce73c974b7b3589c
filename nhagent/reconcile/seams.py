"""What the app may put in the place of the world: a clock, random numbers, the machine's name.

Each is the app's own code, and is checked at every call.
"""

from __future__ import annotations

from datetime import UTC, datetime
from functools import partial

from nhagent.device.machine import Machine, this_machine
from nhagent.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from nhagent.device.machine import MachineName

LAST_YEAR: Final = 9000
"""Last year of a clock that can be reckoned with: a hundred years after it are still a date."""


def clock_from(clock: Callable[[], datetime | float] | None) -> Callable[[], datetime]:
    """The app's clock, checked at every call, or the machine's."""
    if clock is None:
        return partial(datetime.now, UTC)

    def now() -> datetime:
        moment: object = clock()
        if isinstance(moment, int | float):
            try:
                moment = datetime.fromtimestamp(moment, UTC)
            except (ValueError, OverflowError, OSError):
                moment = None
        if not isinstance(moment, datetime) or moment.tzinfo is None or moment.year > LAST_YEAR:
            raise ConfigurationError(
                f"clock: must give an aware datetime, or seconds since 1970, up to the year {LAST_YEAR}",
                "correct it",
            )
        return moment

    return now


def random_from(random: Callable[[], float] | None) -> Callable[[], float]:
    """The app's random numbers, checked at every call, or Python's."""
    if random is None:
        return _real_random

    def number() -> float:
        given = random()
        if not isinstance(given, int | float) or not 0 <= given <= 1:
            raise ConfigurationError("random: must give a number from 0 to 1", "correct it")
        return given

    return number


def _real_random() -> float:
    from random import random

    return random()  # noqa: S311 - it spreads requests, and guards nothing


def machine_from(machine: MachineName | None) -> MachineName:
    """What names this machine: the app's own, checked at every call, or its serial number or id."""
    if machine is None:
        return this_machine

    def name() -> str | Machine | None:
        try:
            given = machine()
        except Exception as error:  # noqa: BLE001 - the app's own code may raise anything
            from nhagent.redaction import in_prose

            raise ConfigurationError(f"machine: failed ({in_prose(error)})", "correct it") from None
        if given is not None and not isinstance(given, str | Machine):
            raise ConfigurationError(
                f"machine: gave a {type(given).__name__}", "let it give the machine's name, or None"
            )
        return given

    return name
