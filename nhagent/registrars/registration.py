"""The device as registrations: one for each (tile, template), and a native one for the device and each tile.

An id is on disk before the PUT that uses it. The service ends an id with 410 and forgets one with 404. Either
way the id is discarded and a new one taken, each row for itself, and not again for ten minutes: a hub that
keeps refusing is not filled with ids.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nhagent.device.state import MAX_NUMBER, Accepted, JsonObject, Leaving
from nhagent.errors import (
    ConcurrencyConflict,
    ConfigurationError,
    HubError,
    RecordNotFound,
    RegistrationGone,
)
from nhagent.hub.installations import channel_to_json, templates_to_json
from nhagent.models import Installation, Registration, SecondaryTile, Template, altered, check_templates
from nhagent.registrars import (
    INSTALLATION,
    REGISTRATION,
    Desired,
    Learnt,
    Observed,
    Step,
    due_after,
    due_by_our_clock,
    is_due,
)
from nhagent.registrars.deletions import deleted, deletions, swept
from nhagent.registrars.first_run import list_channels, owner_of

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient

NATIVE: Final = "native"
GONE_PAUSE: Final = timedelta(minutes=10)


class RegistrationRegistrar:
    """Keeps one registration per row at the hub; see `nhagent.registrars.Registrar`.

    Args:
        open_hub: gives the client to send with; called when the first exchange is made, not before.
    """

    style = REGISTRATION

    def __init__(self, open_hub: Callable[[], HubClient]) -> None:
        self._open_hub = open_hub

    def learn(
        self, desired: Desired, accepted: Accepted, known_id: str | None, *, listing: bool, complete: bool
    ) -> Learnt:
        """Adopt one registration for each row from what the hub holds; all the rest leaves."""
        if not listing:
            return Learnt(known_id, accepted)
        found = list_channels(self._open_hub(), desired)
        declared = None if complete else _declared(desired.installation, found.get("", []))
        wanted = desired.installation
        if declared is not None:  # what is not wanted in the end is retired by the plan that follows
            templates = {**declared.templates, **wanted.templates}
            wanted = altered(wanted, templates=templates)
        return Learnt(known_id, adopted(rows_of(wanted), found, accepted, known_id), declared)

    def observe(self, accepted: Accepted) -> Observed:
        """Read every registration: one GET for each."""
        records: dict[str, JsonObject | None] = {}
        at: datetime | None = None
        for name, record in accepted.records.items():
            if "registration" not in record:
                continue
            try:
                found, reply = self._open_hub().get_registration(str(record["id"]))
                records[name], at = to_json(found), reply.server_time
            except (RecordNotFound, RegistrationGone) as error:
                records[name], at = None, error.server_time
        return Observed(records, at=at)

    def retire(self, desired: Desired, accepted: Accepted) -> Accepted:
        """Rows of a dropped template or tile leave, and with another platform all of them."""
        rows = rows_of(desired.installation)
        leaving, records = list(accepted.leaving), dict(accepted.records)
        for name, record in accepted.records.items():
            platform = _registration(record).get("platform", desired.installation.platform)
            if name in rows and platform == desired.installation.platform:
                continue
            del records[name]
            if record.get("id"):
                leaving.append(Leaving(REGISTRATION, record["id"]))
        in_doubt = accepted.in_doubt & records.keys()
        return replace(accepted, records=records, leaving=tuple(leaving), in_doubt=in_doubt).deduplicated()

    def plan(self, desired: Desired | None, accepted: Accepted, now: datetime) -> list[Step]:
        """An id and a write for each row that needs them, then the deletions."""
        steps: list[Step] = []
        for name, row in ({} if desired is None else rows_of(desired.installation)).items():
            assert desired is not None
            steps += _row_steps(name, row, desired, accepted, now)
        return steps + deletions(accepted)

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange with the hub."""
        hub = self._open_hub()
        if step.leaving is not None:
            return deleted(hub, step.leaving, accepted)
        if step.sweep is not None:
            return swept(hub, step.sweep, accepted)
        record = accepted.records.get(step.record, {})
        if step.method == "POST":
            registration_id, _ = hub.create_registration_id()
            return _with(accepted, step.record, {**_guard(record), "id": registration_id, "new": True})
        if step.method == "GET":
            read, _ = hub.get_registration(str(record["id"]))
            facts = {"etag": read.etag, "tags": list(read.tags)}
            return _with(accepted, step.record, {**record, "read": facts})
        assert isinstance(step.becomes, Registration)
        row, registration_id, read_before = step.becomes, str(record["id"]), record.get("read")
        if step.conditional and read_before is not None:
            row = altered(row, tags=tuple(read_before["tags"]))
            _, reply = hub.update_registration(registration_id, row, read_before["etag"] or "*")
        else:
            _, reply = hub.create_or_update_registration(registration_id, row)
        at = reply.server_time or now
        document = {
            **_guard(record),
            "id": registration_id,
            "registration": to_json(row),
            "at": at.isoformat(),
        }
        return accepted.having(step.record, document, at, whole=True)

    def recover(
        self, step: Step, error: HubError, desired: Desired | None, accepted: Accepted, now: datetime
    ) -> tuple[Accepted, list[Step]]:
        """Gone: a new id. Changed by somebody else since it was read: read anew, once."""
        record = accepted.records.get(step.record, {})
        if isinstance(error, ConcurrencyConflict) and step.conditional and not step.again:
            read = Step("GET", step.record, step.id, "changed by somebody else since it was read")
            return accepted, [read, replace(step, again=True)]
        if step.method == "GET" and isinstance(error, RecordNotFound) and "registration" not in record:
            return accepted, []  # it was never written: the PUT that follows does so under the same id
        if not isinstance(error, RegistrationGone | RecordNotFound) or step.method not in {"PUT", "GET"}:
            raise error
        gone_at = _moment(record.get("gone_at"))
        if step.again or desired is None or (gone_at is not None and abs(now - gone_at) < GONE_PAUSE):
            raise error
        # The id is discarded on disk before a new one is asked for.
        accepted = _with(accepted, step.record, {"gone_at": now.isoformat()})
        reason = f"the hub has given up {record.get('id')}"
        post = Step("POST", step.record, "", reason)
        if step.method == "GET":  # the PUT that was to follow it comes all the same
            return accepted, [post]
        return accepted, [post, replace(step, id="", reason=reason, again=True)]

    def holds_device(self, accepted: Accepted) -> bool:
        """Whether the hub has accepted any row."""
        return any("registration" in record for record in accepted.records.values())

    def due_at(self, desired: Desired, accepted: Accepted) -> datetime | None:
        """When the first row will be written again unchanged."""
        dues = [
            due_by_our_clock(due_after(_moment(record.get("at")), desired), _ahead(record))
            for record in accepted.records.values()
        ]
        return min((due for due in dues if due is not None), default=None)

    def registration_ids(self, accepted: Accepted) -> Mapping[str, str]:
        """Registration ids by row."""
        return {name: record["id"] for name, record in accepted.records.items() if record.get("id")}


