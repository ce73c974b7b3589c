"""Answers what browsers ask of the page."""

from __future__ import annotations

from collections.abc import Callable
from importlib.resources import files
from urllib.parse import parse_qs, urlencode

from nhagent.emulator.callers import refusal_of
from nhagent.emulator.http_messages import Reply, Request
from nhagent.emulator.page import (
    deliveries_view,
    faults_view,
    hub_view,
    requests_view,
    send_view,
)
from nhagent.emulator.page.actions import Problem, fields_of, perform, put_back
from nhagent.emulator.page.events import Events
from nhagent.emulator.page.frame import HOME, VIEWS, Visit, framed
from nhagent.emulator.page.html import Markup
from nhagent.emulator.parts import Parts
from nhagent.emulator.reply_delivery import Answer

HEADERS = {
    "Content-Security-Policy": "default-src 'self'; img-src 'self' data:; base-uri 'none'; "
    "form-action 'self'; frame-ancestors 'none'",
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "same-origin",
    "Cache-Control": "no-store",
}
"""What every answer has: nothing is loaded from elsewhere, no page shows this one, nothing is kept."""
_FILES = {"style.css": "text/css", "page.js": "text/javascript"}
_SHOW: dict[str, Callable[[Visit], Markup]] = {
    "": deliveries_view.view,
    "hub": hub_view.view,
    "requests": requests_view.view,
    "faults": faults_view.view,
    "send": send_view.view,
}
_MOST_WORDS = 500
_MOST_DIGITS = 15


class Page:
    """The page of one emulator.

    Args:
        parts: what it shows.
        address: gives the endpoint and the connection strings, by name.

    Attributes:
        events: the streams that say what has changed.
    """

    def __init__(self, parts: Parts, address: Callable[[], dict[str, str]]) -> None:
        self._parts = parts
        self._address = address
        self.events = Events(parts.changes)

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        refusal = refusal_of(request, self._parts.scheme)
        if refusal is not None:
            return _text(403, refusal)
        if request.path == "/":
            return Answer(Reply(302, {**HEADERS, "Location": HOME}))
        if request.path == "/_emulator/events":
            return self._stream(request)
        place = request.path.removeprefix(HOME)
        if request.method == "POST" and place in ("do", "restore"):
            return self._do(request, place)
        if request.method not in ("GET", "HEAD"):
            return _text(405, "This page is read with GET, and asked for things by its forms.")
        if place in _FILES:
            content = files("nhagent.emulator.page").joinpath(place).read_bytes()
            return _answer(200, _FILES[place], content)
        if place not in _SHOW:
            return _text(404, "There is no such page.")
        visit = self._visit(request.query)
        return self._framed(200, visit, place, _SHOW[place](visit), visit.query.get("problem"))

    def _visit(self, query: str) -> Visit:
        try:
            given = parse_qs(query, keep_blank_values=True, max_num_fields=20)
        except ValueError:
            given = {}
        return Visit(self._parts, {name: values[0] for name, values in given.items()}, self._address)

    def _framed(
        self, status: int, visit: Visit, view: str, main: Markup, problem: str | None = None
    ) -> Answer:
        return _answer(status, "text/html", framed(visit, view, main, problem))

    def _do(self, request: Request, place: str) -> Answer:
        fields: dict[str, str] = {}
        back = HOME
        try:
            if place == "restore":
                put_back(self._parts, request)
                return _see(HOME + "hub")
            fields = fields_of(request)
            back = HOME + (fields["back"] if fields.get("back") in dict(VIEWS) else "")
            query = perform(self._parts, fields)
        except Problem as problem:
            if fields.get("action") == "send":
                # Said beside what was filled in, so that nothing has to be typed again.
                visit = Visit(self._parts, fields, self._address)
                return self._framed(400, visit, "send", send_view.view(visit, str(problem)))
            return _see(back, problem=str(problem)[:_MOST_WORDS])
        return _see(f"{back}?{query}" if query else back)

    def _stream(self, request: Request) -> Answer:
        if not self.events.take():
            return _text(503, "Too many pages look at this emulator.")
        seen = (request.headers.get("Last-Event-ID") or "").strip()
        known = seen.isascii() and seen.isdigit() and len(seen) <= _MOST_DIGITS
        since = min(int(seen), self._parts.changes.count) if known else self._parts.changes.count
        return Answer(Reply(200), takes_over=lambda connection: self.events.stream(connection, since))


def _see(where: str, **query: str) -> Answer:
    location = f"{where}?{urlencode(query)}" if query else where
    return Answer(Reply(303, {**HEADERS, "Location": location}))


def _text(status: int, words: str) -> Answer:
    return _answer(status, "text/plain", words.encode())


def _answer(status: int, kind: str, body: bytes) -> Answer:
    return Answer(Reply(status, {**HEADERS, "Content-Type": f"{kind}; charset=utf-8"}, body))
