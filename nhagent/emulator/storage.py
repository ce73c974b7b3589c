"""What the hub keeps: one SQLite database, in a file or in memory, used by many threads one at a time."""

from __future__ import annotations

import os
import sqlite3
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress

from nhagent.emulator import registration_table
from nhagent.emulator.registration_table import RegistrationTable
from nhagent.emulator.sas import AccessRule

_SCHEMA_VERSION = 4
_MIGRATED_VERSION = 3
_SCHEMA = (
    "CREATE TABLE hub (name TEXT NOT NULL)",
    "CREATE TABLE rules (name TEXT PRIMARY KEY, key TEXT NOT NULL, rights TEXT NOT NULL)",
    "CREATE TABLE installations (id TEXT PRIMARY KEY, json TEXT NOT NULL, expiration TEXT NOT NULL)",
    "CREATE INDEX installations_by_expiration ON installations (expiration)",
    *registration_table.SCHEMA,
    f"PRAGMA user_version = {_SCHEMA_VERSION}",
)


class Storage:
    """Stores the installations, registrations and access rules of one hub.

    Args:
        data: a file's path, made with mode 0600 as it holds keys, or ``:memory:``.
        hub: the hub's name.
        rules: the rules by name. A rule that the file has already keeps the key that it has there.
        on_write: called after every transaction, without the lock.

    Attributes:
        lock: held by a caller for several reads that must agree.
        database: the database, for tables of other parts of the emulator; used with ``lock`` held.
        registrations: the table of registrations.

    Raises:
        ValueError: the file is another hub's, another version's, or not a database.
        sqlite3.OperationalError, OSError: the file cannot be opened.
    """

    def __init__(
        self,
        data: str,
        hub: str,
        rules: Mapping[str, AccessRule],
        *,
        on_write: Callable[[], object] = lambda: None,
    ) -> None:
        self.lock = threading.RLock()
        self._on_write = on_write
        self._has_late, self._looked = False, ""
        if data != ":memory:":
            with suppress(FileExistsError):
                os.close(os.open(data, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
        self.database = sqlite3.connect(data, isolation_level=None, check_same_thread=False)
        self.registrations = RegistrationTable(self.database, self.lock)
        try:
            self._prepare(data, hub, rules)
        except sqlite3.OperationalError:
            self.database.close()
            raise
        except sqlite3.DatabaseError as error:
            self.database.close()
            raise ValueError(f"{data} is not an emulator data file: {error}.") from error
        except BaseException:
            self.database.close()
            raise

    @contextmanager
    def writing(self) -> Iterator[None]:
        """Put the writes inside into one transaction, which an error rolls back and no other thread enters.

        A nested one is part of the outer one.
        """
        with self.lock:
            if self.database.in_transaction:
                yield
                return
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
            except BaseException:
                self.database.execute("ROLLBACK")
                raise
            self.database.execute("COMMIT")
        self._on_write()

    @contextmanager
    def rehearsing(self) -> Iterator[None]:
        """Roll the writes inside back at the end, whatever happens."""
        with self.lock:
            self.database.execute("BEGIN IMMEDIATE")
            try:
                yield
            finally:
                self.database.execute("ROLLBACK")

    def rules(self) -> dict[str, AccessRule]:
        """Return every access rule by its name."""
        with self.lock:
            rows = self.database.execute("SELECT name, key, rights FROM rules ORDER BY rowid").fetchall()
        return {name: AccessRule(key, frozenset(rights.split())) for name, key, rights in rows}

    def installation(self, installation_id: str) -> str | None:
        """Return an installation's JSON; None when there is no such installation."""
        with self.lock:
            query = "SELECT json FROM installations WHERE id = ?"
            row = self.database.execute(query, (installation_id,)).fetchone()
        return None if row is None else str(row[0])

    def installations(self) -> list[str]:
        """Return the JSON of every installation, in the order of creation."""
        with self.lock:
            return [row[0] for row in self.database.execute("SELECT json FROM installations ORDER BY rowid")]

    def page_of_installations(self, offset: int, limit: int, words: str) -> tuple[list[str], int]:
        """Return the JSON of some installations, in the order of creation, and how many there are.

        Args:
            offset: how many come before them.
            limit: how many there are at most.
            words: only those whose JSON has these words, in any case; empty: all.
        """
        where, values = ("WHERE instr(lower(json), ?)", [words.lower()]) if words else ("", [])
        page = f"SELECT json FROM installations {where} ORDER BY rowid LIMIT ? OFFSET ?"  # noqa: S608
        with self.lock:
            rows = self.database.execute(page, [*values, limit, offset]).fetchall()
            count = self.database.execute(f"SELECT COUNT(*) FROM installations {where}", values)  # noqa: S608
            return [row[0] for row in rows], int(count.fetchone()[0])

    def put_installation(self, installation_id: str, json: str, expiration: str) -> None:
        """Store an installation's JSON and the time when it expires, or replace both."""
        query = (
            "INSERT INTO installations VALUES (?, ?, ?)"
            " ON CONFLICT (id) DO UPDATE SET json = excluded.json, expiration = excluded.expiration"
        )
        with self.lock:
            self.database.execute(query, (installation_id, json, expiration))
            self._has_late |= expiration <= self._looked

    def delete_installation(self, installation_id: str) -> bool:
        """Delete an installation, and return whether there was one. Its registrations stay."""
        with self.lock:
            query = "DELETE FROM installations WHERE id = ?"
            return self.database.execute(query, (installation_id,)).rowcount > 0

    def delete_everything(self) -> None:
        """Delete every installation and registration, and forget which ids are gone."""
        with self.lock:
            for table in ("registrations", "installations", "gone_registrations"):
                self.database.execute(f"DELETE FROM {table}")  # noqa: S608

    def delete_expired(self, now: str) -> None:
        """Delete the installations and registrations whose time has come.

        Args:
            now: in the form of an expiration time.
        """
        with self.lock:
            if now == self._looked and not self._has_late:
                return  # looked at before every request: once a second is enough
            self._has_late, self._looked = False, now
            # Mostly there is none, and a DELETE would take the database's write lock to find that out.
            query = "SELECT 1 FROM installations WHERE expiration <= ? LIMIT 1"
            if self.database.execute(query, (now,)).fetchone() is not None:
                self.database.execute("DELETE FROM installations WHERE expiration <= ?", (now,))
            self.registrations.delete_expired(now)

    def close(self) -> None:
        """Close the database."""
        with self.lock:
            self.database.close()

    def _prepare(self, data: str, hub: str, rules: Mapping[str, AccessRule]) -> None:
        # An answered write must survive a kill of the emulator, though not a power failure.
        self.database.execute("PRAGMA journal_mode = WAL")
        self.database.execute("PRAGMA synchronous = NORMAL")
        self.database.execute("PRAGMA foreign_keys = ON")
        # A file for a large sort could not be opened where descriptors are short.
        self.database.execute("PRAGMA temp_store = MEMORY")
        version = self.database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self.database.execute("SELECT 1 FROM sqlite_schema").fetchone():
            self.database.execute("BEGIN")
            for statement in _SCHEMA:
                self.database.execute(statement)
            self.database.execute("INSERT INTO hub VALUES (?)", (hub,))
            self.database.execute("COMMIT")
        elif version == _MIGRATED_VERSION:
            self.database.execute("BEGIN")
            for statement in (*registration_table.MIGRATION, f"PRAGMA user_version = {_SCHEMA_VERSION}"):
                self.database.execute(statement)
            self.database.execute("COMMIT")
        elif version != _SCHEMA_VERSION:
            raise ValueError(
                f"{data} is not a data file of this version of the emulator (format {version} instead of "
                f"{_SCHEMA_VERSION}): name a new one."
            )
        (known,) = self.database.execute("SELECT name FROM hub").fetchone()
        if known.lower() != hub.lower():
            raise ValueError(f"{data} holds the hub '{known}', not '{hub}'.")
        self.database.executemany(
            "INSERT INTO rules VALUES (?, ?, ?) ON CONFLICT (name) DO UPDATE SET rights = excluded.rights",
            [(name, rule.key, " ".join(sorted(rule.rights))) for name, rule in rules.items()],
        )
