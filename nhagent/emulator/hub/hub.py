"""One notification hub: its name, its installations and its registrations."""

from __future__ import annotations

import json
from contextlib import AbstractContextManager
from typing import Any

from nhagent.emulator.clock import iso_time
from nhagent.emulator.hub import snapshots
from nhagent.emulator.hub.installations import Installations
from nhagent.emulator.hub.records import facts_of
from nhagent.emulator.hub.registrations import Registrations
from nhagent.emulator.storage import Storage


class Hub:
    """One notification hub. Every write is seen by the next read; the real service takes a moment.

    Args:
        name: may be a path such as ``a/b``.
        storage: where the hub keeps everything.
        lenient: accept much that the service refuses or accepts only in part.
        max_devices: above it new registrations and installations are refused; None for no limit.

    Attributes:
        name: as given.
        lenient: as given.
        registrations: those that clients wrote and those that installations stand for.
        installations: what clients wrote.
        table: the registrations as the database has them, for those who send to them.
    """

    def __init__(
        self, name: str, storage: Storage, *, lenient: bool = False, max_devices: int | None = None
    ) -> None:
        self.name = name
        self.lenient = lenient
        self.registrations = Registrations(storage, lenient=lenient, max_devices=max_devices)
        self.installations = Installations(storage, self.registrations, lenient=lenient)
        self.table = storage.registrations
        self._storage = storage
        self._max_devices = max_devices

    def expire_registration(self, registration_id: str) -> None:
        """Mark a registration's channel as expired, as a push service's report does.

        Args:
            registration_id: made from an installation, it stands for that installation.

        Raises:
            Refused: 404.
        """
        with self._storage.writing():
            installation_id = self.registrations.expire(registration_id)
            if installation_id is not None:
                self.installations.expire(installation_id)

    def rehearsing(self) -> AbstractContextManager[None]:
        """Let what is done inside have its result, and no effect."""
        return self._storage.rehearsing()

    def strict_twin(self) -> Hub:
        """Return a hub with the same contents that is not lenient."""
        return Hub(self.name, self._storage, max_devices=self._max_devices)

    def forget_expired(self, now: float) -> None:
        """Forget what has expired. The service does it too, some time later.

        Args:
            now: the emulator's time, seconds since 1970.
        """
        self._storage.delete_expired(iso_time(now))

    def writing(self) -> AbstractContextManager[None]:
        """Make the writes inside one transaction."""
        return self._storage.writing()

    def taken(self) -> dict[str, Any]:
        """Return all that the hub keeps, for `put_back`; see `nhagent.emulator.hub.snapshots`."""
        return snapshots.take(self._storage)

    def put_back(self, document: dict[str, Any]) -> None:
        """Hold what a document says, instead of what the hub holds.

        Args:
            document: what `taken` or `contents` gave.

        Raises:
            Malformed: the document has something that no hub can hold. Nothing has changed then.
        """
        contents = snapshots.read(document, self.registrations.new_id)
        snapshots.put(self._storage, contents)

    def page_of_installations(self, offset: int, limit: int, words: str) -> tuple[list[dict[str, Any]], int]:
        """Return some installations, and how many there are; see `Storage.page_of_installations`."""
        texts, count = self._storage.page_of_installations(offset, limit, words)
        return [json.loads(text) for text in texts], count

    def page_of_registrations(self, offset: int, limit: int, words: str) -> tuple[list[dict[str, Any]], int]:
        """Return some of the registrations that clients made, and how many there are."""
        found, count = self.table.page_of_clients(offset, limit, words)
        return [facts_of(registration) for registration in found], count

    def contents(self) -> dict[str, Any]:
        """Return all that clients stored. Registrations made from installations are not repeated."""
        with self._storage.lock:
            return {
                "hub": self.name,
                "installations": self.installations.contents(),
                "registrations": self.registrations.contents(),
            }
