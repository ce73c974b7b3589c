"""HTTP requests, replies and refusals, as the web server and the hub exchange them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message
from http import HTTPStatus


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read to its end.

    Attributes:
        method: in capitals.
        path: as sent, still percent-coded, without the query.
        query: as sent, without the question mark; empty when there was none.
        headers: looked up without regard to case.
        body: the whole body, its transfer coding removed.
        peer: the caller's IP address.
    """

    method: str
    path: str
    query: str = field(repr=False)
    headers: Message[str, str] = field(repr=False)
    body: bytes = field(repr=False)
    peer: str


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply. The web server chooses its framing (length or chunks).

    Attributes:
        status: the HTTP status.
        headers: by name; none of them frames the body, unless a fault says so.
        body: empty where there is none.
    """

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Refused(Exception):
    """The hub refuses a request.

    Args:
        status: the HTTP status.
        detail: the service's words, or None for a reply without a body (as for a missing right).
        headers: further headers of the reply.
    """

    def __init__(self, status: int, detail: str | None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def body_invalid(reason: str) -> Refused:
    """Make the 400 that the service gives for a body it cannot take."""
    return Refused(400, f"The provided request body is invalid. Error: {reason}")


def reason_phrase(status: int) -> str:
    """Return the words beside a status, as in ``404 Not Found``."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def merged_headers(defaults: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """Return the defaults overridden by what is given. Names are compared without regard to case."""
    names = set(map(str.lower, given))
    return {name: value for name, value in defaults.items() if name.lower() not in names} | dict(given)
