"""The page as the rest of the emulator sees it: there once a browser asks for it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from nhagent.emulator.callers import is_loopback_host
from nhagent.emulator.http_messages import Reply, Request
from nhagent.emulator.parts import Parts
from nhagent.emulator.reply_delivery import Answer

if TYPE_CHECKING:
    from nhagent.emulator.page.front import Page

RESTORE = "/_emulator/ui/restore"
"""The one address of the page to which a form may send as much as a snapshot has."""
_PLACE = "/_emulator/ui/"
_EVENTS = "/_emulator/events"
_GOODBYE_SECONDS = 0.5
_OFF = b"The page is off: this emulator does not listen on a loopback address alone."


class PageFront:
    """Answers what concerns the page, whose modules are imported when that is asked for.

    Args:
        parts: what it shows.
        host: where the emulator listens.
        address: gives the endpoint and the connection strings, by name.
    """

    def __init__(self, parts: Parts, host: str, address: Callable[[], dict[str, str]]) -> None:
        self._parts = parts
        self._is_on = is_loopback_host(f"[{host}]" if ":" in host else host)
        self._address = address
        self._page: Page | None = None

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None where it does not concern the page."""
        if request.path == "/":
            if request.method != "GET" or "text/html" not in (request.headers.get("Accept") or ""):
                return None
            if not self._is_on:
                return None
        elif request.path != _EVENTS and not f"{request.path}/".startswith(_PLACE):
            return None
        if not self._is_on:
            return Answer(Reply(404, {"Content-Type": "text/plain; charset=utf-8"}, _OFF))
        if self._page is None:
            from nhagent.emulator.page.front import Page

            self._page = Page(self._parts, self._address)
        return self._page.answer(request)

    def close(self) -> None:
        """Let those who look at it be told that the emulator closes; wait for that a moment."""
        if self._page is not None:
            self._page.events.wait_for_end(_GOODBYE_SECONDS)
