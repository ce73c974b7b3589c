"""The registrations in the database: found by id, by handle and by tag without reading the others.

Registrations that clients made and those made from installations are rows of one table, so that every list
has both in one order.
"""

from __future__ import annotations

import sqlite3
import threading
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from nhagent.emulator.atom.descriptions import Description, Registration

SCHEMA = (
    # A number is never used twice, so that a page can continue after the number where the last one ended.
    """CREATE TABLE registrations (
        number INTEGER PRIMARY KEY AUTOINCREMENT,
        id TEXT NOT NULL UNIQUE,
        etag INTEGER NOT NULL,
        platform TEXT NOT NULL,
        handle TEXT NOT NULL,
        handle_keys TEXT NOT NULL,
        description TEXT NOT NULL,
        expiration TEXT,
        installation TEXT,
        name TEXT,
        expired INTEGER NOT NULL DEFAULT 0,
        UNIQUE (installation, name)
    )""",
    "CREATE INDEX registrations_by_handle ON registrations (handle, number)",
    "CREATE INDEX registrations_by_expiration ON registrations (expiration) WHERE expiration IS NOT NULL",
    """CREATE TABLE registration_tags (
        tag TEXT NOT NULL,
        number INTEGER NOT NULL REFERENCES registrations ON DELETE CASCADE,
        PRIMARY KEY (tag, number)
    ) WITHOUT ROWID""",
    "CREATE INDEX registration_tags_by_number ON registration_tags (number)",
    "CREATE TABLE gone_registrations (id TEXT PRIMARY KEY) WITHOUT ROWID",
)

MIGRATION = ("ALTER TABLE registrations ADD COLUMN expired INTEGER NOT NULL DEFAULT 0",)
"""What makes the tables of format 3 those of `SCHEMA`."""

_COLUMNS = "number, id, etag, description, expiration, installation, expired"
_COUNTED = 1000
"""Registrations of a tag are counted up to here: more is simply many."""


