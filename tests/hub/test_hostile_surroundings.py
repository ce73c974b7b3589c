"""What a hostile hub, network, environment or bundle tries beside the hub's own words, and does not get."""

from __future__ import annotations

import gzip
import io
import logging
import os
import re
import socket
import ssl
import sys
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.ca_bundle import MAX_BUNDLE_BYTES
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, HubError, HubUnavailable
from nhagent.hub.markup import parse
from tests.events import comes_back
from tests.serving import saying, serving

HANDLE = "dQw4:APA91b-the-handle-of-this-device"
DEVICE = Installation("device", Platform.GCM, HANDLE)
JSON = "Content-Type: application/json\r\nContent-Length: 2\r\n\r\n{}"
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


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
@pytest.mark.parametrize("kind", ["gone", "device", "fifo", "too large"])
@pytest.mark.skipif(sys.platform == "win32", reason="there are no such files")
def test_bundle_of_the_environment_that_is_of_no_use_is_told_as_the_bundle(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, kind: str
) -> None:
    """Neither the network nor a proxy is at fault."""
    if sys.platform == "win32":
        pytest.skip("Windows has neither")
    bundle = Path("/dev/null") if kind == "device" else tmp_path / "bundle.pem"
    if kind == "fifo" and sys.platform != "win32":
        os.mkfifo(bundle)
    elif kind == "too large":
        bundle.touch()
        os.truncate(bundle, MAX_BUNDLE_BYTES + 1)
    monkeypatch.setenv(variable, str(bundle))
    monkeypatch.setenv("HTTPS_PROXY", "http://127.0.0.1:9")
    with HubClient(FAR, "hub") as client, pytest.raises(HubUnavailable) as caught:
        client.put_installation(DEVICE)
    assert str(bundle) in caught.value.fact
    assert "proxy" not in caught.value.fact
    assert "$REQUESTS_CA_BUNDLE" in caught.value.hint


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


@pytest.mark.parametrize(
    "line",
    [
        b"GET",
        b"HTTP/0.9 200",
        b"HTTP/9.9 200 OK",
        b"ICY 200 OK",
        b"HTTP/1.1 20",
        b"HTTP/1.1 -200 OK",
        b"\x16\x03\x01",
    ],
    ids=repr,
)
def test_status_line_of_another_protocol_is_a_passing_error(line: bytes) -> None:
    head = line + b"\r\nContent-Type: application/json\r\n\r\n{}"
    with (
        serving(saying(head)) as address,
        HubClient(key_at(address), "hub") as client,
        pytest.raises(HubUnavailable),
    ):
        client.get_installation("device")


@pytest.mark.slow
@pytest.mark.parametrize("status", [b"100 Continue", b"102 Processing", b"103 Early Hints"])
def test_interim_replies_without_end_last_no_longer_than_the_deadline(status: bytes) -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(65536)
        with suppress(OSError):
            while True:
                connection.sendall((b"HTTP/1.1 " + status + b"\r\nA: b\r\n\r\n") * 100)

    with (
        serving(flood) as address,
        HubClient(key_at(address), "hub", timeout=0.5) as client,
        pytest.raises(HubUnavailable),
    ):
        comes_back(lambda: client.get_installation("device"))


@pytest.mark.parametrize(
    "coding",
    [
        "gzip",
        "x-gzip",
        "deflate",
        "br",
        "zstd",
        "GZIP",
        "identity, gzip",
        "identity\r\nContent-Encoding: gzip",
        "",
    ],
)
def test_reply_in_any_coding_is_not_unpacked(coding: str) -> None:
    packed = gzip.compress(b" " * 50_000_000)
    head = f"HTTP/1.1 200 OK\r\nContent-Encoding: {coding}\r\nContent-Length: {len(packed)}\r\n\r\n"
    with (
        serving(saying(head.encode() + packed)) as address,
        HubClient(key_at(address), "hub") as client,
        pytest.raises(HubUnavailable, match="compressed"),
    ):
        client.get_installation("device")


@pytest.mark.parametrize(
    "head",
    [b"A: b\r\n" * 101, b"A: " + b"b" * 70_000 + b"\r\n", b"A" * 70_000 + b": b\r\n", b"A: b\r\n" * 100_000],
    ids=["101 lines", "long line", "long name", "100,000 lines"],
)
def test_head_of_any_size_is_read_to_a_cap(head: bytes) -> None:
    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        with suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\n" + head + b"Content-Length: 2\r\n\r\n{}")

    with (
        serving(answer) as address,
        HubClient(key_at(address), "hub") as client,
        pytest.raises(HubUnavailable, match=r"does not speak HTTP|reset"),
    ):
        client.get_installation("device")


