"""One device's connection: who it is, what it asks for, what it is sent, and when it is turned away."""

from __future__ import annotations

import json
import re
import threading
import time
from collections import deque
from typing import TYPE_CHECKING, Any

from nhagent.emulator.push.users import Message, User, new_uaid

if TYPE_CHECKING:
    from collections.abc import Callable

    from nhagent.emulator.push.service import PushService
    from nhagent.emulator.push.web_socket import WebSocket

BATCH = 10
"""How many of the messages that wait are sent before the device must acknowledge them."""
_ABNORMAL = 1006
"""The code of a connection that was cut: it is never sent."""
_DEAF_SECONDS = 0.1
"""How soon a service that read nothing notices that it is to read again."""
_CHANNEL_ID = re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}", re.ASCII)
_UAID = re.compile(r"[0-9a-f]{32}", re.ASCII)
_KEY = re.compile(r"[A-Za-z0-9_-]{86,87}={0,2}", re.ASCII)


class Closed(Exception):
    """The service closes a connection.

    Args:
        code: the close code; None: the connection is cut without one.
    """

    def __init__(self, code: int | None) -> None:
        super().__init__(code)
        self.code = code


class Session:
    """A connection, from its opening to its end, in a thread of its own.

    Args:
        service: whose it is.
        web_socket: what carries it.
    """

    def __init__(self, service: PushService, web_socket: WebSocket) -> None:
        self._service = service
        self._web_socket = web_socket
        self._lock = threading.RLock()
        self._outbox: deque[dict[str, Any]] = deque()
        self._unacked: dict[str, Message] = {}
        self._is_catching_up = False
        self._closing: Closed | None = None
        self._user: User | None = None
        self._began = self._pinged = time.monotonic()
        self._ping_sent: float | None = None
        self._last_client_ping: float | None = None

    def run(self) -> None:
        """Serve the connection until it ends."""
        self._service.begin(self)
        try:
            while self._closing is None:
                self._look_at_the_time()
                if self._service.is_deaf:
                    self._web_socket.rest(_DEAF_SECONDS)
                    continue
                for message in self._taken_from_outbox():
                    self._hold_back()
                    self._web_socket.send(json.dumps(message))
                for kind, data in self._web_socket.receive(self._left()):
                    self._take(kind, data)
        except Closed as closed:
            self._closing = closed
        except (OSError, ValueError):  # the device has gone
            pass
        finally:
            self._end()

    def close(self, code: int | None) -> None:
        """Close the connection, from any thread. The first code given counts.

        Args:
            code: the close code; None, or 1006, cuts the connection without one.
        """
        if self._closing is None:
            self._closing = Closed(code)
        self._web_socket.wake()

    @property
    def uaid(self) -> str | None:
        """Who it is; None before its hello."""
        return None if self._user is None else self._user.uaid

    def takes(self, message: Message) -> bool:
        """Send a message at once, from any thread; return False where others must be sent first."""
        with self._lock:
            if self._closing is not None or self._user is None or self._is_catching_up:
                return False
            self._send_one(message)
            return True

    def catch_up(self) -> None:
        """Send what has begun to wait, from any thread."""
        with self._lock:
            self._is_catching_up = True
        self._send_stored()

    def _hold_back(self) -> None:
        """Wait before a message is sent, as tests have ordered it."""
        until = time.monotonic() + self._service.delay_seconds
        while self._closing is None and (left := until - time.monotonic()) > 0:
            self._web_socket.rest(left)

    def _send_one(self, message: Message) -> None:
        self._unacked[message.version] = message
        for _ in range(2 if self._service.sends_twice else 1):
            self._send(message.to_notification())

    def _send(self, message: dict[str, Any]) -> None:
        with self._lock:
            self._outbox.append(message)
        self._web_socket.wake()

    def _taken_from_outbox(self) -> list[dict[str, Any]]:
        with self._lock:
            messages = list(self._outbox)
            self._outbox.clear()
        return messages

    def _left(self) -> float:
        """Return how long nothing but the device gives this connection something to do, in seconds."""
        now = time.monotonic()
        if self._closing is not None or self._outbox:
            return 0.0
        if self._ping_sent is not None:
            return max(0.0, self._ping_sent + self._service.pong_seconds - now)
        left = self._pinged + self._service.ping_seconds - now
        if self._user is None and not self._service.keeps_quiet:
            left = min(left, self._began + self._service.hello_seconds - now)
        return max(0.0, left)

    def _look_at_the_time(self) -> None:
        now = time.monotonic()
        is_late = now - self._began >= self._service.hello_seconds
        if self._user is None and is_late and not self._service.keeps_quiet:
            raise Closed(1011)
        if self._ping_sent is not None and now - self._ping_sent >= self._service.pong_seconds:
            raise Closed(1011)
        if self._ping_sent is None and now - self._pinged >= self._service.ping_seconds:
            self._web_socket.ping()
            self._ping_sent = now

    def _take(self, kind: str, data: Any) -> None:
        if kind == "pong":
            self._ping_sent, self._pinged = None, time.monotonic()
        elif kind == "close":
            raise Closed(data)
        elif kind == "text" and not self._service.is_silent:
            self._take_message(data)
        elif kind == "bytes":
            raise Closed(1003)

    def _take_message(self, text: str) -> None:
        try:
            message = json.loads(text)
        except (ValueError, RecursionError):
            raise Closed(1011) from None
        if not isinstance(message, dict):
            raise Closed(1011)
        self._service.note({"uaid": self._user.uaid if self._user else None, **message})
        if not message:
            self._answer_ping()
            return
        kind = message.get("messageType")
        answers: dict[str, Callable[[dict[str, Any]], object]] = {
            "hello": self._hello,
            "register": self._register,
            "unregister": self._unregister,
            "ack": self._ack,
            "nack": lambda _: None,
            "broadcast_subscribe": lambda _: None,
            "ping": lambda _: self._answer_ping(),
        }
        if not isinstance(kind, str) or kind not in answers or (self._user is None) != (kind == "hello"):
            raise Closed(1011)
        with self._service.users.lock:
            # Whoever has been dropped meanwhile must not be kept again.
            if self._closing is None:
                answers[kind](message)

    def _answer_ping(self) -> None:
        now, last = time.monotonic(), self._last_client_ping
        if self._user is None or (last is not None and now - last < self._service.least_ping_seconds):
            raise Closed(1011)
        self._last_client_ping = now
        self._send({})

    def _hello(self, message: dict[str, Any]) -> None:
        if message.get("use_webpush") is not True:
            raise Closed(1011)
        uaid, users = message.get("uaid"), self._service.users
        with users.lock:
            known = uaid if isinstance(uaid, str) and _UAID.fullmatch(uaid) else None
            user = users.find(known, self._service.now()) or User(new_uaid())
            user.seen = self._service.now()
            users.keep(user)
            self._user = user
            self._service.attach(self, user.uaid)
            self._is_catching_up = True
        answer = {"messageType": "hello", "uaid": user.uaid, "status": 200, "use_webpush": True}
        self._send({**answer, "broadcasts": {}})
        self._send_stored()

    def _send_stored(self) -> None:
        """Send the next of the messages that wait, until all are acknowledged."""
        assert self._user is not None
        with self._service.users.lock, self._lock:
            if self._unacked:
                return
            now = self._service.now()
            self._user.stored = [each for each in self._user.stored if each.expires > now]
            batch = self._user.stored[:BATCH]
            self._is_catching_up = bool(batch)
            for message in batch:
                self._send_one(message)

    def _register(self, message: dict[str, Any]) -> None:
        channel_id, key = message.get("channelID"), message.get("key")
        if not isinstance(channel_id, str) or not _CHANNEL_ID.fullmatch(channel_id):
            raise Closed(1011)
        answer: dict[str, Any] = {"messageType": "register", "channelID": channel_id}
        if key is not None and not (isinstance(key, str) and _KEY.fullmatch(key)):
            self._send({**answer, "status": 400, "pushEndpoint": ""})
            return
        assert self._user is not None
        bare = (key or "").rstrip("=")
        with self._service.users.lock:
            self._user.channels[channel_id] = bare
            self._service.users.keep(self._user)
        endpoint = self._service.endpoint(self._user.uaid, channel_id, bare)
        self._send({**answer, "status": 200, "pushEndpoint": endpoint})

    def _unregister(self, message: dict[str, Any]) -> None:
        channel_id = message.get("channelID")
        if not isinstance(channel_id, str):
            raise Closed(1011)
        assert self._user is not None
        with self._service.users.lock:
            self._user.channels.pop(channel_id, None)
            self._service.users.keep(self._user)
        self._send({"messageType": "unregister", "channelID": channel_id, "status": 200})

    def _ack(self, message: dict[str, Any]) -> None:
        updates = message.get("updates")
        if not isinstance(updates, list) or not all(isinstance(update, dict) for update in updates):
            raise Closed(1011)
        assert self._user is not None
        users = self._service.users
        with users.lock, self._lock:
            for update in updates:
                version = str(update.get("version"))
                self._unacked.pop(version, None)
                self._user.stored = [each for each in self._user.stored if each.version != version]
            users.keep(self._user)
        if self._is_catching_up:
            self._send_stored()

    def _end(self) -> None:
        """Let wait what the device has not acknowledged, and tell it why the connection ends."""
        user, users, service = self._user, self._service.users, self._service
        with users.lock:
            newer = service.detach(self, None if user is None else user.uaid)
            if user is not None and users.find(user.uaid, service.now()) is user:
                self._store_unacked(user)
            if newer is not None:
                # It said hello before these began to wait.
                newer.catch_up()
        code = None if self._closing is None else self._closing.code
        if code is not None and code != _ABNORMAL:
            self._web_socket.say_goodbye(code)
        service.finished(self)
        self._web_socket.end()

    def _store_unacked(self, user: User) -> None:
        waiting, now = {message.version for message in user.stored}, self._service.now()
        for message in self._unacked.values():
            if message.version not in waiting and message.expires > now:
                self._service.users.store(user, message)
