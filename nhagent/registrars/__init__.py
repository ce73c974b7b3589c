"""Ways to make a hub know this device, behind one Protocol.

A registrar compares what is wanted with what the hub last accepted, and says in steps what has to be sent.
Planning is pure; each step is one exchange with the hub.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any, Final, Protocol

from nhagent.device.state import Accepted, JsonObject, Leaving, Sweep
from nhagent.errors import HubError
from nhagent.models import Installation, Registration

INSTALLATION: Final = "installation"
REGISTRATION: Final = "registration"
CHANNEL: Final = "channel"


@dataclass(frozen=True, slots=True)
class Desired:
    """What the hub should hold: the declaration with its channels resolved.

    Attributes:
        installation: the device as it should stand at the hub; its expiration time is the planner's to set.
        expires_after: life of the record at the hub from its last whole write; None: for ever.
        refresh_every: age at which an unchanged record is written again; zero: at every start.
        owns_tags: False where the tags are the backend's: they are neither compared nor written.
        refresh_now: write the record whole whatever its age.
        refresh_lag: how much later than at that age, in the background: this device's own slot.
    """

    installation: Installation
    expires_after: timedelta | None = None
    refresh_every: timedelta = timedelta(days=1)
    owns_tags: bool = True
    refresh_now: bool = False
    refresh_lag: timedelta = timedelta()


@dataclass(frozen=True, slots=True)
class Step:
    """One exchange with the hub, and why.

    Attributes:
        method: POST (a new registration id), PUT, PATCH, GET or DELETE.
        record: the name of the record that it concerns.
        id: the record's id at the hub; "" where a POST gives it first.
        reason: why it is needed, in words.
        becomes: what the hub holds once it has accepted a PUT or PATCH.
        operations: the PATCH in the hub's dialect.
        leaving: what a DELETE strikes out.
        sweep: the push channel that a GET asks about.
        plan_again: the steps after it depend on its answer.
        again: it is the second try.
        conditional: a PUT of what a GET has just read, with its tags, and only if it is still as it was.
    """

    method: str
    record: str
    id: str
    reason: str
    becomes: Installation | Registration | None = field(default=None, repr=False)
    operations: Sequence[dict[str, Any]] = field(default=(), repr=False)
    leaving: Leaving | None = None
    sweep: Sweep | None = None
    plan_again: bool = False
    again: bool = False
    conditional: bool = False

    @property
    def writes(self) -> bool:
        """Whether the hub may hold something else afterwards, even if its answer is lost."""
        return self.method in {"PUT", "PATCH"}

    @property
    def makes_id(self) -> bool:
        """Whether the hub makes an id that must be on disk before it is put to use."""
        return self.method == "POST"

    def __str__(self) -> str:
        paths = ", ".join(f"{operation['op']} {operation['path']}" for operation in self.operations)
        name = " ".join(part for part in (self.method, self.record, self.id) if part)
        return f"{name}: {self.reason}" + (f" ({paths})" if paths else "")


@dataclass(frozen=True, slots=True)
class Learnt:
    """What a hub told of this device before anything was written.

    Attributes:
        installation_id: the id under which it is known, or None.
        accepted: records to go on with, and what must leave.
        declared: what must have been declared for the hub to hold it, or None.
    """

    installation_id: str | None = None
    accepted: Accepted = field(default_factory=Accepted)
    declared: Installation | None = None


@dataclass(frozen=True, slots=True)
class Observed:
    """What the hub holds.

    Attributes:
        records: the document by record name as it would be remembered; None: the hub does not hold it.
        expired: the push channels, by name, that it has marked as dead.
        at: when, by the hub's clock; None where nothing had to be asked.
    """

    records: Mapping[str, JsonObject | None] = field(default_factory=dict, repr=False)
    expired: tuple[str, ...] = ()
    at: datetime | None = None


class Registrar(Protocol):
    """Makes a hub know this device in one style."""

    style: str

    def learn(
        self, desired: Desired, accepted: Accepted, known_id: str | None, *, listing: bool, complete: bool
    ) -> Learnt:
        """Ask the hub what it holds of the device, and choose what to go on with.

        Args:
            desired: the device.
            accepted: what is remembered all the same; it is kept.
            known_id: the installation id, where that is remembered.
            listing: ask for everything that the hub holds for the device's channels.
            complete: the app declares everything, so that nothing has to be learnt about it.

        Raises:
            HubError: the hub did not answer.
        """
        ...

    def observe(self, accepted: Accepted) -> Observed:
        """Ask the hub what it holds of what it accepted.

        Raises:
            HubError: the hub did not answer.
        """
        ...

    def retire(self, desired: Desired, accepted: Accepted) -> Accepted:
        """Write down as leaving whatever is held and not desired. Pure."""
        ...

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

    def recover(
        self, step: Step, error: HubError, desired: Desired | None, accepted: Accepted, now: datetime
    ) -> tuple[Accepted, list[Step]]:
        """What to do instead of a step that the hub has refused.

        Returns:
            What the hub has accepted as this shows, and the steps that take the refused one's place.

        Raises:
            HubError: the same error: nothing can be done.
        """
        ...

    def holds_device(self, accepted: Accepted) -> bool:
        """Whether the hub has accepted anything of the device. Pure."""
        ...

    def due_at(self, desired: Desired, accepted: Accepted) -> datetime | None:
        """When something will be written again unchanged; None before it was accepted as a whole. Pure."""
        ...

    def registration_ids(self, accepted: Accepted) -> Mapping[str, str]:
        """Registration ids by record name. Pure."""
        ...


def is_due(due: datetime | None, since: datetime | None, now: datetime, ahead: int) -> bool:
    """Whether the time has come to write a record again that was accepted whole at a certain time.

    Args:
        due: when that is.
        since: when it was accepted, by the hub's clock.
        now: the time by ours.
        ahead: seconds that the hub's clock was ahead of ours then.
    """
    # An acceptance in the future says that our clock is wrong, not that the record is fresh or old.
    if due is None or since is None or since > now or due > now:
        return False
    try:
        since_by_ours, due_by_ours = (moment - timedelta(seconds=ahead) for moment in (since, due))
    except OverflowError:
        return True
    # A clock that was fast then may still be, so that it makes every record look old; or it was set since.
    return due_by_ours <= now or since_by_ours > now


def due_after(since: datetime | None, desired: Desired) -> datetime | None:
    """When a record that was accepted whole at this time is written again unchanged."""
    if since is None:
        return None
    every = desired.refresh_every
    if desired.expires_after is not None:
        every = min(every, desired.expires_after / 2)  # renewed before it can run out
    try:
        return since + every + desired.refresh_lag
    except OverflowError:
        return None