def test_server_that_speaks_old_tls_alone_gets_no_token(
    tls_notification_hub: Emulator, tmp_path: Path
) -> None:
    hub, received = tls_notification_hub, list[bytes]()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.set_ciphers("ALL:@SECLEVEL=0")
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)
        context.minimum_version, context.maximum_version = ssl.TLSVersion.TLSv1, ssl.TLSVersion.TLSv1_1

    def answer(connection: socket.socket) -> None:
        with suppress(OSError), context.wrap_socket(connection, server_side=True) as secure:
            received.append(secure.recv(65536))

    with serving(answer) as address:
        endpoint = address.replace("http://127.0.0.1", "https://localhost")
        with (
            HubClient(hub.listen, hub.hub, endpoint=endpoint, ca_bundle=hub.ca) as client,
            pytest.raises(HubUnavailable, match="TLS with localhost"),
        ):
            client.put_installation(DEVICE)
    assert received == []


@pytest.mark.parametrize(
    "said",
    [
        "bad&#10;INFO nhagent: registered",
        "bad\r\nINFO nhagent: registered",
        "bad\n\n<0>INFO nhagent: registered",
    ],
)
def test_words_of_a_hub_make_no_line_of_a_log_of_their_own(
    notification_hub: Emulator, said: str, shown: io.StringIO
) -> None:
    hub = notification_hub
    words = said.replace("<", "&lt;")
    hub.fail("PUT", status=400, body=f"<Error><Code>400</Code><Detail>{words}</Detail></Error>")
    with HubClient(hub.listen, hub.hub) as client, pytest.raises(HubError) as caught:
        client.put_installation(DEVICE)
    logging.getLogger("an app").warning("failed: %s", caught.value)
    assert 'says "bad | ' in str(caught.value)
    assert not any(line.startswith(("INFO", "<0>")) for line in shown.getvalue().splitlines())
    assert caught.value.at("here").fact.startswith("here: ")
    assert "\n" not in f"{caught.value} {caught.value.at('here')}"


@pytest.mark.parametrize("said", ["a\r\n b", "\x1b[2J", HANDLE, "A" * 64, "x" * 5000, "sig=abc", "", "\xe9"])
def test_id_of_an_exchange_that_is_none_is_not_given_on(said: str) -> None:
    head = f"HTTP/1.1 200 OK\r\nTrackingId: {said}\r\n{JSON}"
    with serving(saying(head.encode("latin-1"))) as address, HubClient(key_at(address), "hub") as client:
        client.delete_installation("device")
        assert client.last_reply is not None and client.last_reply.tracking_id is None
        with pytest.raises(HubUnavailable) as caught:
            client.get_installation("device")
    assert caught.value.tracking_id is None


@pytest.mark.parametrize(
    "host",
    [
        *(
            "a b",
            "a%2fb",
            "a%00b",
            "a\\b",
            "a..b",
            ".",
            "..",
            ".a",
            "*",
            "a\u200bb",
            "\u202ea",
            "a\u3002b",
            "\ufb00",
        ),
        *(
            "bücher.example",
            "a" * 64,
            "a." * 127 + "ab",
            "a" * 100_000,
            "a:0",
            "[fe80::1%25eth0]",
            "[::1%lo]",
            "[::g]",
        ),
    ],
    ids=lambda host: repr(host[:20]),
)
def test_host_that_no_resolver_takes_is_a_fault_of_the_settings_and_not_tried_again(host: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the address of a namespace") as caught:
        HubClient(FAR.replace("nowhere.example", host), "hub")
    assert len(str(caught.value)) < 300


@pytest.mark.parametrize(
    "host",
    ["a", "a-b_c.example", "xn--bcher-kva.example", "a.example.", "127.0.0.1", "[2001:db8::1]:443", "a" * 63],
)
def test_host_that_a_resolver_may_know_is_asked_for(host: str) -> None:
    with HubClient(FAR.replace("nowhere.example", host), "hub") as client:
        assert host.removesuffix(":443") in repr(client)


@pytest.mark.slow
@pytest.mark.parametrize("before", [b"HTTP/1.1 200 OK\r\n", b""], ids=["head", "interim"])
def test_proxy_that_never_ends_its_head_lasts_no_longer_than_the_deadline(
    monkeypatch: pytest.MonkeyPatch, before: bytes
) -> None:
    def flood(connection: socket.socket) -> None:
        connection.recv(65536)
        with suppress(OSError):
            connection.sendall(before)
            while True:
                connection.sendall(b"A: b\r\n" * 1000 if before else b"HTTP/1.1 100 X\r\n\r\n" * 1000)

    with serving(flood) as address:
        monkeypatch.setenv("HTTPS_PROXY", address)
        with HubClient(FAR, "hub", timeout=0.5) as client, pytest.raises(HubUnavailable):
            comes_back(lambda: client.get_installation("device"))


@pytest.mark.parametrize("wait", ["5\x1f", "\x1c5", "5 \x1d", "\x1f"])
def test_retry_after_with_odd_blanks_is_read_or_left_out(wait: str) -> None:
    head = f"HTTP/1.1 503 X\r\nRetry-After: {wait}\r\nContent-Length: 0\r\n\r\n".encode()
    with (
        serving(saying(head)) as address,
        HubClient(key_at(address), "hub") as client,
        pytest.raises(HubUnavailable) as caught,
    ):
        client.put_installation(DEVICE)
    assert caught.value.retry_after in {5.0, None}
