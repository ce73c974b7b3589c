"""What an operation of the hub is, and what it gets to see of a request."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from .hub import Hub
from .messages import Reply, Request


@dataclass(frozen=True, slots=True)
class Call:
    """A request that has found its operation."""

    request: Request
    arguments: tuple[str, ...]
    """The segments that the pattern left open."""
    now: float
    """The emulator's time, seconds since 1970."""


@dataclass(frozen=True, slots=True)
class Operation:
    """One operation of the hub."""

    right: str | Callable[[Request], str]
    """`Listen`, `Send` or `Manage`; or says which of them a request needs."""
    perform: Callable[[Hub, Call], Reply]
    """Raises Refused."""

    def right_for(self, request: Request) -> str:
        return self.right if isinstance(self.right, str) else self.right(request)
