"""Control routes of the push service."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from nhagent.emulator.control.orders import (
    Json,
    Order,
    OrderRefused,
    Route,
    is_number,
    is_truth,
    is_whole,
    text_in,
)
from nhagent.emulator.parts import Parts
from nhagent.emulator.push.face import subscription_in

if TYPE_CHECKING:
    from nhagent.emulator.push.service import PushService

_LONGEST_SECONDS = 86400
"""Longest time that the push service can be told to wait."""
_REFUSALS = range(300, 600)
"""HTTP statuses with which a connection can be refused."""


def _send(parts: Parts, order: Order) -> Json:
    given = order.json("installation", "body", "ttl")
    installation, body, ttl = given.get("installation"), given.get("body"), given.get("ttl", 3600)
    if not isinstance(installation, str) or not isinstance(body, str) or not is_whole(ttl):
        raise OrderRefused(400, "'installation' is an id, 'body' is text, 'ttl' a number of seconds.")
    if not parts.push.is_used:
        raise OrderRefused(404, "There is no push service.")
    try:
        subscription = subscription_in(parts.present_hub().installations, installation)
        posted = parts.push.send(subscription, body, ttl)
    except KeyError as error:
        raise OrderRefused(404, f"There is no installation '{installation}'.") from error
    except ValueError as error:
        raise OrderRefused(400, f"Nothing was sent: {error}") from error
    except OSError as error:
        raise OrderRefused(502, f"The push service does not answer: {error}") from error
    return {"status": posted.status, "answer": posted.body}


def _held(parts: Parts, _: Order) -> Any:
    _used(parts)
    return parts.push.held()


def _log(parts: Parts, _: Order) -> Any:
    return _used(parts).log()


def _drop(parts: Parts, order: Order) -> None:
    service = _used(parts)
    service.drop(text_in(order.json_or_nothing("uaid"), "uaid"))


def _close(parts: Parts, order: Order) -> None:
    service = _used(parts)
    given = order.json_or_nothing("uaid", "code")
    code = given.get("code", 1001)
    if code is not None and not is_whole(code):
        raise OrderRefused(400, "'code' is a close code, or null for none.")
    try:
        service.close(code, text_in(given, "uaid"))
    except ValueError as error:
        raise OrderRefused(400, str(error)) from error


def _refuse(parts: Parts, order: Order) -> None:
    service = _used(parts)
    status = order.json("status").get("status")
    if status is not None and not (is_whole(status) and status in _REFUSALS):
        raise OrderRefused(400, "'status' is an HTTP status from 300 on, or null.")
    service.refuses = status


def _behave(parts: Parts, order: Order) -> None:
    """Change how the push service behaves; what is not given stays."""
    service = _used(parts)
    given = order.json(*_BEHAVIOUR)
    for name, value in given.items():
        if not _BEHAVIOUR[name][1](value):
            raise OrderRefused(400, f"'{name}' is of the wrong type.")
    for name, value in given.items():
        setattr(service, _BEHAVIOUR[name][0], value)


def _used(parts: Parts) -> PushService:
    if not parts.push.is_used:
        raise OrderRefused(404, "There is no push service.")
    return parts.push.service


def _is_seconds(value: Any) -> bool:
    return is_number(value) and 0 <= value <= _LONGEST_SECONDS


# How the push service behaves, in JSON: the attributes of `PushService`.
_BEHAVIOUR: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "silent": ("is_silent", is_truth),
    "deaf": ("is_deaf", is_truth),
    "twice": ("sends_twice", is_truth),
    "delay": ("delay_seconds", _is_seconds),
    "ping_every": ("ping_seconds", _is_seconds),
    "pong_within": ("pong_seconds", _is_seconds),
    "hello_within": ("hello_seconds", _is_seconds),
}

ROUTES = (
    Route("POST", "/push", "sends an encrypted message to a browser's installation", _send),
    Route("GET", "/push-service", "its users, connections and what waits", _held),
    Route("GET", "/push-service/log", "what devices have said", _log),
    Route("POST", "/push-service/drop", "forgets users", _drop),
    Route("POST", "/push-service/close", "ends connections", _close),
    Route("POST", "/push-service/refuse", "takes no connections", _refuse),
    Route("POST", "/push-service/behave", "makes it silent, deaf, slow, …", _behave),
)
"""The routes of this module."""
