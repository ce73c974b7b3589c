"""A session bus, a UnifiedPush distributor on it, and strangers: the tests' own, no code of nhagent's."""

from __future__ import annotations

import os
import shutil
import subprocess
import threading
from base64 import urlsafe_b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import http_ece
import jeepney
import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from jeepney.io.threading import DBusConnection, ReceiveStopped, open_dbus_connection

NAME = "org.unifiedpush.Distributor.OfTests"
SERVICE = "com.example.Sensor"
CONNECTOR = jeepney.DBusAddress(
    "/org/unifiedpush/Connector", bus_name=SERVICE, interface="org.unifiedpush.Connector2"
)
FIELDS, KINDS = jeepney.HeaderFields, jeepney.MessageType


@contextmanager
def session_bus(folder: Path) -> Iterator[str]:
    """Run a bus; give its address."""
    if shutil.which("dbus-daemon") is None:
        reason = "dbus-daemon is not installed"
        if os.environ.get("NHAGENT_CI") == "1":
            pytest.fail(reason)
        pytest.skip(reason)
    process = subprocess.Popen(
        ["dbus-daemon", "--session", "--nofork", "--print-address=1", f"--address=unix:dir={folder}"],
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    try:
        yield process.stdout.readline().strip()
    finally:
        process.kill()
        process.wait()
        process.stdout.close()


class Peer:
    """A program on the bus, which answers calls in a thread of its own."""

    def __init__(self, address: str) -> None:
        self.connection: DBusConnection = open_dbus_connection(bus=address)
        self._answers: dict[int, Any] = {}
        self._changed = threading.Condition()
        self._thread = threading.Thread(target=self._serve, daemon=True)
        self._thread.start()

    @property
    def unique_name(self) -> str:
        return str(self.connection.unique_name)

    def call(
        self, address: Any, member: str, signature: str | None = None, body: tuple[Any, ...] = ()
    ) -> Any:
        """Call somebody; gives the answer, or the name of the error."""
        serial = self.begin_call(address, member, signature, body)
        with self._changed:
            assert self._changed.wait_for(lambda: serial in self._answers, 60)
            answer = self._answers.pop(serial)
        if answer.header.message_type is KINDS.error:
            return answer.header.fields[FIELDS.error_name]
        return answer.body[0] if answer.body else None

    def begin_call(
        self, address: Any, member: str, signature: str | None = None, body: tuple[Any, ...] = ()
    ) -> int:
        """Call somebody, and wait for no answer."""
        serial: int = next(self.connection.outgoing_serial)
        self.connection.send(jeepney.new_method_call(address, member, signature, body), serial=serial)
        return serial

    def own(self, name: str) -> None:
        assert self.call(jeepney.message_bus, "RequestName", "su", (name, 4)) == 1

    def close(self) -> None:
        self.connection.interrupt()
        self._thread.join(60)
        self.connection.close()

    def answer(self, message: Any) -> None:
        """Answer a call; the plain peer answers none."""

    def _serve(self) -> None:
        while True:
            try:
                message = self.connection.receive()
            except (ReceiveStopped, OSError):
                return
            serial = message.header.fields.get(FIELDS.reply_serial)
            if serial is not None:
                with self._changed:
                    self._answers[serial] = message
                    self._changed.notify_all()
            elif message.header.message_type is KINDS.method_call:
                self.answer(message)


@dataclass
class Subscription:
    """What a distributor knows of one."""

    service: str
    vapid: str
    endpoint: str


class Distributor(Peer):
    """A distributor. Its attributes are what it does."""

    def __init__(self, address: str, name: str = NAME) -> None:
        self.fails: str | None = None
        self.tells_address = True
        self.program = CONNECTOR
        self.number = 0
        self.known: dict[str, Subscription] = {}
        self.registered: list[str] = []
        super().__init__(address)
        self.own(name)

    def answer(self, message: Any) -> None:
        given = {name: value for name, (_, value) in message.body[0].items()}
        member = message.header.fields[FIELDS.member]
        result = {}
        if member == "Register":
            self.registered.append(given["token"])
            if self.fails is not None:
                result = {"success": ("s", "REGISTRATION_FAILED"), "reason": ("s", self.fails)}
            else:
                result = {"success": ("s", "REGISTRATION_SUCCEEDED")}
        elif member == "Unregister":
            self.known.pop(given["token"], None)
        self.connection.send(jeepney.new_method_return(message, "a{sv}", (result,)))
        if member == "Register" and self.fails is None and self.tells_address:
            if given["token"] not in self.known:
                self.number += 1
                endpoint = f"https://push.example/{self.number}"
                self.known[given["token"]] = Subscription(given["service"], given["vapid"], endpoint)
            # A program that has gone meanwhile answers never.
            self.begin_call(self.program, "NewEndpoint", "a{sv}", (self._address_of(given["token"]),))

    def tell(self, token: str) -> Any:
        """Tell the address of a subscription."""
        return self.call(self.program, "NewEndpoint", "a{sv}", (self._address_of(token),))

    def _address_of(self, token: str) -> dict[str, Any]:
        return {"token": ("s", token), "endpoint": ("s", self.known[token].endpoint)}

    def move(self, token: str, endpoint: str) -> None:
        """Give a subscription another address."""
        self.known[token].endpoint = endpoint
        self.tell(token)

    def end(self, token: str) -> Any:
        """End a subscription."""
        self.known.pop(token, None)
        return self.call(self.program, "Unregistered", "a{sv}", ({"token": ("s", token)},))

    def send(self, token: str, content: bytes, name: str = "") -> Any:
        return send_as(self, token, content, name, self.program)


def send_as(peer: Peer, token: str, content: bytes, name: str = "", program: Any = CONNECTOR) -> Any:
    """Call the program with a message."""
    given = {"token": ("s", token), "message": ("ay", content), "id": ("s", name)}
    return peer.call(program, "Message", "a{sv}", (given,))


@dataclass
class Encrypting:
    """A sender to a subscription."""

    p256dh: str
    auth: str
    key: Any = field(default_factory=lambda: ec.generate_private_key(ec.SECP256R1()))

    def encrypted(self, text: str) -> bytes:
        def decoded(key: str) -> bytes:
            return urlsafe_b64decode(key + "=" * (-len(key) % 4))

        content = http_ece.encrypt(
            text.encode(),
            salt=os.urandom(16),
            private_key=self.key,
            dh=decoded(self.p256dh),
            auth_secret=decoded(self.auth),
            version="aes128gcm",
        )
        return bytes(content)
