"""The operations of a notification hub on registrations."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final
from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConcurrencyConflict, ConfigurationError
from nhagent.hub.atom import NotARegistration, from_entry, from_feed, to_entry
from nhagent.hub.channel_filter import by_own_field, by_uri
from nhagent.hub.checked import continuation_from, etag_to_send, is_registration_id, registration_id_from
from nhagent.hub.exchange import HubExchange, HubRequest
from nhagent.hub.replies import LISTEN, HubReply
from nhagent.hub.texts import owner_in
from nhagent.models import Platform, PushChannel, Registration
from nhagent.secret import NO_LOCALS, Secret, hiding_arguments

PAGE_SIZE: Final = 100
"""Registrations asked for at once: what the service gives by itself."""
MAX_PAGES: Final = 10_000
"""Pages after which a list counts as one that never ends."""
MODIFY_TRIES: Final = 5
MANAGE: Final = "Manage"
"""The right that lists of more than one channel need."""
_ATOM_TYPE: Final = "application/atom+xml;type=entry;charset=utf-8"


class RegistrationOperations:
    """The part of `nhagent.hub.client.HubClient` that reads and writes registrations.

    What the hub gave is not validated by our rules.
    """

    _exchange: HubExchange

    def create_registration_id(self) -> tuple[str, HubReply]:
        """Get a new registration id, to be put to use by `create_or_update_registration`.

        Source: REST reference, "Create a registration ID".

        Returns:
            The id, and facts about the exchange.

        Raises:
            HubError: see `nhagent.errors`.
        """
        response, reply = self._exchange.make(HubRequest("POST", "registrationids", "a registration id"))
        registration_id = registration_id_from(response.headers.get("location"))
        if registration_id is None:
            raise self._exchange.unreadable(reply, "it names no registration id")
        return registration_id, reply

    @hiding_arguments
    def create_registration(self, registration: Registration) -> tuple[Registration, HubReply]:
        """Create a registration under an id of the hub's making. Every call makes another one.

        A device uses `create_registration_id` and `create_or_update_registration`: a lost reply then makes no
        duplicate. Source: REST reference, "Create a registration".

        Args:
            registration: what the hub shall hold.

        Returns:
            The registration as the hub holds it, and facts about the exchange.

        Raises:
            HubError: see `nhagent.errors`.
            ConfigurationError: a text cannot be sent; nothing was sent.
        """
        return self._registration("POST", "registrations", "the registration", registration)

    @hiding_arguments
    def create_or_update_registration(
        self, registration_id: str, registration: Registration
    ) -> tuple[Registration, HubReply]:
        """Write a registration whole under this id, whatever it holds.

        Source: REST reference, "Create or update a registration".

        Args:
            registration_id: which one, from `create_registration_id`.
            registration: what the hub shall hold.

        Returns:
            The registration as the hub holds it, and facts about the exchange.

        Raises:
            RegistrationGone: this id can never be used again.
            HubError: see `nhagent.errors`.
            ConfigurationError: a text cannot be sent, or the id is not valid; nothing was sent.
        """
        return self._of_id("PUT", registration_id, registration)

    @hiding_arguments
    def update_registration(
        self, registration_id: str, registration: Registration, etag: str = "*"
    ) -> tuple[Registration, HubReply]:
        """Write a registration whole if it is still as it was read.

        Source: REST reference, "Update a registration".

        Args:
            registration_id: which one.
            registration: what the hub shall hold.
            etag: the ETag with which it was read; ``*``: any.

        Returns:
            The registration as the hub holds it, and facts about the exchange.

        Raises:
            ConcurrencyConflict: somebody else has changed it since.
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
            ConfigurationError: a text cannot be sent, or the id is not valid; nothing was sent.
        """
        return self._of_id("PUT", registration_id, registration, _checked_etag(etag))

    @hiding_arguments
    def modify_registration(
        self, registration_id: str, change: Callable[[Registration], Registration]
    ) -> tuple[Registration, HubReply]:
        """Read a registration, change it and write it back; after a conflict again, five times at most.

        Args:
            registration_id: which one; none that belongs to an installation, which is changed as a whole.
            change: gives the changed registration; called again with what somebody else made of it.

        Returns:
            The registration as the hub holds it, and facts about the last exchange.

        Raises:
            ConcurrencyConflict: somebody else was faster every time.
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
            ConfigurationError: it belongs to an installation; nothing was written.
        """
        for attempt in range(MODIFY_TRIES):
            held, _ = self.get_registration(registration_id)
            _check_writable(f"registration {registration_id}", held)
            try:
                return self.update_registration(registration_id, change(held), held.etag or "*")
            except ConcurrencyConflict:
                if attempt == MODIFY_TRIES - 1:
                    raise
        raise AssertionError  # the loop returns or raises

    @hiding_arguments
    def get_registration(self, registration_id: str) -> tuple[Registration, HubReply]:
        """Read a registration.

        Source: REST reference, "Read a registration".

        Args:
            registration_id: which one.

        Returns:
            The registration as the hub holds it, and facts about the exchange.

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        return self._of_id("GET", registration_id)

    def delete_registration(self, registration_id: str, etag: str = "*") -> HubReply:
        """Delete a registration if it is still as it was read.

        Source: REST reference, "Delete a registration".

        Args:
            registration_id: which one.
            etag: the ETag with which it was read; ``*``: any.

        Returns:
            Facts about the exchange.

        Raises:
            ConcurrencyConflict: somebody else has changed it since.
            RecordNotFound: the hub does not hold it: as good as deleted.
            HubError: see `nhagent.errors`.
        """
        path, record = _place_of(registration_id)
        _, reply = self._exchange.make(HubRequest("DELETE", path, record, etag=_checked_etag(etag)))
        return reply

    def registrations_by_channel(
        self,
        channel: PushChannel,
        *,
        platform: Platform | str | None = None,
        by_channel_uri: bool = False,
    ) -> Iterator[Registration]:
        """List every registration of a push channel, those that installations make among them.

        Needs the Listen right. Source: REST reference, "Read all registrations with a channel".

        Args:
            channel: the push channel.
            platform: its platform, whose own field is asked for; None: the field of every platform.
            by_channel_uri: ask for the field of every platform all the same.

        Returns:
            The registrations, asked for page by page while they are iterated over.

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
        """
        own = None if platform is None else Platform.parse(platform)
        asked = by_uri(channel, own) if by_channel_uri else by_own_field(channel, own)
        return self._pages("registrations", f"$filter={quote(asked, safe='')}", channels=(channel,))

    def registrations_by_tag(self, tag: str) -> Iterator[Registration]:
        """List every registration with a tag.

        Needs the Manage right. Source: REST reference, "Read all registrations with a tag".

        Args:
            tag: the tag.

        Returns:
            The registrations, asked for page by page while they are iterated over.

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
        """
        return self._pages(f"tags/{quote(tag, safe='')}/registrations", right=MANAGE)

    def registrations(self) -> Iterator[Registration]:
        """List every registration of the hub.

        Needs the Manage right. Source: REST reference, "Read all registrations".

        Returns:
            The registrations, asked for page by page while they are iterated over.

        Raises:
            HubError: see `nhagent.errors`; raised while iterating.
        """
        return self._pages("registrations", right=MANAGE)

    def _pages(
        self, path: str, *query: str, channels: Sequence[PushChannel] = (), right: str = LISTEN
    ) -> Iterator[Registration]:
        """Ask for page after page to the end; one is held at a time."""
        given = Secret((path, query, channels, right))
        del path, query, channels  # a traceback would show them
        with NO_LOCALS:
            yield from self._each_page(*given.reveal())

    def _each_page(
        self, path: str, query: Sequence[str], channels: Sequence[PushChannel], right: str
    ) -> Iterator[Registration]:
        seen: set[str | None] = {None}
        token: str | None = None
        for _ in range(MAX_PAGES):
            parts = (f"$top={PAGE_SIZE}", *query, *([] if token is None else [f"continuationtoken={token}"]))
            self._exchange.check_time_for_list()
            response, reply = self._exchange.make(
                HubRequest(
                    "GET", path, "the list of registrations", query=parts, channels=channels, right=right
                )
            )
            try:
                page = from_feed(response.body)
                token = continuation_from(response.headers.get("x-ms-continuationtoken"))
            except ValueError as error:
                raise self._exchange.unreadable(reply, str(error)) from None
            yield from page
            if token is None:
                return
            if token in seen:
                break
            seen.add(token)
        raise self._exchange.unreadable(reply, "its list never ends")

    def _of_id(
        self,
        method: str,
        registration_id: str,
        registration: Registration | None = None,
        etag: str | None = None,
    ) -> tuple[Registration, HubReply]:
        return self._registration(method, *_place_of(registration_id), registration, etag)

    def _registration(
        self,
        method: str,
        path: str,
        record: str,
        registration: Registration | None = None,
        etag: str | None = None,
    ) -> tuple[Registration, HubReply]:
        if registration is not None:
            _check_writable(record, registration)
        body = None if registration is None else to_entry(registration)
        channels = () if registration is None else (registration.channel,)
        response, reply = self._exchange.make(
            HubRequest(method, path, record, body, _ATOM_TYPE, etag, channels=channels)
        )
        try:
            held = from_entry(response.body)
        except NotARegistration as error:
            raise self._exchange.unreadable(reply, str(error)) from None
        if held.registration_id is not None and path not in {"registrations", _path_of(held.registration_id)}:
            raise self._exchange.unreadable(reply, "it is another registration")
        return held, reply


