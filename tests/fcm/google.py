"""Google's four services as firebase-messaging knows them, faked on loopback over TLS."""

from __future__ import annotations

import json
import os
import socket
import ssl
import struct
from base64 import urlsafe_b64decode, urlsafe_b64encode
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Condition, Thread
from typing import Any
from urllib.parse import parse_qs

import http_ece
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from firebase_messaging.proto.checkin_pb2 import AndroidCheckinResponse
from firebase_messaging.proto.mcs_pb2 import DataMessageStanza, LoginRequest, LoginResponse

from nhagent.emulator.tls import server_context

TOKEN = "dQw4w9WgXcQ:APA91b-good_1x"
LOGIN_REQUEST, LOGIN_RESPONSE, DATA_MESSAGE, CLOSE = 2, 3, 8, 4


class Google:
    """The services. Its attributes are what they do."""

    def __init__(self, folder: Path) -> None:
        folder.mkdir()
        self._context = server_context("127.0.0.1", folder, kind="good", names=[])
        self.ca = str(folder / "ca.pem")
        self.refuses = 0
        self.asked: list[str] = []
        self.registration: dict[str, str] = {}
        self.app_id = ""
        self.logins = 0
        self._changed = Condition()
        self._connection: ssl.SSLSocket | None = None
        google = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["Content-Length"] or 0))
                answer = google.answer(self.path, body)
                self.send_response(200)
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
            thread.join(60)

    def answer(self, path: str, body: bytes) -> bytes:
        """Answer one of the three services that speak HTTP."""
        self.asked.append(path.rpartition("/")[2])
        if path == "/checkin":
            found = AndroidCheckinResponse(stats_ok=True, android_id=123456789, security_token=987654321)
            return bytes(found.SerializeToString())
        if path == "/register3":
            if self.refuses:
                self.refuses -= 1
                return b"Error=PHONE_REGISTRATION_ERROR"
            self.app_id = parse_qs(body.decode())["X-subtype"][0]
            return b"token=a-gcm-token"
        if path.endswith("/installations"):
            given = {"authToken": {"token": "auth", "expiresIn": "604800s"}, "refreshToken": "r", "fid": "f"}
            return json.dumps(given).encode()
        assert path.endswith("/registrations"), path
        self.registration = json.loads(body)["web"]
        return json.dumps({"token": TOKEN, "web": self.registration}).encode()

    def push(self, content: dict[str, Any], name: str) -> None:
        """Send a message to whoever is connected, encrypted as Google does."""
        key, salt = ec.generate_private_key(ec.SECP256R1()), os.urandom(16)
        point = key.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        data = http_ece.encrypt(
            json.dumps(content).encode(),
            salt=salt,
            private_key=key,
            dh=_decoded(self.registration["p256dh"]),
            auth_secret=_decoded(self.registration["auth"]),
            version="aesgcm",
        )
        message = DataMessageStanza(id=name, category="c", raw_data=data, persistent_id=name)
        setattr(message, "from", "sender")
        for part, value in (
            ("crypto-key", "dh=" + urlsafe_b64encode(point).decode()),
            ("encryption", "salt=" + urlsafe_b64encode(salt).decode()),
            ("subtype", self.app_id),
        ):
            message.app_data.add(key=part, value=value)
        with self._changed:
            assert self._changed.wait_for(lambda: self._connection is not None, 60)
            assert self._connection is not None
            self._connection.sendall(_packet(DATA_MESSAGE, message.SerializeToString()))

    def cut(self) -> None:
        """End the connection."""
        with self._changed:
            connection, self._connection = self._connection, None
        if connection is not None:
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                pass

    def wait_for_login(self, number: int) -> bool:
        with self._changed:
            return self._changed.wait_for(lambda: self.logins >= number and self._connection is not None, 120)

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

    def _talk(self, connection: ssl.SSLSocket) -> None:
        connection.settimeout(120)
        version, tag = struct.unpack("BB", _exactly(connection, 2))
        assert (version, tag) == (41, LOGIN_REQUEST)
        LoginRequest().ParseFromString(_exactly(connection, _varint(connection)))
        connection.sendall(b"\x29" + _packet(LOGIN_RESPONSE, LoginResponse(id="ok").SerializeToString()))
        with self._changed:
            self.logins += 1
            self._connection = connection
            self._changed.notify_all()
        while connection.recv(4096):
            pass


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
