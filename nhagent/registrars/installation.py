"""The device as one installation: the default style.

Its plan has at most one write: the PATCH that says what changed, or a PUT of the whole where PATCH cannot say
it, would be longer, or where it is not certain what the hub holds. Where the backend owns the tags, the
installation is read before it is written whole, so that the tags go back as they were.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from nhagent.device.state import Accepted, Leaving
from nhagent.errors import HubError, InvalidRequest, RecordNotFound
from nhagent.hub.installations import NotAnInstallation, Patch, compact, from_json, patch_between, to_json
from nhagent.models import Installation, Registration, SecondaryTile, Template, altered
from nhagent.registrars import (
    CHANNEL,
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

RECORD: Final = "installation"


class InstallationRegistrar:
    """Keeps one installation at the hub; see `nhagent.registrars.Registrar`.

    Args:
        open_hub: gives the client to send with; called when the first exchange is made, not before.
    """

    style = INSTALLATION

    def __init__(self, open_hub: Callable[[], HubClient]) -> None:
        self._open_hub = open_hub

    def learn(
        self, desired: Desired, accepted: Accepted, known_id: str | None, *, listing: bool, complete: bool
    ) -> Learnt:
        """Find the installation that is ours from before a lost disk, by the tags of its registrations."""
        learnt = Learnt(known_id, accepted)
        if listing:
            rows = [row for rows in list_channels(self._open_hub(), desired).values() for row in rows]
            learnt = adopted(known_id, rows, accepted)
        if learnt.installation_id is None or complete:
            return learnt
        return replace(learnt, declared=self._observed(learnt.installation_id))

    def observe(self, accepted: Accepted) -> Observed:
        """Read the installation: one GET, which the service throttles tightly."""
        before = held(accepted)
        if before is None:
            return Observed()
        try:
            found, reply = self._open_hub().get_installation(before.installation_id)
        except RecordNotFound as error:
            return Observed({RECORD: None}, at=error.server_time)
        expired = [CHANNEL] if found.push_channel_expired else []
        expired += [
            f"tiles.{tile_id}" for tile_id, tile in found.secondary_tiles.items() if tile.push_channel_expired
        ]
        return Observed({RECORD: to_json(found)}, tuple(expired), reply.server_time)

    def retire(self, desired: Desired, accepted: Accepted) -> Accepted:
        """A record of another id leaves."""
        before = held(accepted)
        wanted = Leaving(INSTALLATION, desired.installation.installation_id)
        # A record that is wanted again does not leave: deletions come after writes and would undo them.
        accepted = replace(accepted, leaving=tuple(entry for entry in accepted.leaving if entry != wanted))
        if before is None or before.installation_id == wanted.id:
            return accepted
        gone = Leaving(INSTALLATION, before.installation_id)
        return replace(accepted, records={}, leaving=(*accepted.leaving, gone)).deduplicated()

    def plan(self, desired: Desired | None, accepted: Accepted, now: datetime) -> list[Step]:
        """At most one write, then the deletions: write first, delete after."""
        write = None if desired is None else _write(desired, accepted, now)
        return ([write] if write is not None else []) + deletions(accepted)

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange with the hub."""
        hub = self._open_hub()
        if step.leaving is not None:
            return deleted(hub, step.leaving, accepted)
        if step.sweep is not None:
            return swept(hub, step.sweep, accepted)
        if step.method == "GET":
            try:
                found, reply = hub.get_installation(step.id)
            except RecordNotFound:
                return accepted.lacking(RECORD)
            return accepted.having(RECORD, to_json(found), reply.server_time or now, whole=True, fresh=True)
        assert isinstance(step.becomes, Installation)  # a PUT or a PATCH
        whole = step.method == "PUT"
        if whole:
            reply = hub.put_installation(step.becomes)
        else:
            reply = hub.patch_installation(step.id, step.operations)
        return accepted.having(RECORD, to_json(step.becomes), reply.server_time or now, whole=whole)

    def recover(
        self, step: Step, error: HubError, desired: Desired | None, accepted: Accepted, now: datetime
    ) -> tuple[Accepted, list[Step]]:
        """A PATCH of what is not there, or that the hub does not take, is followed by the whole."""
        if desired is None or step.method != "PATCH":
            raise error
        if isinstance(error, RecordNotFound):
            accepted = accepted.lacking(RECORD)
        elif isinstance(error, InvalidRequest) and desired.owns_tags:
            accepted = replace(accepted, partial=True)
        else:
            raise error
        write = _write(desired, accepted, now)
        return accepted, [] if write is None else [write]

    def holds_device(self, accepted: Accepted) -> bool:
        """Whether the hub has accepted an installation."""
        return held(accepted) is not None

    def due_at(self, desired: Desired, accepted: Accepted) -> datetime | None:
        """When the installation will be written again unchanged."""
        return due_by_our_clock(_due_at(desired, accepted), accepted.ahead)

    def registration_ids(self, accepted: Accepted) -> Mapping[str, str]:  # noqa: ARG002 - part of the port
        """None: the service makes an installation's registrations."""
        return {}

    def _observed(self, installation_id: str) -> Installation | None:
        try:
            return self._open_hub().get_installation(installation_id)[0]
        except RecordNotFound:
            return None


