"""Whatever answers in the place of a push service: it is told in words, and nothing is believed unchecked."""

from __future__ import annotations

import base64
import hashlib
import json
import re
import socket
import subprocess
import sys
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from traceback import TracebackException
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.channels import WebPushChannel, autopush
from nhagent.channels.encryption import new_pair
from nhagent.channels.losses import Lost
from nhagent.emulator import Emulator
from nhagent.errors import ChannelError
from tests.serving import saying, serving

PUBLIC = new_pair()[1]


def frame(data: bytes, opcode: int = 1, *, fin: bool = True) -> bytes:
    """A frame of a server's."""
    head = bytes([opcode | (0x80 if fin else 0)])
    if len(data) < 126:
        return head + bytes([len(data)]) + data
    return head + b"\x7e" + len(data).to_bytes(2, "big") + data


def said(**message: Any) -> bytes:
    return frame(json.dumps(message).encode())


def speaking(*pieces: bytes) -> Callable[[socket.socket], None]:
    """A server that accepts a WebSocket, then sends this, a piece after each message of the client's."""

    def answer(connection: socket.socket) -> None:
        request = connection.recv(65536)
        found = re.search(rb"Sec-WebSocket-Key: (\S+)", request)
        assert found is not None
        digest = hashlib.sha1(found[1] + b"258EAFA5-E914-47DA-95CA-C5AB0DC85B11").digest()
        connection.sendall(
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
            b"Sec-WebSocket-Accept: " + base64.b64encode(digest) + b"\r\n\r\n"
        )
        try:
            for piece in pieces:
                if not connection.recv(65536):
                    return
                connection.sendall(piece)
            while connection.recv(65536):
                pass
        except OSError:  # the client had enough
            pass

    return answer


def asked(server: AbstractContextManager[str], folder: Path) -> ChannelError:
    """Ask for a subscription there, and give the error."""
    with server as address:
        url = address.replace("http", "ws") + "/"
        channel = WebPushChannel(PUBLIC, server=url, app="sensor", state_dir=folder)
        with pytest.raises(ChannelError) as caught:
            channel()
    return caught.value


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        (b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n", "answered with HTTP status 404"),
        (b"HTTP/1.1 503 Busy\r\nContent-Length: 0\r\n\r\n", "answered with HTTP status 503"),
        (b"HTTP/1.1 200 OK\r\n\r\n<html>Log in to this network", "answered with HTTP status 200"),
        (b"HTTP/1.1 302 Found\r\nLocation: ws://127.0.0.1:9/\r\n\r\n", "HTTP status 302"),
        (b"HTTP/1.1 101 Switching Protocols\r\n\r\n", "it is no WebSocket"),
        (
            b"HTTP/1.1 101 S\r\nUpgrade: websocket\r\nConnection: Upgrade\r\nSec-WebSocket-Accept: a\r\n\r\n",
            "it is no WebSocket",
        ),
        (b"\x00\xff\x00\xff" * 100, "it is no WebSocket"),
        (b"SSH-2.0-OpenSSH_9.2\r\n", "it is no WebSocket"),
        (b"", "it is no WebSocket"),
        (b"HTTP/1.1 101 S\r\n" + b"X: " + b"y" * 200_000, "it is no WebSocket"),
        (b"HTTP/1.1 101 S\r\n" + b"X: y\r\n" * 50_000, "it is no WebSocket"),
    ],
    ids=[
        "404",
        "503",
        "portal",
        "redirect",
        "bare 101",
        "wrong key",
        "noise",
        "ssh",
        "nothing",
        "line",
        "head",
    ],
)
def test_what_is_no_push_service_is_told(reply: bytes, words: str, tmp_path: Path) -> None:
    error = asked(serving(saying(reply)), tmp_path)
    assert words in error.fact
    assert error.pending


@pytest.mark.parametrize(
    ("pieces", "words"),
    [
        ([frame(b"not json")], "it sent what is not JSON"),
        ([frame(b"[" * 60_000)], "it sent what is not JSON"),
        ([b"\x81\x7f" + (2**40).to_bytes(8, "big") + b"x" * 200_000], "longer than 65536 bytes"),
        ([frame(b"x" * 40_000, fin=False) + frame(b"y" * 60_000, 0)], "longer than 65536 bytes"),
        (
            [frame(b"x" * 9_000, fin=False) + (frame(b"y" * 9_000, 0, fin=False) + frame(b"", 9)) * 20],
            "longer than 65536 bytes",
        ),
        ([frame(b"\x00\x01", 2)], "bytes where text belongs"),
        ([frame(b"\xff\xfe\xfd")], "the connection broke"),
        ([b"\x83\x00"], "the connection broke"),
        ([b"\xf1\x02{}"], "the connection broke"),
        ([frame(b"", 8)], "ended the connection without a code"),
        ([frame((1011).to_bytes(2, "big"), 8)], "ended the connection with code 1011"),
        ([said(messageType="hello", status=503)], "the push service answered with status 503"),
        ([said(messageType="hello", status="200", uaid="a" * 32)], "the push service answered with status 0"),
        ([said(messageType="hello", status=200)], "greets without telling who we are"),
        ([said(messageType="hello", status=200, uaid="../../etc")], "greets without telling who we are"),
        ([said(messageType="hello", status=200, uaid="a" * 65)], "greets without telling who we are"),
    ],
)
def test_what_speaks_another_way_is_told(pieces: list[bytes], words: str, tmp_path: Path) -> None:
    error = asked(serving(speaking(*pieces)), tmp_path)
    assert words in error.fact


