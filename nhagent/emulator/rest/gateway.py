"""The hub's front: who asks, whether they may, how often, and what goes wrong to order.

fault → rate → token → operation → right → api-version → the operation itself
"""

from __future__ import annotations

import threading
import time
import uuid

from nhagent.emulator.clock import Clock
from nhagent.emulator.faults import Fault, Faults
from nhagent.emulator.http_messages import Refused, Reply, Request, merged_headers, reason_phrase
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.log import NOT_CARRIED_OUT, Log
from nhagent.emulator.reply_delivery import WHOLE, Answer
from nhagent.emulator.rest import replies, routes
from nhagent.emulator.rest.address import check_api_version, path_below_hub
from nhagent.emulator.sas import AccessRule, Token


class Gateway:
    """Answers everything that is no control request, and writes each answer to the log.

    Args:
        hub: the one hub served.
        rules: the keys that tokens may be signed with, by name.
        clock: judges tokens, dates replies.
        log: is written before the reply goes out, so that a request shows whose reply is held back.
        faults: strike before anything else.
        rate: requests a second, or None for no limit.
    """

    def __init__(
        self,
        hub: Hub,
        rules: dict[str, AccessRule],
        clock: Clock,
        log: Log,
        faults: Faults,
        rate: float | None,
    ) -> None:
        self._hub = hub
        self._rules = rules
        self._clock = clock
        self._log = log
        self._faults = faults
        self._bucket = None if rate is None else Bucket(rate)

    def answer(self, request: Request) -> Answer:
        now = self._clock.now()
        token = _read_token(request)
        fault = self._fault(request)
        if fault is not None and fault.delivery.reset == "before":
            reply = Reply(NOT_CARRIED_OUT)
        elif fault is not None and fault.status is not None:
            reply = _faulty(fault, fault.status, now)
        else:
            try:
                reply = replies.with_service_headers(self._perform(request, token, now), now)
            except Refused as error:
                reply = replies.refusal(error, now)
        self._log.append(request, reply.status, token.key_name if isinstance(token, Token) else None)
        return Answer(reply, WHOLE if fault is None else fault.delivery)

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
            # As recorded in 2022: no word about why.
            raise Refused(403, None)
        check_api_version(request.query)
        return operation.perform(self._hub, call)

    def _fault(self, request: Request) -> Fault | None:
        if not self._faults:
            return None
        return self._faults.take(request.method, path_below_hub(request.path, self._hub.name))


class Bucket:
    """A token bucket: `rate` a second, and as many at once, at least one.

    Args:
        rate: above 0.
    """

    def __init__(self, rate: float) -> None:
        self._rate = rate
        self._size = max(1.0, rate)
        self._left = self._size
        self._at = time.monotonic()
        self._lock = threading.Lock()

    def take(self) -> bool:
        """Whether one more is allowed now."""
        with self._lock:
            now = time.monotonic()
            self._left = min(self._size, self._left + (now - self._at) * self._rate)
            self._at = now
            if self._left < 1:
                return False
            self._left -= 1
            return True


def _read_token(request: Request) -> Token | Refused:
    try:
        return Token.read(request.headers.get("Authorization"))
    except Refused as refused:
        return refused


def _faulty(fault: Fault, status: int, now: float) -> Reply:
    tracking_id = str(uuid.uuid4())
    if fault.body is not None:
        body = fault.body.encode()
    elif status >= 400:
        body = replies.error_body(status, reason_phrase(status), now, tracking_id)
    else:
        body = b""
    headers = merged_headers({"Content-Type": replies.XML}, fault.headers or {})
    return replies.with_service_headers(Reply(status, headers, body), now, tracking_id)
