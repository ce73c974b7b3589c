"""Which request is which operation of the hub, and the right that it needs.

A new operation is one function and one line in `ROUTES`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import parse_qsl, unquote

from .hub import Hub
from .messages import Refused, Reply, Request, body_invalid
from .replies import XML

ANY = None
"""In a pattern: a segment whose text is the operation's argument."""

_API_VERSION = re.compile(r"\d{4}-\d\d", re.ASCII)
_EMPTY = {"Content-Type": XML}


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has found its operation."""

    request: Request
    arguments: tuple[str, ...]
    """The segments that the pattern left open."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the hub."""

    right: str
    """`Listen`, `Send` or `Manage`."""
    perform: Callable[[Hub, Call], Reply]
    """Raises Refused."""


def put_installation(hub: Hub, call: Call) -> Reply:
    hub.put_installation(call.arguments[0], _json(call.request.body))
    return Reply(200, _EMPTY)


def get_installation(hub: Hub, call: Call) -> Reply:
    # The service labels this JSON as XML; a client that believes the label fails here as it would there.
    return Reply(200, {"Content-Type": XML}, hub.installation(call.arguments[0]).encode())


def patch_installation(hub: Hub, call: Call) -> Reply:
    hub.patch_installation(call.arguments[0], _json(call.request.body))
    return Reply(200, _EMPTY)


def delete_installation(hub: Hub, call: Call) -> Reply:
    hub.delete_installation(call.arguments[0])
    return Reply(204, _EMPTY)


ROUTES: dict[tuple[str | None, ...], dict[str, Operation]] = {
    ("installations", ANY): {
        "PUT": Operation("Listen", put_installation),
        "GET": Operation("Listen", get_installation),
        "PATCH": Operation("Listen", patch_installation),
        "DELETE": Operation("Listen", delete_installation),
    },
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


def find(request: Request, hub: str) -> tuple[Operation, Call]:
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
            return operation, Call(request, arguments)
    raise Refused(404, "The requested resource does not exist.")


@lru_cache(maxsize=64)  # most requests carry the same query
def check_api_version(query: str) -> None:
    """Any version of the form `YYYY-MM` will do.

    Raises:
        Refused: 400, it is missing or of another form.
    """
    versions = [value for name, value in parse_qsl(query) if name.lower() == "api-version"]
    if not versions or not all(_API_VERSION.fullmatch(version) for version in versions):
        raise Refused(400, "The 'api-version' query parameter is missing or invalid.")


def _matches(pattern: tuple[str | None, ...], found: list[str]) -> bool:
    return len(pattern) == len(found) and all(
        text != "" if fixed is ANY else text.lower() == fixed
        for fixed, text in zip(pattern, found, strict=True)
    )


def _json(body: bytes) -> Any:
    try:
        return _DECODER.decode(body.decode("utf-8-sig"))
    except (ValueError, RecursionError) as error:
        raise body_invalid("The body is not JSON.") from error


def _no_constant(name: str) -> None:
    raise ValueError(f"{name} is not JSON.")


_DECODER = json.JSONDecoder(parse_constant=_no_constant)
