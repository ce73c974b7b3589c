"""The hub's registrations, and what may be done to them."""

from __future__ import annotations

import re
import secrets
from collections.abc import Iterable
from typing import Any

from nhagent.emulator.atom.descriptions import Description, Registration
from nhagent.emulator.atom.reader import read_description
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.hub.expansion import descriptions_of, expired_names
from nhagent.emulator.hub.records import facts_of
from nhagent.emulator.registration_table import ChannelQuery, Page
from nhagent.emulator.storage import Storage
from nhagent.emulator.validation.description import validate_description

Json = dict[str, Any]

_ID = re.compile(r"\d{1,19}-\d{1,19}-\d{1,3}", re.ASCII)
_PARTITIONS = 8
# JavaScript and .NET write "1" (and "*", with quotes), Java W/"1", other callers 1 without quotes.
_ETAG = re.compile(r'(?:W/)?(?:"(\*|\d+)"|(\*|\d+))', re.ASCII)


class Registrations:
    """The registrations of one hub.

    Args:
        storage: where they are kept.
        lenient: accept descriptions in any order, ids, handles and templates of any form, a DELETE without
            If-Match.
        max_devices: distinct handles above which a new registration is refused; None for no limit.
    """

    def __init__(self, storage: Storage, *, lenient: bool = False, max_devices: int | None = None) -> None:
        self._storage = storage
        self._table = storage.registrations
        self._lenient = lenient
        self._max_devices = max_devices

    @staticmethod
    def new_id() -> str:
        """Return a new id. The hub does not remember it until something is put there."""
        first, second = secrets.randbelow(1 << 63), secrets.randbelow(1 << 63)
        return f"{first}-{second}-{1 + secrets.randbelow(_PARTITIONS)}"

    def create(self, body: bytes) -> Registration:
        """Create a registration, even where an equal one exists.

        Args:
            body: the request's.

        Raises:
            Refused: 400, or 403 above the quota.
        """
        description = self._read(body)
        with self._storage.writing():
            return self._insert(self.new_id(), description)

    def put(self, registration_id: str, body: bytes, if_match: str | None) -> Registration:
        """Replace a registration or, without ``if_match``, create it.

        Args:
            registration_id: given by the hub or made by the client.
            body: the request's.
            if_match: the header, or None.

        Raises:
            Refused: 400; 403 above the quota; 404, nothing to match; 410, the id is gone; 412, another ETag.
        """
        if not self._lenient and not _ID.fullmatch(registration_id):
            raise Refused(400, f"The registration id '{registration_id}' is not valid.")
        description = self._read(body)
        with self._storage.writing():
            if self._table.is_gone(registration_id):
                raise Refused(410, "The registration id is no longer valid. Please create a new one.")
            found = self._table.find(registration_id)
            if found is None:
                if if_match is not None:
                    raise _not_found()
                return self._insert(registration_id, description)
            if if_match is not None:
                _require_match(if_match, found.etag)
            return self._table.update(found, description, found.expiration)

    def get(self, registration_id: str) -> Registration:
        """Return one registration.

        Raises:
            Refused: 404.
        """
        found = self._table.find(registration_id)
        if found is None:
            raise _not_found()
        return found

    def delete(self, registration_id: str, if_match: str | None) -> None:
        """Delete a registration. One made from an installation returns with that installation's next write.

        Args:
            registration_id: its id.
            if_match: the header, or None.

        Raises:
            Refused: 404; 412, another ETag, or no header and the hub is strict.
        """
        if if_match is None:
            if not self._lenient:
                raise _etag_refused()
            if_match = "*"
        with self._storage.writing():
            _require_match(if_match, self.get(registration_id).etag)
            self._table.delete(registration_id)

    def forget(self, registration_id: str, *, gone: bool) -> bool:
        """Forget a registration, as a hub that lost it.

        Args:
            registration_id: known or, with ``gone``, any.
            gone: refuse every later write under this id.

        Returns:
            Whether there was one.
        """
        with self._storage.writing():
            if gone:
                self._table.set_gone(registration_id)
            return self._table.delete(registration_id)

    def expire(self, registration_id: str) -> str | None:
        """Act on a push service's report that a registration's handle is dead.

        The service removes every registration with that handle. One made from an installation stays; the
        installation is what expires.

        Args:
            registration_id: its id.

        Returns:
            The id of the installation that it was made from, or None.

        Raises:
            Refused: 404.
        """
        with self._storage.writing():
            found = self.get(registration_id)
            if found.installation is None:
                self._table.delete_of_handle(found.description.kind.platform, found.description.handle)
            return found.installation

    def all(self, after: int, limit: int) -> Page:
        """Return a page of all registrations; see `RegistrationTable.all`."""
        return self._table.all(after, limit)

    def of_channel(self, channel: ChannelQuery, after: int, limit: int) -> Page:
        """Return a page of the registrations of a channel."""
        return self._table.of_channel(channel, after, limit)

    def of_tag(self, tag: str, after: int, limit: int) -> Page:
        """Return a page of the registrations that carry a tag."""
        return self._table.of_tag(tag, after, limit)

    def follow(self, installation: Json) -> None:
        """Bring the registrations of an installation in step with it. Those that stay keep their ids.

        Args:
            installation: in the hub's form.

        Raises:
            Refused: 403, the installation is new and above the quota.
        """
        installation_id, expiration = installation["installationId"], installation["expirationTime"]
        with self._storage.writing():
            present = self._table.of_installation(installation_id)
            wanted = descriptions_of(installation)
            expired = expired_names(installation)
            if not present:
                self._check_quota(description.handle for description in wanted.values())
            for name in present.keys() - wanted.keys():
                self._table.delete(present[name].id)
            for name, description in wanted.items():
                if name in present:
                    self._table.update(present[name], description, expiration, expired=name in expired)
                else:
                    new = Registration(
                        self.new_id(), 1, description, expiration, installation_id, name in expired
                    )
                    self._table.insert(new, name)

    def drop(self, installation_id: str) -> None:
        """Delete the registrations of an installation."""
        self._table.delete_installation(installation_id)

    def contents(self) -> list[Json]:
        """Return every registration that clients made, in the order of creation."""
        return [facts_of(registration) for registration in self._table.of_clients()]

    def _read(self, body: bytes) -> Description:
        description = read_description(body, lenient=self._lenient)
        validate_description(description, lenient=self._lenient)
        return description

    def _insert(self, registration_id: str, description: Description) -> Registration:
        self._check_quota([description.handle])
        registration = Registration(registration_id, 1, description, None, None)
        self._table.insert(registration)
        return registration

    def _check_quota(self, handles: Iterable[str]) -> None:
        """Refuse devices above the quota. A device is a handle, however many registrations it has."""
        if self._max_devices is None:
            return
        new = {handle for handle in handles if not self._table.knows_handle(handle)}
        if new and self._table.count_handles() + len(new) > self._max_devices:
            raise Refused(
                403,
                "QuotaExceeded: The quota of active devices of this namespace has been reached. "
                f"Max Allowed: '{self._max_devices}'",
            )


def _require_match(header: str, etag: int) -> None:
    """Check that an If-Match header names this ETag, or any.

    Raises:
        Refused: 412, it names another, or has no known form.
    """
    for part in header.split(","):
        match = _ETAG.fullmatch(part.strip())
        if match is not None and (match[1] or match[2]) in ("*", str(etag)):
            return
    raise _etag_refused()


def _etag_refused() -> Refused:
    return Refused(412, "ETag header missing or invalid")


def _not_found() -> Refused:
    # As recorded: without any text.
    return Refused(404, "")
