"""What a hostile hub, network, environment or bundle tries beside the hub's own words, and does not get."""

from __future__ import annotations

import io
import logging
import os
import re
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.emulator import Emulator
from nhagent.errors import HubUnavailable
from nhagent.hub.ca_bundle import MAX_BUNDLE_BYTES
from nhagent.hub.markup import parse
from tests.serving import serving

HANDLE = "dQw4:APA91b-the-handle-of-this-device"
DEVICE = Installation("device", Platform.GCM, HANDLE)
FAR = "Endpoint=sb://nowhere.example;SharedAccessKeyName=a;SharedAccessKey=b"


@pytest.fixture(autouse=True)
def _no_proxy_and_no_bundle(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("NO_PROXY", "ALL_PROXY", "HTTPS_PROXY", "HTTP_PROXY"):
        monkeypatch.delenv(name, raising=False)
        monkeypatch.delenv(name.lower(), raising=False)
    for name in ("REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE", "SSLKEYLOGFILE"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture
def shown() -> Iterator[io.StringIO]:
    """Everything that any logger says, at every level."""
    text, root = io.StringIO(), logging.getLogger()
    handler, level = logging.StreamHandler(text), root.level
    root.addHandler(handler)
    root.setLevel(logging.DEBUG)
    yield text
    root.setLevel(level)
    root.removeHandler(handler)


def key_at(address: str) -> str:
    return f"Endpoint={address};SharedAccessKeyName=a;SharedAccessKey=c2VjcmV0LWtleQ"


def echoing(line: bytes) -> Callable[[socket.socket], None]:
    """Answer with a head that has this line in it, filled in with the token and the body that were sent."""

    def answer(connection: socket.socket) -> None:
        request = b""
        while b"\r\n\r\n" not in request:
            request += connection.recv(65536)
        head, _, body = request.partition(b"\r\n\r\n")
        size = re.search(rb"Content-Length: (\d+)", head)
        while size is not None and len(body) < int(size[1]):
            body += connection.recv(65536)
        token = re.search(rb"Authorization: ([^\r]+)", head)
        assert token is not None
        said = line.replace(b"TOKEN", token[1]).replace(b"BODY", body)
        connection.sendall(b"HTTP/1.1 200 OK\r\n" + said + b"Content-Length: 0\r\n\r\n")

    return answer


@pytest.mark.parametrize(
    "line",
    [
        b"no header TOKEN BODY\r\n",
        b"odd name: TOKEN BODY\r\n",
        b"\xff: TOKEN BODY\r\n",
        b": TOKEN BODY\r\n",
        b" TOKEN BODY\r\n",
        b"Content-Type: multipart/mixed\r\nTOKEN BODY\r\n",
        b"A: b\nTOKEN BODY\r\n\x1b[2J\r\n",
    ],
    ids=repr,
)
def test_malformed_head_that_quotes_token_and_handle_is_no_reply_and_logged_nowhere(
    line: bytes, shown: io.StringIO
) -> None:
    """urllib3 logged what was left of such a head, as a warning, which Python prints by itself."""
    with (
        serving(echoing(line)) as address,
        HubClient(key_at(address), "hub") as client,
        pytest.raises(HubUnavailable) as caught,
    ):
        client.put_installation(DEVICE)
    for text in (shown.getvalue(), str(caught.value)):
        assert HANDLE not in text
        assert "sig=" not in text
        assert "\x1b" not in text
    assert "WARNING" not in shown.getvalue()
    assert "parse headers" not in shown.getvalue()


@pytest.mark.parametrize("name", ["unicode_escape", "utf-16", "utf-7", "idna", "hex", "undefined", "rot13"])
def test_document_that_names_its_encoding_is_read_as_utf_8_and_chooses_no_codec(name: str) -> None:
    """A codec of Python's own choice raised a warning, which is an error where warnings are errors."""
    document = f'<?xml version="1.0" encoding="{name}"?><a>\\] +AGE- \xe9</a>'.encode()
    assert parse(document).text == "\\] +AGE- \xe9"


def test_tls_secrets_are_written_to_no_file_that_the_environment_names(
    tls_notification_hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SSLKEYLOGFILE", str(tmp_path / "secrets"))
    hub = tls_notification_hub
    with HubClient(hub.listen, hub.hub, ca_bundle=hub.ca) as client:
        client.put_installation(DEVICE)
    assert not (tmp_path / "secrets").exists()


@pytest.mark.parametrize("variable", ["ALL_PROXY", "HTTPS_PROXY", "all_proxy", "https_proxy"])
@pytest.mark.parametrize("scheme", ["socks5", "socks5h", "SOCKS4"])
def test_proxy_that_speaks_socks_is_refused_and_never_gone_around(
    monkeypatch: pytest.MonkeyPatch, variable: str, scheme: str
) -> None:
    reached = threading.Event()

    def note(_: socket.socket) -> None:
        reached.set()

    with serving(note) as address:
        monkeypatch.setenv(variable, address.replace("http", scheme))
        with HubClient(FAR, "hub") as client, pytest.raises(HubUnavailable, match="that of a proxy"):
            client.put_installation(DEVICE)
    assert not reached.is_set()


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_bundle_of_the_environment_that_is_larger_than_any_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    bundle = tmp_path / "bundle.pem"
    bundle.touch()
    os.truncate(bundle, MAX_BUNDLE_BYTES + 1)
    monkeypatch.setenv(variable, str(bundle))
    with HubClient(FAR, "hub") as client, pytest.raises(HubUnavailable, match="CA bundle larger than"):
        client.put_installation(DEVICE)


def test_cookie_of_a_hub_is_not_sent_back() -> None:
    asked: list[bytes] = []

    def answer(connection: socket.socket) -> None:
        asked.append(connection.recv(65536))
        connection.sendall(
            b"HTTP/1.1 503 X\r\nSet-Cookie: device=1; Path=/\r\nset-cookie: b=c\r\nContent-Length: 0\r\n\r\n"
        )

    with serving(answer) as address, HubClient(key_at(address), "hub") as client:
        for _ in range(3):
            with pytest.raises(HubUnavailable):
                client.get_installation("device")
    assert len(asked) == 3
    assert not any(b"cookie" in request.lower() for request in asked)