def adopted(known_id: str | None, rows: Iterable[Registration], accepted: Accepted) -> Learnt:
    """Of the installations on our channels the one to go on with; all the rest leaves. Pure.

    Args:
        known_id: the id that the device has already, if it has one.
        rows: what the hub lists. A row without an owner is a registration of its own: a stale duplicate.
        accepted: what is remembered all the same.
    """
    owners: dict[str, None] = {}
    leaving: list[Leaving] = []
    for row in rows:
        owner = owner_of(row)
        if owner is not None:
            owners[owner] = None
        else:
            leaving.append(Leaving(REGISTRATION, str(row.registration_id), row.etag or "*"))
    # Racers must choose alike: the id that is known, else the smallest.
    ours = known_id or min(owners, default=None)
    leaving[:0] = [Leaving(INSTALLATION, owner) for owner in owners if owner != ours]
    if ours in owners:
        # In doubt: the hub holds it, and we have not written it; so it leaves if the device does.
        accepted = replace(accepted.doubting(INSTALLATION), adopted=True)
    accepted = replace(accepted, style=INSTALLATION, leaving=(*accepted.leaving, *leaving))
    return Learnt(ours, accepted.deduplicated())


def held(accepted: Accepted) -> Installation | None:
    """The installation that the hub last accepted, or None where there is none that makes sense."""
    record = accepted.records.get(RECORD)
    try:
        return None if record is None else from_json(record)
    except NotAnInstallation:  # it is then written whole, as one that was never accepted
        return None


def _write(desired: Desired, accepted: Accepted, now: datetime) -> Step | None:
    before = held(accepted)
    reason = _reason_for_all(desired, before, accepted, now)
    if not desired.owns_tags:
        return _write_without_tags(desired, before, reason, accepted.fresh, now)
    if reason:
        return _put(desired, reason, now)
    assert before is not None  # else there was a reason
    after = desired.installation
    patch = patch_between(before, after)
    if patch == []:
        return None
    if patch is None or accepted.partial or _renews_expiry(desired, patch):
        return _put(desired, "changed in a way that PATCH cannot say", now)
    if len(compact(patch)) >= len(compact(to_json(after))):
        return _put(desired, "changed so much that the whole is shorter", now)
    return Step("PATCH", RECORD, after.installation_id, "changed", becomes=after, operations=patch)


def _write_without_tags(
    desired: Desired, before: Installation | None, reason: str, fresh: bool, now: datetime
) -> Step | None:
    """The tags are the backend's: never written but as they were just read."""
    after = desired.installation
    if reason and not fresh:
        return _read(after, reason)
    if before is None or before.installation_id != after.installation_id:
        return _put(desired, reason, now)
    patch = patch_between(before, after, with_tags=False)
    if patch == []:
        return None
    kept = _with_tags_of(before, after)
    if patch is not None:
        return Step("PATCH", RECORD, after.installation_id, "changed", becomes=kept, operations=patch)
    if not fresh:
        return _read(after, "PATCH cannot say it")
    return _put(replace(desired, installation=kept), "changed in a way that PATCH cannot say", now)


def _read(installation: Installation, reason: str) -> Step:
    reason = f"{reason}; the backend owns its tags"
    return Step("GET", RECORD, installation.installation_id, reason, plan_again=True)


def _reason_for_all(desired: Desired, before: Installation | None, accepted: Accepted, now: datetime) -> str:
    """Why the installation must be written whole whatever looks equal; "" where nothing asks for it."""
    if before is None and accepted.adopted:
        return "adopted: the hub knows this channel by it"
    if RECORD in accepted.in_doubt:
        return "what the hub holds is in doubt"
    if before is None:
        return "the hub does not hold it" if accepted.fresh else "not at the hub yet"
    if before.installation_id != desired.installation.installation_id:
        return "a new installation id"
    if not accepted.fresh and desired.refresh_now:
        return "a refresh was asked for"
    if not accepted.fresh and is_due(_due_at(desired, accepted), accepted.whole_at, now, accepted.ahead):
        return "the refresh is due"
    return ""


def _due_at(desired: Desired, accepted: Accepted) -> datetime | None:
    """By age; and before an expiry that the hub still has runs out, though none is wanted any more."""
    due, before = due_after(accepted.whole_at, desired), held(accepted)
    if due is None or accepted.whole_at is None or before is None or before.expiration_time is None:
        return due
    return min(due, accepted.whole_at + (before.expiration_time - accepted.whole_at) / 2)


def _renews_expiry(desired: Desired, patch: Patch) -> bool:
    """A PATCH of a push channel sets the service's expiration time back to never; only a PUT keeps ours."""
    return desired.expires_after is not None and any(
        operation["path"].endswith("/pushChannel") for operation in patch
    )


def _put(desired: Desired, reason: str, now: datetime) -> Step:
    expiration = None if desired.expires_after is None else now + desired.expires_after
    becomes = replace(desired.installation, expiration_time=expiration)
    return Step("PUT", RECORD, becomes.installation_id, reason, becomes=becomes)


def _with_tags_of(before: Installation, after: Installation) -> Installation:
    """The desired installation with the tags that the hub holds."""

    def retagged(old: dict[str, Template], new: dict[str, Template]) -> dict[str, Template]:
        return {
            name: altered(template, tags=old[name].tags if name in old else template.tags)
            for name, template in new.items()
        }

    def tile_kept(tile_id: str, tile: SecondaryTile) -> SecondaryTile:
        old = before.secondary_tiles.get(tile_id)
        if old is None:
            return tile
        templates = retagged(dict(old.templates), dict(tile.templates))
        return altered(tile, tags=old.tags, templates=templates)

    return altered(
        after,
        tags=before.tags,
        templates=retagged(dict(before.templates), dict(after.templates)),
        secondary_tiles={
            tile_id: tile_kept(tile_id, tile) for tile_id, tile in after.secondary_tiles.items()
        },
    )
