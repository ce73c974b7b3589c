"""Somebody else signs in on a device: it keeps its token and its installation ids, and changes its tags."""

from __future__ import annotations

from . import hub
from .accounts import find_user, writing_for
from .services import Services
from .tables import Credential


def sign_in(services: Services, credential_id: int, name: str) -> None:
    """Make a device another user's.

    What was the former user's is taken away first. Where the hub fails in between, the device has too few
    tags until its next start, and never another user's.

    Args:
        services: the database and the hub.
        credential_id: the device.
        name: the user who signs in.

    Raises:
        LookupError: there is no such device or user.
        nhagent.errors.HubError: the hub did not do it.
    """
    with writing_for(credential_id, services.sessions) as session:
        credential, user = session.get(Credential, credential_id), find_user(session, name)
        if credential is None or user is None:
            raise LookupError(f"device {credential_id}, user {name}: one of them is not known")
        hub.regrant(services.hub, credential, None)
        credential.user = user
    with writing_for(credential_id, services.sessions) as session:
        credential = session.get_one(Credential, credential_id)
        hub.regrant(services.hub, credential, credential.user)
