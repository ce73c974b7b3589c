"""The operations of a notification hub on installations."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.hub.installations import NotAnInstallation, compact, from_json, to_json
from nhagent.hub.replies import HubReply
from nhagent.hub.transport import Response
from nhagent.hub.way import HubRequest, Way
from nhagent.models import Installation, PushChannel, unvalidated_subscription
from nhagent.secret import hiding_arguments


class InstallationOperations:
    """The part of `nhagent.hub.operations.HubOperations` that reads and writes installations."""

    _exchange: Way

    @hiding_arguments
    def put_installation(self, installation: Installation) -> None:
        """Create an installation, or overwrite the one of the same id with this one, whole.

        Source: REST reference, "Create or Overwrite an Installation".

        Args:
            installation: what the hub shall hold.

        Raises:
            HubError: see `nhagent.errors`; ``InvalidRequest`` carries all that the hub found wrong.
            ConfigurationError: it is not an installation; nothing was sent.
        """
        self._put(installation)

    @hiding_arguments
    def get_installation(self, installation_id: str) -> Installation:
        """Read an installation. For debugging and rare checks: the service throttles this tightly.

        Source: REST reference, "Read an Installation".

        Args:
            installation_id: which one.

        Returns:
            The installation as the hub holds it, which is not validated.

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        response, reply = self._installation("GET", installation_id)
        return self._read(response, reply, installation_id)

    @hiding_arguments
    def patch_installation(self, installation_id: str, operations: Sequence[Mapping[str, Any]]) -> None:
        """Change parts of an installation, in the hub's own dialect of JSON Patch.

        Source: REST reference, "Patch an Installation"; see `nhagent.hub.installations`.

        Args:
            installation_id: which one.
            operations: objects with ``op``, ``path`` and, but for remove, ``value``.

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
            ConfigurationError: the operations are not a list of objects of JSON; nothing was sent.
        """
        self._patch(installation_id, operations)

    def delete_installation(self, installation_id: str) -> None:
        """Delete an installation. It is no error if the hub does not hold it.

        Source: REST reference, "Delete an Installation".

        Args:
            installation_id: which one.

        Raises:
            HubError: see `nhagent.errors`.
        """
        self._installation("DELETE", installation_id)

    def _put(self, installation: Installation, etag: str | None = None) -> Response:
        """Send an installation whole; ``etag``: of what it is written over, for a backend."""
        if not isinstance(installation, Installation):
            raise ConfigurationError(
                f"put_installation: a {type(installation).__name__} is not an Installation",
                "make one with Installation(…)",
            )
        tiles = (str(tile.channel) for tile in installation.secondary_tiles.values())
        channels = (installation.push_channel, *tiles)
        return self._installation("PUT", installation.installation_id, to_json(installation), channels, etag)[
            0
        ]

    def _patch(
        self, installation_id: str, operations: Sequence[Mapping[str, Any]], etag: str | None = None
    ) -> Response:
        """Send the parts that change; ``etag`` as in `_put`."""
        if isinstance(operations, str | bytes) or not isinstance(operations, Sequence):
            raise ConfigurationError(
                f"patch_installation: a {type(operations).__name__} is not a list",
                "give a list of operations",
            )
        if not all(isinstance(operation, Mapping) for operation in operations):
            raise ConfigurationError(
                "patch_installation: an operation is not an object", "give op, path and value by name"
            )
        for operation in operations:
            _check_tags_in(operation)
        channels = [
            _channel_in(operation["value"])
            for operation in operations
            if str(operation.get("path", "")).lower().endswith("/pushchannel") and operation.get("value")
        ]
        return self._installation("PATCH", installation_id, list(map(dict, operations)), channels, etag)[0]

    def _read(self, response: Response, reply: HubReply, installation_id: str) -> Installation:
        """Read the installation that was asked for, in a reply."""
        try:
            held = from_json(json.loads(response.body))
        except (NotAnInstallation, ValueError, RecursionError) as error:
            raise self._exchange.unreadable(reply, str(error)) from None
        if held.installation_id.lower() != installation_id.lower():
            raise self._exchange.unreadable(reply, "it is another installation")
        return held

    def _installation(
        self,
        method: str,
        installation_id: str,
        document: object = None,
        channels: Sequence[PushChannel] = (),
        etag: str | None = None,
    ) -> tuple[Response, HubReply]:
        validation.check_installation_id(installation_id)
        record = f"installation {installation_id}"
        return self._exchange.make(
            HubRequest(
                method,
                f"installations/{quote(installation_id, safe='')}",
                record,
                None if document is None else _written(record, document),
                "application/json-patch+json" if method == "PATCH" else "application/json",
                etag,
                channels=channels,
            )
        )


def _check_tags_in(operation: Mapping[str, Any]) -> None:
    """Refuse several tags in one text: the hub would keep them as one that no send matches."""
    values = operation.get("value")
    if str(operation.get("path", "")).rpartition("/")[2].lower() != "tags":
        return
    for value in values if isinstance(values, list | tuple) else [values]:
        if isinstance(value, str) and "," in value:
            raise ConfigurationError(
                f"patch_installation: tag {validation.shown(value)}: holds a comma",
                "give several tags as a list",
            )


def _written(record: str, document: object) -> bytes:
    try:
        return compact(document)
    except (TypeError, ValueError, RecursionError):
        raise ConfigurationError(
            f"{record}: what is to be sent is not JSON", "give text in its place"
        ) from None


def _channel_in(value: object) -> PushChannel:
    """Read the push channel that a PATCH sends: text, or a subscription, which goes as JSON text too."""
    if isinstance(value, str) and not value.lstrip().startswith("{"):
        return value
    try:
        return unvalidated_subscription(value)
    except ConfigurationError:
        return str(value)