def _place_of(registration_id: str) -> tuple[str, str]:
    """Give the path of a registration, and what an error calls it."""
    if not isinstance(registration_id, str) or not is_registration_id(registration_id):
        raise ConfigurationError(
            f"registration_id {validation.shown(registration_id)}: not a registration id",
            "give one that the hub made",
        )
    return _path_of(registration_id), f"registration {registration_id}"


def _path_of(registration_id: str) -> str:
    return f"registrations/{quote(registration_id, safe='')}"


def _check_writable(record: str, registration: Registration) -> None:
    """Refuse what the service refuses: a row of an installation, or a tag that only it can give."""
    owner = owner_in(registration.tags)
    if owner is not None:
        raise ConfigurationError(
            f"{record}: belongs to installation {owner}, which writes its rows",
            "change the installation, with patch_installation or put_installation",
        )
    reserved = next((tag for tag in registration.tags if tag.startswith("$")), None)
    if reserved is not None:
        raise ConfigurationError(
            f"{record}: tag {validation.shown(reserved)} begins with $, as only the service's own do",
            "leave the tag out",
        )


def _checked_etag(etag: str) -> str:
    """Take an ETag in any quoting, and refuse one that cannot be sent."""
    checked = etag_to_send(etag)
    if checked is None:
        raise ConfigurationError(
            f"etag {validation.shown(etag)}: not an ETag", 'give the one with which it was read, or "*"'
        )
    return checked
