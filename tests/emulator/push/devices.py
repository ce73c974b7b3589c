"""A device that speaks autopush's protocol, and a sender: the tests' own, without code of nhagent's."""

from __future__ import annotations

import http.client
import json
import os
import ssl
import urllib.error
import urllib.request
from base64 import urlsafe_b64decode, urlsafe_b64encode
from dataclasses import dataclass
from typing import Any, Self
from urllib.parse import urlsplit

import http_ece
import websocket
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec
from py_vapid import Vapid02

from nhagent.emulator import Emulator

CHANNEL = "11111111-2222-4333-8444-555555555555"


def to_text(data: bytes) -> str:
    return urlsafe_b64encode(data).decode().rstrip("=")


def from_text(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


class Keys:
    """The keys of a subscription."""

    def __init__(self) -> None:
        self.private = ec.generate_private_key(ec.SECP256R1())
        self.auth = os.urandom(16)
        point = self.private.public_key().public_bytes(
            serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
        )
        self.p256dh = to_text(point)

    def info(self, endpoint: str) -> dict[str, Any]:
        """The subscription as senders take it."""
        return {"endpoint": endpoint, "keys": {"p256dh": self.p256dh, "auth": to_text(self.auth)}}

    def read(self, notification: dict[str, Any]) -> bytes:
        """Decrypt what has arrived."""
        data, headers = from_text(notification["data"]), notification["headers"]
        if headers["encoding"] == "aes128gcm":
            return bytes(http_ece.decrypt(data, private_key=self.private, auth_secret=self.auth))
        salt = _parameter(headers["encryption"], "salt")
        sender = _parameter(headers["crypto_key"], "dh")
        return bytes(
            http_ece.decrypt(
                data,
                salt=from_text(salt),
                dh=from_text(sender),
                private_key=self.private,
                auth_secret=self.auth,
                version="aesgcm",
            )
        )


class Device:
    """A connection of a device."""

    def __init__(self, hub: Emulator) -> None:
        options: dict[str, Any] = {"sslopt": {"ca_certs": hub.ca}} if hub.ca else {}
        self.socket: Any = websocket.create_connection(hub.push, timeout=60, suppress_origin=True, **options)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.socket.close()
        self.socket.shutdown()  # it leaves the socket open where the other side has closed first

    def say(self, message: Any) -> None:
        self.socket.send(message if isinstance(message, str) else json.dumps(message))

    def hear(self) -> Any:
        """The next message, or the close code; None where the connection was cut."""
        try:
            opcode, frame = self.socket.recv_data_frame(control_frame=False)
        except (websocket.WebSocketConnectionClosedException, OSError):
            return None
        if opcode == websocket.ABNF.OPCODE_CLOSE:
            return int.from_bytes(frame.data[:2], "big")
        return json.loads(frame.data)

    def asks(self, message: Any) -> Any:
        self.say(message)
        return self.hear()

    def hello(self, uaid: str | None = None) -> str:
        known = {} if uaid is None else {"uaid": uaid}
        answer = self.asks({"messageType": "hello", "use_webpush": True, **known})
        assert answer["status"] == 200
        return str(answer["uaid"])

    def register(self, key: str | None, channel: str = CHANNEL) -> Any:
        given = {} if key is None else {"key": key}
        return self.asks({"messageType": "register", "channelID": channel, **given})

    def ack(self, *notifications: dict[str, Any], code: int = 100) -> None:
        updates = [
            {"channelID": each["channelID"], "version": each["version"], "code": code}
            for each in notifications
        ]
        self.say({"messageType": "ack", "updates": updates})


@dataclass
class Answer:
    """What a sender was told."""

    status: int
    headers: dict[str, str]
    document: dict[str, Any]


def token(hub: Emulator, **claims: Any) -> str:
    """A header that shows who sends."""
    vapid = Vapid02.from_raw(hub.vapid_private_key.encode())
    parts = urlsplit(hub.endpoint)
    given = {"aud": f"{parts.scheme}://{parts.netloc}", "sub": "mailto:a@b.example", **claims}
    return str(vapid.sign(given)["Authorization"])


def post(hub: Emulator, endpoint: str, body: bytes = b"", **headers: str | None) -> Answer:
    """Send something to an endpoint; header names have _ for -."""
    given = {"TTL": "60", "Authorization": token(hub)}
    if body:
        given["Content-Encoding"] = "aes128gcm"
    for name, value in headers.items():
        given.pop(name.replace("_", "-"), None)
        if value is not None:
            given[name.replace("_", "-")] = value
    parts = urlsplit(endpoint)
    host, port = parts.hostname or "", parts.port
    connection: http.client.HTTPConnection
    if parts.scheme == "https":
        context = ssl.create_default_context(cafile=hub.ca)
        connection = http.client.HTTPSConnection(host, port, timeout=60, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=60)
    connection.request("POST", parts.path, body, given)
    reply = connection.getresponse()
    content = reply.read()
    connection.close()
    is_json = (reply.getheader("Content-Type") or "").startswith("application/json")
    return Answer(reply.status, dict(reply.getheaders()), json.loads(content) if is_json else {})


def _parameter(header: str, name: str) -> str:
    for part in header.replace(",", ";").split(";"):
        key, _, value = part.strip().partition("=")
        if key == name:
            return value
    raise AssertionError(header)


def subscribe(hub: Emulator, device: Device, key: str | None = None) -> tuple[str, str]:
    """Give the device's uaid and its endpoint."""
    uaid = device.hello()
    answer = device.register(hub.vapid_public_key if key is None else key)
    assert answer["status"] == 200
    return uaid, str(answer["pushEndpoint"])


def control(hub: Emulator, route: str, given: dict[str, Any] | None) -> tuple[int, Any]:
    """Give an order as another process does, or look where none is given; return status and answer."""
    body = None if given is None else json.dumps(given).encode()
    request = urllib.request.Request(
        f"{hub.endpoint}/_emulator/{route}", body, {"Content-Type": "application/json"}
    )
    try:
        with urllib.request.urlopen(request, timeout=60) as reply:
            return reply.status, json.loads(reply.read())
    except urllib.error.HTTPError as error:
        with error:
            return error.code, json.loads(error.read())
