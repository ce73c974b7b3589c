"""Durations as people write them in the configuration: ``90d``, ``1d12h``."""

from __future__ import annotations

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.reconcile.settings import LONGEST

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from datetime import timedelta
    from typing import Final

_SECONDS: Final = {"s": 1, "m": 60, "h": 3600, "d": 86400, "w": 7 * 86400}
"""Seconds in each unit of a duration."""


def read_duration(text: str, name: str) -> timedelta:
    """Read a duration such as ``90d``, ``1d12h`` or ``0s``.

    Args:
        text: the duration: numbers, each with its unit: s, m, h, d or w.
        name: what it is for, for the error.

    Returns:
        The duration.

    Raises:
        ConfigurationError: it is not a duration, or is longer than a hundred years.
    """
    from datetime import timedelta

    validation.check_setting(name, text)
    seconds = 0.0
    parts = _numbers_and_units(text)
    shown = text if len(text) <= validation.MAX_SHOWN_CHARACTERS else f"{len(text)} characters"
    for number, unit in parts:
        if not _is_decimal(number) or unit not in _SECONDS:
            parts = []
            break
        seconds += float(number) * _SECONDS[unit]
    if not parts:
        raise ConfigurationError(f'{name} "{shown}": is not a duration', "write 30s, 15m, 12h, 1d or 2w")
    if seconds > LONGEST.total_seconds():
        raise ConfigurationError(f'{name} "{shown}": is longer than a hundred years', "write a shorter one")
    return timedelta(seconds=seconds)


def _numbers_and_units(text: str) -> list[tuple[str, str]]:
    """Part text after each character that is not of a number; a regular expression costs more at a start."""
    parts = []
    number = ""
    for character in text:
        if character.isdecimal() or character == ".":
            number += character
        else:
            parts.append((number, character))
            number = ""
    return [*parts, (number, "")] if number else parts


def _is_decimal(number: str) -> bool:
    whole, point, fraction = number.partition(".")
    return whole.isdecimal() and (fraction.isdecimal() if point else True)
