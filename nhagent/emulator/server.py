"""The web server: bytes in, bytes out. It sends answers late or cut where asked, and ends promptly.

Each connection has a thread of its own, in which its TLS handshake takes place too: a client that connects
and says nothing keeps nobody else waiting.
"""

from __future__ import annotations

import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nhagent.emulator.http_messages import Refused, Request, reason_phrase
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.request_body import BodyRefused, read_body
from nhagent.emulator.rest.replies import refusal

IDLE_SECONDS = 60.0
"""How long a connection may say nothing."""
_CLOSE_SECONDS = 1.0
"""How long closing waits for the threads of open connections."""
_POLL_SECONDS = 0.1


class Server(ThreadingHTTPServer):
    """Listens, and hands every request to `answer`.

    Args:
        host: name or address to listen on.
        port: 0 for any that is free.
        answer: is called in many threads at once.
        context: for TLS, or None.

    Raises:
        OSError: the address cannot be had.
    """

    daemon_threads = True
    request_queue_size = 256

    def __init__(
        self, host: str, port: int, answer: Callable[[Request], Answer], context: ssl.SSLContext | None
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self.closing = threading.Event()
        self._context = context
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        super().__init__((host, port), Exchange)
        self._listener = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name="emulator", daemon=True
        )

    @property
    def port(self) -> int:
        return int(self.server_address[1])

    def start(self) -> None:
        self._listener.start()

    def close(self) -> None:
        """Stop listening, break off every exchange, and wait for the threads, a second at most."""
        self.closing.set()
        if self._listener.is_alive():
            # Wakes the listener at once where the system allows it; else it looks up at its next poll.
            _shut(self.socket)
            self.shutdown()
            self._listener.join()
        self.server_close()
        with self._lock:
            connections = dict(self._connections)
            for connection in connections.values():
                _shut(connection)
        until = time.monotonic() + _CLOSE_SECONDS
        for thread in connections:
            thread.join(max(0.0, until - time.monotonic()))

    def server_bind(self) -> None:
        # HTTPServer would look up the host's full name in the DNS here.
        socketserver.TCPServer.server_bind(self)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="emulator", daemon=True
        )
        with self._lock:
            self._connections[thread] = request
        thread.start()

    def process_request_thread(self, request: Any, client_address: Any) -> None:
        try:
            super().process_request_thread(request, client_address)
        finally:
            with self._lock:
                self._connections.pop(threading.current_thread(), None)

    def finish_request(self, request: Any, client_address: Any) -> None:
        if self._context is None:
            super().finish_request(request, client_address)
            return
        request.settimeout(IDLE_SECONDS)
        with self._context.wrap_socket(request, server_side=True, do_handshake_on_connect=False) as secured:
            with self._lock:
                self._connections[threading.current_thread()] = secured
            if not self.closing.is_set():
                secured.do_handshake()
                super().finish_request(secured, client_address)

    def handle_error(self, request: Any, client_address: Any) -> None:
        # Clients that go away are daily business here; anything else is a fault of ours and is shown.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Exchange(BaseHTTPRequestHandler):
    """One connection: requests are read and answered until either side has enough."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def exchange(self) -> None:
        # The body is read before anything is decided: what is left of it would be taken for the next request.
        try:
            body = read_body(self.headers, self.rfile)
        except BodyRefused as refused:
            self.close_connection = self.close_connection or not refused.drained
            self._send(Answer(refusal(Refused(refused.status, refused.detail), time.time())))
            return
        if body is None:
            self.close_connection = True
            return
        path, _, query = _origin_form(self.path).partition("?")
        peer = str(self.client_address[0])
        self._send(self.server.answer(Request(self.command, path, query, self.headers, body, peer)))

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = do_HEAD = do_OPTIONS = exchange  # noqa: N815  its names

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer what http.server itself cannot read, in the service's form."""
        self.close_connection = True
        self._send(
            Answer(refusal(Refused(int(code), message or explain or reason_phrase(int(code))), time.time()))
        )

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """Say nothing: the emulator has its own log."""

    def _send(self, answer: Answer) -> None:
        reply, delivery, closing = answer.reply, answer.delivery, self.server.closing
        in_chunks = self.request_version == "HTTP/1.1"
        if delivery.delay:
            closing.wait(delivery.delay)
        if delivery.reset and not closing.is_set():
            self.close_connection = True
            _reset(self.connection)
            return
        if delivery.cut_after is not None or delivery.chunked or (delivery.makes_body and not in_chunks):
            self.close_connection = True
        for piece in delivery.pieces(
            reply,
            bodiless=reply.status in (204, 304) or self.command == "HEAD",
            in_chunks=in_chunks,
            last=self.close_connection,
        ):
            if closing.is_set():
                self.close_connection = True
                return
            self.wfile.write(piece)
            if delivery.drip:
                closing.wait(delivery.drip)


def _origin_form(target: str) -> str:
    """A proxy's `GET http://host/path` without scheme and host."""
    if target.startswith("/"):
        return target
    _, divider, rest = target.partition("://")
    return "/" + rest.partition("/")[2] if divider else "/" + target


def _shut(connection: socket.socket) -> None:
    """Wake whatever thread waits on a connection."""
    try:
        # SSLSocket.shutdown would take the TLS object away under the feet of the thread that is reading.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass


def _reset(connection: socket.socket) -> None:
    """Close a connection at once with RST, what was sent but not yet received being lost."""
    # The linger structure holds two ints, on Windows two shorts.
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    # Closed here, and for good: whoever closes it later would say a proper goodbye before.
    socket.close(connection.detach())
