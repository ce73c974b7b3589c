"""Short-lived tokens: a device writes its one installation at the hub by itself, and holds no key.

Such a device has whatever tags it writes there: this is for apps whose tags are no secret.
"""

from __future__ import annotations

from datetime import timedelta

from flask import Blueprint, Response, jsonify

from nhagent.sas import token_for_installation

from . import accounts
from .devices import check_id
from .services import services

LIFETIME = timedelta(hours=1)

blueprint = Blueprint("tokens", __name__, url_prefix="/tokens")


@blueprint.post("/<path:installation_id>")
def create(installation_id: str) -> Response:
    """Hand out a SAS token for exactly one installation, which is this device's from now on."""
    credential_id = accounts.authenticate()
    check_id(installation_id)
    settings = services().settings
    # Made before the id is claimed: what cannot be an id is nobody's.
    token = token_for_installation(settings.connection_string, settings.hub, installation_id, LIFETIME)
    accounts.claim(credential_id, installation_id)
    reply = jsonify(token=token.value, expires_at=token.expires_at.isoformat())
    reply.headers["Cache-Control"] = "no-store"
    return reply
