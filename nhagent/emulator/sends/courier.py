"""Passes messages on: to the emulator's own push service and, where it is told to, to channels on loopback.

Nothing else leaves the emulator. A push service that says that a handle is dead makes the hub mark it as
expired, as the service does.
"""

from __future__ import annotations

import http.client
import json
import queue
import threading
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import urlsplit

from nhagent.emulator.callers import is_loopback_host
from nhagent.emulator.channels import read_subscription
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.sends.delivery import Deliveries, Delivery, Match

_SECONDS = 10.0
"""How long a push service may take."""
_CLOSE_SECONDS = 1.0
"""Longest wait for the message that is being passed on when the emulator closes."""
_TTL = 3600
_OK = range(200, 300)
_DEAD = {404, 410}
_FCM = {"gcm", "fcmv1"}
_MOST_READ = 1 << 16


class Courier:
    """Passes messages on, one after the other, on a thread of its own.

    Args:
        hub: told of dead handles.
        push: the emulator's push service.
        deliveries: told what was answered.
        port: gives the emulator's own port, to whose routes no device may make it send.
        to_loopback: pass messages on to channels that are addresses on loopback too.
    """

    def __init__(
        self,
        hub: Hub,
        push: PushFront,
        deliveries: Deliveries,
        *,
        port: Callable[[], int],
        to_loopback: bool = False,
    ) -> None:
        self._hub = hub
        self._push = push
        self._deliveries = deliveries
        self._port = port
        self._to_loopback = to_loopback
        self._lock = threading.Lock()
        self._queue: queue.SimpleQueue[tuple[str, int, Match] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._is_closed = False

    def take(self, delivery: Delivery, *, at_once: bool = False) -> None:
        """Pass on what can be passed on of a delivery.

        Args:
            delivery: already kept.
            at_once: do not return before every push service has answered.
        """
        for place, match in enumerate(delivery.matched):
            if self._subscription(match) is None and not self._is_on_loopback(match):
                continue
            if at_once:
                self._pass_on(delivery.id, place, match)
            else:
                self._begin()
                self._queue.put((delivery.id, place, match))

    def close(self) -> None:
        """End the thread, after the message that it is passing on."""
        self._is_closed = True
        self._queue.put(None)
        with self._lock:
            thread = self._thread
        if thread is not None:
            thread.join(_CLOSE_SECONDS)

    def _begin(self) -> None:
        with self._lock:
            if self._thread is None and not self._is_closed:
                self._thread = threading.Thread(target=self._work, name="emulator courier", daemon=True)
                self._thread.start()

    def _work(self) -> None:
        while (work := self._queue.get()) is not None and not self._is_closed:
            self._pass_on(*work)

    def _pass_on(self, delivery_id: str, place: int, match: Match) -> None:
        subscription = self._subscription(match)
        try:
            if subscription is not None:
                posted = self._push.send(subscription, match.body, _TTL)
                status, answer = posted.status, posted.body
            else:
                status, answer = _post(match)
        except (OSError, ValueError, http.client.HTTPException) as error:
            self._deliveries.note_outcome(delivery_id, place, f"not delivered: {error}")
            return
        words = "delivered" if status in _OK else "refused"
        self._deliveries.note_outcome(delivery_id, place, f"{words}: {status} {answer}".strip()[:200])
        if status in _DEAD and not self._is_closed:
            self._expire(match)

    def _expire(self, match: Match) -> None:
        try:
            if match.installation is not None:
                self._hub.installations.expire(match.installation)
            elif match.registration:
                self._hub.expire_registration(match.registration)
        except Refused:
            # It has left the hub meanwhile.
            pass

    def _subscription(self, match: Match) -> dict[str, Any] | None:
        """Return the subscription that a message goes to; None where it is not the own push service's."""
        if match.platform != "browser" or not self._push.is_used:
            return None
        found = read_subscription(match.channel)
        return found if found is not None and self._push.owns(found) else None

    def _is_on_loopback(self, match: Match) -> bool:
        if not self._to_loopback or not isinstance(match.channel, str):
            return False
        try:
            parts = urlsplit(match.channel)
            return (
                parts.scheme == "http"
                and is_loopback_host(parts.netloc)
                and parts.port not in (None, self._port())
            )
        except ValueError:
            return False


def _post(match: Match) -> tuple[int, str]:
    """Post a message to a channel on loopback, as the platform's push service is spoken to."""
    assert isinstance(match.channel, str)
    parts = urlsplit(match.channel)
    headers: dict[str, str] = {**match.headers, "Authorization": "Bearer emulator"}
    body = match.body
    if match.platform in _FCM:
        body, headers = (
            _as_fcm(match),
            {"Authorization": "Bearer emulator", "Content-Type": "application/json"},
        )
    connection = http.client.HTTPConnection(parts.hostname or "", parts.port, timeout=_SECONDS)
    try:
        target = parts.path + (f"?{parts.query}" if parts.query else "")
        connection.request("POST", target or "/", body.encode(), _sendable(headers))
        reply = connection.getresponse()
        return reply.status, reply.read(_MOST_READ).decode("utf-8", "replace")
    finally:
        connection.close()


def _as_fcm(match: Match) -> str:
    """Return FCM v1's message: what is wrapped in ``message`` already gets the token alone."""
    try:
        found = json.loads(match.body)
    except ValueError:
        found = None
    if not isinstance(found, dict):
        found = {"data": {"body": match.body}}
    inner = found.get("message")
    message = inner if isinstance(inner, dict) else found
    return json.dumps({"message": {**message, "token": match.channel}})


def _sendable(headers: Mapping[str, str]) -> dict[str, str]:
    """Return the headers without what HTTP cannot carry: a template may make any text of them."""
    return {
        name: "".join(character for character in value if " " <= character <= "~")
        for name, value in headers.items()
    }
