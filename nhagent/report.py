"""What a caller gets back: what a start came to, where a device stands, what the hub holds."""

from __future__ import annotations

from enum import StrEnum

from nhagent.values import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime

    from nhagent.errors import NhagentError
    from nhagent.models import Platform


class Outcome(StrEnum):
    """How a start ended."""

    REGISTERED = "registered"  # the hub did not know the device and does now
    UPDATED = "updated"  # the hub knew it and holds what is declared now
    UNCHANGED = "unchanged"  # nothing had to be sent
    RECREATED = "recreated"  # the hub had lost it and holds it again
    WAITING = "waiting"  # not yet: there is no channel, or no answer; see error and next_attempt
    DISABLED = "disabled"  # the user unregistered the device and the hub holds nothing of it


class Report(Value):
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
        next_attempt: when it is tried again, aware; None where nothing stands in the way.
        clock_skew: seconds that the hub's clock is ahead of ours; None where the hub was not asked.
        elapsed: seconds that it took.
        refresh_due: when the whole is written again unchanged, aware; None where that is not known.
    """

    outcome: Outcome
    error: NhagentError | None = None
    installation_id: str | None = None
    registration_ids: Mapping[str, str] = EMPTY
    requests: int = 0
    steps: tuple[str, ...] = ()
    channel_errors: Mapping[str, str] = EMPTY
    failed_sources: Mapping[str, NhagentError] = EMPTY
    next_attempt: datetime | None = None
    clock_skew: float | None = None
    elapsed: float = 0.0
    refresh_due: datetime | None = None

    @property
    def calls_for_verification(self) -> bool:
        """Whether the hub should be asked once, minutes later: it accepts before it has written."""
        if self.outcome is Outcome.DISABLED:
            return self.requests > 0
        return self.outcome in {Outcome.REGISTERED, Outcome.RECREATED}


class StartState(StrEnum):
    """Where a device stands: a row of the table in `nhagent.agent`."""

    NEW = "NEW"
    IDENTIFIED = "IDENTIFIED"
    CLONED = "CLONED"
    BLOCKED = "BLOCKED"
    UNVERIFIED = "UNVERIFIED"
    DRIFTED = "DRIFTED"
    IN_SYNC = "IN_SYNC"
    DISABLED = "DISABLED"


class Status(Value):
    """What an agent knows without asking the hub or a channel source.

    Attributes:
        state: the row of the table in `nhagent.agent`.
        app, hub, platform: as configured.
        namespace: where the device is known; None where that is not known yet.
        installation_id: the device's id at the hub, or None.
        channels: the push channels last seen, as fingerprints, by name.
        accepted_at: when the hub last accepted something, by its own clock.
        verified_at: when the hub was last seen to hold what it had accepted, by its own clock.
        refresh_due: when the whole is written again unchanged.
        pending: the steps that a start would take, were the channels still the same.
        in_doubt: names of records whose last write has no answer.
        leaving: ids that the hub must still forget.
        unreadable: state files that are corrupt.
        last_error: the class of the error that stands in the way, or None.
        failures: how many consecutive attempts it has failed.
        next_attempt: when the next attempt may be made.
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


class Drift(Value):
    """One field in which the hub holds something else than it accepted.

    Attributes:
        record: the record's name.
        field: its field, such as ``templates.alert.body``; empty where the hub has not the record at all,
            never accepted it, or still has it.
        expected: what it accepted, in short; a push channel as its fingerprint.
        found: what it holds.
    """

    record: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        name = f"{self.record} {self.field}".strip()
        return f"{name}: expected {self.expected}, the hub holds {self.found}"


class Verification(Value):
    """What a look at the hub has shown.

    Attributes:
        in_sync: whether it has accepted every record and holds them so, and its channels are alive.
        drift: where it does not.
        expired: channels that it has marked as dead, by name: it sends nothing to them.
        verified_at: when, by the hub's clock; None where there was nothing to ask.
        requests: how many requests that took.
    """

    in_sync: bool
    drift: tuple[Drift, ...] = ()
    expired: tuple[str, ...] = ()
    verified_at: datetime | None = None
    requests: int = 0
