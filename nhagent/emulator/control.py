"""The control routes under ``/_emulator``, by which other processes watch the hub and make things go wrong.

They answer programs on this machine only (see `nhagent.emulator.callers`), need no token, and are not logged.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, Literal

from nhagent.emulator.callers import is_labelled_as_json, refusal_of
from nhagent.emulator.clock import Clock
from nhagent.emulator.faults import Fault, Faults
from nhagent.emulator.http_messages import Refused, Reply, Request
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.log import Log
from nhagent.emulator.push.face import subscription_in
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.rest.address import segments, within_hub

if TYPE_CHECKING:
    from nhagent.emulator.push.service import PushService

PREFIX = "/_emulator"
_LONGEST_SECONDS = 86400
"""Longest time that the push service can be told to wait."""
_REFUSALS = range(300, 600)
"""HTTP statuses with which a connection can be refused."""

Json = dict[str, Any]


class Control:
    """Answers control requests: JSON in, JSON out.

    Args:
        hub: the hub that is watched.
        clock: the hub's clock.
        log: the requests so far.
        faults: the queue of ordered faults.
        scheme: ``http`` or ``https``, by which the routes are reached.
        push: the push service; None: there is none.
    """

    def __init__(
        self,
        hub: Hub,
        clock: Clock,
        log: Log,
        faults: Faults,
        scheme: Literal["http", "https"] = "http",
        push: PushFront | None = None,
    ) -> None:
        self._push = push
        self._hub = hub
        self._clock = clock
        self._log = log
        self._faults = faults
        self._scheme = scheme

    @staticmethod
    def concerns(path: str) -> bool:
        """Return whether a path is a control route. No hub's name begins with ``_``."""
        return path == PREFIX or path.startswith(PREFIX + "/")

    def answer(self, request: Request) -> Reply:
        """Answer one control request."""
        refusal = refusal_of(request, self._scheme)
        if refusal is not None:
            return _reply(403, {"error": refusal})
        if request.body and not is_labelled_as_json(request):
            return _reply(415, {"error": "The body needs the header 'Content-Type: application/json'."})
        try:
            return _reply(200, self._perform(request))
        except _Failed as failed:
            return _reply(failed.status, {"error": failed.message})

    def _perform(self, request: Request) -> Any:
        orders = {
            "faults": self._order_fault,
            "forget": self._forget,
            "expire": self._expire,
            "clock": self._set_clock,
        }
        match request.method, segments(request.path)[1:]:
            case "GET", ["log"]:
                return [asdict(entry) for entry in self._log.entries()]
            case "DELETE", ["log"]:
                self._log.clear()
            case "GET", ["hubs", *name] if within_hub(name, self._hub.name) == []:
                return self._present_hub().contents()
            case "GET", ["hubs", *name]:
                raise _Failed(404, f"There is no hub '{'/'.join(name)}' here.")
            case "POST", ["push"]:
                return self._send_push(_object(request))
            case _, ["push-service", *rest] if self._push is not None and self._push.is_used:
                return self._control_push(request, rest)
            case "DELETE", ["faults"]:
                self._faults.clear()
            case "POST", [name] if name in orders:
                orders[name](_object(request))
            case _, ["log" | "faults" | "forget" | "expire" | "clock" | "push"] | ["hubs", *_]:
                raise _Failed(405, f"{request.method} is not for this route.")
            case _:
                raise _Failed(404, "There is no such control route.")
        return {"ok": True}

    def _send_push(self, given: Json) -> Json:
        _refuse_others(given, "installation", "body", "ttl")
        installation, body, ttl = given.get("installation"), given.get("body"), given.get("ttl", 3600)
        if not isinstance(installation, str) or not isinstance(body, str) or not _is_whole(ttl):
            raise _Failed(400, "'installation' is an id, 'body' is text, 'ttl' a number of seconds.")
        if self._push is None or not self._push.is_used:
            raise _Failed(404, "There is no push service.")
        try:
            subscription = subscription_in(self._present_hub().installations, installation)
            posted = self._push.send(subscription, body, ttl)
        except KeyError as error:
            raise _Failed(404, f"There is no installation '{installation}'.") from error
        except ValueError as error:
            raise _Failed(400, f"Nothing was sent: {error}") from error
        except OSError as error:
            raise _Failed(502, f"The push service does not answer: {error}") from error
        return {"status": posted.status, "answer": posted.body}

    def _control_push(self, request: Request, rest: list[str]) -> Any:
        """Look into the push service, or make it go wrong."""
        assert self._push is not None
        service = self._push.service
        match request.method, rest:
            case "GET", []:
                return self._push.held()
            case "GET", ["log"]:
                return service.log()
            case "POST", ["drop"]:
                given = _object(request) if request.body else {}
                _refuse_others(given, "uaid")
                service.drop(_text_or_none(given, "uaid"))
            case "POST", ["close"]:
                given = _object(request) if request.body else {}
                _refuse_others(given, "uaid", "code")
                code = given.get("code", 1001)
                if code is not None and not _is_whole(code):
                    raise _Failed(400, "'code' is a close code, or null for none.")
                try:
                    service.close(code, _text_or_none(given, "uaid"))
                except ValueError as error:
                    raise _Failed(400, str(error)) from error
            case "POST", ["refuse"]:
                given = _object(request)
                _refuse_others(given, "status")
                status = given.get("status")
                if status is not None and not (_is_whole(status) and status in _REFUSALS):
                    raise _Failed(400, "'status' is an HTTP status from 300 on, or null.")
                service.refuses = status
            case "POST", ["behave"]:
                _behave(service, _object(request))
            case _:
                raise _Failed(404, "There is no such control route.")
        return {"ok": True}

    def _order_fault(self, given: Json) -> None:
        _refuse_others(given, *_FAULT_TYPES)
        given = {name: value for name, value in given.items() if value is not None}
        for name, has_type in _FAULT_TYPES.items():
            if not has_type(given[name]) if name in given else name == "match":
                raise _Failed(400, f"'{name}' is missing or of the wrong type.")
        try:
            self._faults.add(Fault(**given))
        except ValueError as error:
            raise _Failed(400, str(error)) from error

    def _forget(self, given: Json) -> None:
        _refuse_others(given, "installation", "registration", "gone")
        installation, registration = given.get("installation"), given.get("registration")
        gone = given.get("gone", False)
        hub = self._present_hub()
        match installation, registration:
            case str(), None if "gone" not in given:
                if not hub.installations.delete(installation):
                    raise _Failed(404, f"There is no installation '{installation}'.")
            case None, str() if isinstance(gone, bool):
                if not hub.registrations.forget(registration, gone=gone) and not gone:
                    raise _Failed(404, f"There is no registration '{registration}'.")
            case _:
                raise _Failed(
                    400, "'installation' or 'registration' is the id to forget; 'gone' is true or false."
                )

    def _expire(self, given: Json) -> None:
        _refuse_others(given, "installation", "registration")
        installation, registration = given.get("installation"), given.get("registration")
        hub = self._present_hub()
        try:
            match installation, registration:
                case str(), None:
                    hub.installations.expire(installation)
                case None, str():
                    hub.expire_registration(registration)
                case _:
                    raise _Failed(400, "'installation' or 'registration' is the id of what expires.")
        except Refused as refused:
            kind = "installation" if registration is None else "registration"
            raise _Failed(404, f"There is no {kind} '{installation or registration}'.") from refused

    def _present_hub(self) -> Hub:
        """Return the hub without what has expired."""
        self._hub.forget_expired(self._clock.now())
        return self._hub

    def _set_clock(self, given: Json) -> None:
        _refuse_others(given, "offset")
        offset = given.get("offset")
        if offset is None or not _is_number(offset):
            raise _Failed(400, "'offset' is a number of seconds.")
        try:
            self._clock.move(offset)
        except ValueError as error:
            raise _Failed(400, str(error)) from error


