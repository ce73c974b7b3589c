"""What the hub accepted, as values: the typed form of the records in ``state.json``."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from nhagent.device.document import MAX_NUMBER, Latest
from nhagent.hub.installations import NotAnInstallation, from_json
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from nhagent.device.accepted import Accepted
    from nhagent.device.document import JsonObject
    from nhagent.models import Installation
    from nhagent.registrars.protocol import WritePolicy

_CLOCK_TOLERANCE: Final = timedelta(seconds=60)
INSTALLATION_RECORD: Final = "installation"
"""The name of the one record that the installation style has."""


class InstallationRecord(Value):
    """The installation that the hub last accepted.

    Attributes:
        installation: what it accepted; its id is the record's.
        whole_at: the hub's time when it last accepted the whole, aware.
        ahead: seconds that the hub's clock was ahead of ours then.
    """

    installation: Installation
    whole_at: datetime | None
    ahead: int
    _hidden = frozenset({"installation"})

    @classmethod
    def of(cls, accepted: Accepted) -> InstallationRecord | None:
        """Read what was accepted; None where there is nothing, or nothing that can be read."""
        document = accepted.records.get(INSTALLATION_RECORD)
        installation = None if document is None else _installation(document)
        return None if installation is None else cls(installation, accepted.whole_at, accepted.ahead)

    def due_at(self, policy: WritePolicy) -> datetime | None:
        """Tell when it is written again unchanged, by the hub's clock.

        By age, or halfway to an expiry that the hub still holds.
        """
        due, expires = due_after(self.whole_at, policy), self.installation.expiration_time
        if due is None or self.whole_at is None or expires is None:
            return due
        return min(due, self.whole_at + (expires - self.whole_at) / 2)

    def is_due(self, policy: WritePolicy, now: datetime) -> bool:
        """Tell whether it has to be written again unchanged."""
        return is_due(self.due_at(policy), self.whole_at, now, self.ahead)


def _read_installation(document: JsonObject) -> Installation | None:
    """Read a stored installation; one that is damaged is then written whole, like one never accepted."""
    try:
        return from_json(document)
    except NotAnInstallation:
        return None


_installation: Final = Latest(_read_installation)


class RegistrationRecord(Value):
    """One registration: the id that the hub gave, and what it last accepted under it.

    Attributes:
        id: the registration id; empty before the hub gave one, and after it gave it up.
        row: the accepted row as JSON (see `nhagent.registrars.rows.to_json`); empty before the first.
        accepted_at: the hub's time of the acceptance, aware.
        ahead: seconds that the hub's clock was ahead of ours then.
        gone_at: our time when the hub was last found to have given up an id of this row.
        is_new: nothing was written under this id yet.
        etag: of the row as the hub has just shown it; None where it was not asked.
        tags: the row's tags as the hub has just shown them.
    """

    id: str = ""
    row: JsonObject | None = None
    accepted_at: datetime | None = None
    ahead: int = 0
    gone_at: datetime | None = None
    is_new: bool = False
    etag: str | None = None
    tags: tuple[str, ...] | None = None
    _hidden = frozenset({"row"})

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> RegistrationRecord:
        """Read the stored form; what is damaged in it counts as absent."""
        row, read, ahead = (document.get(name) for name in ("registration", "read", "ahead"))
        read = read if isinstance(read, dict) else {}
        tags = read.get("tags")
        return cls(
            id=str(document.get("id") or ""),
            row=row if isinstance(row, dict) else None,
            accepted_at=_moment(document.get("at")),
            ahead=ahead if isinstance(ahead, int) and abs(ahead) <= MAX_NUMBER else 0,
            gone_at=_moment(document.get("gone_at")),
            is_new="new" in document,
            etag=read.get("etag"),
            tags=tuple(tags) if isinstance(tags, list) else None,
        )

    def to_json(self) -> JsonObject:
        """Give the stored form."""
        document: JsonObject = {}
        if self.gone_at is not None:
            document["gone_at"] = self.gone_at.isoformat()
        if self.id:
            document["id"] = self.id
        if self.row is not None:
            document["registration"] = self.row
        if self.accepted_at is not None:
            document |= {"at": self.accepted_at.isoformat(), "ahead": self.ahead}
        if self.is_new:
            document["new"] = True
        if self.tags is not None:
            document["read"] = {"etag": self.etag, "tags": list(self.tags)}
        return document

    def is_due(self, policy: WritePolicy, now: datetime) -> bool:
        """Tell whether it has to be written again unchanged."""
        return is_due(due_after(self.accepted_at, policy), self.accepted_at, now, self.ahead)


def differing(before: JsonObject, after: JsonObject) -> tuple[str, ...]:
    """Give the names of the members in which two documents of a record differ."""
    if before == after:
        return ()
    names = dict.fromkeys((*before, *after))
    return tuple(name for name in names if before.get(name) != after.get(name))


def rows_in(accepted: Accepted) -> dict[str, RegistrationRecord]:
    """Read the records of the registration style, by name."""
    return {name: RegistrationRecord.from_json(record) for name, record in accepted.records.items()}


def due_after(since: datetime | None, policy: WritePolicy) -> datetime | None:
    """Tell when a record that was accepted whole at this time is written again unchanged."""
    if since is None:
        return None
    every = policy.refresh_every
    if policy.expires_after is not None:
        every = min(every, policy.expires_after / 2)  # renewed before it can run out
    try:
        return since + every + policy.refresh_lag
    except OverflowError:
        return None


def is_due(due: datetime | None, since: datetime | None, now: datetime, ahead: int) -> bool:
    """Tell whether a record that was accepted whole has to be written again.

    Args:
        due: when that is, by the hub's clock.
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


def by_hubs_clock(now: datetime, accepted: Accepted) -> datetime:
    """Tell the time by the hub's clock, where no reply has told it yet: ours may be as wrong as it was then.

    Args:
        now: the time by the hub's clock as far as it was seen, else by ours.
        accepted: what the hub last accepted, and how far its clock was ahead of ours.
    """
    since, ahead = accepted.accepted_at, timedelta(seconds=accepted.ahead)
    if since is None or not ahead:
        return now
    try:
        # A clock that was behind and shows a later time has been set since, as one that would go backwards.
        is_mended = now >= since if ahead > timedelta() else now + ahead < since - _CLOCK_TOLERANCE
        return now if is_mended else now + ahead
    except OverflowError:
        return now


def due_by_our_clock(due: datetime | None, ahead: int) -> datetime | None:
    """Tell when our clock, as far off as it was then, will show that a record is due; see `is_due`."""
    try:
        return due if due is None or ahead >= 0 else due - timedelta(seconds=ahead)
    except OverflowError:
        return None


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
