"""Ways to make a hub know this device, behind one Protocol.

A registrar compares what is wanted with what the hub last accepted, and says in steps what has to be sent.
Planning is pure; each step is one exchange with the hub.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Protocol

from nhagent.device.state import Accepted, Leaving
from nhagent.models import Installation


@dataclass(frozen=True, slots=True)
class Desired:
    """What the hub should hold: the declaration with its channels resolved.

    Attributes:
        installation: the device as it should stand at the hub; its expiration time is the planner's to set.
        expires_after: life of the record at the hub from its last whole write; None: for ever.
        refresh_every: age at which an unchanged record is written again; zero: at every start.
        owns_tags: False where the tags are the backend's: they are neither compared nor written.
        refresh_now: write the record whole whatever its age.
    """

    installation: Installation
    expires_after: timedelta | None = None
    refresh_every: timedelta = timedelta(days=1)
    owns_tags: bool = True
    refresh_now: bool = False


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange with the hub, and why.

    Attributes:
        method: PUT, PATCH, GET or DELETE.
        record: the name of the record that it concerns.
        id: the record's id at the hub.
        reason: why it is needed, in words.
        becomes: what the hub holds once it has accepted a PUT or PATCH.
        operations: the PATCH in the hub's dialect.
        leaving: what a DELETE strikes out.
    """

    method: str
    record: str
    id: str
    reason: str
    becomes: Installation | None = field(default=None, repr=False)
    operations: Sequence[dict[str, Any]] = field(default=(), repr=False)
    leaving: Leaving | None = None

    @property
    def writes(self) -> bool:
        """Whether the hub may hold something else afterwards, even if its answer is lost."""
        return self.method in {"PUT", "PATCH"}

    def __str__(self) -> str:
        paths = ", ".join(f"{operation['op']} {operation['path']}" for operation in self.operations)
        return f"{self.method} {self.record} {self.id}: {self.reason}" + (f" ({paths})" if paths else "")


class Registrar(Protocol):
    """Makes a hub know this device in one style."""

    style: str

    def plan(self, desired: Desired | None, accepted: Accepted, now: datetime) -> list[Step]:
        """The exchanges that make the hub hold what is desired; None: nothing but what is leaving. Pure."""
        ...

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange.

        Returns:
            What the hub has accepted after it.

        Raises:
            HubError: the hub did not accept it.
        """
        ...

    def observe(self, installation_id: str) -> Installation | None:
        """What the hub holds under this id, or None. One exchange."""
        ...
