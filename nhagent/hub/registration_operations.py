"""The operations of a notification hub on registrations."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final
from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConcurrencyConflict, ConfigurationError, HubUnavailable
from nhagent.hub.channel_filter import by_own_field, by_uri
from nhagent.hub.checked import continuation_from, registration_id_from
from nhagent.hub.held import HeldRegistration, Page, Registrations
from nhagent.hub.registration_checks import check_writable, etag_for, path_of, place_of
from nhagent.hub.replies import LISTEN
from nhagent.hub.way import HubRequest, Way
from nhagent.models import Platform, PushChannel, Registration
from nhagent.secret import Secret, hiding_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nhagent.literals import PlatformName

PAGE_SIZE: Final = 100
"""Registrations asked for at once: what the service gives by itself."""
MAX_PAGES: Final = 10_000
"""Pages after which a list counts as one that never ends."""
MODIFY_TRIES: Final = 5
MANAGE: Final = "Manage"
"""The right that lists of more than one channel need."""
_ATOM_TYPE: Final = "application/atom+xml;type=entry;charset=utf-8"


class RegistrationOperations:
    """The part of `nhagent.hub.operations.HubOperations` that reads and writes registrations."""

    _exchange: Way

    def create_registration_id(self) -> str:
        """Get a new registration id, to be put to use by `put_registration`.

        Source: REST reference, "Create a registration ID".

        Raises:
            HubError: see `nhagent.errors`.
        """
        response, reply = self._exchange.make(HubRequest("POST", "registrationids", "a registration id"))
        registration_id = registration_id_from(response.headers.get("location"))
        if registration_id is None:
            raise self._exchange.unreadable(reply, "it names no registration id")
        return registration_id

    @hiding_arguments
    def create_registration(self, registration: Registration) -> HeldRegistration:
        """Create a registration under an id of the hub's making. Every call makes another one.

        A device uses `create_registration_id` and `put_registration`: a lost reply then makes no duplicate.
        Source: REST reference, "Create a registration".

        Args:
            registration: what the hub shall hold.

        Returns:
            The registration as the hub holds it.

        Raises:
            HubError: see `nhagent.errors`.
            ConfigurationError: a text cannot be sent; nothing was sent.
        """
        return self._registration("POST", "registrations", "the registration", registration)

    @hiding_arguments
    def put_registration(self, registration_id: str, registration: Registration) -> HeldRegistration:
        """Write a registration whole under this id, whatever it holds.

        Source: REST reference, "Create or update a registration".

        Args:
            registration_id: which one, from `create_registration_id`.
            registration: what the hub shall hold.

        Returns:
            The registration as the hub holds it.

        Raises:
            RegistrationGone: this id can never be used again.
            HubError: see `nhagent.errors`.
            ConfigurationError: a text cannot be sent, or the id is not valid; nothing was sent.
        """
        return self._of_id("PUT", registration_id, registration)

    @hiding_arguments
    def update_registration(
        self, registration_id: str, registration: Registration, etag: str | None = None
    ) -> HeldRegistration:
        """Write a registration whole if it is still as it was read.

        Source: REST reference, "Update a registration".

        Args:
            registration_id: which one.
            registration: what the hub shall hold.
            etag: the ETag with which it was read; None: that of ``registration``, which was read from the
                hub; ``*``: whatever it has.

        Returns:
            The registration as the hub holds it.

        Raises:
            ConcurrencyConflict: somebody else has changed it since.
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
            ConfigurationError: there is no ETag of this very registration, a text cannot be sent, or the id
                is not valid; nothing was sent.
        """
        return self._of_id(
            "PUT", registration_id, registration, etag_for(registration_id, registration, etag)
        )

    @hiding_arguments
    def modify_registration(
        self, registration_id: str, change: Callable[[HeldRegistration], Registration]
    ) -> HeldRegistration:
        """Read a registration, change it and write it back; after a conflict again, five times at most.

        Args:
            registration_id: which one; none that belongs to an installation, which is changed as a whole.
            change: gives the changed registration; called again with what somebody else made of it.

        Returns:
            The registration as the hub holds it.

        Raises:
            ConcurrencyConflict: somebody else was faster every time.
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
            ConfigurationError: it belongs to an installation, or has no ETag; nothing was written.
        """
        for attempt in range(MODIFY_TRIES):
            held = self.get_registration(registration_id)
            check_writable(f"registration {registration_id}", held)
            try:
                return self.update_registration(registration_id, change(held), held.etag or None)
            except ConcurrencyConflict:
                if attempt == MODIFY_TRIES - 1:
                    raise
        raise AssertionError  # the loop returns or raises

    @hiding_arguments
    def get_registration(self, registration_id: str) -> HeldRegistration:
        """Read a registration.

        Source: REST reference, "Read a registration".

        Args:
            registration_id: which one.

        Returns:
            The registration as the hub holds it.

        Raises:
            RecordNotFound: the hub does not hold it.
            HubError: see `nhagent.errors`.
        """
        return self._of_id("GET", registration_id)

    @hiding_arguments
    def delete_registration(
        self, registration_or_id: HeldRegistration | str, etag: str | None = None
    ) -> None:
        """Delete a registration if it is still as it was read.

        Source: REST reference, "Delete a registration".

        Args:
            registration_or_id: which one.
            etag: the ETag with which it was read; None: that of the registration that is given; ``*``:
                whatever it has.

        Raises:
            ConcurrencyConflict: somebody else has changed it since.
            RecordNotFound: the hub does not hold it: as good as deleted.
            HubError: see `nhagent.errors`.
            ConfigurationError: there is no ETag, or the id is not valid; nothing was sent.
        """
        given = registration_or_id
        registration_id = given.registration_id if isinstance(given, HeldRegistration) else given
        path, record = place_of(registration_id)
        matched = etag_for(registration_id, given, etag)
        self._exchange.make(HubRequest("DELETE", path, record, etag=matched))

    @hiding_arguments
    def registrations_by_channel(
        self,
        channel: PushChannel,
        *,
        platform: Platform | PlatformName | None = None,
        by_channel_uri: bool = False,
    ) -> Registrations:
        """List every registration of a push channel, those that installations make among them.

        Needs the Listen right. Source: REST reference, "Read all registrations with a channel".

        Args:
            channel: the push channel.
            platform: its platform, whose own field is asked for; None: the field of every platform.
            by_channel_uri: ask for the field of every platform all the same.

        Returns:
            The list; the hub is asked while it is iterated over.

        Raises:
            ConfigurationError: there is no such platform.
        """
        own = None if platform is None else Platform.parse(platform)
        asked = by_uri(channel, own) if by_channel_uri else by_own_field(channel, own)
        return self._list("registrations", f"$filter={quote(asked, safe='')}", channels=(channel,))

    def registrations_by_tag(self, tag: str) -> Registrations:
        """List every registration with a tag.

        Needs the Manage right. Source: REST reference, "Read all registrations with a tag".

        Args:
            tag: the tag.

        Returns:
            The list; the hub is asked while it is iterated over.

        Raises:
            ConfigurationError: it is no text, or empty.
        """
        if not validation.is_text(tag) or not tag:
            raise ConfigurationError(f"tag {validation.shown(tag)}: not a tag", "give the tag to look for")
        return self._list(f"tags/{quote(tag, safe='')}/registrations", right=MANAGE)

    def registrations(self) -> Registrations:
        """List every registration of the hub.

        Needs the Manage right. Source: REST reference, "Read all registrations".

        Returns:
            The list; the hub is asked while it is iterated over.
        """
        return self._list("registrations", right=MANAGE)

    def _list(
        self, path: str, *query: str, channels: Sequence[PushChannel] = (), right: str = LISTEN
    ) -> Registrations:
        given = Secret((path, query, channels, right))
        del path, query, channels  # a traceback would show them
        return Registrations(lambda token: self._page(*given.reveal(), token), self._endless, MAX_PAGES)

    def _page(
        self, path: str, query: Sequence[str], channels: Sequence[PushChannel], right: str, token: str | None
    ) -> Page:
        parts = (f"$top={PAGE_SIZE}", *query, *([] if token is None else [f"continuationtoken={token}"]))
        self._exchange.check_time_for_list()
        response, reply = self._exchange.make(
            HubRequest("GET", path, "the list of registrations", query=parts, channels=channels, right=right)
        )
        from nhagent.hub.atom import from_feed  # its parser is costly to load, and installations need none

        try:
            rows = from_feed(response.body)
            return Page(tuple(rows), continuation_from(response.headers.get("x-ms-continuationtoken")))
        except ValueError as error:
            raise self._exchange.unreadable(reply, str(error)) from None

    def _endless(self) -> HubUnavailable:
        reply = self._exchange.of_thread.last_reply
        assert reply is not None  # the list has just been read
        return self._exchange.unreadable(reply, "its list never ends")

    def _of_id(
        self,
        method: str,
        registration_id: str,
        registration: Registration | None = None,
        etag: str | None = None,
    ) -> HeldRegistration:
        return self._registration(method, *place_of(registration_id), registration, etag)

    def _registration(
        self,
        method: str,
        path: str,
        record: str,
        registration: Registration | None = None,
        etag: str | None = None,
    ) -> HeldRegistration:
        if method != "GET":
            check_writable(record, registration)
        from nhagent.hub.atom import NotARegistration, from_entry, to_entry

        body = None if registration is None else to_entry(registration)
        channels = () if registration is None else (registration.channel,)
        response, reply = self._exchange.make(
            HubRequest(method, path, record, body, _ATOM_TYPE, etag, channels=channels)
        )
        try:
            held = from_entry(response.body)
        except NotARegistration as error:
            raise self._exchange.unreadable(reply, str(error)) from None
        if held.registration_id and path not in {"registrations", path_of(held.registration_id)}:
            raise self._exchange.unreadable(reply, "it is another registration")
        return held
