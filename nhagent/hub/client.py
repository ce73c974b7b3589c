"""One method per operation of a notification hub, for devices, backends and tools.

Every call is one request: nothing here waits or tries again (a list asks page after page, and
`HubClient.modify_registration` reads anew on a conflict). Life cycle: make a client, call it, close it (or
use it as a context manager). It is for one thread at a time.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, datetime
from types import TracebackType
from typing import Any, Final, Self
from urllib.parse import quote, unquote, urlsplit

from nhagent import validation
from nhagent.errors import (
    ConcurrencyConflict,
    ConfigurationError,
)
from nhagent.hub.atom import NotARegistration, from_entry, from_feed, to_entry
from nhagent.hub.connection import EXCHANGE_SECONDS, ConnectionString
from nhagent.hub.exchange import HubExchange, TokenSource
from nhagent.hub.installations import NotAnInstallation, compact, from_json, to_json
from nhagent.hub.replies import HubReply
from nhagent.hub.transport import Response
from nhagent.models import BrowserChannel, Installation, PushChannel, Registration, unvalidated_subscription

PAGE_SIZE: Final = 100
"""Registrations asked for at once: what the service gives by itself."""
MAX_PAGES: Final = 10_000
MODIFY_TRIES: Final = 5
_ATOM_TYPE: Final = "application/atom+xml;type=entry;charset=utf-8"


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
        self._exchange = HubExchange(
            connection_string,
            hub,
            endpoint=endpoint,
            ca_bundle=ca_bundle,
            timeout=timeout,
            clock=clock or (lambda: datetime.now(UTC)),
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<client of {self._exchange.place}>"

    @property
    def requests_sent(self) -> int:
        """How many requests this client has sent."""
        return self._exchange.requests_sent

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the hub's clock was ahead of ours at its last reply."""
        return self._exchange.clock_skew

    def hide(self, channels: Iterable[PushChannel]) -> None:
        """Keep these push channels out of errors too: those of a request are in any case."""
        self._exchange.channels = tuple(channels)

    def close(self) -> None:
        """Close the connection to the hub."""
        self._exchange.close()

    def allow(self, seconds: float) -> None:
        """Give every exchange from now on so many seconds."""
        self._exchange.allow(seconds)

    def cut(self) -> None:
        """End the exchange under way, from another thread: it and all later ones raise `HubUnavailable`."""
        self._exchange.cut()

    def put_installation(self, installation: Installation) -> HubReply:
        """Create an installation, or overwrite the one of the same id with this one, whole.

        Source: REST reference, "Create or Overwrite an Installation".

        Raises:
            HubError: see `nhagent.errors`; ``InvalidRequest`` carries all that the hub found wrong.
        """
        if not isinstance(installation, Installation):
            raise ConfigurationError(f"put_installation: a {type(installation).__name__} is no Installation")
        tiles = (str(tile.channel) for tile in installation.secondary_tiles.values())
        _, reply = self._installation(
            "PUT", installation.installation_id, to_json(installation), (installation.push_channel, *tiles)
        )
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
        except (NotAnInstallation, ValueError, RecursionError) as error:
            raise self._exchange.nonsense(reply, str(error)) from None

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
        if isinstance(operations, str | bytes) or not isinstance(operations, Sequence):
            raise ConfigurationError("patch_installation: give a list of operations")
        channels = [
            _channel_in(operation["value"])
            for operation in operations
            if str(operation.get("path", "")).lower().endswith("/pushchannel") and operation.get("value")
        ]
        _, reply = self._installation("PATCH", installation_id, list(operations), channels)
        return reply

    def delete_installation(self, installation_id: str) -> HubReply:
        """Delete an installation; one that the hub does not hold is as good.

        Source: REST reference, "Delete an Installation".

        Raises:
            HubError: see `nhagent.errors`.
        """
        _, reply = self._installation("DELETE", installation_id)
        return reply

    def create_registration_id(self) -> tuple[str, HubReply]:
        """Get a new registration id, to be put to use by `create_or_update_registration`.

        Source: REST reference, "Create a registration ID".

        Raises:
            HubError: see `nhagent.errors`.
        """
        response, reply = self._exchange.make("POST", "registrationids", "a registration id")
        # Shipped services and documents differ in the path before it; all clients take the last segment.
        location = response.headers.get("location", "")
        registration_id = unquote(urlsplit(location).path.rstrip("/").rpartition("/")[2])
        if not registration_id:
            raise self._exchange.nonsense(reply, "it names no registration id")
        return registration_id, reply

    def create_registration(self, registration: Registration) -> tuple[Registration, HubReply]:
        """Create a registration under an id of the hub's making. Every call makes another one.

        A device uses `create_registration_id` and `create_or_update_registration`: a lost reply then makes no
        duplicate. Source: REST reference, "Create a registration".

        Raises:
            HubError: see `nhagent.errors`.
        """
        return self._registration("POST", "registrations", "the registration", registration)

    def create_or_update_registration(
        self, registration_id: str, registration: Registration
    ) -> tuple[Registration, HubReply]:
        """Write a registration whole under this id, whatever it holds.

        Source: REST reference, "Create or update a registration".

        Raises:
            RegistrationGone: this id can never be used again.
            HubError: see `nhagent.errors`.
        """
        return self._registration(
            "PUT", _path(registration_id), f"registration {registration_id}", registration
        )

    def update_registration(
        self, registration_id: str, registration: Registration, etag: str = "*"
    ) -> tuple[Registration, HubReply]:
        """Write a registration whole if it is still as it was read.

        Source: REST reference, "Update a registration".

        Args:
            registration_id: which one.
            registration: what it shall be.
            etag: the ETag with which it was read; ``*``: any.

        Raises:
            ConcurrencyConflict: somebody else has changed it since.
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        return self._registration(
            "PUT", _path(registration_id), f"registration {registration_id}", registration, etag
        )

    def modify_registration(
        self, registration_id: str, change: Callable[[Registration], Registration]
    ) -> tuple[Registration, HubReply]:
        """Read a registration, change it and write it back; on a conflict once more, five times at most.

        Args:
            registration_id: which one.
            change: gives the changed registration; called again with what somebody else made of it.

        Raises:
            ConcurrencyConflict: somebody else was faster every time.
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        for attempt in range(MODIFY_TRIES):
            held, _ = self.get_registration(registration_id)
            try:
                return self.update_registration(registration_id, change(held), held.etag or "*")
            except ConcurrencyConflict:
                if attempt == MODIFY_TRIES - 1:
                    raise
        raise AssertionError  # the loop returns or raises

    def get_registration(self, registration_id: str) -> tuple[Registration, HubReply]:
        """Read a registration. Source: REST reference, "Read a registration".

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        return self._registration("GET", _path(registration_id), f"registration {registration_id}")

    def delete_registration(self, registration_id: str, etag: str = "*") -> HubReply:
        """Delete a registration if it is still as it was read.

        Source: REST reference, "Delete a registration".

        Args:
            registration_id: which one.
            etag: the ETag with which it was read; ``*``: any.

        Raises:
            ConcurrencyConflict: somebody else has changed it since.
            RecordNotFound: the hub does not hold it: as good as deleted.
            HubError: see `nhagent.errors`.
        """
        _, reply = self._exchange.make(
            "DELETE", _path(registration_id), f"registration {registration_id}", etag=etag
        )
        return reply

    def registrations_by_channel(self, channel: PushChannel) -> Iterator[Registration]:
        """Every registration of a push channel, those that installations make among them, page by page.

        Source: REST reference, "Read all registrations with a channel". Needs the Listen right.

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
        """
        handle = channel.endpoint if isinstance(channel, BrowserChannel) else channel
        # The .NET and Java clients ask so for every platform; a quote in a value is doubled, as OData has it.
        clause = "ChannelUri eq '" + handle.replace("'", "''") + "'"
        return self._pages("registrations", f"$filter={quote(clause, safe='')}", channels=(channel,))

    def registrations_by_tag(self, tag: str) -> Iterator[Registration]:
        """Every registration with a tag, page by page. Needs the Manage right.

        Source: REST reference, "Read all registrations with a tag".

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
        """
        return self._pages(f"tags/{quote(tag, safe='')}/registrations")

    def registrations(self) -> Iterator[Registration]:
        """Every registration of the hub, page by page. Needs the Manage right.

        Source: REST reference, "Read all registrations".

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
        """
        return self._pages("registrations")

    def _pages(self, path: str, *query: str, channels: Iterable[PushChannel] = ()) -> Iterator[Registration]:
        """Page after page to the end, one held at a time."""
        continuation: tuple[str, ...] = ()
        for _ in range(MAX_PAGES):
            response, reply = self._exchange.make(
                "GET",
                path,
                "the list of registrations",
                query=(f"$top={PAGE_SIZE}", *query, *continuation),
                channels=channels,
            )
            try:
                page = from_feed(response.body)
            except NotARegistration as error:
                raise self._exchange.nonsense(reply, str(error)) from None
            yield from page
            token = response.headers.get("x-ms-continuationtoken")
            if not token:
                return
            # The service has percent-coded it already.
            before, continuation = continuation, (f"continuationtoken={token}",)
            if continuation == before:
                break
        raise self._exchange.nonsense(reply, "its list never ends")

    def _registration(
        self,
        method: str,
        path: str,
        record: str,
        registration: Registration | None = None,
        etag: str | None = None,
    ) -> tuple[Registration, HubReply]:
        body = None if registration is None else to_entry(registration)
        channels = () if registration is None else (registration.channel,)
        response, reply = self._exchange.make(
            method, path, record, body, _ATOM_TYPE, etag=etag, channels=channels
        )
        try:
            return from_entry(response.body), reply
        except NotARegistration as error:
            raise self._exchange.nonsense(reply, str(error)) from None

    def _installation(
        self,
        method: str,
        installation_id: str,
        document: object = None,
        channels: Iterable[PushChannel] = (),
    ) -> tuple[Response, HubReply]:
        validation.check_installation_id(installation_id)
        return self._exchange.make(
            method,
            f"installations/{quote(installation_id, safe='')}",
            f"installation {installation_id}",
            None if document is None else compact(document),
            "application/json-patch+json" if method == "PATCH" else "application/json",
            channels=channels,
        )


def _channel_in(value: object) -> PushChannel:
    """The push channel that a PATCH sends: text, or a subscription, which goes as JSON text too."""
    try:
        return unvalidated_subscription(value)
    except ConfigurationError:
        return str(value)


def _path(registration_id: str) -> str:
    if not registration_id or registration_id in {".", ".."}:
        raise ConfigurationError(f"registration_id {registration_id!r}: is none; give one that the hub made")
    return f"registrations/{quote(registration_id, safe='')}"
