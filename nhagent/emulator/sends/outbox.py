"""Where sends go: out now, or into the schedule."""

from __future__ import annotations

from dataclasses import dataclass

from nhagent.emulator.sends.schedule import Schedule
from nhagent.emulator.sends.sender import Sender


@dataclass(frozen=True, slots=True)
class Outbox:
    """Where sends go.

    Attributes:
        sender: for now.
        schedule: for later.
    """

    sender: Sender
    schedule: Schedule
