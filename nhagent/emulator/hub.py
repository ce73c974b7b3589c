"""The hub itself: what it holds and what may be done to it. It knows nothing of HTTP or tokens."""

from __future__ import annotations

import json
from typing import Any

from . import installation, patch, rules
from .installation import Malformed
from .messages import Refused, body_invalid
from .patch import PatchRefused
from .storage import Storage

Json = dict[str, Any]

_COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))


class Hub:
    """One notification hub. Every write is seen by the next read; the real service takes a moment.

    Args:
        name: may be a path such as `a/b`.
        storage: where the hub keeps everything.
    """

    def __init__(self, name: str, storage: Storage) -> None:
        self.name = name
        self._storage = storage

    def put_installation(self, installation_id: str, document: Any) -> None:
        """Replace the whole installation, or make it.

        Raises:
            Refused: 400.
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
        with self._storage.lock:
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
        return self._storage.delete_installation(installation_id)

    def expire_installation(self, installation_id: str) -> None:
        """What a push service's word that the channel is dead does.

        Raises:
            Refused: 404.
        """
        with self._storage.lock:
            stored = json.loads(self.installation(installation_id))
            self._keep(installation_id, stored | {"pushChannelExpired": True}, patched=True)

    def contents(self) -> Json:
        """All that is stored."""
        installations = [json.loads(text) for text in self._storage.installations()]
        return {"hub": self.name, "installations": installations, "registrations": []}

    def _keep(self, installation_id: str, document: Any, *, patched: bool = False) -> None:
        try:
            found = installation.read(document, installation_id, patched=patched)
        except Malformed as error:
            raise body_invalid(str(error)) from error
        text = _COMPACT.encode(found)
        try:
            text.encode()
        except UnicodeEncodeError as error:
            # JSON can escape half of a surrogate pair, which no reply could carry.
            raise body_invalid("A text is not valid Unicode.") from error
        rules.check(found, patched=patched)
        self._storage.put_installation(installation_id, text)
