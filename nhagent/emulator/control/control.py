"""Answers the control routes under ``/_emulator``: JSON in, JSON out.

They answer programs on this machine only (see `nhagent.emulator.callers`), need no token, and are not logged.
"""

from __future__ import annotations

import json
from typing import Any

from nhagent.emulator.callers import is_labelled_as_json, refusal_of
from nhagent.emulator.control import delivery_routes, hub_routes, push_routes, state_routes
from nhagent.emulator.control.orders import Order, OrderRefused, Route
from nhagent.emulator.http_messages import Reply, Request
from nhagent.emulator.parts import Parts
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.rest.address import segments

PREFIX = "/_emulator"


class Control:
    """Answers control requests.

    Args:
        parts: what the routes look into.
    """

    def __init__(self, parts: Parts) -> None:
        self._parts = parts

    @staticmethod
    def concerns(path: str) -> bool:
        """Return whether a path is a control route. No hub's name begins with ``_``."""
        return path == PREFIX or path.startswith(PREFIX + "/")

    def answer(self, request: Request) -> Answer:
        """Answer one control request."""
        refusal = refusal_of(request, self._parts.scheme)
        if refusal is not None:
            return _json(403, {"error": refusal})
        if request.body and not is_labelled_as_json(request):
            return _json(415, {"error": "The body needs the header 'Content-Type: application/json'."})
        try:
            found = self._perform(request)
        except OrderRefused as refused:
            return _json(refused.status, {"error": refused.message})
        if isinstance(found, Answer):
            return found
        return (
            Answer(found)
            if isinstance(found, Reply)
            else _json(200, {"ok": True} if found is None else found)
        )

    def _perform(self, request: Request) -> Any:
        path = segments(request.path)[1:]
        others: list[str] = []
        for route in ROUTES:
            arguments = route.arguments_in(path)
            if arguments is None:
                continue
            if route.method == request.method:
                return route.perform(self._parts, Order(request, arguments))
            others.append(route.method)
        if others:
            raise OrderRefused(405, f"{request.method} is not for this route; {' and '.join(others)} are.")
        raise OrderRefused(404, f"There is no such control route; GET {PREFIX}/ lists them.")


def _list_routes(_: Parts, __: Order) -> Any:
    return {
        "routes": [
            {"method": route.method, "path": PREFIX + route.path, "summary": route.summary}
            for route in ROUTES
        ]
    }


def _json(status: int, document: Any) -> Answer:
    return Answer(Reply(status, {"Content-Type": "application/json"}, json.dumps(document).encode()))


ROUTES: tuple[Route, ...] = (
    Route("GET", "/", "this list", _list_routes),
    *hub_routes.ROUTES,
    *delivery_routes.ROUTES,
    *state_routes.ROUTES,
    *push_routes.ROUTES,
)
"""Every control route. A new one is one function, and one line in its module's ``ROUTES``."""
