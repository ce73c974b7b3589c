"""The hub itself: what it holds and what may be done to it. It knows nothing of HTTP or tokens."""

from __future__ import annotations

import json
from typing import Any

from . import installation, patch, rules
from .descriptions import COMPACT
from .installation import Malformed
from .messages import Refused, body_invalid
from .patch import PatchRefused
from .registrations import Registrations
from .storage import Storage

Json = dict[str, Any]


class Hub:
    """One notification hub. Every write is seen by the next read; the real service takes a moment.

    Args:
        name: may be a path such as `a/b`.
        storage: where the hub keeps everything.
        lenient: take registrations that the service would refuse or take only in part.
        max_devices: above it new registrations and installations are refused, or None.
    """

    def __init__(
        self, name: str, storage: Storage, *, lenient: bool = False, max_devices: int | None = None
    ) -> None:
        self.name = name
        self.registrations = Registrations(storage, lenient=lenient, max_devices=max_devices)
        self._storage = storage

    def put_installation(self, installation_id: str, document: Any) -> None:
        """Replace the whole installation, or make it.

        Raises:
            Refused: 400, or 403 above the quota.
        """
        self._keep(installation_id, document)

    def installation(self, installation_id: str) -> str:
        """Its JSON as a GET answers it.

        Raises:
            Refused: 404.
        """
        found = self._storage.installation(installation_id)
        if found is None:
            raise Refused(404, "Installation not found")
        return found

    def patch_installation(self, installation_id: str, operations: Any) -> None:
        """Apply all operations or none.

        Raises:
            Refused: 400, or 404 when there is no such installation.
        """
        with self._storage.writing():
            stored = json.loads(self.installation(installation_id))
            if not isinstance(operations, list):
                raise body_invalid("A patch is an array of operations.")
            try:
                patched = patch.apply(stored, operations)
            except PatchRefused as error:
                raise body_invalid(str(error)) from error
            self._keep(installation_id, patched, patched=True)

    def delete_installation(self, installation_id: str) -> bool:
        """Whether there was one: a client is not told."""
        with self._storage.writing():
            self.registrations.drop(installation_id)
            return self._storage.delete_installation(installation_id)

    def expire_installation(self, installation_id: str) -> None:
        """What a push service's word that the channel is dead does.

        Raises:
            Refused: 404.
        """
        with self._storage.writing():
            stored = json.loads(self.installation(installation_id))
            self._keep(installation_id, stored | {"pushChannelExpired": True}, patched=True)

    def contents(self) -> Json:
        """All that clients stored; the registrations that installations stand for are not repeated."""
        with self._storage.lock:
            installations = [json.loads(text) for text in self._storage.installations()]
            registrations = self.registrations.contents()
        return {"hub": self.name, "installations": installations, "registrations": registrations}

    def _keep(self, installation_id: str, document: Any, *, patched: bool = False) -> None:
        try:
            found = installation.read(document, installation_id, patched=patched)
        except Malformed as error:
            raise body_invalid(str(error)) from error
        text = COMPACT.encode(found)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # JSON can escape half of a surrogate pair, which no reply could carry.
            raise body_invalid("A text is not valid Unicode.") from error
        rules.check(found, patched=patched)
        with self._storage.writing():
            self.registrations.follow(found)
            self._storage.put_installation(installation_id, text)
