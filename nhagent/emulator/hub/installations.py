"""The hub's installations, and what may be done to them."""

from __future__ import annotations

import json
from typing import Any

from nhagent.emulator.atom.descriptions import COMPACT
from nhagent.emulator.http_messages import Refused, body_invalid
from nhagent.emulator.hub.installation_reader import Malformed, read_installation
from nhagent.emulator.hub.patch import PatchRefused, apply
from nhagent.emulator.hub.registrations import Registrations
from nhagent.emulator.storage import Storage
from nhagent.emulator.validation.installation import validate_installation

Json = dict[str, Any]


class Installations:
    """The installations of one hub.

    Args:
        storage: where they are kept.
        registrations: those of the same hub; every write brings them in step.
        lenient: accept channels and templates that the service refuses for their form.
    """

    def __init__(self, storage: Storage, registrations: Registrations, *, lenient: bool = False) -> None:
        self._storage = storage
        self._registrations = registrations
        self._lenient = lenient

    def put(self, installation_id: str, document: Any) -> None:
        """Create an installation, or replace the whole of it.

        Args:
            installation_id: from the request's path.
            document: decoded JSON.

        Raises:
            Refused: 400, or 403 above the quota.
        """
        self._keep(installation_id, document)

    def get(self, installation_id: str) -> str:
        """Return an installation's JSON as a GET answers it.

        Raises:
            Refused: 404.
        """
        found = self._storage.installation(installation_id)
        if found is None:
            raise Refused(404, "Installation not found")
        return found

    def patch(self, installation_id: str, operations: Any) -> None:
        """Apply all operations or none.

        Args:
            installation_id: from the request's path.
            operations: decoded JSON.

        Raises:
            Refused: 400, or 404 when there is no such installation.
        """
        with self._storage.writing():
            stored = json.loads(self.get(installation_id))
            if not isinstance(operations, list):
                raise body_invalid("A patch is an array of operations.")
            try:
                patched = apply(stored, operations)
            except PatchRefused as error:
                raise body_invalid(str(error)) from error
            self._keep(installation_id, patched, patched=True)

    def delete(self, installation_id: str) -> bool:
        """Delete an installation and its registrations.

        Returns:
            Whether there was one. Clients are not told.
        """
        with self._storage.writing():
            self._registrations.drop(installation_id)
            return self._storage.delete_installation(installation_id)

    def expire(self, installation_id: str) -> None:
        """Mark an installation's channel as expired, as a push service's report does.

        Raises:
            Refused: 404.
        """
        with self._storage.writing():
            stored = json.loads(self.get(installation_id))
            self._keep(installation_id, stored | {"pushChannelExpired": True}, patched=True)

    def contents(self) -> list[Json]:
        """Return every installation, in the order of creation."""
        return [json.loads(text) for text in self._storage.installations()]

    def _keep(self, installation_id: str, document: Any, *, patched: bool = False) -> None:
        try:
            found = read_installation(document, installation_id, patched=patched)
        except Malformed as error:
            raise body_invalid(str(error)) from error
        text = COMPACT.encode(found)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # JSON can escape half of a surrogate pair, which no reply could carry.
            raise body_invalid("A text is not valid Unicode.") from error
        validate_installation(found, patched=patched, lenient=self._lenient)
        with self._storage.writing():
            self._registrations.follow(found)
            self._storage.put_installation(installation_id, text, found["expirationTime"])
