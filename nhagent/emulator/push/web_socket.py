"""A WebSocket on the server's side: wsproto frames it, over a socket that another thread can wake."""

from __future__ import annotations

import base64
import hashlib
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from nhagent.emulator.http_messages import Request

MAX_MESSAGE = 1 << 16
"""Longest message that a device may send."""
SEND_SECONDS = 10.0
"""A device that takes nothing for so long is gone."""
CLOSE_SECONDS = 1.0
"""Longest wait for a device's answer to a close."""
_TOO_LONG = 1009
"""Close code for a message over the limit."""
# Of no descriptor of its own, and of any number, unlike select and epoll; Windows has select alone.
_Selector = getattr(selectors, "PollSelector", selectors.SelectSelector)
_GUID = "258EAFA5-E914-47DA-95CA-C5AB0DC85B11"


def is_upgrade(request: Request) -> bool:
    """Return whether a request asks for a WebSocket."""
    return request.method == "GET" and "websocket" in (request.headers.get("Upgrade") or "").lower()


def acceptance(request: Request) -> bytes | None:
    """Make the reply that begins a WebSocket; None where the request lacks what it needs."""
    key = (request.headers.get("Sec-WebSocket-Key") or "").strip()
    if not key or (request.headers.get("Sec-WebSocket-Version") or "").strip() != "13":
        return None
    digest = hashlib.sha1(f"{key}{_GUID}".encode(), usedforsecurity=False).digest()
    return (
        "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
        f"Sec-WebSocket-Accept: {base64.b64encode(digest).decode()}\r\n\r\n"
    ).encode()


class WebSocket:
    """A connection that has been accepted.

    Args:
        connection: the socket.

    Raises:
        ImportError: wsproto is missing.
    """

    def __init__(self, connection: socket.socket) -> None:
        from wsproto.connection import Connection, ConnectionType

        self._connection = connection
        self._framed = Connection(ConnectionType.SERVER)
        self._text: list[str] = []
        self._listening, self._calling = socket.socketpair()
        self._listening.setblocking(False)
        self._calling.setblocking(False)
        self._lock = threading.Lock()
        self._selector = _Selector()
        self._selector.register(connection, selectors.EVENT_READ)
        self._selector.register(self._listening, selectors.EVENT_READ)

    def wake(self) -> None:
        """Let `receive` return at once, from any thread."""
        try:
            self._calling.send(b".")
        except OSError:  # enough is there to wake it, or it has ended
            pass

    def send(self, text: str) -> None:
        """Send a message."""
        from wsproto.events import TextMessage

        self._write(self._framed.send(TextMessage(data=text)))

    def ping(self) -> None:
        """Send a ping."""
        from wsproto.events import Ping

        self._write(self._framed.send(Ping()))

    def receive(self, seconds: float) -> Iterator[tuple[str, Any]]:
        """Wait for what a device sends; pings are answered.

        Args:
            seconds: how long to wait at most.

        Yields:
            ``text``, ``bytes``, ``pong`` or ``close``, and what came with it. With ``close`` that is the code
            to answer with, which tells a device too that what it sent is not a WebSocket, or is too long.

        Raises:
            OSError: the device has gone.
        """
        data = self._read(seconds)
        if data is None:
            return
        self._framed.receive_data(data)
        for event in self._framed.events():
            taken = self._taken(event)
            if taken is not None:
                yield taken

    def _read(self, seconds: float) -> bytes | None:
        """Wait for bytes; None where none came."""
        pending = getattr(self._connection, "pending", None)
        if pending is None or not pending():
            ready = {key.fileobj for key, _ in self._selector.select(seconds)}
            if self._listening in ready:
                self._listening.recv(4096)
            if self._connection not in ready:
                return None
        data = self._connection.recv(1 << 16)
        if not data:
            raise ConnectionResetError("the device has gone")
        return data

    def _taken(self, event: object) -> tuple[str, Any] | None:
        """Give what an event of wsproto means; None where nothing is left to do."""
        from wsproto import events

        match event:
            case events.TextMessage():
                self._text.append(event.data)
                if sum(map(len, self._text)) > MAX_MESSAGE:
                    return "close", _TOO_LONG
                if event.message_finished:
                    text = "".join(self._text)
                    self._text.clear()
                    return "text", text
            case events.Ping():
                self._write(self._framed.send(event.response()))
            case events.Pong():
                return "pong", None
            case events.CloseConnection():
                return "close", event.code
            case events.BytesMessage():
                return "bytes", None
        return None

    def rest(self, seconds: float) -> None:
        """Take nothing from the device for a while; `wake` ends it."""
        self._selector.unregister(self._connection)
        try:
            if self._selector.select(seconds):
                self._listening.recv(4096)
        finally:
            self._selector.register(self._connection, selectors.EVENT_READ)

    def say_goodbye(self, code: int) -> None:
        """Send a close code, where the device can still be told."""
        from wsproto.events import CloseConnection
        from wsproto.utilities import LocalProtocolError

        try:
            self._write(self._framed.send(CloseConnection(code=code)))
        except (OSError, LocalProtocolError):
            pass

    def end(self) -> None:
        """Wait for the device's answer to a close, and let go of everything but the socket.

        A socket that is closed while something is left to be read is reset, and the close code may be lost.
        """
        try:
            self._await_answer()
        except (OSError, ValueError):  # it has gone
            pass
        finally:
            self._selector.close()
            self._listening.close()
            self._calling.close()

    def _await_answer(self) -> None:
        from wsproto.connection import ConnectionState
        from wsproto.events import CloseConnection

        until = time.monotonic() + CLOSE_SECONDS
        while self._framed.state is ConnectionState.LOCAL_CLOSING:
            left = until - time.monotonic()
            if left <= 0:
                return
            data = self._read(left)
            if data is not None:
                self._framed.receive_data(data)
                if any(isinstance(event, CloseConnection) for event in self._framed.events()):
                    return

    def _write(self, data: bytes) -> None:
        with self._lock:
            self._connection.settimeout(SEND_SECONDS)
            self._connection.sendall(data)
