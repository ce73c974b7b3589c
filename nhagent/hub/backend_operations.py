"""What can be asked of an app's backend: one installation, written, read and deleted; and what it granted."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any, Final

from nhagent.hub.checked import opaque_etag_from
from nhagent.hub.installations import NotAnInstallation, compact, from_json, to_json
from nhagent.hub.operations import HubOperations
from nhagent.logs import Log
from nhagent.values import Value

if TYPE_CHECKING:
    from nhagent.hub.installations import JsonObject
    from nhagent.hub.replies import HubReply
    from nhagent.hub.transport import Response
    from nhagent.models import Installation, PushChannel

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

    Attributes:
        granted: what it granted at the last exchange.
    """

    granted = Granted()

    def write(self, installation: Installation, etag: str | None) -> None:
        """As `put_installation`.

        Args:
            installation: what the backend shall hold.
            etag: of what it is written over; None: of whatever there is.
        """
        self._etag = etag
        self.put_installation(installation)

    def patch(self, installation_id: str, operations: Sequence[Mapping[str, Any]], etag: str | None) -> None:
        """As `patch_installation`; ``etag`` as in `write`."""
        self._etag = etag
        self.patch_installation(installation_id, operations)

    _etag: str | None = None

    def _installation(
        self,
        method: str,
        installation_id: str,
        document: object = None,
        channels: Sequence[PushChannel] = (),
        etag: str | None = None,
    ) -> tuple[Response, HubReply]:
        etag, self._etag = etag or self._etag, None
        self.granted = Granted()
        response, reply = super()._installation(method, installation_id, document, channels, etag)
        self.granted = _granted_by(response, installation_id)
        return response, reply


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
