"""Take down all that a hub holds, and put such a record back in the place of what it holds.

What is put back was accepted once, by this hub or by another. It is checked for its shape, so that every
later request can be answered, but not for the forms that a strict hub wants.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from nhagent.emulator.atom.descriptions import COMPACT, Description, Registration
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.hub.expansion import descriptions_of, expired_names
from nhagent.emulator.hub.installation_reader import Malformed, read_installation
from nhagent.emulator.hub.records import description_of, facts_of
from nhagent.emulator.storage import Storage
from nhagent.emulator.validation.description import validate_description
from nhagent.emulator.validation.installation import validate_installation

Json = dict[str, Any]

_ETAG_DIGITS = 15


def take(storage: Storage) -> Json:
    """Return all that a hub holds, as JSON.

    ``installations``, ``registrations`` and ``gone``. Registrations made from an installation are there with
    their ids and ETags and their ``name`` within it; the rest of them follows from the installation.

    Args:
        storage: where the hub keeps it.
    """
    with storage.lock:
        installations = [json.loads(text) for text in storage.installations()]
        registrations = [
            facts_of(registration)
            if name is None
            else {
                "registrationId": registration.id,
                "etag": str(registration.etag),
                "installation": registration.installation,
                "name": name,
            }
            for registration, name in storage.registrations.every_named()
        ]
        gone = storage.registrations.gone()
    return {"installations": installations, "registrations": registrations, "gone": gone}


@dataclass(slots=True)
class Contents:
    """What a hub is to hold, read and checked.

    Attributes:
        installations: in the hub's form, by id.
        registrations: each with its name within its installation, or None; in the order of creation.
        gone: ids of registrations that are gone for good.
    """

    installations: dict[str, Json] = field(default_factory=dict)
    registrations: dict[str, tuple[Registration, str | None]] = field(default_factory=dict)
    gone: list[str] = field(default_factory=list)


def read(document: Json, new_id: Callable[[], str]) -> Contents:
    """Read what `take` gave, or the contents that a control route shows.

    Args:
        document: decoded JSON. Other members are left alone.
        new_id: gives an id for each registration of an installation that the document does not name.

    Raises:
        Malformed: something in it is not what a hub can hold; the text says which and why.
    """
    contents = Contents()
    for number, given in enumerate(_list(document, "installations")):
        with _Naming(f"installations[{number}]"):
            _add_installation(contents, given)
    made = {name: descriptions_of(found) for name, found in contents.installations.items()}
    for number, given in enumerate(_list(document, "registrations")):
        with _Naming(f"registrations[{number}]"):
            _add_registration(contents, given, made)
    for installation_id, left in made.items():
        for name, description in left.items():
            _keep_made(contents, new_id(), 1, description, installation_id, name)
    contents.gone = _list(document, "gone")
    if not all(isinstance(each, str) for each in contents.gone):
        raise Malformed("'gone' is not an array of strings.")
    return contents


def put(storage: Storage, contents: Contents) -> None:
    """Put contents in the place of what the hub holds.

    Args:
        storage: where the hub keeps it.
        contents: what it is to hold.
    """
    with storage.writing():
        storage.delete_everything()
        for installation_id, found in contents.installations.items():
            storage.put_installation(installation_id, COMPACT.encode(found), found["expirationTime"])
        for registration, name in contents.registrations.values():
            storage.registrations.insert(registration, name)
        for registration_id in contents.gone:
            storage.registrations.set_gone(registration_id)


def _add_installation(contents: Contents, given: Any) -> None:
    installation_id = given.get("installationId") if isinstance(given, dict) else None
    if not isinstance(installation_id, str) or not installation_id:
        raise Malformed("'installationId' is missing, or not a string.")
    if installation_id in contents.installations:
        raise Malformed(f"The installation '{installation_id}' is there twice.")
    found = read_installation(given, installation_id, patched=True)
    validate_installation(found, patched=True, lenient=True)
    contents.installations[installation_id] = found


def _add_registration(contents: Contents, given: Any, made: dict[str, dict[str, Description]]) -> None:
    if not isinstance(given, dict):
        raise Malformed("It is not an object.")
    registration_id, etag = given.get("registrationId"), given.get("etag", "1")
    if not isinstance(registration_id, str) or not registration_id:
        raise Malformed("'registrationId' is missing, or not a string.")
    if registration_id in contents.registrations:
        raise Malformed(f"The registration '{registration_id}' is there twice.")
    if not isinstance(etag, str) or not (etag.isascii() and etag.isdigit()) or len(etag) > _ETAG_DIGITS:
        raise Malformed("'etag' is not a number as text.")
    if "installation" not in given:
        description = description_of(given)
        validate_description(description, lenient=True)
        registration = Registration(registration_id, int(etag), description, None, None)
        contents.registrations[registration_id] = registration, None
        return
    installation_id, name = given["installation"], given.get("name")
    if not isinstance(installation_id, str) or not isinstance(name, str):
        raise Malformed("'installation' and 'name' are not both strings.")
    of_installation = made.get(installation_id, {}).pop(name, None)
    if of_installation is None:
        raise Malformed(f"The installation '{installation_id}' has no '{name}' (any more).")
    _keep_made(contents, registration_id, int(etag), of_installation, installation_id, name)


def _keep_made(
    contents: Contents,
    registration_id: str,
    etag: int,
    description: Description,
    installation_id: str,
    name: str,
) -> None:
    found = contents.installations[installation_id]
    registration = Registration(
        registration_id,
        etag,
        description,
        found["expirationTime"],
        installation_id,
        expired=name in expired_names(found),
    )
    contents.registrations[registration_id] = registration, name


class _Naming:
    """Says in a refusal which record it is about.

    Args:
        place: of the record in the document.
    """

    def __init__(self, place: str) -> None:
        self._place = place

    def __enter__(self) -> None: ...

    def __exit__(self, kind: object, error: BaseException | None, traceback: object) -> None:
        if isinstance(error, Refused):
            raise Malformed(f"{self._place}: {error.detail}") from error
        if isinstance(error, Malformed):
            raise Malformed(f"{self._place}: {error}") from error


def _list(document: Json, name: str) -> list[Any]:
    found = document.get(name, [])
    if not isinstance(found, list):
        raise Malformed(f"'{name}' is not an array.")
    return found
