"""The gateway in front of the hub: faults, rate limit, authentication and authorization of every request.

fault → rate → token → operation → right → api-version → the operation itself
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus

from nhagent.emulator.faults import NO_FAULT, Fault
from nhagent.emulator.http_messages import Refused, Reply, Request, merged_headers, reason_phrase
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import NOT_CARRIED_OUT
from nhagent.emulator.parts import Parts
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.rest import replies, routes
from nhagent.emulator.rest.address import check_api_version, path_below_hub
from nhagent.emulator.rest.call import Call
from nhagent.emulator.rest.routes import Operation
from nhagent.emulator.sas import AccessRule, Token


class Gateway:
    """Answers everything that is not a control request, and writes each answer to the log.

    Args:
        parts: the hub that is served; the clock that judges tokens and dates replies; the faults, applied
            before anything else; the log, written before the reply is sent, so that a request whose reply is
            held back shows.
        rules: the access rules with whose keys tokens may be signed, by name.
        rate: requests a second above which it answers 429; None for no limit.
    """

    def __init__(self, parts: Parts, rules: dict[str, AccessRule], *, rate: float | None = None) -> None:
        self._hub = parts.hub
        self._outbox = parts.outbox
        self._agenda = parts.agenda
        self._clock = parts.clock
        self._log = parts.log
        self._faults = parts.faults
        self._rules = rules
        self._bucket = None if rate is None else TokenBucket(rate)

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        self._agenda.do_what_is_due()
        now = self._clock.now()
        token = _read_token(request, lenient=self._hub.lenient)
        fault = self._fault(request)
        strict: Refused | None = None
        if fault.reset == "before":
            reply = Reply(NOT_CARRIED_OUT)
        elif fault.status is not None:
            reply = _faulty_reply(fault, fault.status, now)
        else:
            if self._hub.lenient:
                strict = self._refusal_where_strict(request, now)
            try:
                reply = replies.with_service_headers(self._perform(request, token, now, fault), now)
            except Refused as error:
                reply = replies.refusal(error, now)
        key = token.key_name if isinstance(token, Token) else None
        # One that this hub refused too is no news.
        self._log.append(request, reply, key, now, strict if reply.status < HTTPStatus.BAD_REQUEST else None)
        return Answer(reply, fault)

    def _fault(self, request: Request) -> Fault:
        if not self._faults:
            return NO_FAULT
        return self._faults.take(request.method, path_below_hub(request.path, self._hub.name))

    def _refusal_where_strict(self, request: Request, now: float) -> Refused | None:
        """Return how a hub that is not lenient would refuse a request; None where it would not."""
        try:
            Token.read(request.headers.get("Authorization"), lenient=False)
            operation, call = routes.find(request, self._hub.name, now, self._outbox)
            if not operation.sends:
                with self._hub.rehearsing():
                    operation.perform(self._hub.strict_twin(), call)
        except Refused as refused:
            return refused
        return None

    def _perform(self, request: Request, token: Token | Refused, now: float, fault: Fault) -> Reply:
        if self._bucket is not None and not self._bucket.take():
            raise Refused(429, "The request rate is too high. Please try again later.", {"Retry-After": "1"})
        if isinstance(token, Refused):
            raise token
        rule = self._rules.get(token.key_name)
        host = request.headers.get("Host") or ""
        token.verify(rule.key if rule else None, host=host, path=request.path, now=now)
        operation, call = routes.find(request, self._hub.name, now, self._outbox)
        if rule is None or operation.right_for(request) not in rule.rights:
            if operation.manages:
                # As recorded in 2020.
                raise Refused(401, "Manage claim is required for this operation.")
            # As recorded in 2022: without a body that says why.
            raise Refused(403, None)
        check_api_version(request.query)
        self._hub.forget_expired(now)
        if operation.writes and fault.changes_write:
            return self._perform_not_at_once(operation, call, fault)
        return operation.perform(self._hub, call)

    def _perform_not_at_once(self, operation: Operation, call: Call, fault: Fault) -> Reply:
        """Answer a write as if it were carried out; carry it out later, or not at all."""
        if fault.ignored is None and call.request.method == "POST":
            # The answer names the new registration's id, which a later write would make again.
            return operation.perform(self._hub, call)
        if fault.ignored == "unchanged" and not self._log.is_put_again(call.request):
            return operation.perform(self._hub, call)
        with self._hub.rehearsing():
            reply = operation.perform(self._hub, call)
        if fault.ignored is None:
            self._agenda.add(call.now + fault.late, lambda: _perform_late(operation, self._hub, call))
        return reply


def _perform_late(operation: Operation, hub: Hub, call: Call) -> None:
    try:
        operation.perform(hub, call)
    except Refused:
        # What has happened meanwhile stands in its way, and nobody is there to be told.
        pass


class TokenBucket:
    """Allows ``rate`` requests a second, and as many at once, at least one.

    Args:
        rate: requests a second, above 0.
        monotonic: seconds that never run backwards.
    """

    def __init__(self, rate: float, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._left = self._size
        self._monotonic = monotonic
        self._at = monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Return whether one more request is allowed now, and count it if so."""
        with self._lock:
            now = self._monotonic()
            self._left = min(self._size, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _read_token(request: Request, *, lenient: bool) -> Token | Refused:
    # A refusal is only raised later, since faults and the rate limit come first.
    try:
        return Token.read(request.headers.get("Authorization"), lenient=lenient)
    except Refused as refused:
        return refused


def _faulty_reply(fault: Fault, status: int, now: float) -> Reply:
    tracking_id = str(uuid.uuid4())
    if fault.body is not None:
        body = fault.body.encode()
    elif status >= HTTPStatus.BAD_REQUEST:
        body = replies.error_body(status, reason_phrase(status), now, tracking_id)
    else:
        body = b""
    headers = merged_headers({"Content-Type": replies.XML}, fault.headers or {})
    return replies.with_service_headers(Reply(status, headers, body), now, tracking_id)
