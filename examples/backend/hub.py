"""What the backend does at the hub with its full key, whoever asks for it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import suppress
from hashlib import sha256
from typing import Any

from flask import current_app
from sqlalchemy.orm import Session

from nhagent import HeldRegistration, HubClient, Installation, Registration
from nhagent.errors import ConcurrencyConflict, RecordNotFound
from nhagent.models import PushChannel, altered

from . import tags
from .accounts import key_of
from .tables import Credential, Device, User


def document_of(installation: Installation) -> dict[str, Any]:
    """Give an installation as it was granted, whether it was written just now or is read from the hub."""
    return tags.without_names(installation.to_dict())


def etag_of(installation: Installation) -> str:
    """Give an ETag of an installation as the hub holds it; the hub itself gives none.

    The order of tags does not count: a hub may keep it or not.
    """
    document = document_of(installation) | {"tags": sorted(installation.tags)}
    return sha256(json.dumps(document, sort_keys=True).encode()).hexdigest()[:32]


def granted(document: dict[str, Any], user: User) -> Installation:
    """Make the installation that a user's device gets of what it asks for.

    Args:
        document: what the device asks for.
        user: whose device it is.

    Returns:
        What it gets: the same, with the tags that the server adds.

    Raises:
        Problem: 403, there are tags in it that are not the user's.
        nhagent.errors.ConfigurationError: it is not an installation that a hub takes.
    """
    asked = Installation.from_dict(_writable(document))
    tags.check(asked, user)
    return Installation.from_dict(asked.to_dict() | {"tags": tags.with_added(asked.tags, user)})


def regrant(hub: HubClient, credential: Credential, user: User | None) -> None:
    """Write all that a credential has at the hub again, with what this user may have of it.

    Args:
        hub: where.
        credential: whose; a transaction holds its lock.
        user: None takes everything away that was somebody's.

    Raises:
        nhagent.errors.HubError: the hub did not do it for all of them.
    """
    for device in credential.devices:
        with suppress(RecordNotFound):
            held = hub.get_installation(device.installation_id)
            left = tags.without_others(_writable(held.to_dict()), user)
            left["tags"] = tags.with_added(left.get("tags", ()), user)
            hub.put_installation(Installation.from_dict(left))

    def regranted(held: HeldRegistration) -> Registration:
        return altered(held, tags=tuple(tags.with_added(tags.left_to(held.tags, user), user)))

    for kept in credential.registrations:
        with suppress(RecordNotFound):
            hub.modify_registration(kept.registration_id, regranted)


def sweep(hub: HubClient, session: Session, installation: Installation, credential_id: int) -> None:
    """Delete what else the hub holds for the channels of an installation, or sends would arrive twice.

    Rows that belong to an installation are its own, and are never deleted one by one. Another installation is
    deleted as a whole, and only where it is the same device's.

    Args:
        hub: where.
        session: of the database.
        installation: what has just been written.
        credential_id: whose it is.

    Raises:
        nhagent.errors.HubError: the hub did not do it.
    """
    others: set[str] = set()
    for channel in _channels_of(installation):
        for row in [*hub.registrations_by_channel(channel, platform=installation.platform)]:
            if row.installation_id is not None:
                others.add(row.installation_id)
                continue
            try:
                hub.delete_registration(row)
            except (ConcurrencyConflict, RecordNotFound):
                continue  # gone, or in somebody else's hands
            current_app.logger.info("registration %s deleted: its channel moved", row.registration_id)
    for other in sorted(others):
        device = session.get(Device, key_of(other))
        is_own = device is not None and device.credential_id == credential_id
        if is_own and key_of(other) != key_of(installation.installation_id):
            hub.delete_installation(other)
            current_app.logger.info("installation %s deleted: its channel moved", other)


def _channels_of(installation: Installation) -> Iterator[PushChannel]:
    yield installation.push_channel
    for tile in installation.secondary_tiles.values():
        yield str(tile.channel)


def _writable(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out what only the hub says: that a push service has reported a channel as dead."""
    left = {name: part for name, part in document.items() if name != "pushChannelExpired"}
    if "secondaryTiles" in left:
        left["secondaryTiles"] = {
            tile_id: {name: part for name, part in tile.items() if name != "pushChannelExpired"}
            for tile_id, tile in left["secondaryTiles"].items()
        }
    return left
