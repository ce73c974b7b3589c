"""One notification hub: its name, its installations and its registrations."""

from __future__ import annotations

from typing import Any

from nhagent.emulator.hub.installations import Installations
from nhagent.emulator.hub.registrations import Registrations
from nhagent.emulator.storage import Storage


class Hub:
    """One notification hub. Every write is seen by the next read; the real service takes a moment.

    Args:
        name: may be a path such as ``a/b``.
        storage: where the hub keeps everything.
        lenient: accept registrations that the service refuses or accepts only in part.
        max_devices: above it new registrations and installations are refused; None for no limit.

    Attributes:
        name: as given.
        registrations: those that clients wrote and those that installations stand for.
        installations: what clients wrote.
    """

    def __init__(
        self, name: str, storage: Storage, *, lenient: bool = False, max_devices: int | None = None
    ) -> None:
        self.name = name
        self.registrations = Registrations(storage, lenient=lenient, max_devices=max_devices)
        self.installations = Installations(storage, self.registrations)
        self._storage = storage

    def contents(self) -> dict[str, Any]:
        """Return all that clients stored. Registrations made from installations are not repeated."""
        with self._storage.lock:
            return {
                "hub": self.name,
                "installations": self.installations.contents(),
                "registrations": self.registrations.contents(),
            }