def rows_of(installation: Installation) -> dict[str, Registration]:
    """The registrations that a device is made of, by name: ``native``, ``template:NAME``, ``tile:ID/…``."""
    rows: dict[str, Registration] = {}
    for prefix, tile_id, part in _parts(installation):
        channel = installation.push_channel if isinstance(part, Installation) else str(part.channel)
        native = Registration(
            installation.platform,
            channel,
            part.tags,
            installation.push_variables,
            secondary_tile_name=tile_id,
        )
        rows[f"{prefix}{NATIVE}"] = native
        for name, template in part.templates.items():
            rows[f"{prefix}template:{name}"] = altered(
                native,
                tags=tuple(dict.fromkeys((*part.tags, *template.tags))),
                template=altered(template, tags=()),
                template_name=name,
            )
    return rows


def adopted(
    rows: Mapping[str, Registration],
    found: Mapping[str, Iterable[Registration]],
    accepted: Accepted,
    known_id: str | None,
) -> Accepted:
    """For each row the registration to go on with: that which is known, else the smallest id. Pure.

    Args:
        rows: what the device is made of.
        found: what the hub lists for each of its channels. All the rest of it leaves, but not the rows of an
            installation: only our own, whose id is known, is ours to touch, and leaves as a whole.
        accepted: what is remembered all the same.
        known_id: the id of an installation of ours.
    """
    records = dict(accepted.records)
    kept = {record.get("id") for record in records.values()}
    leaving = list(accepted.leaving)
    names = {_place(row): name for name, row in rows.items()}
    for tile_id, listed in found.items():
        for row in sorted(listed, key=lambda row: str(row.registration_id)):
            owner, registration_id = owner_of(row), str(row.registration_id)
            name = names.get((row.platform, tile_id, row.template is not None, row.template_name))
            if owner is not None:
                leaving += [Leaving(INSTALLATION, owner)] if owner == known_id else []
            elif name is not None and not records.get(name, {}).get("id"):
                records[name] = {**_guard(records.get(name, {})), "id": registration_id}
                kept.add(registration_id)
            elif registration_id not in kept:
                leaving.append(Leaving(REGISTRATION, registration_id, row.etag or "*"))
    accepted = replace(accepted, style=REGISTRATION, records=records, leaving=tuple(leaving))
    return accepted.deduplicated()


