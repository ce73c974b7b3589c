"""The commands: ``flask --app examples/backend add-user anna`` and others."""

from __future__ import annotations

import string
from collections.abc import Iterator
from contextlib import closing, contextmanager

import click
from flask import Flask
from flask.cli import with_appcontext
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Session

from nhagent import NhagentError

from . import accounts
from .services import services
from .sign_in import sign_in
from .tables import User

MAX_NAME_CHARACTERS = 64
MAX_TAG_CHARACTERS = 120
_IN_NAMES = frozenset(string.ascii_letters + string.digits + "_@.-")
_IN_TAGS = _IN_NAMES | {"#", ":"}


def register(app: Flask) -> None:
    """Give the app its commands."""
    for command in (add_user, add_device, grant_tag, change_user):
        app.cli.add_command(command)


@click.command("add-user")
@click.argument("name")
@with_appcontext
def add_user(name: str) -> None:
    """Add a user, and print the token of the user's first device."""
    try:
        with _session() as session:
            _check_name(name)
            _print_token(session, accounts.add_user(session, name))
    except IntegrityError:
        raise click.ClickException(f"there is a user {name} already") from None


@click.command("add-device")
@click.argument("user")
@with_appcontext
def add_device(user: str) -> None:
    """Print the token of a further device of a user."""
    with _session() as session:
        _print_token(session, _known(session, user))


@click.command("grant-tag")
@click.argument("user")
@click.argument("tag")
@with_appcontext
def grant_tag(user: str, tag: str) -> None:
    """Let a user's devices have a tag with a colon, such as role:admin."""
    with _session() as session:
        _check_tag(tag)
        accounts.give_tag(session, _known(session, user), tag)


@click.command("sign-in")
@click.argument("device", type=int)
@click.argument("user")
@with_appcontext
def change_user(device: int, user: str) -> None:
    """Make a device (the number in front of its token) another user's."""
    try:
        with closing(services()) as both:
            sign_in(both, device, user)
    except (LookupError, NhagentError) as error:
        raise click.ClickException(str(error)) from None


@contextmanager
def _session() -> Iterator[Session]:
    """Open a transaction of a command, whose process is done with the database after it."""
    with closing(services()) as both, both.sessions.begin() as session:
        yield session


def _check_name(name: str) -> None:
    if not name or len(name) > MAX_NAME_CHARACTERS or not _IN_NAMES.issuperset(name):
        raise click.BadParameter("a name is letters, digits and _ @ . - only")


def _check_tag(tag: str) -> None:
    is_tag = ":" in tag and len(tag) <= MAX_TAG_CHARACTERS and _IN_TAGS.issuperset(tag)
    if not is_tag or tag.lower().startswith("username:"):
        raise click.BadParameter("a tag to grant has a colon, and is not a username: tag")


def _known(session: Session, name: str) -> User:
    user = accounts.find_user(session, name)
    if user is None:
        raise click.ClickException(f"there is no user {name}")
    return user


def _print_token(session: Session, user: User) -> None:
    token = accounts.issue_token(session, user)
    click.echo(f"device {token.partition('.')[0]} of {user.name}; its token is shown this once:", err=True)
    click.echo(token)
