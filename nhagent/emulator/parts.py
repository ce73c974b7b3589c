"""The parts of a running emulator, as the gateway, the control routes and the page are given them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from nhagent.emulator.agenda import Agenda
from nhagent.emulator.changes import Changes
from nhagent.emulator.clock import Clock
from nhagent.emulator.faults import Faults
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import Log
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.sends.outbox import Outbox
from nhagent.emulator.sends.sender import Sender


@dataclass(frozen=True, slots=True)
class Parts:
    """The parts of a running emulator.

    Attributes:
        hub: what clients stored.
        outbox: sends notifications, now or later.
        clock: the hub's clock.
        agenda: what is to be done later by that clock.
        log: the requests so far.
        faults: the queue of ordered faults.
        changes: tells when any of these has changed.
        push: the push service.
        is_secure: whether it is reached by https.
    """

    hub: Hub
    outbox: Outbox
    clock: Clock
    agenda: Agenda
    log: Log
    faults: Faults
    changes: Changes
    push: PushFront
    is_secure: bool

    @property
    def sender(self) -> Sender:
        """Sends notifications, and keeps what was delivered."""
        return self.outbox.sender

    @property
    def scheme(self) -> Literal["http", "https"]:
        """``http`` or ``https``, by which it is reached."""
        return "https" if self.is_secure else "http"

    def present_hub(self) -> Hub:
        """Return the hub as it is by its clock: what is due is done, and what has expired is forgotten."""
        self.agenda.do_what_is_due()
        self.hub.forget_expired(self.clock.now())
        return self.hub

    def move_clock(self, offset: float) -> None:
        """Set the hub's clock, and do what is due then.

        Args:
            offset: seconds ahead of the machine's, behind when negative.

        Raises:
            ValueError: the time would lie outside the calendar.
        """
        self.clock.move(offset)
        self.agenda.wake()
