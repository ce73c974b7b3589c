"""The gateway in front of the hub: faults, rate limit, authentication and authorization of every request.

fault → rate → token → operation → right → api-version → the operation itself
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable
from http import HTTPStatus

from nhagent.emulator.clock import Clock
from nhagent.emulator.faults import NO_FAULT, Fault, Faults
from nhagent.emulator.http_messages import Refused, Reply, Request, merged_headers, reason_phrase
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import NOT_CARRIED_OUT, Log
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.rest import replies, routes
from nhagent.emulator.rest.address import check_api_version, path_below_hub
from nhagent.emulator.sas import AccessRule, Token


class Gateway:
    """Answers everything that is not a control request, and writes each answer to the log.

    Args:
        hub: the one hub served.
        rules: the access rules with whose keys tokens may be signed, by name.
        clock: judges tokens, dates replies.
        log: written before the reply is sent, so that a request whose reply is held back shows.
        faults: applied before anything else.
        bucket: limits the rate of requests; None for no limit.
    """

    def __init__(
        self,
        hub: Hub,
        rules: dict[str, AccessRule],
        clock: Clock,
        log: Log,
        faults: Faults,
        bucket: TokenBucket | None,
    ) -> None:
        self._hub = hub
        self._rules = rules
        self._clock = clock
        self._log = log
        self._faults = faults
        self._bucket = bucket

    def answer(self, request: Request) -> Answer:
        """Answer one request."""
        now = self._clock.now()
        token = _read_token(request, lenient=self._hub.lenient)
        fault = self._fault(request)
        if fault.reset == "before":
            reply = Reply(NOT_CARRIED_OUT)
        elif fault.status is not None:
            reply = _faulty_reply(fault, fault.status, now)
        else:
            try:
                reply = replies.with_service_headers(self._perform(request, token, now), now)
            except Refused as error:
                reply = replies.refusal(error, now)
        self._log.append(request, reply.status, token.key_name if isinstance(token, Token) else None)
        return Answer(reply, fault)

    def _fault(self, request: Request) -> Fault:
        if not self._faults:
            return NO_FAULT
        return self._faults.take(request.method, path_below_hub(request.path, self._hub.name))

    def _perform(self, request: Request, token: Token | Refused, now: float) -> Reply:
        if self._bucket is not None and not self._bucket.take():
            raise Refused(429, "The request rate is too high. Please try again later.", {"Retry-After": "1"})
        if isinstance(token, Refused):
            raise token
        rule = self._rules.get(token.key_name)
        host = request.headers.get("Host") or ""
        token.verify(rule.key if rule else None, host=host, path=request.path, now=now)
        operation, call = routes.find(request, self._hub.name, now)
        if rule is None or operation.right_for(request) not in rule.rights:
            # As recorded in 2022: without a body that says why.
            raise Refused(403, None)
        check_api_version(request.query)
        self._hub.forget_expired(now)
        return operation.perform(self._hub, call)


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
