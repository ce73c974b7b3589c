"""Installations of devices: the contract of docs/backends.md."""

from __future__ import annotations

import json
from typing import Any, NoReturn

from flask import Blueprint, Response, current_app, request
from sqlalchemy.orm import Session

from nhagent import Installation, Platform
from nhagent.errors import RecordNotFound
from nhagent.models import is_same_channel

from . import accounts, hub, tags
from .conditions import check_match, is_conditional
from .patches import patched
from .problems import Problem, invalid, not_found
from .services import services

MAX_ID_CHARACTERS = 200

blueprint = Blueprint("devices", __name__, url_prefix="/devices")


@blueprint.put("/<path:installation_id>")
def put(installation_id: str) -> Response:
    """Write an installation whole."""
    credential_id = accounts.authenticate()
    document = checked_document(sent("application/json"), installation_id)
    device = accounts.claim(credential_id, installation_id)
    with accounts.writing_for(credential_id) as session:
        asked = document | {"installationId": device.installation_id}
        installation = hub.granted(asked, accounts.user_of(session, credential_id))
        if is_conditional():
            check_match(etag_by_hub(device.installation_id))
        write(session, installation, credential_id)
    return as_granted(installation)


@blueprint.patch("/<path:installation_id>")
def patch(installation_id: str) -> Response:
    """Change an installation, in the service's dialect of JSON Patch.

    It is applied here and written whole: a hub can neither tell a device's tags from another's, nor refuse a
    change of what was not read.
    """
    credential_id = accounts.authenticate()
    check_id(installation_id)
    operations = sent("application/json-patch+json")
    device = accounts.owned(credential_id, installation_id)
    with accounts.writing_for(credential_id) as session:
        held = held_by_hub(device.installation_id)
        if held is None:
            raise not_found()
        check_match(hub.etag_of(held))
        user = accounts.user_of(session, credential_id)
        asked = patched(tags.without_others(held.to_dict(), user), operations)
        installation = hub.granted(asked, user)
        write(session, installation, credential_id, before=held)
    return as_granted(installation)


@blueprint.get("/<path:installation_id>")
def get(installation_id: str) -> Response:
    """Read an installation."""
    credential_id = accounts.authenticate()
    check_id(installation_id)
    held = held_by_hub(accounts.owned(credential_id, installation_id).installation_id)
    if held is None:
        raise not_found()
    return as_granted(held)


@blueprint.delete("/<path:installation_id>")
def delete(installation_id: str) -> Response:
    """Delete an installation. Its id stays this device's."""
    credential_id = accounts.authenticate()
    check_id(installation_id)
    if not accounts.is_claimed(installation_id):
        check_match(None)
        return no_content()
    device = accounts.owned(credential_id, installation_id)
    with accounts.writing_for(credential_id):
        if is_conditional():
            check_match(etag_by_hub(device.installation_id))
        services().hub.delete_installation(device.installation_id)
    return no_content()


def sent(content_type: str) -> Any:
    """Read the JSON of the request at work.

    Raises:
        Problem: 400 or 415.
        werkzeug.exceptions.RequestEntityTooLarge: it is too large.
    """
    if request.mimetype != content_type:
        raise Problem(415, "unsupported_media_type", f"Send {content_type}.")
    try:
        return json.loads(request.get_data(), parse_constant=_refuse_constant)
    except (ValueError, RecursionError):
        raise invalid("The body is not JSON.") from None


def check_id(installation_id: str) -> None:
    """Refuse what cannot be an installation id.

    Raises:
        Problem: 400.
    """
    if len(installation_id) > MAX_ID_CHARACTERS or not installation_id.isprintable():
        raise invalid("There is no such installation id.")


def checked_document(document: Any, installation_id: str) -> dict[str, Any]:
    """Refuse what is not an installation, before anything is done for it.

    Returns:
        The installation under the service's own names.

    Raises:
        Problem: 400.
        nhagent.errors.ConfigurationError: it is not an installation that a hub takes.
    """
    check_id(installation_id)
    if not isinstance(document, dict):
        raise invalid("An installation is an object.")
    parts = {str(name).lower(): part for name, part in document.items()}
    if str(parts.get("installationid") or installation_id).lower() != installation_id.lower():
        raise invalid("The installationId is not that of the address.")
    check_platform(parts.get("platform"))
    given = {name: part for name, part in document.items() if str(name).lower() != "installationid"}
    return Installation.from_dict(given | {"installationId": installation_id}).to_dict()


def check_platform(platform: object) -> None:
    """Refuse a platform that no hub knows.

    Raises:
        Problem: 400.
    """
    if isinstance(platform, str) and platform.lower() not in [*Platform]:
        raise Problem(400, "unknown_platform", "There is no such platform.")


def held_by_hub(installation_id: str) -> Installation | None:
    """Read what the hub holds; None: nothing."""
    try:
        return services().hub.get_installation(installation_id)
    except RecordNotFound:
        return None


def etag_by_hub(installation_id: str) -> str | None:
    """Give the ETag of what the hub holds; None: nothing."""
    held = held_by_hub(installation_id)
    return None if held is None else hub.etag_of(held)


def write(
    session: Session, installation: Installation, credential_id: int, before: Installation | None = None
) -> None:
    """Write an installation, and then delete what the hub holds twice.

    Args:
        session: its transaction holds the credential's lock.
        installation: as granted.
        credential_id: whose it is.
        before: what the hub holds, where that is known: of a channel that it had there is nothing twice.
    """
    client = services().hub
    client.put_installation(installation)
    current_app.logger.info("installation %s written", installation.installation_id)
    if before is None or not _has_same_channels(before, installation):
        hub.sweep(client, session, installation, credential_id)


def no_content() -> Response:
    """Answer that there is nothing any more."""
    reply = Response(status=204)
    del reply.headers["Content-Type"]  # Flask calls it a page
    return reply


def as_granted(installation: Installation) -> Response:
    """Answer with an installation and its ETag."""
    reply = Response(json.dumps(hub.document_of(installation)), content_type="application/json")
    reply.set_etag(hub.etag_of(installation))
    reply.headers["Cache-Control"] = "no-store"
    return reply


def _has_same_channels(before: Installation, after: Installation) -> bool:
    return is_same_channel(after.platform, before.push_channel, after.push_channel) and {
        tile_id: tile.channel for tile_id, tile in before.secondary_tiles.items()
    } == {tile_id: tile.channel for tile_id, tile in after.secondary_tiles.items()}


def _refuse_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")
