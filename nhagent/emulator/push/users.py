"""What the push service keeps: its users, their channels, and messages that wait for them.

A user is a client, known by its uaid alone. It is kept from its first channel on.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import uuid
from base64 import urlsafe_b64encode
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

USER_SECONDS = 60 * 86400.0
"""A user that has not said hello for so long is forgotten."""
MAX_STORED = 150
"""A user for whom more messages wait is forgotten."""
MAX_TTL = 30 * 86400
"""Longest time that a message is kept, in seconds."""

_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS push_users (uaid TEXT PRIMARY KEY, json TEXT NOT NULL)",
    "CREATE TABLE IF NOT EXISTS push_secrets (name TEXT PRIMARY KEY, value TEXT NOT NULL)",
)


@dataclass(slots=True)
class Message:
    """A message on its way to one channel.

    Attributes:
        version: what the service calls it.
        channel_id: where it goes.
        data: the encrypted body in base64url; None: it has none.
        headers: what the sender said of the encryption.
        expires: the emulator's time after which it is dropped.
        topic: replaces a message of the same topic that waits; None: it has none.
    """

    version: str
    channel_id: str
    data: str | None
    headers: dict[str, str]
    expires: float
    topic: str | None = None

    def to_notification(self) -> dict[str, Any]:
        """Give what a device is sent."""
        notification: dict[str, Any] = {
            "messageType": "notification",
            "channelID": self.channel_id,
            "version": self.version,
            "ttl": 0,
        }
        if self.data is not None:
            notification |= {"data": self.data, "headers": self.headers}
        return notification


@dataclass(slots=True)
class User:
    """A client.

    Attributes:
        uaid: its name and its only credential.
        channels: the VAPID public key of each channel by its id; empty for one without.
        stored: the messages that wait, oldest first.
        seen: when it last said hello, by the emulator's time.
    """

    uaid: str
    channels: dict[str, str] = field(default_factory=dict)
    stored: list[Message] = field(default_factory=list)
    seen: float = 0.0


class Users:
    """All users. The caller holds `lock` for whatever must agree.

    Args:
        database: where they are kept from run to run.
        lock: the database's.

    Attributes:
        lock: held by whoever reads or changes several things that belong together.
    """

    def __init__(self, database: sqlite3.Connection, lock: threading.RLock) -> None:
        self.lock = lock
        self._database = database
        self._users: dict[str, User] = {}
        with lock:
            for statement in _SCHEMA:
                database.execute(statement)
            for (text,) in database.execute("SELECT json FROM push_users"):
                user = _user_in(json.loads(text))
                self._users[user.uaid] = user

    def secret(self, name: str, make: Callable[[], str]) -> str:
        """Return what is kept under a name, made when it is first asked for."""
        with self.lock:
            query = "SELECT value FROM push_secrets WHERE name = ?"
            row = self._database.execute(query, (name,)).fetchone()
            if row is not None:
                return str(row[0])
            value = make()
            self._database.execute("INSERT INTO push_secrets VALUES (?, ?)", (name, value))
            return value

    def find(self, uaid: str | None, now: float) -> User | None:
        """Return a user that is still known."""
        with self.lock:
            user = self._users.get(uaid or "")
            if user is not None and now - user.seen > USER_SECONDS:
                self.forget(user.uaid)
                return None
            return user

    def all(self) -> list[User]:
        """Return every user."""
        with self.lock:
            return list(self._users.values())

    def keep(self, user: User) -> None:
        """Keep a user as it is now, if it has a channel."""
        with self.lock:
            if not user.channels and user.uaid not in self._users:
                return
            self._users[user.uaid] = user
            row = (user.uaid, json.dumps(asdict(user)))
            self._database.execute("INSERT OR REPLACE INTO push_users VALUES (?, ?)", row)

    def forget(self, uaid: str) -> None:
        """Forget a user, with all channels and messages."""
        with self.lock:
            self._users.pop(uaid, None)
            self._database.execute("DELETE FROM push_users WHERE uaid = ?", (uaid,))

    def store(self, user: User, message: Message) -> None:
        """Let a message wait; with too many of them the user is forgotten."""
        with self.lock:
            if message.topic is not None:
                user.stored = [each for each in user.stored if each.topic != message.topic]
            user.stored.append(message)
            if len(user.stored) > MAX_STORED:
                self.forget(user.uaid)
            else:
                self.keep(user)


def new_uaid() -> str:
    """Make the name of a new user."""
    return uuid.uuid4().hex


def new_version() -> str:
    """Make the name of a message."""
    return urlsafe_b64encode(os.urandom(24)).decode()


def _user_in(document: dict[str, Any]) -> User:
    stored = [Message(**message) for message in document.pop("stored")]
    return User(**document, stored=stored)
