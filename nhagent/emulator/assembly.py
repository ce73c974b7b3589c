"""Put a running emulator together from what lasts from run to run and what exists only while it runs."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from nhagent.emulator.agenda import Agenda
from nhagent.emulator.changes import Changes
from nhagent.emulator.clock import Clock
from nhagent.emulator.faults import Faults
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import Log
from nhagent.emulator.parts import Parts
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.sends.courier import Courier
from nhagent.emulator.sends.delivery import Deliveries
from nhagent.emulator.sends.outbox import Outbox
from nhagent.emulator.sends.schedule import Schedule
from nhagent.emulator.sends.sender import Sender
from nhagent.emulator.storage import Storage


@dataclass(frozen=True, slots=True)
class Lasting:
    """What an emulator keeps in memory when it is closed and started again.

    Attributes:
        changes: tells when something has changed.
        clock: the hub's clock.
        log: the requests so far.
        faults: the queue of ordered faults.
        deliveries: what was sent.
    """

    changes: Changes = field(default_factory=Changes)
    clock: Clock = field(init=False)
    log: Log = field(init=False)
    faults: Faults = field(init=False)
    deliveries: Deliveries = field(init=False)

    def __post_init__(self) -> None:
        for name, kind in (("clock", Clock), ("log", Log), ("faults", Faults), ("deliveries", Deliveries)):
            object.__setattr__(self, name, kind(self.changes))


def assemble(
    lasting: Lasting,
    hub: Hub,
    storage: Storage,
    push: PushFront,
    *,
    port: Callable[[], int],
    is_secure: bool = False,
    deliver: bool = False,
) -> Parts:
    """Return the parts of an emulator that runs. Its courier and its agenda are to be closed.

    Args:
        lasting: what lasts.
        hub: what clients stored.
        storage: where.
        push: the push service.
        port: gives the emulator's own port.
        is_secure: whether it is reached by https.
        deliver: pass messages on to channels on loopback.
    """
    clock, agenda = lasting.clock, Agenda(lasting.clock)
    courier = Courier(hub, push, lasting.deliveries, port=port, to_loopback=deliver)
    sender = Sender(hub, clock, lasting.deliveries, courier)
    outbox = Outbox(sender, Schedule(storage, sender, agenda, clock))
    return Parts(
        hub, outbox, clock, agenda, lasting.log, lasting.faults, lasting.changes, push, is_secure=is_secure
    )
