"""One method per operation of a notification hub, for devices, backends and tools.

Every call is one request: nothing here waits or tries again. Life cycle: make a client, call it, close it (or
use it as a context manager). It is for one thread at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote

from nhagent import __version__, rules
from nhagent.errors import ConfigurationError, HubUnavailable
from nhagent.hub.connection import ConnectionString, read_endpoint
from nhagent.hub.installations import NotAnInstallation, compact, from_json, to_json
from nhagent.hub.replies import HubReply, raise_for_error, read_facts
from nhagent.hub.transport import EXCHANGE_SECONDS, Request, Response, Transport
from nhagent.models import Installation

API_VERSION: Final = "2020-06"

TokenSource = Callable[[], str]
"""Gives a SAS token, for devices that hold no key; asked anew for every request."""


class HubClient:
    """A notification hub's REST interface.

    Args:
        connection_string: text, a `ConnectionString`, or a callable giving a SAS token (then ``endpoint`` is
            needed). Any access policy is taken; an installation needs the Listen right.
        hub: the hub's name.
        endpoint: the namespace's address, where the connection string does not say it.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.
        timeout: seconds for one whole exchange.
        clock: gives the time, aware; tokens are signed by it.

    Raises:
        ConfigurationError: an argument is wrong; nothing was sent.
    """

    def __init__(
        self,
        connection_string: str | ConnectionString | TokenSource,
        hub: str,
        *,
        endpoint: str | None = None,
        ca_bundle: str | None = None,
        timeout: float = EXCHANGE_SECONDS,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        self._hub = rules.checked_hub_name(hub)
        self._clock = clock or (lambda: datetime.now(UTC))
        if isinstance(connection_string, str):
            connection_string = ConnectionString.parse(connection_string)
        if isinstance(connection_string, ConnectionString):
            connection_string.check_hub(hub)
            key = connection_string
            self._endpoint = key.endpoint
            self._token: Callable[[str], str] = lambda resource: key.token(resource, self._clock())
        else:
            source = connection_string
            if endpoint is None:
                raise ConfigurationError(
                    "endpoint: needed with a token callable; give the namespace's address"
                )
            self._token = lambda _: _checked_token(source())
        if endpoint is not None:
            self._endpoint = read_endpoint(endpoint, "endpoint")
        self._transport = Transport(ca_bundle=ca_bundle, timeout=timeout)
        self.requests_sent = 0
        self.clock_skew: float | None = None
        """Seconds that the hub's clock was ahead of ours at its last reply."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<hub {self._hub!r} at {self._endpoint}>"

    def close(self) -> None:
        """Close the connection to the hub."""
        self._transport.close()

    def put_installation(self, installation: Installation) -> HubReply:
        """Create an installation, or overwrite the one of the same id with this one, whole.

        Source: REST reference, "Create or Overwrite an Installation".

        Raises:
            HubError: see `nhagent.errors`; ``InvalidRequest`` carries all that the hub found wrong.
        """
        _, reply = self._installation("PUT", installation.installation_id, to_json(installation))
        return reply

    def get_installation(self, installation_id: str) -> tuple[Installation, HubReply]:
        """Read an installation. For debugging and rare checks: the service throttles this tightly.

        Source: REST reference, "Read an Installation".

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        response, reply = self._installation("GET", installation_id)
        try:
            return from_json(json.loads(response.body)), reply
        except (NotAnInstallation, ValueError) as error:
            raise HubUnavailable(
                f'hub "{self._hub}": the reply is {error}; something else answers in its place',
                status=reply.status,
                tracking_id=reply.tracking_id,
            ) from None

    def patch_installation(self, installation_id: str, operations: Sequence[dict[str, Any]]) -> HubReply:
        """Change parts of an installation, in the hub's own dialect of JSON Patch.

        Source: REST reference, "Patch an Installation"; see `nhagent.hub.installations`.

        Args:
            installation_id: which one.
            operations: objects with ``op``, ``path`` and, but for remove, ``value``.

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        _, reply = self._installation("PATCH", installation_id, list(operations))
        return reply

    def delete_installation(self, installation_id: str) -> HubReply:
        """Delete an installation; one that the hub does not hold is as good.

        Source: REST reference, "Delete an Installation".

        Raises:
            HubError: see `nhagent.errors`.
        """
        _, reply = self._installation("DELETE", installation_id)
        return reply

    def _installation(
        self, method: str, installation_id: str, document: object = None
    ) -> tuple[Response, HubReply]:
        rules.check_installation_id(installation_id)
        return self._exchange(
            method,
            f"installations/{quote(installation_id, safe='')}",
            f"installation {installation_id}",
            None if document is None else compact(document),
            "application/json-patch+json" if method == "PATCH" else "application/json",
        )

    def _exchange(
        self, method: str, path: str, record: str, body: bytes | None, content_type: str
    ) -> tuple[Response, HubReply]:
        resource = f"{self._endpoint}/{quote(self._hub)}/{path}"
        headers = {
            "Authorization": self._token(resource),
            "User-Agent": f"nhagent/{__version__}",
            "Accept-Encoding": "identity",
            "x-ms-version": API_VERSION,
        }
        if body is not None:
            headers["Content-Type"] = content_type
        sent = self._clock()
        self.requests_sent += 1
        response = self._transport.send(
            Request(method, f"{resource}?api-version={API_VERSION}", headers, body)
        )
        facts = read_facts(response, sent=sent, received=self._clock())
        self.clock_skew = facts.clock_skew
        raise_for_error(response, facts, hub=self._hub, record=record)
        return response, facts


def _checked_token(token: object) -> str:
    if not isinstance(token, str) or not token.startswith("SharedAccessSignature "):
        raise ConfigurationError(
            'connection_string: its callable gave no SAS token ("SharedAccessSignature sr=…")'
        )
    return token
