"""Control routes that show what was sent, what arrived where, and why it did not elsewhere."""

from __future__ import annotations

import math
from typing import Any

from nhagent.emulator.control.orders import Order, OrderRefused, Route
from nhagent.emulator.parts import Parts
from nhagent.emulator.sends.delivery import as_json

_LONGEST_WAIT = 600.0
"""Longest time that a request waits for a delivery, in seconds."""


def _deliveries(parts: Parts, order: Order) -> Any:
    tag, installation = order.parameter("tag"), order.parameter("installation")
    deliveries = parts.sender.deliveries
    seconds = _seconds(order.parameter("wait"))
    parts.changes.wait_for(lambda: deliveries.entries(tag=tag, installation=installation), seconds)
    return [as_json(delivery) for delivery in deliveries.entries(tag=tag, installation=installation)]


def _clear(parts: Parts, _: Order) -> None:
    parts.sender.deliveries.clear()


def _why(parts: Parts, order: Order) -> Any:
    installation = order.parameter("installation")
    if installation is None:
        raise OrderRefused(400, "'installation' is the id of the device that is asked about.")
    try:
        reason = parts.sender.why_not(order.arguments[0], installation)
    except KeyError as error:
        raise OrderRefused(404, str(error.args[0])) from error
    return {
        "installation": installation,
        "matched": reason is None,
        "reason": None if reason is None else reason.reason,
        "term": None if reason is None else reason.term,
    }


def _seconds(text: str | None) -> float:
    try:
        seconds = float(text or 0)
    except ValueError:
        seconds = math.nan
    if not 0 <= seconds <= _LONGEST_WAIT:
        raise OrderRefused(400, f"'wait' is a number of seconds, up to {_LONGEST_WAIT:.0f}.")
    return seconds


ROUTES = (
    Route("GET", "/deliveries", "what was sent, and to whom; ?wait=SECONDS&tag=&installation=", _deliveries),
    Route("DELETE", "/deliveries", "empties that list", _clear),
    Route("GET", "/deliveries/{id}/why", "why an ?installation= received nothing", _why),
)
"""The routes of this module."""
