"""What an app gives an agent to call, checked at every call: a clock, random numbers, a machine's name."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from random import random as real_random
from typing import Final

from nhagent.device.machine import MachineName, name_of_machine
from nhagent.errors import ConfigurationError

LAST_YEAR: Final = 9000
"""Of a clock that can be reckoned with: a hundred years after it are still a date."""


def clock_from(clock: Callable[[], datetime | float] | None) -> Callable[[], datetime]:
    """The app's clock, or the machine's. It raises ConfigurationError where it gives no time."""
    if clock is None:
        return lambda: datetime.now(UTC)

    def now() -> datetime:
        moment: object = clock()
        if isinstance(moment, int | float):
            try:
                moment = datetime.fromtimestamp(moment, UTC)
            except (ValueError, OverflowError, OSError):
                moment = None
        if not isinstance(moment, datetime) or moment.tzinfo is None or moment.year > LAST_YEAR:
            raise ConfigurationError(
                f"clock: must give an aware datetime, or seconds since 1970, up to the year {LAST_YEAR}; "
                "correct it"
            )
        return moment

    return now


def random_from(random: Callable[[], float] | None) -> Callable[[], float]:
    """The app's random numbers, or Python's. It raises ConfigurationError where it gives none."""
    if random is None:
        return real_random

    def number() -> float:
        given = random()
        if not isinstance(given, int | float) or not 0 <= given <= 1:
            raise ConfigurationError("random: must give a number from 0 to 1; correct it")
        return given

    return number


def machine_from(machine: MachineName | None) -> MachineName:
    """What names this machine: the app's own, or its serial number or id. It raises ConfigurationError."""
    if machine is None:
        return name_of_machine

    def name() -> str | None:
        try:
            given = machine()
        except Exception as error:  # noqa: BLE001 - the app's own code may raise anything
            from nhagent.redaction import in_prose

            raise ConfigurationError(f"machine: failed ({in_prose(error)}); correct it") from None
        if given is not None and not isinstance(given, str):
            raise ConfigurationError(
                f"machine: gave a {type(given).__name__}; it must give the machine's name, or None"
            )
        return given

    return name
