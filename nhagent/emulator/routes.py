"""Which request is which operation of the hub.

A new operation is one function and one line in `ROUTES`.
"""

from __future__ import annotations

from collections.abc import Sequence
from urllib.parse import unquote

from . import installation_operations as installations
from . import registration_operations as registrations
from .messages import Refused, Request
from .operations import Call, Operation

ANY = None
"""In a pattern: a segment whose text is the operation's argument."""

ROUTES: dict[tuple[str | None, ...], dict[str, Operation]] = {
    ("installations", ANY): {
        "PUT": Operation("Listen", installations.put_installation),
        "GET": Operation("Listen", installations.get_installation),
        "PATCH": Operation("Listen", installations.patch_installation),
        "DELETE": Operation("Listen", installations.delete_installation),
    },
    ("registrationids",): {"POST": Operation("Listen", registrations.create_registration_id)},
    ("registrations",): {
        "POST": Operation("Listen", registrations.create_registration),
        "GET": Operation(registrations.right_to_list, registrations.list_registrations),
    },
    ("registrations", ANY): {
        "PUT": Operation("Listen", registrations.put_registration),
        "GET": Operation("Listen", registrations.get_registration),
        "DELETE": Operation("Listen", registrations.delete_registration),
    },
    ("tags", ANY, "registrations"): {"GET": Operation("Manage", registrations.list_registrations_by_tag)},
}
"""Patterns of the segments after the hub's name, lower case, and each one's operations by method."""


def segments(path: str) -> list[str]:
    """The path's segments, each decoded once. A coded `/` does not divide; a last `/` does not count."""
    return [unquote(segment) for segment in path.strip("/").split("/")]


def within_hub(found: Sequence[str], hub: str) -> list[str] | None:
    """The segments after the hub's name, or None when the path lies in another hub."""
    name = hub.lower().split("/")
    if [segment.lower() for segment in found[: len(name)]] != name:
        return None
    return list(found[len(name) :])


def find(request: Request, hub: str, now: float) -> tuple[Operation, Call]:
    """The operation that a request asks for.

    Raises:
        Refused: 404 for another hub or an unknown address, 405 for a method that the address does not have.
    """
    rest = within_hub(segments(request.path), hub)
    if rest is None:
        raise Refused(404, "No service is hosted at the specified address.")
    for pattern, operations in ROUTES.items():
        if _matches(pattern, rest):
            operation = operations.get(request.method)
            if operation is None:
                allowed = {"Allow": ", ".join(operations)}
                raise Refused(405, f"The specified HTTP verb ({request.method}) is not valid.", allowed)
            arguments = tuple(text for fixed, text in zip(pattern, rest, strict=True) if fixed is ANY)
            return operation, Call(request, arguments, now)
    raise Refused(404, "The requested resource does not exist.")


def _matches(pattern: tuple[str | None, ...], found: list[str]) -> bool:
    return len(pattern) == len(found) and all(
        text != "" if fixed is ANY else text.lower() == fixed
        for fixed, text in zip(pattern, found, strict=True)
    )
