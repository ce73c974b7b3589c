"""What the app works with: the database and the hub."""

from __future__ import annotations

from typing import Any

from flask import current_app
from sqlalchemy import create_engine, event
from sqlalchemy.orm import Session, sessionmaker

from nhagent import HubClient

from .settings import Settings
from .tables import Base

HUB_SECONDS = 20.0
"""For one exchange with the hub: longer than it takes, shorter than a device waits."""
LOCK_SECONDS = 60.0
"""How long SQLite waits for another writer."""


class Services:
    """The database, its tables made where they are missing, and a client of the hub for all threads.

    Args:
        settings: where the two are.

    Attributes:
        settings: as given.
        sessions: makes sessions of the database.
        hub: the client.

    Raises:
        nhagent.NhagentError: the connection string or the hub's name is wrong.
    """

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.hub = HubClient(
            settings.connection_string, settings.hub, ca_bundle=settings.ca_bundle, timeout=HUB_SECONDS
        )
        # An error would show the parameters of its statement, and with them hashes of tokens.
        self._engine = create_engine(settings.database_url, hide_parameters=True, pool_pre_ping=True)
        if self._engine.dialect.name == "sqlite":
            event.listen(self._engine, "connect", _prepare_sqlite)
        Base.metadata.create_all(self._engine)
        self.sessions: sessionmaker[Session] = sessionmaker(self._engine)

    def close(self) -> None:
        """Close the connections to both."""
        self.hub.close()
        self._engine.dispose()


def services() -> Services:
    """Give those of the app at work."""
    found = current_app.extensions["services"]
    assert isinstance(found, Services)
    return found


def _prepare_sqlite(connection: Any, _: object) -> None:
    connection.execute("PRAGMA journal_mode = WAL")  # who reads does not wait for who writes
    connection.execute("PRAGMA foreign_keys = ON")
    connection.execute(f"PRAGMA busy_timeout = {LOCK_SECONDS * 1000:.0f}")