def to_json(registration: Registration) -> JsonObject:
    """A row as it is remembered, to be compared with what is desired."""
    document: JsonObject = {
        "platform": str(registration.platform),
        "channel": channel_to_json(registration.channel),
        "tags": sorted(registration.tags),
        "pushVariables": dict(registration.push_variables),
        "tile": registration.secondary_tile_name,
    }
    if registration.template is not None:
        document["template"] = templates_to_json({"": registration.template})[""]
    return document


def _row_steps(
    name: str, row: Registration, desired: Desired, accepted: Accepted, now: datetime
) -> Iterator[Step]:
    record = accepted.records.get(name, {})
    registration_id = str(record.get("id", ""))
    if not registration_id:
        yield Step("POST", name, "", "it needs an id")
        yield Step("PUT", name, "", "not at the hub yet", becomes=row)
        return
    reason = _reason(name, row, desired, accepted, now)
    if not reason:
        return
    # What was never written has no tags that could be lost.
    conditional = not desired.owns_tags and ("new" not in record or name in accepted.in_doubt)
    if conditional:
        yield Step("GET", name, registration_id, f"{reason}; the backend owns its tags")
    yield Step("PUT", name, registration_id, reason, becomes=row, conditional=conditional)


def _reason(name: str, row: Registration, desired: Desired, accepted: Accepted, now: datetime) -> str:
    """Why a row must be written; "" where nothing asks for it."""
    record = accepted.records[name]
    if name in accepted.in_doubt:
        return "what the hub holds is in doubt"
    before = _registration(record)
    if not before:
        return "not at the hub yet" if "new" in record else "adopted: the hub holds it for this channel"
    if _compared(before, desired) != _compared(to_json(row), desired):
        return "changed"
    if desired.refresh_now:
        return "a refresh was asked for"
    written_at = _moment(record.get("at"))
    if is_due(due_after(written_at, desired), written_at, now, _ahead(record)):
        return "the refresh is due"
    return ""


def _compared(document: JsonObject, desired: Desired) -> str:
    shown = document if desired.owns_tags else {key: part for key, part in document.items() if key != "tags"}
    return json.dumps(shown, sort_keys=True)


def _parts(installation: Installation) -> Iterator[tuple[str, str | None, Installation | SecondaryTile]]:
    yield "", None, installation
    for tile_id, tile in installation.secondary_tiles.items():
        yield f"tile:{tile_id}/", tile_id, tile


def _place(row: Registration) -> tuple[Any, ...]:
    return row.platform, row.secondary_tile_name or "", row.template is not None, row.template_name


def _declared(installation: Installation, rows: list[Registration]) -> Installation:
    """What must have been declared for the hub to hold these rows of the device's own channel."""
    ours = sorted(
        (row for row in rows if owner_of(row) is None and row.platform == installation.platform),
        key=lambda row: str(row.registration_id),
        reverse=True,  # the smallest id, which is adopted, has the last word
    )
    native = next((row for row in reversed(ours) if row.template is None), None)
    tags = () if native is None else tuple(native.tags)
    templates: dict[str, Template] = {}
    for row in ours:
        if row.template is None or row.template_name is None:
            continue
        template = altered(row.template, tags=tuple(tag for tag in row.tags if tag not in tags))
        try:
            check_templates("templates", {row.template_name: template}, installation.platform)
        except ConfigurationError:  # nobody could have declared it here
            continue
        templates[row.template_name] = template
    return altered(
        installation,
        tags=tags,
        templates=templates,
        push_variables={} if native is None else dict(native.push_variables),
    )


def _with(accepted: Accepted, name: str, record: JsonObject) -> Accepted:
    return replace(accepted, records={**accepted.records, name: record})


def _guard(record: JsonObject) -> JsonObject:
    """What keeps a hub that ends every id from being filled with them."""
    return {"gone_at": record["gone_at"]} if "gone_at" in record else {}


def _registration(record: JsonObject) -> JsonObject:
    registration = record.get("registration")
    return registration if isinstance(registration, dict) else {}


def _ahead(record: JsonObject) -> int:
    ahead = record.get("ahead")
    return ahead if isinstance(ahead, int) and abs(ahead) <= MAX_NUMBER else 0


def _moment(text: object) -> datetime | None:
    try:
        moment = datetime.fromisoformat(str(text))
    except ValueError:
        return None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
