"""Who is who: users, the tokens of their devices, and whose an installation id is.

A token is ``NUMBER.SECRET``: the credential's number, and 256 random bits of which only a hash is kept.
"""

from __future__ import annotations

import hmac
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256

from flask import request
from sqlalchemy import select, update
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session, sessionmaker

from .problems import Problem, not_found
from .services import services
from .tables import Credential, Device, User, UserTag

_MAX_DIGITS = 9
_NOBODYS_HASH = sha256(secrets.token_bytes(32)).hexdigest()
"""What a token is compared with where there is no such credential, so that this takes as long."""


def add_user(session: Session, name: str) -> User:
    """Add a user."""
    user = User(name=name.lower())
    session.add(user)
    return user


def find_user(session: Session, name: str) -> User | None:
    """Find a user by name."""
    return session.scalar(select(User).where(User.name == name.lower()))


def issue_token(session: Session, user: User) -> str:
    """Make a credential for a device of a user.

    Returns:
        The device's token, which is kept nowhere.
    """
    secret = secrets.token_urlsafe(32)
    credential = Credential(token_hash=_hash_of(secret), user=user)
    session.add(credential)
    session.flush()
    return f"{credential.id}.{secret}"


def authenticate() -> int:
    """Tell which credential sends the request at work.

    Returns:
        The credential's number.

    Raises:
        Problem: 401.
    """
    given = request.authorization
    token = given.token if given is not None and given.type == "bearer" else None
    number, _, secret = (token or "").partition(".")
    credential = None
    if number.isascii() and number.isdigit() and len(number) <= _MAX_DIGITS:
        with services().sessions() as session:
            credential = session.get(Credential, int(number))
    expected = _NOBODYS_HASH if credential is None else credential.token_hash
    if not hmac.compare_digest(_hash_of(secret), expected) or credential is None:
        raise Problem(401, "unauthorized", "There is no such device token.")
    return credential.id


@contextmanager
def writing_for(credential_id: int, sessions: sessionmaker[Session] | None = None) -> Iterator[Session]:
    """Let one writer at a time change what a credential has at the hub, in all processes of the backend.

    The hub has no ETags of installations: two that read one and write it back would undo each other's change.
    A topic that the user is given meanwhile waits for the lock, and reaches what has been written.

    Args:
        credential_id: whose.
        sessions: None: those of the app at work.

    Yields:
        A session of the database whose transaction holds the lock.
    """
    with (sessions or services().sessions).begin() as session:
        # A write first: it locks the row with PostgreSQL, and SQLite has no other lock than its writer's.
        lock = update(Credential).where(Credential.id == credential_id)
        session.execute(lock.values(user_id=Credential.user_id))
        yield session


def user_of(session: Session, credential_id: int) -> User:
    """Give the user of a device at this moment."""
    return session.get_one(Credential, credential_id).user


def key_of(installation_id: str) -> str:
    """Give the form of an installation id that is equal for all spellings of it."""
    return installation_id.casefold()


def claim(credential_id: int, installation_id: str) -> Device:
    """Make an installation id this credential's where it is nobody's yet, for good.

    It is so before the hub is asked for anything: after a reply that was lost the id is no one else's either.

    Raises:
        Problem: 404, it is another's.
    """
    device = Device(key=key_of(installation_id), installation_id=installation_id, credential_id=credential_id)
    try:
        with services().sessions.begin() as session:
            if session.get(Device, device.key) is None:
                session.add(device)
    except IntegrityError:  # somebody else was faster
        pass
    return owned(credential_id, installation_id)


def owned(credential_id: int, installation_id: str) -> Device:
    """Find an installation id that is this credential's.

    Raises:
        Problem: 404, there is none, or it is another's: the two look alike.
    """
    with services().sessions() as session:
        device = session.get(Device, key_of(installation_id))
    if device is None or device.credential_id != credential_id:
        raise not_found()
    return device


def is_claimed(installation_id: str) -> bool:
    """Whether an installation id is somebody's."""
    with services().sessions() as session:
        return session.get(Device, key_of(installation_id)) is not None


def lock_user(session: Session, user_id: int) -> None:
    """Let one writer at a time change the tags of a user."""
    session.execute(update(User).where(User.id == user_id).values(name=User.name))


def give_tag(session: Session, user: User, tag: str) -> None:
    """Let a user have a tag."""
    lock_user(session, user.id)
    session.refresh(user)
    if tag.lower() not in {kept.tag for kept in user.tags}:
        user.tags.append(UserTag(tag=tag.lower()))


def take_tag(session: Session, user: User, tag: str) -> None:
    """Let a user have a tag no more."""
    lock_user(session, user.id)
    kept = session.get(UserTag, (user.id, tag.lower()))
    if kept is not None:
        session.delete(kept)


def _hash_of(secret: str) -> str:
    return sha256(secret.encode()).hexdigest()