class _Failed(Exception):
    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.message = message


def _object(request: Request) -> Json:
    try:
        given = read_json(request.body)
    except NotJson as error:
        raise _Failed(400, f"The body is not JSON: {error}") from error
    if not isinstance(given, dict):
        raise _Failed(400, "The body is not a JSON object.")
    return given


def _refuse_others(given: Json, *known: str) -> None:
    for name in given:
        if name not in known:
            raise _Failed(400, f"'{name}' is not known here; known: {', '.join(known)}.")


def _behave(service: PushService, given: Json) -> None:
    """Change how the push service behaves; what is not given stays."""
    _refuse_others(given, *_BEHAVIOUR)
    for name, value in given.items():
        if not _BEHAVIOUR[name][1](value):
            raise _Failed(400, f"'{name}' is of the wrong type.")
    for name, value in given.items():
        setattr(service, _BEHAVIOUR[name][0], value)


def _text_or_none(given: Json, name: str) -> str | None:
    value = given.get(name)
    if value is not None and not isinstance(value, str):
        raise _Failed(400, f"'{name}' is text.")
    return value


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_truth(value: Any) -> bool:
    return isinstance(value, bool)


def _is_seconds(value: Any) -> bool:
    return _is_number(value) and 0 <= value <= _LONGEST_SECONDS


def _is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _is_texts(value: Any) -> bool:
    return isinstance(value, dict) and all(isinstance(text, str) for text in value.values())


def _reply(status: int, document: Any) -> Reply:
    return Reply(status, {"Content-Type": "application/json"}, json.dumps(document).encode())


# How the push service behaves, in JSON: the attributes of `PushService`.
_BEHAVIOUR: dict[str, tuple[str, Callable[[Any], bool]]] = {
    "silent": ("is_silent", _is_truth),
    "deaf": ("is_deaf", _is_truth),
    "twice": ("sends_twice", _is_truth),
    "delay": ("delay_seconds", _is_seconds),
    "ping_every": ("ping_seconds", _is_seconds),
    "pong_within": ("pong_seconds", _is_seconds),
    "hello_within": ("hello_seconds", _is_seconds),
}

# The members of a fault in JSON, which are the fields of `Fault`.
_FAULT_TYPES: dict[str, Callable[[Any], bool]] = {
    "match": _is_text,
    "status": _is_whole,
    "times": _is_whole,
    "headers": _is_texts,
    "body": _is_text,
    "delay": _is_number,
    "cut_after": _is_whole,
    "reset": _is_text,
    "drip": _is_number,
    "chunked": _is_text,
    "encoding": _is_text,
    "size": _is_whole,
}
