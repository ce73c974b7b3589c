"""The web server: reads requests, sends answers as their faults say, and closes promptly.

Each connection has a thread of its own, in which its TLS handshake takes place too, so that a client that
connects and stays silent blocks no other.
"""

from __future__ import annotations

import errno
import os
import socket
import socketserver
import ssl
import struct
import sys
import threading
import time
from collections.abc import Callable
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nhagent.emulator.http_messages import Refused, Request, reason_phrase
from nhagent.emulator.reply_delivery import Answer, pieces_of
from nhagent.emulator.request_body import BODY_LIMIT, BodyRefused, read_body
from nhagent.emulator.rest.replies import refusal

IDLE_SECONDS = 60.0
"""Longest silence of a connection before it is closed."""
_CLOSE_SECONDS = 1.0
"""Longest wait for the threads of open connections when the server closes."""
_POLL_SECONDS = 0.1
"""Interval at which the listener looks whether it is to end, where nothing wakes it."""
_SHORT = {errno.EMFILE, errno.ENFILE, errno.ENOBUFS, errno.ENOMEM}
"""Errors of a system, or of this process, that has no descriptor or memory left for one more connection."""
_CALLERS_FAULT: dict[int, int] = {HTTPStatus.NOT_IMPLEMENTED: 405, HTTPStatus.HTTP_VERSION_NOT_SUPPORTED: 400}
"""Statuses that http.server gives for what only the caller can mend, and those of the service's form."""
_BODILESS = {HTTPStatus.NO_CONTENT, HTTPStatus.NOT_MODIFIED}
"""Statuses whose replies have no body."""


class Server(ThreadingHTTPServer):
    """Listens, and passes every request to ``answer``.

    Args:
        host: name or address to listen on.
        port: 0 for any free port.
        answer: called by many threads at once.
        context: for TLS; None for plain http.
        pause: waits for some seconds, for faults that delay or drip a reply; by default a wait that ends
            early when the server closes.
        body_limit: gives the size of the largest body, in bytes, for a path and a caller's IP address.

    Attributes:
        answer: as given.
        body_limit: as given.
        closing: set when the server closes.
        pause: as given.

    Raises:
        OSError: the address cannot be bound.
    """

    request_queue_size = 256

    def __init__(
        self,
        host: str,
        port: int,
        answer: Callable[[Request], Answer],
        context: ssl.SSLContext | None = None,
        pause: Callable[[float], object] | None = None,
        body_limit: Callable[[str, str], int] = lambda _path, _peer: BODY_LIMIT,
    ) -> None:
        self.address_family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self.answer = answer
        self.body_limit = body_limit
        self.closing = threading.Event()
        self.pause = self.closing.wait if pause is None else pause
        self._context = context
        self._lock = threading.Lock()
        self._connections: dict[threading.Thread, socket.socket] = {}
        self._spare = _spare_descriptor()
        super().__init__((host, port), Exchange)
        self._listener = threading.Thread(
            target=self.serve_forever, args=(_POLL_SECONDS,), name="emulator", daemon=True
        )

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])

    def start(self) -> None:
        """Begin to answer requests."""
        self._listener.start()

    def close(self) -> None:
        """Stop listening, end every exchange, and wait for the threads, at most one second."""
        self.closing.set()
        if self._listener.is_alive():
            # Wakes the listener at once where the system allows it; elsewhere its next poll does.
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
        # HTTPServer would ask the DNS for the host's full name here.
        socketserver.TCPServer.server_bind(self)

    def server_close(self) -> None:
        super().server_close()
        self._give_spare()

    def get_request(self) -> tuple[Any, Any]:
        try:
            return super().get_request()
        except OSError as error:
            if error.errno in _SHORT:
                self._turn_away()
            raise

    def _turn_away(self) -> None:
        """Close the connection that waits longest, for which there is no descriptor but the spare one.

        Left waiting, it would make the listener try again and again without a pause.
        """
        self._give_spare()
        try:
            self.socket.accept()[0].close()
        except OSError:
            # Another thread took the spare one.
            self.closing.wait(_POLL_SECONDS)
        self._spare = _spare_descriptor()

    def _give_spare(self) -> None:
        spare, self._spare = self._spare, None
        if spare is not None:
            os.close(spare)

    def process_request(self, request: Any, client_address: Any) -> None:
        thread = threading.Thread(
            target=self.process_request_thread, args=(request, client_address), name="emulator", daemon=True
        )
        with self._lock:
            self._connections[thread] = request
        try:
            thread.start()
        except RuntimeError:
            # The system has no thread left.
            with self._lock:
                del self._connections[thread]
            self.shutdown_request(request)

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
        # Clients that disconnect are normal here; any other error is a defect of the emulator and is shown.
        if not isinstance(sys.exc_info()[1], OSError):
            super().handle_error(request, client_address)


