"""The device as registrations: one for each (tile, template), and a native one for the device and each tile.

An id is on disk before the PUT that uses it. The service ends an id with 410 and forgets one with 404. Either
way the id is discarded and a new one taken, each row for itself, and not again for ten minutes: a hub that
keeps refusing is not filled with ids.
"""

from __future__ import annotations

from datetime import timedelta

from nhagent.device.accepted import Deletion
from nhagent.errors import (
    ConcurrencyConflict,
    ConfigurationError,
    InvalidRequest,
    RecordNotFound,
    RegistrationGone,
)
from nhagent.models import altered
from nhagent.registrars.deletions import AskingForChannels, applied
from nhagent.registrars.protocol import INSTALLATION, REGISTRATION, Learnt, Observed
from nhagent.registrars.records import (
    RegistrationRecord,
    differing,
    due_after,
    due_by_our_clock,
    rows_in,
)
from nhagent.registrars.rows import as_spelt_by, rows_of, to_json
from nhagent.steps import CreateId, PutRecord, ReadRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any, Final

    from nhagent.device.accepted import Accepted
    from nhagent.device.document import JsonObject
    from nhagent.errors import HubError
    from nhagent.hub.operations import HubOperations
    from nhagent.models import Installation, Registration
    from nhagent.registrars.protocol import WritePolicy
    from nhagent.steps import Step

CHANGED: Final = "changed"
"""The reason for a write whose row is another one now."""
GONE_PAUSE: Final = timedelta(minutes=10)
"""Least time between two new ids for the same row."""


