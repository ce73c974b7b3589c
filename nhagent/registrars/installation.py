"""The device as one installation: the default style.

Its plan has at most one write: the PATCH that says what changed, or a PUT of the whole where PATCH cannot say
it, would be longer, or where it is not certain what the hub holds. Where the backend owns the tags, the
installation is read before it is written whole, so that the tags go back as they were.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from typing import TYPE_CHECKING, Final

from nhagent.device.state import Accepted
from nhagent.errors import RecordNotFound
from nhagent.hub.installations import NotAnInstallation, Patch, compact, from_json, patch_between, to_json
from nhagent.models import Installation, SecondaryTile, Template
from nhagent.registrars import Desired, Step

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient

STYLE: Final = "installation"
RECORD: Final = "installation"


class InstallationRegistrar:
    """Keeps one installation at the hub.

    Args:
        open_hub: gives the client to send with; called when the first step is applied, not before.
    """

    style = STYLE

    def __init__(self, open_hub: Callable[[], HubClient]) -> None:
        self._open_hub = open_hub

    def plan(self, desired: Desired | None, accepted: Accepted, now: datetime) -> list[Step]:
        """At most one write, then the deletions: write first, delete after."""
        write = None if desired is None else _write(desired, accepted, now)
        deletions = [
            Step("DELETE", RECORD, entry.id, "no longer wanted", leaving=entry) for entry in accepted.leaving
        ]
        return ([write] if write is not None else []) + deletions

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange with the hub; see `nhagent.registrars.Registrar`."""
        hub = self._open_hub()
        if step.method == "GET":
            try:
                held, reply = hub.get_installation(step.id)
            except RecordNotFound:
                return accepted.lacking(RECORD)
            return accepted.having(RECORD, to_json(held), reply.server_time or now, whole=True, fresh=True)
        if step.leaving is not None:
            hub.delete_installation(step.id)
            return accepted.without(step.leaving)
        assert step.becomes is not None  # a PUT or a PATCH
        whole = step.method == "PUT"
        if whole:
            reply = hub.put_installation(step.becomes)
        else:
            reply = hub.patch_installation(step.id, step.operations)
        return accepted.having(RECORD, to_json(step.becomes), reply.server_time or now, whole=whole)

    def observe(self, installation_id: str) -> Installation | None:
        """What the hub holds under this id, or None."""
        try:
            return self._open_hub().get_installation(installation_id)[0]
        except RecordNotFound:
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


def held(accepted: Accepted) -> Installation | None:
    """The installation that the hub last accepted, or None where there is none that makes sense."""
    record = accepted.records.get(RECORD)
    try:
        return None if record is None else from_json(record)
    except NotAnInstallation:  # it is then written whole, as one that was never accepted
        return None


def _write_without_tags(
    desired: Desired, before: Installation | None, reason: str, fresh: bool, now: datetime
) -> Step | None:
    """The tags are the backend's: never written but as they were just read."""
    after = desired.installation
    if reason and not fresh:
        return Step("GET", RECORD, after.installation_id, f"{reason}; the backend owns its tags")
    if before is None or before.installation_id != after.installation_id:
        return _put(desired, reason, now)
    patch = patch_between(before, after, with_tags=False)
    if patch == []:
        return None
    kept = _with_tags_of(before, after)
    if patch is not None:
        return Step("PATCH", RECORD, after.installation_id, "changed", becomes=kept, operations=patch)
    if not fresh:
        return Step("GET", RECORD, after.installation_id, "PATCH cannot say it; the backend owns its tags")
    return _put(replace(desired, installation=kept), "changed in a way that PATCH cannot say", now)


def _reason_for_all(desired: Desired, before: Installation | None, accepted: Accepted, now: datetime) -> str:
    """Why the installation must be written whole whatever looks equal; "" where nothing asks for it."""
    if RECORD in accepted.in_doubt:
        return "the last write has no answer"
    if before is None:
        return "the hub does not hold it" if accepted.fresh else "first registration"
    if before.installation_id != desired.installation.installation_id:
        return "a new installation id"
    if not accepted.fresh and desired.refresh_now:
        return "a refresh was asked for"
    if not accepted.fresh and is_due(desired, accepted, now):
        return "the refresh is due"
    return ""


def is_due(desired: Desired, accepted: Accepted, now: datetime) -> bool:
    """Whether the record is old enough to be written again."""
    due = due_at(desired, accepted)
    # An acceptance in the future says that our clock is wrong, not that the record is fresh or old.
    return due is not None and accepted.whole_at is not None and accepted.whole_at <= now and due <= now


def due_at(desired: Desired, accepted: Accepted) -> datetime | None:
    """When the record will be written again unchanged; None before it was accepted as a whole."""
    if accepted.whole_at is None:
        return None
    every = desired.refresh_every
    if desired.expires_after is not None:
        every = min(every, desired.expires_after / 2)  # renewed before it can run out
    try:
        return accepted.whole_at + every
    except OverflowError:
        return None


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
            name: replace(template, tags=old[name].tags if name in old else template.tags, from_hub=True)
            for name, template in new.items()
        }

    def tile_kept(tile_id: str, tile: SecondaryTile) -> SecondaryTile:
        old = before.secondary_tiles.get(tile_id)
        if old is None:
            return tile
        templates = retagged(dict(old.templates), dict(tile.templates))
        return replace(tile, tags=old.tags, templates=templates, from_hub=True)

    return replace(
        after,
        tags=before.tags,
        templates=retagged(dict(before.templates), dict(after.templates)),
        secondary_tiles={
            tile_id: tile_kept(tile_id, tile) for tile_id, tile in after.secondary_tiles.items()
        },
        from_hub=True,
    )
