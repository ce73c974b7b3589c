"""The parts of a running emulator, as the control routes and the page are given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nhagent.emulator.changes import Changes
from nhagent.emulator.clock import Clock
from nhagent.emulator.faults import Faults
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import Log
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.sends.sender import Sender


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running emulator.

    Attributes:
        hub: what clients stored.
        sender: sends notifications, and keeps what was delivered.
        clock: the hub's clock.
        log: the requests so far.
        faults: the queue of ordered faults.
        changes: tells when any of these has changed.
        push: the push service.
        scheme: ``http`` or ``https``, by which it is reached.
    """

    hub: Hub
    sender: Sender
    clock: Clock
    log: Log
    faults: Faults
    changes: Changes
    push: PushFront
    scheme: Literal["http", "https"]

    def present_hub(self) -> Hub:
        """Return the hub without what has expired."""
        self.hub.forget_expired(self.clock.now())
        return self.hub
