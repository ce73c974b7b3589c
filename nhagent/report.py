"""What a caller gets back: what a start came to, where a device stands, what the hub holds."""

from __future__ import annotations

from enum import StrEnum

from nhagent.errors import ChannelError, NhagentError
from nhagent.values import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any, Final

    from nhagent.models import Platform

DISABLED_TEXT: Final = 'unregistered by request; "nhagent enable" lifts it'
NOTHING_TEXT: Final = "nothing to do: the hub holds what is true"


def counted(number: int, noun: str) -> str:
    """Write a number of things, such as "1 request" and "2 requests"."""
    return f"{number} {noun}{'' if number == 1 else 's'}"


class Shown(Value):
    """The base of what a caller gets back: it can be given as JSON."""

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON, in snake_case: what the command of that name prints with ``--json``."""
        return {
            name: error_to_plain(self.__dict__[name]) if name == "error" else to_plain(self.__dict__[name])
            for name in self._fields
        }


class Outcome(StrEnum):
    """How a start ended."""

    REGISTERED = "registered"  # the hub did not know the device and does now
    UPDATED = "updated"  # the hub knew it and holds what is declared now
    UNCHANGED = "unchanged"  # nothing had to be sent
    RECREATED = "recreated"  # the hub had lost it and holds it again
    WAITING = "waiting"  # not yet: there is no channel, or no answer; see error and next_attempt
    DISABLED = "disabled"  # the user unregistered the device and the hub holds nothing of it


class Report(Shown):
    """The truth about a start, refresh, update or unregister.

    Attributes:
        outcome: how it ended.
        error: why it is waiting, else None.
        installation_id: the device's id at the hub; None where it has none yet.
        registration_ids: ids by record name in the registration style.
        requests: how many requests were sent to the hub.
        steps: what was done at the hub, in words.
        channel_errors: channels that could not be had, by name (``channel``, ``tiles.NAME``), and why; one
            whose source has none to give yet is ``pending``.
        next_attempt: when it is tried again, aware; None where nothing stands in the way.
        clock_skew: seconds that the hub's clock is ahead of ours; None where the hub was not asked.
        elapsed: seconds that it took.
        refresh_due: when the whole is written again unchanged, aware; None where that is not known.
        app, hub: as configured.
        channels: the push channels that the hub holds or shall hold, as fingerprints, by name.
    """

    outcome: Outcome
    error: NhagentError | None = None
    installation_id: str | None = None
    registration_ids: Mapping[str, str] = EMPTY
    requests: int = 0
    steps: tuple[str, ...] = ()
    channel_errors: Mapping[str, ChannelError] = EMPTY
    next_attempt: datetime | None = None
    clock_skew: float | None = None
    elapsed: float = 0.0
    refresh_due: datetime | None = None
    app: str = ""
    hub: str = ""
    channels: Mapping[str, str] = EMPTY

    def __str__(self) -> str:
        """Tell it in one line; why it is waiting is in ``error``."""
        who = f" as installation {self.installation_id}" if self.installation_id else ""
        if self.registration_ids:
            who = f" as {', '.join(self.registration_ids)}"
        return f"{self.outcome}{who} ({counted(self.requests, 'request')}, {self.elapsed:.2f} s)"

    @property
    def in_sync(self) -> bool:
        """Whether the hub holds what is declared, with every channel that there is to have."""
        is_waiting = self.outcome in {Outcome.WAITING, Outcome.DISABLED}
        return not is_waiting and all(error.pending for error in self.channel_errors.values())

    def to_dict(self) -> dict[str, Any]:
        """Give it as JSON, in snake_case, with ``in_sync``."""
        return {**super().to_dict(), "in_sync": self.in_sync}

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


class Status(Shown):
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
        to_delete: ids that the hub must still forget.
        unreadable: state files that are corrupt.
        last_error: the class of the error that stands in the way, or None.
        failures: how many consecutive attempts it has failed.
        next_attempt: when the next attempt may be made: by any process after the hub has asked for time, by
            the background alone after a refusal, and after a passing fault by the process that met it.
        writes: how many writes of its records the hub has accepted so far.
        losses: how many of its records the hub was found to have lost so far.
        state_dir: where all this is kept.
        granted: what a backend granted otherwise than it was sent, by member; None: it left that out.
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
    to_delete: tuple[str, ...]
    unreadable: tuple[str, ...]
    last_error: str | None
    failures: int
    next_attempt: datetime | None
    writes: int
    losses: int
    state_dir: str
    granted: Mapping[str, Any] = EMPTY


class Step(Value):
    """One exchange with the hub that a start would make.

    Attributes:
        method: the HTTP method.
        record: the name of the record that it concerns.
        id: the record's id at the hub; empty before the hub has given one.
        reason: why it is needed, in words.
        fields: what it changes, such as ``pushChannel`` or ``templates.alert``; empty where a change is not
            the reason for it.
    """

    method: str
    record: str
    id: str
    reason: str
    fields: tuple[str, ...] = ()

    def __str__(self) -> str:
        name = " ".join(part for part in (self.method, self.record, self.id) if part)
        return f"{name}: {self.reason}" + (f" ({', '.join(self.fields)})" if self.fields else "")


class Plan(Shown):
    """What a start would do now: its steps, in order. It is false where it has no steps.

    Attributes:
        steps: the exchanges with the hub.
        channel_errors: channels that could not be had, as in a `Report`.
        disabled: the user unregistered the device: the steps are deletions.
    """

    steps: tuple[Step, ...] = ()
    channel_errors: Mapping[str, ChannelError] = EMPTY
    disabled: bool = False

    def __iter__(self) -> Iterator[Step]:
        return iter(self.steps)

    def __len__(self) -> int:
        return len(self.steps)

    def __getitem__(self, index: int) -> Step:
        return self.steps[index]

    def __str__(self) -> str:
        lines = [str(step) for step in self.steps]
        if not lines and self.disabled:
            lines.append(DISABLED_TEXT)
        elif not lines and not self.channel_errors:
            lines.append(NOTHING_TEXT)
        elif not lines:
            lines.append("nothing is sent while a push channel is missing")
        return "\n".join([*lines, *(f"  channel: {error}" for error in self.channel_errors.values())])


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


class Verification(Shown):
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


def to_plain(value: object) -> Any:
    """Give a value of nhagent as JSON: values by field, times in ISO 8601, errors as objects.

    The channel errors of a report and a plan are told in words alone.
    """
    from collections.abc import Mapping
    from datetime import UTC, datetime

    if isinstance(value, ChannelError):
        return str(value)
    if isinstance(value, BaseException):
        return error_to_plain(value)
    if isinstance(value, Value):
        return {name: to_plain(getattr(value, name)) for name in value._fields}
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat()
    if isinstance(value, Mapping):
        return {str(key): to_plain(part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [to_plain(part) for part in value]
    return value


def error_to_plain(error: BaseException | None) -> dict[str, Any] | None:
    """Give an error as JSON; None stays None."""
    if error is None:
        return None
    if not isinstance(error, NhagentError):
        from nhagent.redaction import in_prose

        return {"type": type(error).__name__, "message": in_prose(error), "retryable": False}
    return {"type": type(error).__name__, "message": str(error), "retryable": error.retryable}
