"""What the environment says."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path

BESIDE_THE_APP = f"sqlite:///{Path(__file__).parent / 'backend.sqlite'}"


@dataclass(frozen=True)
class Settings:
    """Where the database and the hub are.

    Attributes:
        hub: the hub's name.
        connection_string: of a policy with the right Listen at least. No ``repr`` shows it.
        ca_bundle: PEM file of an authority to trust beside the usual ones; for tests.
        database_url: as SQLAlchemy takes it; may have a password, and so is not shown either.
    """

    hub: str
    connection_string: str = field(repr=False)
    ca_bundle: str | None = None
    database_url: str = field(default=BESIDE_THE_APP, repr=False)

    @classmethod
    def from_environment(cls) -> Settings:
        """Read HUB_NAME, HUB_CONNECTION_STRING, HUB_CA and DATABASE_URL.

        Raises:
            RuntimeError: one of the first two is missing.
        """
        missing = [name for name in ("HUB_NAME", "HUB_CONNECTION_STRING") if not os.environ.get(name)]
        if missing:
            raise RuntimeError(f"{', '.join(missing)}: set in the environment, see README.md")
        return cls(
            hub=os.environ["HUB_NAME"],
            connection_string=os.environ["HUB_CONNECTION_STRING"],
            ca_bundle=os.environ.get("HUB_CA") or None,
            database_url=os.environ.get("DATABASE_URL") or BESIDE_THE_APP,
        )
