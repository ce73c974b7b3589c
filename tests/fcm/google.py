"""Google's four services as firebase-messaging knows them, faked on loopback over TLS."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qs

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from firebase_messaging.proto.checkin_pb2 import AndroidCheckinResponse
from firebase_messaging.proto.mcs_pb2 import (
    DataMessageStanza,
    HeartbeatAck,
    IqStanza,
    LoginRequest,
    LoginResponse,
    SelectiveAck,
)

from nhagent.emulator.tls import server_context
from tests.events import HANG_SECONDS

PING, PONG, LOGIN_REQUEST, LOGIN_RESPONSE, IQ, DATA_MESSAGE = 0, 1, 2, 3, 7, 8
SELECTIVE_ACK = 12
MUTE, REFUSED = "gives no answer", "refused"


class Google:
    """The services. Its attributes are what they do.

    Attributes:
        failures: how often each of the three that speak HTTP still fails, by the last part of its path.
        refusals: what becomes of the next logins, `MUTE` or `REFUSED`; others are let in.
        asked: what was asked of the three, in order.
        acknowledged: the ids of messages of which a client said that they came, each once.
    """

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._context = server_context("127.0.0.1", folder)
        self.ca = str(folder / "ca.pem")
        self.failures: Counter[str] = Counter()
        self.refusals: list[str] = []
        self.asked: list[str] = []
        self.registration: dict[str, str] = {}
        self.app_id = ""
        self.registered = 0
        self.logins = 0
        self.acknowledged: list[str] = []
        self._kept: dict[str, bytes] = {}
        self._changed = Condition()
        self._connection: ssl.SSLSocket | None = None
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                status, answer = google.answer(self.path, body)
                self.send_response(status)
                self.send_header("Content-Type", "application/json")
                self.send_header("Content-Length", str(len(answer)))
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        self._web = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._web.socket = self._context.wrap_socket(self._web.socket, server_side=True)
        self._mcs = socket.create_server(("127.0.0.1", 0))
        self.web_port, self.mcs_port = self._web.server_address[1], self._mcs.getsockname()[1]
        self._threads = [
            Thread(target=self._web.serve_forever, daemon=True),
            Thread(target=self._serve, daemon=True),
        ]
        for thread in self._threads:
            thread.start()

    def close(self) -> None:
        self._web.shutdown()
        self._web.server_close()
        self._mcs.shutdown(socket.SHUT_RDWR)
        self._mcs.close()
        self.cut()
        for thread in self._threads:
            thread.join(HANG_SECONDS)

    @property
    def token(self) -> str:
        """The token that was given last."""
        return f"dQw4w9WgXcQ:APA91b-good_{self.registered}x"

    def answer(self, path: str, body: bytes) -> tuple[int, bytes]:
        """Answer one of the three services that speak HTTP."""
        service = path.rpartition("/")[2]
        self.asked.append(service)
        if self.failures[service]:
            self.failures[service] -= 1
            return (200, b"Error=PHONE_REGISTRATION_ERROR") if service == "register3" else (503, b"Error")
        if service == "checkin":
            found = AndroidCheckinResponse(stats_ok=True, android_id=123456789, security_token=987654321)
            return 200, bytes(found.SerializeToString())
        if service == "register3":
            self.app_id = parse_qs(body.decode())["X-subtype"][0]
            return 200, b"token=a-gcm-token"
        if service == "installations":
            given = {"authToken": {"token": "auth", "expiresIn": "604800s"}, "refreshToken": "r", "fid": "f"}
            return 200, json.dumps(given).encode()
        assert service == "registrations", path
        self.registration = json.loads(body)["web"]
        self.registered += 1
        return 200, json.dumps({"token": self.token, "web": self.registration}).encode()

    def push(self, content: object, name: str, *, key: str | None = None) -> None:
        """Send a message, encrypted as Google does. It is kept until a client says that it came.

        Args:
            content: what is sent: as it is where it is bytes, else as JSON.
            name: its id.
            key: what stands there in place of the sender's public key.
        """
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        stanza = self._stanza(body, name, key)
        with self._changed:
            self._kept[name] = stanza
            if self._connection is not None:
                with suppress(OSError):  # it comes with the next login
                    self._connection.sendall(_packet(DATA_MESSAGE, stanza))

    def push_again(self, content: object, name: str) -> None:
        """Send a message whatever was said of it before, to whoever is logged in."""
        with self._changed:
            assert self._connection is not None
            stanza = self._stanza(json.dumps(content).encode(), name, None)
            self._connection.sendall(_packet(DATA_MESSAGE, stanza))

    def cut(self) -> None:
        """End the connection."""
        with self._changed:
            connection, self._connection = self._connection, None
        if connection is not None:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)

    def wait_for_login(self, number: int) -> bool:
        with self._changed:
            return self._changed.wait_for(
                lambda: self.logins >= number and self._connection is not None, HANG_SECONDS
            )

    def _stanza(self, body: bytes, name: str, key: str | None) -> bytes:
        private, salt = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        point = private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        data = http_ece.encrypt(
            body,
            salt=salt,
            private_key=private,
            dh=_decoded(self.registration["p256dh"]),
            auth_secret=_decoded(self.registration["auth"]),
            version="aesgcm",
        )
        message = DataMessageStanza(id=name, category="c", raw_data=data, persistent_id=name)
        setattr(message, "from", "sender")
        for part, value in (
            ("crypto-key", "dh=" + (urlsafe_b64encode(point).decode() if key is None else key)),
            ("encryption", "salt=" + urlsafe_b64encode(salt).decode()),
            ("subtype", self.app_id),
        ):
            message.app_data.add(key=part, value=value)
        return bytes(message.SerializeToString())

    def _serve(self) -> None:
        while True:
            try:
                plain, _ = self._mcs.accept()
            except OSError:
                return
            try:
                with self._context.wrap_socket(plain, server_side=True) as connection:
                    self._talk(connection)
            except OSError:
                plain.close()
            with self._changed:
                self._connection = None

    def _talk(self, connection: ssl.SSLSocket) -> None:
        connection.settimeout(HANG_SECONDS)
        version, tag = struct.unpack("BB", _exactly(connection, 2))
        assert (version, tag) == (41, LOGIN_REQUEST)
        login = LoginRequest()
        login.ParseFromString(_exactly(connection, _varint(connection)))
        fate = self.refusals.pop(0) if self.refusals else ""
        if fate != MUTE:
            answer = LoginResponse(id="ok")
            if fate == REFUSED:
                answer.error.code = 1
            connection.sendall(b"\x29" + _packet(LOGIN_RESPONSE, answer.SerializeToString()))
        if not fate:
            self._let_in(connection, list(login.received_persistent_id))
        while True:
            [tag] = _exactly(connection, 1)
            self._take(connection, tag, _exactly(connection, _varint(connection)))

    def _let_in(self, connection: ssl.SSLSocket, received: list[str]) -> None:
        with self._changed:
            self._acknowledge(received)
            self.logins += 1
            self._connection = connection
            for stanza in self._kept.values():
                connection.sendall(_packet(DATA_MESSAGE, stanza))
            self._changed.notify_all()

    def _take(self, connection: ssl.SSLSocket, tag: int, payload: bytes) -> None:
        if tag == PING:
            with self._changed:
                connection.sendall(_packet(PONG, HeartbeatAck().SerializeToString()))
        elif tag == IQ:
            said = IqStanza()
            said.ParseFromString(payload)
            assert said.extension.id == SELECTIVE_ACK
            received = SelectiveAck()
            received.ParseFromString(said.extension.data)
            with self._changed:
                self._acknowledge(received.id)

    def _acknowledge(self, names: Any) -> None:
        for name in names:
            if self._kept.pop(name, None) is not None:
                self.acknowledged.append(name)


def _packet(tag: int, payload: bytes) -> bytes:
    size, length = b"", len(payload)
    while True:
        size += bytes([(length & 0x7F) | (0x80 if length > 0x7F else 0)])
        length >>= 7
        if not length:
            return bytes([tag]) + size + payload


def _varint(connection: ssl.SSLSocket) -> int:
    result = shift = 0
    while True:
        byte = _exactly(connection, 1)[0]
        result |= (byte & 0x7F) << shift
        if not byte & 0x80:
            return result
        shift += 7


def _exactly(connection: ssl.SSLSocket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        piece = connection.recv(size - len(data))
        if not piece:
            raise OSError("the client has gone")
        data += piece
    return data


def _decoded(text: str) -> bytes:
    bare = text.rstrip("=")
    return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))
