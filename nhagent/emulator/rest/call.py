"""One request on its way to an operation of the hub."""

from __future__ import annotations

from dataclasses import dataclass

from nhagent.emulator.http_messages import Request
from nhagent.emulator.sends.outbox import Outbox


@dataclass(frozen=True, slots=True)
class Call:
    """A request for which an operation has been found.

    Attributes:
        request: the request.
        arguments: the path segments that the route left open, decoded.
        now: the emulator's time, seconds since 1970.
        outbox: sends notifications, now or later.
    """

    request: Request
    arguments: tuple[str, ...]
    now: float
    outbox: Outbox

    @property
    def origin(self) -> str:
        """The scheme and host of addresses in the reply.

        They begin with https even when the hub is reached over plain http: the JavaScript client takes no
        other.
        """
        return f"https://{self.request.headers.get('Host') or 'localhost'}"

    @property
    def query(self) -> str:
        """The query with its question mark; empty when there is none."""
        return f"?{self.request.query}" if self.request.query else ""
