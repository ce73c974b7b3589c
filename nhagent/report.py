"""What a start came to, and where a device stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from enum import StrEnum
from types import MappingProxyType

from nhagent.errors import NhagentError
from nhagent.models import Platform


class Outcome(StrEnum):
    """How a start ended."""

    REGISTERED = "registered"  # the hub did not know the device and does now
    UPDATED = "updated"  # the hub knew it and holds what is true now
    UNCHANGED = "unchanged"  # nothing had to be sent
    RECREATED = "recreated"  # the hub had lost it and holds it again
    WAITING = "waiting"  # not yet: there is no channel, or no answer; see error and next_attempt
    DISABLED = "disabled"  # the user unregistered the device and the hub holds nothing of it


@dataclass(frozen=True, slots=True)
class Report:
    """The truth about a start, refresh, update or unregister.

    Attributes:
        outcome: how it ended.
        error: why it is waiting, else None.
        installation_id: the device's id at the hub; None where it has none yet.
        registration_ids: ids by record name in the registration style.
        requests: how many requests were sent to the hub.
        steps: what was done at the hub, in words.
        channel_errors: channels that could not be had, by name (``channel``, ``tiles.NAME``), and why.
        failed_sources: those of them whose source failed, rather than having no channel yet.
        next_attempt: when the next request is due, aware; None where nothing is.
        clock_skew: seconds that the hub's clock is ahead of ours; None where the hub was not asked.
        elapsed: seconds that it took.
    """

    outcome: Outcome
    error: NhagentError | None = None
    installation_id: str | None = None
    registration_ids: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    requests: int = 0
    steps: tuple[str, ...] = ()
    channel_errors: Mapping[str, str] = field(default_factory=lambda: MappingProxyType({}))
    failed_sources: Mapping[str, NhagentError] = field(default_factory=lambda: MappingProxyType({}))
    next_attempt: datetime | None = None
    clock_skew: float | None = None
    elapsed: float = 0.0

    @property
    def calls_for_verification(self) -> bool:
        """Whether the hub should be asked once, minutes later: it accepts before it has written."""
        if self.outcome is Outcome.DISABLED:
            return self.requests > 0
        return self.outcome in {Outcome.REGISTERED, Outcome.RECREATED}


class StartState(StrEnum):
    """Where a device stands; see the table in `nhagent.agent`."""

    NEW = "NEW"
    IDENTIFIED = "IDENTIFIED"
    CLONED = "CLONED"
    BLOCKED = "BLOCKED"
    UNVERIFIED = "UNVERIFIED"
    DRIFTED = "DRIFTED"
    IN_SYNC = "IN_SYNC"
    DISABLED = "DISABLED"


@dataclass(frozen=True, slots=True)
class Status:
    """What an agent knows without asking the hub or a channel source.

    Attributes:
        state: the row of the table in `nhagent.agent`.
        app, hub, platform: as configured.
        namespace: where the device is known; None where that is not known yet.
        installation_id: the device's id at the hub, or None.
        channels: the push channels last seen, as fingerprints, by name.
        accepted_at: when the hub last accepted something, by its own clock.
        verified_at: when the hub was last seen to hold what it had accepted, by its own clock.
        refresh_due: when that is written again.
        pending: the steps that a start would take, were the channels still the same.
        in_doubt: names of records whose last write has no answer.
        leaving: ids that the hub must still forget.
        unreadable: state files that make no sense.
        last_error: the class of the error that stands in the way, or None.
        failures: how often it was met in a row.
        next_attempt: when the next try is due that this error allows.
        writes: how many writes of its records the hub has accepted so far.
        losses: how many of its records the hub was found to have lost so far.
        folder: where all this is kept.
    """

    state: StartState
    app: str
    hub: str
    platform: Platform
    namespace: str | None
    installation_id: str | None
    channels: Mapping[str, str]
    accepted_at: datetime | None
    verified_at: datetime | None
    refresh_due: datetime | None
    pending: tuple[str, ...]
    in_doubt: tuple[str, ...]
    leaving: tuple[str, ...]
    unreadable: tuple[str, ...]
    last_error: str | None
    failures: int
    next_attempt: datetime | None
    writes: int
    losses: int
    folder: str