class Exchange(BaseHTTPRequestHandler):
    """One connection: requests are read and answered until either side closes it."""

    server: Server
    protocol_version = "HTTP/1.1"
    timeout = IDLE_SECONDS
    disable_nagle_algorithm = True

    def exchange(self) -> None:
        """Read one request and send its answer."""
        peer = str(self.client_address[0])
        authority, target = _origin_form(self.path)
        path, _, query = target.partition("?")
        # The body is read before anything is decided: what is left of it would be read as the next request.
        try:
            body = read_body(self.headers, self.rfile, self.server.body_limit(path, peer))
        except BodyRefused as refused:
            self.close_connection = self.close_connection or not refused.drained
            self._send(Answer(refusal(Refused(refused.status, refused.detail), time.time())))
            return
        if body is None:
            self.close_connection = True
            return
        if authority:
            # What the target names counts, whatever Host says (RFC 9112, 3.2.2).
            del self.headers["Host"]
            self.headers["Host"] = authority
        self._send(self.server.answer(Request(self.command, path, query, self.headers, body, peer)))

    do_GET = do_PUT = do_PATCH = do_DELETE = do_POST = do_HEAD = do_OPTIONS = exchange  # noqa: N815  its names

    def send_error(self, code: int, message: str | None = None, explain: str | None = None) -> None:
        """Answer a request that http.server itself cannot read, in the service's form."""
        self.close_connection = True
        status = _CALLERS_FAULT.get(int(code), int(code))
        self._send(Answer(refusal(Refused(status, message or explain or reason_phrase(status)), time.time())))

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  http.server's name
        """No-op: the emulator has its own log."""

    def _send(self, answer: Answer) -> None:
        if answer.takes_over is not None:
            self.close_connection = True
            answer.takes_over(self.connection)
            return
        fault, closing, pause = answer.fault, self.server.closing, self.server.pause
        in_chunks = self.request_version == "HTTP/1.1"
        if fault.delay:
            pause(fault.delay)
        if fault.reset and not closing.is_set():
            self.close_connection = True
            _reset(self.connection)
            return
        if fault.cut_after is not None or fault.chunked or (fault.makes_body and not in_chunks):
            self.close_connection = True
        for piece in pieces_of(
            answer,
            bodiless=answer.reply.status in _BODILESS or self.command == "HEAD",
            in_chunks=in_chunks,
            last=self.close_connection,
        ):
            if closing.is_set():
                self.close_connection = True
                return
            self.wfile.write(piece)
            if fault.drip:
                pause(fault.drip)


def _origin_form(target: str) -> tuple[str, str]:
    """Split a request's target into the host and port that clients of a proxy send, and the rest."""
    if target.startswith("/"):
        return "", target
    _, divider, rest = target.partition("://")
    authority, _, path = rest.partition("/")
    return (authority, "/" + path) if divider else ("", "/" + target)


def _spare_descriptor() -> int | None:
    """Open a descriptor that can be given away later; None where there is none."""
    try:
        return os.open(os.devnull, os.O_RDONLY)
    except OSError:
        return None


def _shut(connection: socket.socket) -> None:
    """Wake the thread that waits on a connection."""
    try:
        # SSLSocket.shutdown would remove the TLS object while another thread reads through it.
        socket.socket.shutdown(connection, socket.SHUT_RDWR)
    except OSError:
        pass


def _reset(connection: socket.socket) -> None:
    """Close a connection at once with RST. Bytes sent but not yet received are lost."""
    # The linger structure holds two ints, on Windows two shorts.
    linger = struct.pack("hh" if sys.platform == "win32" else "ii", 1, 0)
    connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
    # Detached, so that nobody shuts it down properly afterwards.
    socket.close(connection.detach())
