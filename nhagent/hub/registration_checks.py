"""What is asked of registrations, checked before it is sent: ids, ETags, and what only the service writes."""

from __future__ import annotations

from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.hub.checked import etag_to_send, is_registration_id
from nhagent.hub.held import HeldRegistration
from nhagent.hub.texts import owner_in
from nhagent.models import Registration


def place_of(registration_id: str) -> tuple[str, str]:
    """Give the path of a registration, and what an error calls it.

    Raises:
        ConfigurationError: it is no registration id.
    """
    if not isinstance(registration_id, str) or not is_registration_id(registration_id):
        raise ConfigurationError(
            f"registration_id {validation.shown(registration_id)}: not a registration id",
            "give one that the hub made",
        )
    return path_of(registration_id), f"registration {registration_id}"


def path_of(registration_id: str) -> str:
    """Give the path of a registration, below its hub."""
    return f"registrations/{quote(registration_id, safe='')}"


def check_writable(record: str, registration: object) -> None:
    """Refuse what the service refuses: a row of an installation, or a tag that only it can give.

    Raises:
        ConfigurationError: it would, or it is no registration.
    """
    if not isinstance(registration, Registration):
        raise ConfigurationError(
            f"{record}: a {type(registration).__name__} is not a Registration",
            "make one with Registration(…)",
        )
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


def etag_for(registration_id: str, given: object, etag: str | None) -> str:
    """Give the ETag to match, in any quoting: the one that is given, or that of what was read from the hub.

    Raises:
        ConfigurationError: there is none, it is another registration's, or it cannot be sent.
    """
    if etag is None:
        held = given if isinstance(given, HeldRegistration) else None
        if held is None or held.registration_id != registration_id or not held.etag:
            whose = "there is none" if held is None or not held.etag else f"it is of {held.registration_id}"
            raise ConfigurationError(
                f"registration {registration_id}: no ETag to match ({whose})",
                'read the registration and give what was read, or give "*" to overwrite whatever is there',
            )
        return held.etag
    checked = etag_to_send(etag)
    if checked is None:
        raise ConfigurationError(
            f"etag {validation.shown(etag)}: not an ETag", 'give the one with which it was read, or "*"'
        )
    return checked
