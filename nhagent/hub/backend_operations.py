"""What can be asked of an app's backend: one installation, written, read and deleted; and what it granted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nhagent.hub.checked import opaque_etag_from
from nhagent.hub.installations import NotAnInstallation, compact, from_json, to_json
from nhagent.hub.operations import HubOperations
from nhagent.logs import Log
from nhagent.secret import hiding_arguments
from nhagent.values import Value

if TYPE_CHECKING:
    from nhagent.hub.installations import JsonObject
    from nhagent.hub.transport import Response
    from nhagent.models import Installation

MAX_GRANTED_BYTES: Final = 16 * 1024
"""What a backend granted is remembered up to this size."""

_log = Log(__name__)


class Granted(Value):
    """What a backend granted of an installation.

    Attributes:
        document: the installation as it holds it, in the form of `nhagent.hub.installations.to_json`; None
            where it did not say, or nothing that can be used.
        etag: for the If-Match of a later write; None: it gave none.
    """

    document: JsonObject | None = None
    etag: str | None = None
    _hidden = frozenset({"document"})


class BackendOperations(HubOperations):
    """An app's backend, with the operations of a hub on installations; it has no registrations.

    Args:
        exchange: the way to it.
    """

    @hiding_arguments
    def write(self, installation: Installation, etag: str | None) -> Granted:
        """As `put_installation`.

        Args:
            installation: what the backend shall hold.
            etag: of what it is written over; None: of whatever there is.

        Returns:
            What it has granted.
        """
        return _granted_by(self._put(installation, etag), installation.installation_id)

    @hiding_arguments
    def patch(
        self, installation_id: str, operations: Sequence[Mapping[str, Any]], etag: str | None
    ) -> Granted:
        """As `patch_installation`; ``etag`` and what is returned as in `write`."""
        return _granted_by(self._patch(installation_id, operations, etag), installation_id)

    @hiding_arguments
    def read_etag(self, installation_id: str) -> str | None:
        """As `get_installation`, for the ETag alone; None: the backend gives none."""
        response, reply = self._installation("GET", installation_id)
        self._read(response, reply, installation_id)
        return opaque_etag_from(response.headers.get("etag"))


def _granted_by(response: Response, installation_id: str) -> Granted:
    """Read what a backend granted; what cannot be used is left out: that it accepted is what counts."""
    etag = opaque_etag_from(response.headers.get("etag"))
    if not response.body:
        return Granted(None, etag)
    try:
        found = from_json(json.loads(response.body))
        document = to_json(found)
        is_usable = found.installation_id.lower() == installation_id.lower()
        if is_usable and len(compact(document)) <= MAX_GRANTED_BYTES:
            return Granted(document, etag)
    except (NotAnInstallation, ValueError, TypeError, AttributeError, RecursionError):
        pass
    _log.warning("the backend answered a write with no installation %s that can be used", installation_id)
    return Granted(None, etag)
