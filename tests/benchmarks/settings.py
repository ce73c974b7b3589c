"""What every benchmark is given."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Settings:
    """What every benchmark is given.

    Attributes:
        python: the interpreter of the environment that is measured.
        rounds: how often each contestant runs.
        requests: how many requests the emulator is sent at once.
    """

    python: str
    rounds: int = 15
    requests: int = 1500

    @property
    def few_rounds(self) -> int:
        """How often what takes seconds is run."""
        return min(self.rounds, 3)

    @property
    def half_rounds(self) -> int:
        """How often each of many rows is run."""
        return (self.rounds + 1) // 2
