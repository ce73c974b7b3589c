"""What is left of the time that a pass may take."""

from __future__ import annotations

from time import monotonic

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

LEAST_SECONDS: Final = 5.0
"""Minimum timeout of a request, and of the wait for the lock."""


def seconds_until(deadline: float) -> float:
    """Give the seconds for what comes next: an exchange, or the wait for another process."""
    return max(LEAST_SECONDS, deadline - monotonic())
