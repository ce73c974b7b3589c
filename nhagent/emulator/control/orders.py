"""What a control route is given and how it refuses: an order, a failure, and checks of JSON."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from nhagent.emulator.http_messages import Refused, Reply, Request
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.parts import Parts
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.rest.address import parameter

Json = dict[str, Any]


class OrderRefused(Exception):
    """An order cannot be followed.

    Args:
        status: the HTTP status.
        message: what is wrong, for the caller.
    """

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


@dataclass(frozen=True, slots=True)
class Order:
    """One request to a control route.

    Attributes:
        request: the request.
        arguments: the path segments that the route left open, decoded.
    """

    request: Request
    arguments: tuple[str, ...] = ()

    def json(self, *known: str) -> Json:
        """Return the body, a JSON object without other members than these.

        Raises:
            OrderRefused: 400.
        """
        try:
            given = read_json(self.request.body)
        except NotJson as error:
            raise OrderRefused(400, f"The body is not JSON: {error}") from error
        if not isinstance(given, dict):
            raise OrderRefused(400, "The body is not a JSON object.")
        for name in given:
            if name not in known:
                raise OrderRefused(400, f"'{name}' is not known here; known: {', '.join(known)}.")
        return given

    def json_or_nothing(self, *known: str) -> Json:
        """Return the same; an empty object where there is no body."""
        return self.json(*known) if self.request.body else {}

    def parameter(self, name: str) -> str | None:
        """Return a parameter of the query; None where it is absent or empty.

        Raises:
            OrderRefused: 400, it is given more than once.
        """
        try:
            return parameter(self.request.query, name) or None
        except Refused as refused:
            raise OrderRefused(400, str(refused.detail)) from refused


@dataclass(frozen=True, slots=True)
class Route:
    """One control route.

    Attributes:
        method: its HTTP method.
        path: below ``/_emulator``. A segment in braces is an argument; ``{name...}`` takes all that is left.
        summary: what it does, for people.
        perform: follows the order. Returns the reply, what is written as JSON, or None for ``{"ok": true}``.
    """

    method: str
    path: str
    summary: str
    perform: Callable[[Parts, Order], Any | Reply | Answer]

    def arguments_in(self, found: list[str]) -> tuple[str, ...] | None:
        """Return the arguments in a path; None where it is not this route's.

        Args:
            found: the path's segments below ``/_emulator``, decoded.
        """
        arguments: list[str] = []
        pattern = [segment for segment in self.path.split("/") if segment]
        for place, segment in enumerate(pattern):
            if segment.endswith("...}"):
                return (*arguments, *found[place:]) if found[place:] else None
            if place >= len(found) or (segment[0] != "{" and segment != found[place]):
                return None
            if segment[0] == "{":
                arguments.append(found[place])
        return tuple(arguments) if len(found) == len(pattern) else None


def text_in(given: Json, name: str) -> str | None:
    """Return a member that is text, or None where it is absent or null.

    Raises:
        OrderRefused: 400, it is neither.
    """
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise OrderRefused(400, f"'{name}' is text.")
    return value


def is_text(value: Any) -> bool:
    """Return whether a value is text."""
    return isinstance(value, str)


def is_number(value: Any) -> bool:
    """Return whether a value is a number. True and false do not count."""
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    """Return whether a value is a whole number."""
    return isinstance(value, int) and not isinstance(value, bool)


def is_truth(value: Any) -> bool:
    """Return whether a value is true or false."""
    return isinstance(value, bool)


def is_texts(value: Any) -> bool:
    """Return whether a value is an object of texts."""
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())