class RegistrationRegistrar(AskingForChannels):
    """Keeps one registration per row at the hub; see `nhagent.registrars.protocol.Registrar`.

    Args:
        open_hub: gives the hub to ask; called when the first exchange is made, not before.
    """

    style = REGISTRATION
    carries_user_id = False

    def __init__(self, open_hub: Callable[[], HubOperations]) -> None:
        self._open_hub = open_hub

    def check(self, *, user_id: str | None, expires_after: timedelta | None) -> None:
        """Refuse what a registration cannot carry.

        Raises:
            ConfigurationError: a user id, or an expiry of our choice.
        """
        for name, given in (("user_id", user_id), ("expires_after", expires_after)):
            if given:
                raise ConfigurationError(
                    f'{name}: style "{REGISTRATION}" has none: a registration carries neither a user id nor '
                    "an expiry of our choice",
                    f'drop it, or take style "{INSTALLATION}"',
                )

    def learn(
        self,
        installation: Installation,
        accepted: Accepted,
        known_id: str | None,
        *,
        listing: bool,
        complete: bool,
    ) -> Learnt:
        """Adopt one registration for each row from what the hub holds; all the rest must go."""
        if not listing:
            return Learnt(known_id, accepted)
        from nhagent.registrars.adoption import adopted, declared_by
        from nhagent.registrars.first_run import ChannelLists, is_whole

        lists = ChannelLists(self._open_hub(), by_uri=accepted.lists_by_uri)
        found = lists.of(installation)
        accepted = accepted.changed(lists_by_uri=lists.by_uri, rotated=False)
        declared = None if complete else declared_by(installation, found.get("", []))
        wanted = installation
        if declared is not None:  # what is not wanted in the end is retired by the plan that follows
            wanted = altered(wanted, templates={**declared.templates, **wanted.templates})
        accepted = adopted(rows_of(wanted), found, accepted, known_id)
        return Learnt(known_id, accepted, declared, is_whole(found))

    def observe(self, accepted: Accepted) -> Observed:
        """Read every registration: one GET for each."""
        records: dict[str, JsonObject | None] = {}
        at: datetime | None = None
        for name, record in rows_in(accepted).items():
            if record.row is None:
                continue
            try:
                hub = self._open_hub()
                records[name] = to_json(hub.get_registration(record.id))
                at = hub.server_time
            except (RecordNotFound, RegistrationGone) as error:
                records[name], at = None, error.server_time
        return Observed(records, at=at)

    def compared(self, record: JsonObject) -> JsonObject:
        """Give the row, without the id and the times that are kept beside it."""
        return RegistrationRecord.from_json(record).row or {}

    def doubt_all(self, accepted: Accepted, registrations: Mapping[str, str]) -> Accepted:
        """The hub may hold anything under each id."""
        known = {name: RegistrationRecord(id=given).to_json() for name, given in registrations.items()}
        return accepted.changed(
            style=REGISTRATION,
            records={**known, **accepted.records},
            in_doubt=accepted.in_doubt | known.keys(),
        )

    def retire(self, installation: Installation, accepted: Accepted) -> Accepted:
        """Rows of a dropped template or tile must go, and with another platform all of them."""
        rows = rows_of(installation)
        records, gone = dict(accepted.records), []
        for name, record in rows_in(accepted).items():
            platform = (record.row or {}).get("platform", installation.platform)
            if name in rows and platform == installation.platform:
                continue
            del records[name]
            if record.id:
                gone.append(Deletion(REGISTRATION, record.id))
        if len(records) == len(accepted.records):
            return accepted
        in_doubt = accepted.in_doubt & records.keys()
        return accepted.changed(records=records, in_doubt=in_doubt).deleting(*gone)

    def plan(
        self, installation: Installation, policy: WritePolicy, accepted: Accepted, now: datetime
    ) -> Sequence[Step]:
        """Plan an id and a write for each row that needs them."""
        records = rows_in(accepted)
        return [
            step
            for name, row in rows_of(installation).items()
            for step in _row_steps(
                name,
                row,
                records.get(name, _UNKNOWN),
                policy,
                now,
                in_doubt=name in accepted.in_doubt,
            )
        ]

    def plans_again_after(self, step: Step) -> bool:  # noqa: ARG002 - part of the port
        """Never: the rows are planned one by one, each with its read before its write."""
        return False

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange with the hub."""
        hub = self._open_hub()
        record = RegistrationRecord.from_json(accepted.records.get(step.record, {}))
        if isinstance(step, CreateId):
            registration_id = hub.create_registration_id()
            fresh = RegistrationRecord(id=registration_id, gone_at=record.gone_at, is_new=True)
            return _with(accepted, step.record, fresh)
        if isinstance(step, ReadRecord):
            read = hub.get_registration(record.id)
            return _with(accepted, step.record, record.changed(etag=read.etag, tags=tuple(read.tags)))
        if isinstance(step, PutRecord):
            return self._put(hub, step, record, accepted, now)
        after = applied(hub, step, accepted)
        assert after is not None  # there is no other kind of step
        return after

    def _put(
        self,
        hub: HubOperations,
        step: PutRecord,
        record: RegistrationRecord,
        accepted: Accepted,
        now: datetime,
    ) -> Accepted:
        row: Any = step.becomes
        if step.keeps_tags and record.tags is not None:
            row = altered(row, tags=record.tags)
            hub.update_registration(record.id, row, record.etag or "*")
        else:
            hub.put_registration(record.id, row)
        at = hub.server_time or now
        written = RegistrationRecord(id=record.id, row=to_json(row), accepted_at=at, gone_at=record.gone_at)
        return accepted.having(step.record, written.to_json(), at, whole=True)

    def recover(
        self, step: Step, error: HubError, accepted: Accepted, now: datetime, *, again: bool
    ) -> tuple[Accepted, Sequence[Step] | None]:
        """Gone, or refused before it was ever written: a new id. Changed since it was read: read again, once.

        An id that the hub itself does not take would else be refused at every later start.
        """
        record = RegistrationRecord.from_json(accepted.records.get(step.record, {}))
        is_put, is_read = isinstance(step, PutRecord), isinstance(step, ReadRecord)
        if isinstance(error, ConcurrencyConflict) and _keeps_tags(step) and not again:
            reason = "changed by somebody else since it was read"
            return accepted, [ReadRecord(step.record, step.id, reason), step]
        if is_read and isinstance(error, RecordNotFound) and record.row is None:
            return accepted, []  # it was never written: the PUT that follows does so under the same id
        is_gone = isinstance(error, RegistrationGone | RecordNotFound) and (is_put or is_read)
        if not is_gone and not (is_put and record.row is None and isinstance(error, InvalidRequest)):
            raise error
        if again or (record.gone_at is not None and abs(now - record.gone_at) < GONE_PAUSE):
            raise error
        # The id is discarded on disk before a new one is asked for.
        accepted = _with(accepted, step.record, RegistrationRecord(gone_at=now))
        reason = f"the hub has given up {record.id}" if is_gone else f"the hub refused {record.id}"
        new_id = CreateId(step.record, "", reason)
        if is_read:  # the PUT that was to follow it comes all the same
            return accepted, [new_id]
        return accepted, [new_id, step.changed(id="", reason=reason)]

    def holds_device(self, accepted: Accepted) -> bool:
        """Whether the hub has accepted any row."""
        return any(record.row is not None for record in rows_in(accepted).values())

    def due_at(self, policy: WritePolicy, accepted: Accepted) -> datetime | None:
        """Tell when the first row will be written again unchanged, by our clock."""
        dues = [
            due_by_our_clock(due_after(record.accepted_at, policy), record.ahead)
            for record in rows_in(accepted).values()
        ]
        return min((due for due in dues if due is not None), default=None)

    def registration_ids(self, accepted: Accepted) -> Mapping[str, str]:
        """Registration ids by row."""
        return {name: record.id for name, record in rows_in(accepted).items() if record.id}


_UNKNOWN: Final = RegistrationRecord()


def _row_steps(
    name: str,
    row: Registration,
    record: RegistrationRecord,
    policy: WritePolicy,
    now: datetime,
    *,
    in_doubt: bool,
) -> Iterator[Step]:
    if not record.id:
        yield CreateId(name, "", "it needs an id")
        yield PutRecord(name, "", "not at the hub yet", row)
        return
    reason = "what the hub holds is in doubt" if in_doubt else _reason(row, record, policy, now)
    if not reason:
        return
    # What was never written has no tags that could be lost.
    keeps_tags = not policy.owns_tags and (in_doubt or not record.is_new)
    if keeps_tags:
        yield ReadRecord(name, record.id, f"{reason}; the backend owns its tags")
    differing = _differing(row, record, policy) if reason == CHANGED else ()
    yield PutRecord(name, record.id, reason, row, keeps_tags, differing)


def _reason(row: Registration, record: RegistrationRecord, policy: WritePolicy, now: datetime) -> str:
    """Why a row must be written; "" where nothing asks for it."""
    if record.row is None:
        return "not at the hub yet" if record.is_new else "adopted: the hub holds it for this channel"
    if _differing(row, record, policy):
        return CHANGED
    if policy.refresh_now:
        return "a refresh was asked for"
    return "the refresh is due" if record.is_due(policy, now) else ""


def _keeps_tags(step: Step) -> bool:
    return isinstance(step, PutRecord) and step.keeps_tags


def _differing(row: Registration, record: RegistrationRecord, policy: WritePolicy) -> tuple[str, ...]:
    """Give the names of the fields in which a row differs from what the hub accepted."""
    assert record.row is not None
    names = differing(as_spelt_by(record.row, row), to_json(row))
    return names if policy.owns_tags else tuple(name for name in names if name != "tags")


def _with(accepted: Accepted, name: str, record: RegistrationRecord) -> Accepted:
    return accepted.changed(records={**accepted.records, name: record.to_json()})
