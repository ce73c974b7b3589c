"""Topics of a user: a tag that one device adds reaches all devices of the user, while they are off too."""

from __future__ import annotations

from contextlib import suppress

from flask import Blueprint, Response, jsonify
from sqlalchemy import select

from nhagent import HeldRegistration, Registration
from nhagent.errors import RecordNotFound
from nhagent.models import altered

from . import accounts
from .problems import Problem
from .services import services
from .tables import Credential, User
from .tags import TOPIC

MAX_TOPICS = 20
"""Of one user: a record of the hub has sixty tags at most."""
MAX_CHARACTERS = 100
_OTHERS_IN_TOPICS = "_.-"

blueprint = Blueprint("topics", __name__, url_prefix="/topics")


@blueprint.post("/<topic>")
def follow(topic: str) -> Response:
    """Give the user of a device a topic, and its tag to all devices of the user."""
    credential_id, tag = accounts.authenticate(), _tag_of(topic)
    with services().sessions.begin() as session:
        user = accounts.user_of(session, credential_id)
        accounts.give_tag(session, user, tag)
        if len([kept for kept in user.tags if kept.tag.startswith(TOPIC)]) > MAX_TOPICS:
            raise Problem(403, "too_many_topics", f"A user has {MAX_TOPICS} topics at most.", tags=[tag])
        user_id = user.id
    return _on_all_devices(user_id, tag, is_added=True)


@blueprint.delete("/<topic>")
def leave(topic: str) -> Response:
    """Take a topic from the user of a device, and its tag from all devices of the user."""
    credential_id, tag = accounts.authenticate(), _tag_of(topic)
    with services().sessions.begin() as session:
        user = accounts.user_of(session, credential_id)
        accounts.take_tag(session, user, tag)
        user_id = user.id
    return _on_all_devices(user_id, tag, is_added=False)


def _on_all_devices(user_id: int, tag: str, *, is_added: bool) -> Response:
    """Bring a tag of a user in step at the hub.

    Whatever a device writes from now on has it by itself. Where the hub fails half-way, the same request does
    the rest when it is sent again.
    """
    with services().sessions() as session:
        whose = select(Credential.id).where(Credential.user_id == user_id).order_by(Credential.id)
        credentials = [*session.scalars(whose)]
    changed = sum(_on_devices_of(credential_id, user_id, tag, is_added) for credential_id in credentials)
    return jsonify(tag=tag, devices=changed)


def _on_devices_of(credential_id: int, user_id: int, tag: str, is_added: bool) -> int:
    """Change what one credential has at the hub.

    Returns:
        How many records were there to be changed.
    """
    hub, changed = services().hub, 0
    operation = {"op": "add", "path": "/tags", "value": tag} if is_added else _removal_of(tag)
    with accounts.writing_for(credential_id) as session:
        credential = session.get_one(Credential, credential_id)
        # It may have another user since it was listed, and another device may have changed the topic back.
        if credential.user_id != user_id or _has(credential.user, tag) != is_added:
            return 0
        for device in credential.devices:
            with suppress(RecordNotFound):  # never written, or deleted
                hub.patch_installation(device.installation_id, [operation])
                changed += 1
        for kept in credential.registrations:
            with suppress(RecordNotFound):
                hub.modify_registration(kept.registration_id, lambda held: _changed(held, tag, is_added))
                changed += 1
    return changed


def _changed(held: HeldRegistration, tag: str, is_added: bool) -> Registration:
    others = [other for other in held.tags if other.lower() != tag]
    return altered(held, tags=(*others, *([tag] if is_added else [])))


def _removal_of(tag: str) -> dict[str, str]:
    return {"op": "remove", "path": f"/tags/{tag}"}


def _has(user: User, tag: str) -> bool:
    return tag in {kept.tag for kept in user.tags}


def _tag_of(topic: str) -> str:
    plain = topic.isascii() and all(sign.isalnum() or sign in _OTHERS_IN_TOPICS for sign in topic)
    if not plain or len(topic) > MAX_CHARACTERS:
        raise Problem(400, "invalid_topic", "A topic is letters, digits and _ . - only.")
    return f"{TOPIC}{topic.lower()}"