class Registering:
    """A server that answers register with what a test wants."""

    def __init__(self, reply: dict[str, Any]) -> None:
        self._reply = reply

    def __call__(self, connection: socket.socket) -> None:
        from wsproto import ConnectionType, WSConnection
        from wsproto.events import AcceptConnection, CloseConnection, Request, TextMessage

        framed = WSConnection(ConnectionType.SERVER)
        while data := connection.recv(65536):
            framed.receive_data(data)
            for event in framed.events():
                match event:
                    case Request():
                        connection.sendall(framed.send(AcceptConnection()))
                    case TextMessage():
                        asked = json.loads(event.data)
                        reply = {"messageType": "hello", "status": 200, "uaid": "b" * 32}
                        if asked["messageType"] == "register":
                            reply = {
                                "messageType": "register",
                                "channelID": asked["channelID"],
                                "status": 200,
                                **self._reply,
                            }
                        connection.sendall(framed.send(TextMessage(data=json.dumps(reply))))
                    case CloseConnection():
                        return


GOOD = "https://push.example/wpush/v2/token"


@pytest.mark.parametrize(
    ("reply", "words"),
    [
        ({"pushEndpoint": "https://push.example/wpush/v1/token"}, "took no VAPID key"),
        ({"pushEndpoint": "http://push.example/wpush/v2/token"}, "must be an https:// URL"),
        ({"pushEndpoint": "javascript:alert(1)"}, "must be an https:// URL"),
        ({"pushEndpoint": "https://"}, "leads nowhere"),
        ({"pushEndpoint": "https://push.example.invalid/x"}, "leads nowhere"),
        ({"pushEndpoint": 5}, "gives a channel without an address"),
        ({"pushEndpoint": ""}, "gives a channel without an address"),
        ({"pushEndpoint": "https://push.example/" + "x" * 5000}, "gives a channel without an address"),
        (
            {"status": 400, "pushEndpoint": GOOD},
            "gives no subscription (the push service answered with status 400)",
        ),
        ({"status": 500, "pushEndpoint": GOOD}, "status 500"),
        ({"status": None, "pushEndpoint": GOOD}, "status 0"),
    ],
    ids=str,
)
def test_subscription_that_cannot_be_one_is_refused(
    reply: dict[str, Any], words: str, tmp_path: Path
) -> None:
    error = asked(serving(Registering(reply)), tmp_path)
    assert words in error.fact
    kept = json.loads(next(tmp_path.rglob("channel.json")).read_text())["kept"]
    assert kept["current"] is None
    assert kept["pending"] is not None  # its id is known, so that it is asked for again and not left behind


def test_channel_id_that_somebody_has_already_is_not_asked_for_again(tmp_path: Path) -> None:
    asked(serving(Registering({"status": 409})), tmp_path)
    kept = json.loads(next(tmp_path.rglob("channel.json")).read_text())["kept"]
    assert (kept["current"], kept["pending"]) == (None, None)


def test_proxy_is_asked_for_a_tunnel_and_its_password_does_not_show(tmp_path: Path) -> None:
    seen: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        seen.append(connection.recv(65536))
        connection.sendall(b"HTTP/1.1 407 Proxy Authentication Required\r\nContent-Length: 0\r\n\r\n")

    program = f"""
from nhagent.channels import WebPushChannel
channel = WebPushChannel({PUBLIC!r}, server="wss://push.example/", app="sensor", state_dir={str(tmp_path)!r})
try:
    channel()
except Exception as error:
    print(error)
"""
    with serving(answer) as address:
        proxy = address.replace("http://", "http://user:geheim@")
        environment = {"PATH": "/usr/bin", "https_proxy": proxy, "HOME": str(tmp_path)}
        done = subprocess.run(
            [sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True
        )
    [request] = seen
    assert request.startswith(b"CONNECT push.example:443 HTTP/1.")
    assert b"Proxy-Authorization: Basic " + base64.b64encode(b"user:geheim") in request
    assert "push.example:443 through a proxy: Tunnel connection failed: 407" in done.stdout
    assert "geheim" not in done.stdout + done.stderr


@pytest.mark.slow
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    )
)
def test_any_json_is_taken_or_is_nothing_to_us(document: Any) -> None:
    class Silent:
        def receive(self) -> str:
            raise AssertionError

    connection = autopush.Connection(Silent())  # type: ignore[arg-type]
    connection._take(json.dumps(document))
    if isinstance(document, dict):
        connection._take(json.dumps({"messageType": "notification", **document}))
        connection._take(json.dumps({"messageType": "register", **document}))
    assert len(connection._early) <= 1


@given(st.text())
def test_any_text_is_taken_or_ends_the_connection(text: str) -> None:
    connection = autopush.Connection(object())  # type: ignore[arg-type]
    try:
        connection._take(text)
    except Lost as lost:
        assert lost.fact == "it sent what is not JSON"


def test_traceback_of_an_error_holds_no_secret(tmp_path: Path) -> None:
    with Emulator() as hub:
        given: dict[str, Any] = {"server": hub.push, "app": "sensor", "state_dir": tmp_path}
        WebPushChannel(PUBLIC, **given)()
        [uaid] = hub.push_service.state()
        hub.push_service.refuses = 503
        other = WebPushChannel(new_pair()[1], **given)
        for act in (other, other.forget):
            with pytest.raises(ChannelError) as caught:
                act()
            told = TracebackException.from_exception(caught.value, capture_locals=True, limit=50)
            ours = [frame for frame in told.stack if "/nhagent/" in frame.filename]
            text = str([frame.locals for frame in ours])
            assert ours
            assert told.__context__ is None
            kept = json.loads(next(tmp_path.rglob("channel.json")).read_text())["kept"]
            for secret in (uaid, *kept["secrets"]["private"].values()):
                assert secret not in text