@dataclass(frozen=True, slots=True)
class ChannelQuery:
    """The handles that a list is about.

    Attributes:
        handles: a registration has one of these: any of them may be what the client meant.
        platforms: the platforms to search.
        handle_keys: the same for a browser's keys; None for any.
        any_case: match Apple's tokens, which are kept in capitals, in any case.
    """

    handles: tuple[str, ...]
    platforms: tuple[str, ...]
    handle_keys: tuple[str, ...] | None = None
    any_case: bool = False


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a list.

    Attributes:
        registrations: in the order of creation.
        last: the place of the last one in that order when more follow, else None.
    """

    registrations: list[Registration]
    last: int | None


class RegistrationTable:
    """Reads and writes rows.

    Args:
        database: with the tables of `SCHEMA`.
        lock: held while a statement runs. A caller that reads and then writes holds it throughout.
    """

    def __init__(self, database: sqlite3.Connection, lock: threading.RLock) -> None:
        self._database = database
        self._lock = lock

    def find(self, registration_id: str) -> Registration | None:
        """Return one registration, or None."""
        rows = self._select("WHERE id = ?", [registration_id])
        return _registration(rows[0]) if rows else None

    def all(self, after: int, limit: int) -> Page:
        """Return a page of all registrations.

        Args:
            after: the place after which the page begins; 0 for the first page.
            limit: registrations on the page at most.
        """
        return self._page("WHERE number > ?", [after], limit)

    def of_channel(self, channel: ChannelQuery, after: int, limit: int) -> Page:
        """Return a page of the registrations of a channel; see `all`."""
        handles = list(channel.handles)
        capitals = [handle.upper() for handle in handles] if channel.any_case else []
        where = (
            f"WHERE handle IN ({_marks(handles + capitals)}) AND number > ?"
            f" AND (platform = 'apns' OR handle IN ({_marks(handles)}))"
            f" AND platform IN ({_marks(channel.platforms)})"
        )
        values: list[Any] = [*handles, *capitals, after, *handles, *channel.platforms]
        if channel.handle_keys is not None:
            where += f" AND handle_keys IN ({_marks(channel.handle_keys)})"
            values += channel.handle_keys
        return self._page(where, values, limit)

    def of_tag(self, tag: str, after: int, limit: int) -> Page:
        """Return a page of the registrations that carry a tag; see `all`."""
        where = "JOIN registration_tags USING (number) WHERE tag = ? AND registration_tags.number > ?"
        return self._page(where, [tag.lower(), after], limit, place="registration_tags.number")

    def of_any_tag(self, tags: Iterable[str]) -> list[Registration]:
        """Return the registrations that carry one of these tags or more, in the order of creation.

        Args:
            tags: in lower case.
        """
        wanted = list(tags)
        where = (
            f"WHERE number IN (SELECT number FROM registration_tags WHERE tag IN ({_marks(wanted)}))"  # noqa: S608
            " ORDER BY number"
        )
        return [_registration(row) for row in self._select(where, wanted)]

    def every(self) -> list[Registration]:
        """Return every registration, in the order of creation."""
        return [_registration(row) for row in self._select("ORDER BY number", [])]

    def every_named(self) -> list[tuple[Registration, str | None]]:
        """Return every registration with its name within its installation, in the order of creation."""
        query = f"SELECT {_COLUMNS}, name FROM registrations ORDER BY number"  # noqa: S608
        with self._lock:
            rows = self._database.execute(query).fetchall()
        return [(_registration(row[:-1]), row[-1]) for row in rows]

    def count_of_tag(self, tag: str) -> int:
        """Return how many registrations carry a tag, counted up to a thousand.

        Args:
            tag: in lower case.
        """
        query = "SELECT COUNT(*) FROM (SELECT 1 FROM registration_tags WHERE tag = ? LIMIT ?)"
        with self._lock:
            return int(self._database.execute(query, (tag, _COUNTED)).fetchone()[0])

    def of_clients(self) -> list[Registration]:
        """Return every registration that was not made from an installation."""
        rows = self._select("WHERE installation IS NULL ORDER BY number", [])
        return [_registration(row) for row in rows]

    def page_of_clients(self, offset: int, limit: int, words: str) -> tuple[list[Registration], int]:
        """Return some of the registrations that clients made, and how many there are.

        Args:
            offset, limit, words: as for `nhagent.emulator.storage.Storage.page_of_installations`.
        """
        where = "WHERE installation IS NULL"
        values: list[Any] = []
        if words:
            where += " AND instr(lower(id || ' ' || description), ?)"
            values.append(words.lower())
        rows = self._select(f"{where} ORDER BY number LIMIT ? OFFSET ?", [*values, limit, offset])
        query = f"SELECT COUNT(*) FROM registrations {where}"  # noqa: S608
        with self._lock:
            count = int(self._database.execute(query, values).fetchone()[0])
        return [_registration(row) for row in rows], count

    def of_installation(self, installation_id: str) -> dict[str, Registration]:
        """Return the registrations made from an installation, by their names within it."""
        query = f"SELECT {_COLUMNS}, name FROM registrations WHERE installation = ?"  # noqa: S608
        with self._lock:
            rows = self._database.execute(query, (installation_id,)).fetchall()
        return {row[-1]: _registration(row[:-1]) for row in rows}

    def insert(self, registration: Registration, name: str | None = None) -> None:
        """Store a new registration.

        Args:
            registration: its id is not in the table.
            name: the registration's name within its installation; None for one that a client made.
        """
        description = registration.description
        query = (
            "INSERT INTO registrations (id, etag, platform, handle, handle_keys, description, expiration,"
            " installation, name, expired) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"
        )
        values = (
            registration.id,
            registration.etag,
            description.kind.platform,
            description.handle,
            description.handle_keys,
            description.to_json(),
            registration.expiration,
            registration.installation,
            name,
            registration.expired,
        )
        with self._lock:
            number = self._database.execute(query, values).lastrowid
            self._tag(number, description.tags)

    def update(
        self,
        found: Registration,
        description: Description,
        expiration: str | None,
        *,
        expired: bool = False,
    ) -> Registration:
        """Replace a registration's description. Its ETag grows by one; its id and installation stay.

        Args:
            found: as it is stored.
            description: the new description.
            expiration: when it expires; None for never.
            expired: whether its channel is dead.

        Returns:
            The registration as it is stored now.
        """
        updated = Registration(found.id, found.etag + 1, description, expiration, found.installation, expired)
        query = (
            "UPDATE registrations SET etag = ?, platform = ?, handle = ?, handle_keys = ?, description = ?,"
            " expiration = ?, expired = ? WHERE id = ?"
        )
        values = (
            updated.etag,
            description.kind.platform,
            description.handle,
            description.handle_keys,
            description.to_json(),
            expiration,
            expired,
            found.id,
        )
        with self._lock:
            self._database.execute(query, values)
            if description.tags != found.description.tags:
                find = "SELECT number FROM registrations WHERE id = ?"
                (number,) = self._database.execute(find, (found.id,)).fetchone()
                self._database.execute("DELETE FROM registration_tags WHERE number = ?", (number,))
                self._tag(number, description.tags)
        return updated

    def delete(self, registration_id: str) -> bool:
        """Delete one registration, and return whether there was one."""
        with self._lock:
            query = "DELETE FROM registrations WHERE id = ?"
            return self._database.execute(query, (registration_id,)).rowcount > 0

    def delete_installation(self, installation_id: str) -> None:
        """Delete every registration made from an installation."""
        with self._lock:
            self._database.execute("DELETE FROM registrations WHERE installation = ?", (installation_id,))

    def delete_of_handle(self, platform: str, handle: str) -> None:
        """Delete every registration with a handle that was not made from an installation."""
        query = "DELETE FROM registrations WHERE handle = ? AND platform = ? AND installation IS NULL"
        with self._lock:
            self._database.execute(query, (handle, platform))

    def delete_expired(self, now: str) -> None:
        """Delete the registrations whose time has come; see `Storage.delete_expired`."""
        with self._lock:
            query = "SELECT 1 FROM registrations WHERE expiration <= ? LIMIT 1"
            if self._database.execute(query, (now,)).fetchone() is not None:
                self._database.execute("DELETE FROM registrations WHERE expiration <= ?", (now,))

    def set_gone(self, registration_id: str) -> None:
        """Mark an id as gone, for good."""
        with self._lock:
            self._database.execute("INSERT OR IGNORE INTO gone_registrations VALUES (?)", (registration_id,))

    def gone(self) -> list[str]:
        """Return every id that was marked as gone."""
        with self._lock:
            return [row[0] for row in self._database.execute("SELECT id FROM gone_registrations ORDER BY id")]

    def is_gone(self, registration_id: str) -> bool:
        """Return whether an id was marked as gone."""
        with self._lock:
            query = "SELECT 1 FROM gone_registrations WHERE id = ?"
            return self._database.execute(query, (registration_id,)).fetchone() is not None

    def count_handles(self) -> int:
        """Return the number of distinct handles, which is that of devices."""
        with self._lock:
            query = "SELECT COUNT(DISTINCT handle) FROM registrations"
            return int(self._database.execute(query).fetchone()[0])

    def knows_handle(self, handle: str) -> bool:
        """Return whether any registration has this handle."""
        with self._lock:
            query = "SELECT 1 FROM registrations WHERE handle = ? LIMIT 1"
            return self._database.execute(query, (handle,)).fetchone() is not None

    def _page(self, where: str, values: list[Any], limit: int, place: str = "number") -> Page:
        # One more than asked for tells whether more remain.
        rows = self._select(f"{where} ORDER BY {place} LIMIT ?", [*values, limit + 1])
        last = int(rows[limit - 1][0]) if len(rows) > limit else None
        return Page([_registration(row) for row in rows[:limit]], last)

    def _select(self, where: str, values: list[Any]) -> list[Any]:
        # Only this module's own text is joined; values from clients are bound.
        query = f"SELECT {_COLUMNS} FROM registrations {where}"  # noqa: S608
        with self._lock:
            return self._database.execute(query, values).fetchall()

    def _tag(self, number: int | None, tags: list[str]) -> None:
        if not tags:
            return
        rows = [(tag.lower(), number) for tag in tags]
        self._database.executemany("INSERT OR IGNORE INTO registration_tags VALUES (?, ?)", rows)


def _registration(row: Any) -> Registration:
    _, registration_id, etag, description, expiration, installation, expired = row
    return Registration(
        registration_id, etag, Description.from_json(description), expiration, installation, bool(expired)
    )


def _marks(values: Iterable[Any]) -> str:
    return ", ".join("?" for _ in values)
