"""What travels between the web server and the hub: a request, its reply, and the refusal of one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from email.message import Message


@dataclass(frozen=True, slots=True)
class Request:
    """One HTTP request, read to its end."""

    method: str
    path: str
    """As sent, still percent-coded, without the query."""
    query: str = field(repr=False)
    """As sent, without the question mark; empty when there was none."""
    headers: Message[str, str] = field(repr=False)
    """Looked up without regard to case."""
    body: bytes = field(repr=False)
    peer: str
    """The caller's IP address."""


@dataclass(frozen=True, slots=True)
class Reply:
    """One HTTP reply. Its framing (length or chunks) is the server's business."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict)
    body: bytes = b""


class Refused(Exception):
    """The hub says no.

    Args:
        status: the HTTP status.
        detail: the service's words, or None for a reply without a body (as a missing right gives).
        headers: further headers of the reply.
    """

    def __init__(self, status: int, detail: str | None, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(status, detail)
        self.status = status
        self.detail = detail
        self.headers = dict(headers or {})


def body_invalid(reason: str) -> Refused:
    """A 400 in the words that the service has for a body it cannot take."""
    return Refused(400, f"The provided request body is invalid. Error: {reason}")
