"""The hub's memory: one SQLite database, in a file or in memory, used by many threads one at a time."""

from __future__ import annotations

import os
import secrets
import sqlite3
import threading
from base64 import b64encode
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field

from . import registration_table
from .registration_table import RegistrationTable

_SCHEMA_VERSION = 2
_SCHEMA = (
    "CREATE TABLE hub (name TEXT NOT NULL)",
    "CREATE TABLE rules (name TEXT PRIMARY KEY, key TEXT NOT NULL, rights TEXT NOT NULL)",
    "CREATE TABLE installations (id TEXT PRIMARY KEY, json TEXT NOT NULL)",
    *registration_table.SCHEMA,
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)


@dataclass(frozen=True, slots=True)
class Rule:
    """A named key and what it may do."""

    key: str = field(repr=False)
    rights: frozenset[str]

    @classmethod
    def new(cls, rights: Iterable[str]) -> Rule:
        """A rule with a fresh random key of the form that the service gives: 44 characters of base64."""
        return cls(b64encode(secrets.token_bytes(32)).decode(), frozenset(rights))


class Storage:
    """Installations, registrations and rules of one hub.

    Args:
        data: a file's path, made with mode 0600 as it holds keys, or `:memory:`.
        hub: the hub's name.
        rules: the rules by name. A rule that the file knows already keeps the key that it has there.

    Raises:
        ValueError: the file is another hub's, another version's, or no database.
        sqlite3.OperationalError, OSError: the file cannot be opened.
    """

    def __init__(self, data: str, hub: str, rules: Mapping[str, Rule]) -> None:
        self.lock = threading.RLock()
        """Held by whoever reads twice what must agree."""
        if data != ":memory:":
            with suppress(FileExistsError):
                os.close(os.open(data, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self._database = sqlite3.connect(data, isolation_level=None, check_same_thread=False)
        self.registrations = RegistrationTable(self._database, self.lock)
        try:
            self._prepare(data, hub, rules)
        except sqlite3.OperationalError:
            self._database.close()
            raise
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ValueError(f"{data} is no emulator data file: {error}.") from error
        except BaseException:
            self._database.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """What happens inside happens wholly or, after an error, not at all, and nobody writes in between.

        One inside another is part of it.
        """
        with self.lock:
            if self._database.in_transaction:
                yield
                return
            self._database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self._database.execute("ROLLBACK")
                raise
            self._database.execute("COMMIT")

    def rules(self) -> dict[str, Rule]:
        with self.lock:
            rows = self._database.execute("SELECT name, key, rights FROM rules ORDER BY rowid").fetchall()
        return {name: Rule(key, frozenset(rights.split())) for name, key, rights in rows}

    def installation(self, installation_id: str) -> str | None:
        """Its JSON, or None when there is none."""
        with self.lock:
            query = "SELECT json FROM installations WHERE id = ?"
            row = self._database.execute(query, (installation_id,)).fetchone()
        return None if row is None else str(row[0])

    def installations(self) -> list[str]:
        """The JSON of all, in the order in which they first came."""
        with self.lock:
            return [row[0] for row in self._database.execute("SELECT json FROM installations ORDER BY rowid")]

    def put_installation(self, installation_id: str, json: str) -> None:
        with self.lock:
            self._database.execute(
                "INSERT INTO installations VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET json = excluded.json",
                (installation_id, json),
            )

    def delete_installation(self, installation_id: str) -> bool:
        """Whether there was one."""
        with self.lock:
            query = "DELETE FROM installations WHERE id = ?"
            return self._database.execute(query, (installation_id,)).rowcount > 0

    def close(self) -> None:
        with self.lock:
            self._database.close()

    def _prepare(self, data: str, hub: str, rules: Mapping[str, Rule]) -> None:
        # An answered write must survive the emulator's being killed, not the machine's losing power.
        self._database.execute("PRAGMA journal_mode = WAL")
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("PRAGMA foreign_keys = ON")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._database.execute("SELECT 1 FROM sqlite_schema").fetchone():
            self._database.execute("BEGIN")
            for statement in _SCHEMA:
                self._database.execute(statement)
            self._database.execute("INSERT INTO hub VALUES (?)", (hub,))
            self._database.execute("COMMIT")
        elif version != _SCHEMA_VERSION:
            raise ValueError(
                f"{data} is not a data file of this version of the emulator (format {version} instead of "
                f"{_SCHEMA_VERSION}): name a new one."
            )
        (known,) = self._database.execute("SELECT name FROM hub").fetchone()
        if known.lower() != hub.lower():
            raise ValueError(f"{data} holds the hub '{known}', not '{hub}'.")
        self._database.executemany(
            "INSERT INTO rules VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET rights = excluded.rights",
            [(name, rule.key, " ".join(sorted(rule.rights))) for name, rule in rules.items()],
        )
