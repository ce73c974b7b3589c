"""Registrations, the older style. A device gives each a name of its own, and the backend keeps the hub's id.

The hub has ETags of registrations. A writer who was overtaken reads again, and nobody waits for a lock.
"""

from __future__ import annotations

import json

from flask import Blueprint, Response, current_app
from sqlalchemy import select
from sqlalchemy.orm import Session

from nhagent import HeldRegistration, Registration
from nhagent.errors import ConcurrencyConflict, RecordNotFound, RegistrationGone

from . import accounts, tags
from .conditions import check_match, is_conditional
from .devices import check_platform, no_content, sent
from .problems import conflict, invalid, not_found
from .services import services
from .tables import KeptRegistration

MAX_NAME_CHARACTERS = 120
TRIES = 2

blueprint = Blueprint("registrations", __name__, url_prefix="/registrations")


@blueprint.put("/<name>")
def put(name: str) -> Response:
    """Write a registration whole; with If-Match only where it is still as it was read."""
    credential_id = accounts.authenticate()
    registration = _sent_registration()
    for _ in range(TRIES):
        held = _held(credential_id, name)
        check_match(None if held is None else held.etag)
        if held is None:
            return _create(credential_id, name, registration)
        with services().sessions() as session:  # after the reading: a topic given since then has another ETag
            granted = _granted(session, credential_id, registration)
        try:
            return _reply(services().hub.update_registration(held.registration_id, granted, held.etag), 200)
        except (ConcurrencyConflict, RecordNotFound):
            continue  # somebody was faster: what is there now is read
    raise conflict(409)


@blueprint.get("/<name>")
def get(name: str) -> Response:
    """Read a registration."""
    held = _held(accounts.authenticate(), name)
    if held is None:
        raise not_found()
    return _reply(held, 200)


@blueprint.delete("/<name>")
def delete(name: str) -> Response:
    """Delete a registration; with If-Match only where it is still as it was read."""
    credential_id = accounts.authenticate()
    held = _held(credential_id, name)
    check_match(None if held is None else held.etag)
    if held is not None:
        try:
            services().hub.delete_registration(held, None if is_conditional() else "*")
        except ConcurrencyConflict:
            raise conflict() from None
        except RecordNotFound:
            pass
    with services().sessions.begin() as session:
        kept = _kept(session, credential_id, name)
        if kept is not None:
            session.delete(kept)
    return no_content()


def _create(credential_id: int, name: str, registration: Registration) -> Response:
    """Write a registration that the hub does not hold.

    Its id is in the database before it is used: after a reply that was lost the same one is used again.
    """
    registration_id = _keep_id(credential_id, name)
    try:
        return _put_whole(credential_id, registration_id, registration)
    except RegistrationGone:
        current_app.logger.info("registration %s is gone: it gets another id", registration_id)
        return _put_whole(credential_id, _keep_id(credential_id, name, gone=registration_id), registration)


def _put_whole(credential_id: int, registration_id: str, registration: Registration) -> Response:
    """Write a registration whatever there is; under the lock, so that no topic passes it by."""
    with accounts.writing_for(credential_id) as session:
        granted = _granted(session, credential_id, registration)
        return _reply(services().hub.put_registration(registration_id, granted), 201)


def _keep_id(credential_id: int, name: str, gone: str | None = None) -> str:
    """Give the hub's id of a registration: the one that is kept, or else a new one, which is kept."""
    with accounts.writing_for(credential_id) as session:
        kept = _kept(session, credential_id, name)
        if kept is None:
            kept = KeptRegistration(credential_id=credential_id, name=name, registration_id=gone)
            session.add(kept)
        if kept.registration_id == gone:
            kept.registration_id = services().hub.create_registration_id()
        return kept.registration_id


def _kept(session: Session, credential_id: int, name: str) -> KeptRegistration | None:
    if not name.isprintable() or len(name) > MAX_NAME_CHARACTERS:
        raise invalid("There is no such name.")
    whose = select(KeptRegistration).where(KeptRegistration.credential_id == credential_id)
    return session.scalar(whose.where(KeptRegistration.name == name))


def _held(credential_id: int, name: str) -> HeldRegistration | None:
    """Read what the hub holds; None: nothing."""
    with services().sessions() as session:
        kept = _kept(session, credential_id, name)
    try:
        return None if kept is None else services().hub.get_registration(kept.registration_id)
    except RecordNotFound:
        return None


def _sent_registration() -> Registration:
    document = sent("application/json")
    if not isinstance(document, dict):
        raise invalid("A registration is an object.")
    check_platform({str(name).lower(): part for name, part in document.items()}.get("platform"))
    return Registration.from_dict(document)


def _granted(session: Session, credential_id: int, registration: Registration) -> Registration:
    """Give a registration as a user's device gets it."""
    user = accounts.user_of(session, credential_id)
    tags.check_tags(registration.tags, user)
    return Registration.from_dict(registration.to_dict() | {"tags": tags.with_added(registration.tags, user)})


def _reply(held: HeldRegistration, status: int) -> Response:
    """Answer with a registration and its ETag. The hub's id stays here: it may change."""
    document = held.to_dict()
    for name in ("etag", "registrationId"):
        document.pop(name, None)
    reply = Response(json.dumps(document), status, content_type="application/json")
    reply.set_etag(held.etag)
    reply.headers["Cache-Control"] = "no-store"
    return reply
