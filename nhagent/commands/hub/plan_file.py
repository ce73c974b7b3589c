"""What a deduplication knows: every record of the hub by what makes two of them the same, in a SQLite file.

So a hub of any size takes little memory, and a run that was killed goes on where it was. The file holds
hashes of push channels, never the channels.
"""

from __future__ import annotations

import os
import sqlite3
from hashlib import blake2b
from time import time

from nhagent.errors import ConfigurationError
from nhagent.models import identity_of_channel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, Final

    from nhagent.hub.held import HeldRegistration

FRESH_SECONDS: Final = 3600.0
"""An interrupted plan that is older is made again: what it keeps may be gone by now."""
_SCHEMA: Final = (
    """CREATE TABLE run (hub TEXT NOT NULL, token TEXT, listed INTEGER NOT NULL, begun REAL NOT NULL,
    pages INTEGER NOT NULL, deleted INTEGER NOT NULL, left INTEGER NOT NULL, requests INTEGER NOT NULL)""",
    """CREATE TABLE records (id TEXT PRIMARY KEY, etag TEXT NOT NULL, channel BLOB NOT NULL,
    kind BLOB NOT NULL, owned INTEGER NOT NULL, is_done INTEGER NOT NULL DEFAULT 0) WITHOUT ROWID""",
    "CREATE INDEX by_kind ON records (channel, kind, owned, id)",
    "PRAGMA user_version = 1",
)
_SURPLUS: Final = (
    "FROM records AS one WHERE owned = 0 AND EXISTS (SELECT 1 FROM records AS other"
    " WHERE other.channel = one.channel AND other.kind = one.kind"
    " AND (other.owned > one.owned OR (other.owned = one.owned AND other.id < one.id)))"
)
"""Of equals one is kept: an installation's row, else the smallest id. An installation's rows always stay."""


class PlanFile:
    """The plan of one run.

    Args:
        path: the file, made with mode 0600 where it is missing; None: one that vanishes with the process.
        hub: the hub, and where it is.
        clock: gives seconds since 1970.

    Raises:
        ConfigurationError: the file is no plan, or another hub's.
    """

    def __init__(self, path: str | None, hub: str, clock: Callable[[], float] = time) -> None:
        self._clock = clock
        if path is not None:
            _make_private(path)
        self._database = sqlite3.connect(path or "", isolation_level=None)
        try:
            self._begin(hub)
        except sqlite3.DatabaseError as error:
            self._database.close()
            raise ConfigurationError(
                f"--resume {path}: is no plan of nhagent ({error})", "name a new file"
            ) from None
        except BaseException:
            self._database.close()
            raise

    def close(self) -> None:
        """Close the file."""
        self._database.close()

    @property
    def token(self) -> str | None:
        """Where the list goes on; None: at its beginning."""
        found: str | None = self._fact("token")
        return found

    @property
    def is_listed(self) -> bool:
        """Whether the whole list was read."""
        return bool(self._fact("listed"))

    def number(self, name: str) -> int:
        """Return how many ``pages`` were read, records ``deleted`` or ``left`` alone, ``requests`` made."""
        return int(self._fact(name))

    def add_page(self, rows: Iterable[HeldRegistration], token: str | None) -> None:
        """Take down a page of the list, and where it goes on."""
        values = [
            (row.registration_id, row.etag or "*", *_keys(row), row.installation_id is not None)
            for row in rows
        ]
        with _Transaction(self._database):
            self._database.executemany(
                "INSERT OR REPLACE INTO records (id, etag, channel, kind, owned) VALUES (?, ?, ?, ?, ?)",
                values,
            )
            self._database.execute(
                "UPDATE run SET token = ?, listed = ?, pages = pages + 1, requests = requests + 1",
                (token, token is None),
            )

    def surplus(self) -> Iterator[tuple[str, str]]:
        """Yield the id and the ETag of each record that must go and is still there."""
        query = f"SELECT id, etag {_SURPLUS} AND is_done = 0 AND id > ? ORDER BY id LIMIT 100"
        last = ""
        while rows := self._database.execute(query, (last,)).fetchall():
            yield from rows
            last = rows[-1][0]

    def strike_out(self, record_id: str, *, is_left: bool) -> None:
        """Take down that a record was deleted, or left to whoever changed it."""
        name = "left" if is_left else "deleted"
        with _Transaction(self._database):
            self._database.execute("UPDATE records SET is_done = 1 WHERE id = ?", (record_id,))
            self._database.execute(f"UPDATE run SET {name} = {name} + 1, requests = requests + 1")  # noqa: S608

    def counts(self) -> dict[str, int]:
        """Return how many ``channels`` have a surplus, of how many records, and how many are ``kept``."""
        surplus, channels = self._database.execute(
            f"SELECT COUNT(*), COUNT(DISTINCT channel) {_SURPLUS}"
        ).fetchone()
        (total,) = self._database.execute("SELECT COUNT(*) FROM records").fetchone()
        return {"channels": channels, "surplus": surplus, "kept": total - surplus}

    def _begin(self, hub: str) -> None:
        self._database.execute("PRAGMA journal_mode = WAL")
        # What a crash of the machine takes back is asked for, or deleted, once more: no harm.
        self._database.execute("PRAGMA synchronous = NORMAL")
        self._database.execute("PRAGMA cache_size = -2000")
        version = self._database.execute("PRAGMA user_version").fetchone()[0]
        if version == 0 and not self._database.execute("SELECT 1 FROM sqlite_schema").fetchone():
            with _Transaction(self._database):
                for statement in _SCHEMA:
                    self._database.execute(statement)
            self._start(hub)
            return
        if version != 1:
            raise ConfigurationError("--resume: the file is no plan of this nhagent", "name a new one")
        (known,) = self._database.execute("SELECT hub FROM run").fetchone()
        if known != hub:
            raise ConfigurationError(
                f"--resume: the plan is that of {known}", "name a file of this hub's own"
            )
        if float(self._clock()) - float(self._fact("begun")) > FRESH_SECONDS:
            self._start(hub)

    def _start(self, hub: str) -> None:
        with _Transaction(self._database):
            self._database.execute("DELETE FROM run")
            self._database.execute("DELETE FROM records")
            self._database.execute(
                "INSERT INTO run VALUES (?, NULL, 0, ?, 0, 0, 0, 0)", (hub, float(self._clock()))
            )

    def _fact(self, name: str) -> Any:
        return self._database.execute(f"SELECT {name} FROM run").fetchone()[0]  # noqa: S608


class _Transaction:
    """What is done within is kept whole, or not at all."""

    def __init__(self, database: sqlite3.Connection) -> None:
        self._database = database

    def __enter__(self) -> None:
        self._database.execute("BEGIN IMMEDIATE")

    def __exit__(self, kind: object, *_: object) -> None:
        self._database.execute("COMMIT" if kind is None else "ROLLBACK")


def _keys(row: HeldRegistration) -> tuple[bytes, bytes]:
    """Return what two records must have in common to be the same: the channel, and what they show on it."""
    channel = f"{row.platform}\n{identity_of_channel(row.platform, row.channel)}"
    kind = repr((row.template is not None, row.template_name, row.secondary_tile_name))
    return _hash(channel), _hash(kind)


def _hash(text: str) -> bytes:
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=12).digest()


def _make_private(path: str) -> None:
    try:
        os.close(os.open(path, os.O_CREAT | os.O_EXCL | os.O_WRONLY, 0o600))
    except FileExistsError:
        pass
    except OSError as error:
        raise ConfigurationError(f"--resume {path}: {error.strerror}", "name another file") from None
