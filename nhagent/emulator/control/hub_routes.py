"""Control routes that look into the hub, and make it lose things or go wrong."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from typing import Any

from nhagent.emulator.control.orders import (
    Order,
    OrderRefused,
    Route,
    is_number,
    is_text,
    is_texts,
    is_whole,
)
from nhagent.emulator.faults import Fault
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.parts import Parts
from nhagent.emulator.rest.address import within_hub


def _log(parts: Parts, _: Order) -> Any:
    return [asdict(entry) for entry in parts.log.entries()]


def _clear_log(parts: Parts, _: Order) -> None:
    parts.log.clear()


def _contents(parts: Parts, order: Order) -> Any:
    if within_hub(order.arguments, parts.hub.name) != []:
        raise OrderRefused(404, f"There is no hub '{'/'.join(order.arguments)}' here.")
    return parts.present_hub().contents()


def _order_fault(parts: Parts, order: Order) -> None:
    given = {name: value for name, value in order.json(*_FAULT_TYPES).items() if value is not None}
    for name, has_type in _FAULT_TYPES.items():
        if not has_type(given[name]) if name in given else name == "match":
            raise OrderRefused(400, f"'{name}' is missing or of the wrong type.")
    try:
        parts.faults.add(Fault(**given))
    except ValueError as error:
        raise OrderRefused(400, str(error)) from error


def _clear_faults(parts: Parts, _: Order) -> None:
    parts.faults.clear()


def _forget(parts: Parts, order: Order) -> None:
    given = order.json("installation", "registration", "gone")
    installation, registration = given.get("installation"), given.get("registration")
    gone = given.get("gone", False)
    hub = parts.present_hub()
    match installation, registration:
        case str(), None if "gone" not in given:
            if not hub.installations.delete(installation):
                raise OrderRefused(404, f"There is no installation '{installation}'.")
        case None, str() if isinstance(gone, bool):
            if not hub.registrations.forget(registration, gone=gone) and not gone:
                raise OrderRefused(404, f"There is no registration '{registration}'.")
        case _:
            raise OrderRefused(
                400, "'installation' or 'registration' is the id to forget; 'gone' is true or false."
            )


def _expire(parts: Parts, order: Order) -> None:
    given = order.json("installation", "registration")
    installation, registration = given.get("installation"), given.get("registration")
    hub = parts.present_hub()
    try:
        match installation, registration:
            case str(), None:
                hub.installations.expire(installation)
            case None, str():
                hub.expire_registration(registration)
            case _:
                raise OrderRefused(400, "'installation' or 'registration' is the id of what expires.")
    except Refused as refused:
        kind = "installation" if registration is None else "registration"
        raise OrderRefused(404, f"There is no {kind} '{installation or registration}'.") from refused


def _set_clock(parts: Parts, order: Order) -> None:
    offset = order.json("offset").get("offset")
    if offset is None or not is_number(offset):
        raise OrderRefused(400, "'offset' is a number of seconds.")
    try:
        parts.move_clock(offset)
    except ValueError as error:
        raise OrderRefused(400, str(error)) from error


# The members of a fault in JSON, which are the fields of `Fault`.
_FAULT_TYPES: dict[str, Callable[[Any], bool]] = {
    "match": is_text,
    "status": is_whole,
    "times": is_whole,
    "headers": is_texts,
    "body": is_text,
    "delay": is_number,
    "cut_after": is_whole,
    "reset": is_text,
    "drip": is_number,
    "chunked": is_text,
    "encoding": is_text,
    "size": is_whole,
    "late": is_number,
    "ignored": is_text,
    "probability": is_number,
    "seed": is_whole,
}

ROUTES = (
    Route("GET", "/log", "the requests so far", _log),
    Route("DELETE", "/log", "empties the log", _clear_log),
    Route("GET", "/hubs/{hub...}", "all that the hub holds", _contents),
    Route("POST", "/faults", "orders a fault", _order_fault),
    Route("DELETE", "/faults", "removes every fault", _clear_faults),
    Route("POST", "/forget", "makes the hub lose an installation or a registration", _forget),
    Route("POST", "/expire", "marks a channel as expired", _expire),
    Route("POST", "/clock", "moves the hub's clock", _set_clock),
)
"""The routes of this module."""
