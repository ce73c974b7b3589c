"""What a hub, or something in its place, may answer: each reply becomes one error of the tree, or a value."""

from __future__ import annotations

import socket
from collections.abc import Iterator
from contextlib import closing
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import HubClient, Installation, Platform, errors
from nhagent.emulator import Emulator
from nhagent.hub.times import read_http_date, read_retry_after
from nhagent.hub.transport import MAX_REPLY_BYTES, Request, Transport
from tests.events import HANG_SECONDS, HELD_SECONDS, comes_back, happens
from tests.serving import serving

DEVICE = Installation("device", Platform.GCM, "handle")
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def body(detail: str) -> str:
    return f"<Error><Code>4</Code><Detail>{detail}</Detail></Error>"


OLD = ".TrackingId:0aa54f73_G3,TimeStamp:11/7/2018 12:18:37 AM"
NEW = " TrackingId:0aa54f73, TimeStamp:2/24/2026 10:26:42 AM +00:00"


@pytest.fixture
def client(notification_hub: Emulator) -> Iterator[HubClient]:
    with HubClient(notification_hub.listen, notification_hub.hub, timeout=HANG_SECONDS) as client:
        yield client


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        ({"status": 400, "body": body("Bad" + OLD)}, errors.InvalidRequest, '"Bad"'),
        ({"status": 413}, errors.InvalidRequest, "413"),
        ({"status": 418, "body": "teapot"}, errors.InvalidRequest, "418"),
        ({"status": 401, "body": body("ExpiredToken: " + OLD)}, errors.Unauthorized, "ExpiredToken:"),
        ({"status": 403, "body": ""}, errors.Forbidden, "Listen right"),
        ({"status": 403, "body": body("Quota of devices exceeded" + OLD)}, errors.QuotaExceeded, "Quota of"),
        ({"status": 403, "headers": {"Retry-After": "9"}}, errors.Throttled, "too often"),
        ({"status": 404, "body": body("Installation not found" + OLD)},
         errors.RecordNotFound, "written again, whole"),
        ({"status": 404, "body": body(OLD)}, errors.RecordNotFound, "installation device"),
        ({"status": 404, "body": body("No service is hosted at the specified address." + OLD)},
         errors.HubNotFound, "No service is hosted"),
        ({"status": 404, "body": body("Words never heard" + NEW)}, errors.HubNotFound, "Words never heard"),
        ({"status": 404, "body": ""}, errors.HubNotFound, "404"),
        ({"status": 410}, errors.RegistrationGone, "new id"),
        ({"status": 412}, errors.ConcurrencyConflict, "somebody else"),
        ({"status": 409}, errors.Throttled, "409"),
        ({"status": 429}, errors.Throttled, "429"),
        ({"status": 408}, errors.HubUnavailable, "408"),
        ({"status": 500, "body": body("Oops" + NEW)}, errors.HubUnavailable, '"Oops"'),
        ({"status": 503, "body": "not xml <"}, errors.HubUnavailable, "503"),
        ({"status": 302, "headers": {"Location": "http://127.0.0.1:9/"}}, errors.HubUnavailable, "redirect"),
        ({"status": 200, "body": "<html>Sign in", "headers": {"Content-Type": "text/html"}},
         errors.HubUnavailable, "web page"),
        ({"status": 200, "body": " <!DOCTYPE html><p>"}, errors.HubUnavailable, "captive portal"),
        ({"status": 404, "body": "<html>", "headers": {"Content-Type": "text/html"}},
         errors.HubUnavailable, "web page"),
        ({"cut_after": 0}, errors.HubUnavailable, "no answer from 127.0.0.1"),
        ({"cut_after": 20}, errors.HubUnavailable, "broke off"),
        ({"status": 200, "headers": {"Content-Encoding": "gzip"}, "body": "x"},
         errors.HubUnavailable, "compressed"),
    ],
)  # fmt: skip
def test_reply_becomes_the_error_that_it_is(
    notification_hub: Emulator,
    client: HubClient,
    reply: dict[str, Any],
    kind: type[errors.HubError],
    words: str,
) -> None:
    notification_hub.fail("PUT", **reply)
    with pytest.raises(kind, match=words) as caught:
        client.put_installation(DEVICE)
    assert type(caught.value) is kind
    assert caught.value.status in {reply.get("status"), None}
    assert len(notification_hub.log()) == 1, "nothing is repeated and no redirect followed"
    client.put_installation(DEVICE)  # the next exchange is whole


@pytest.mark.slow
def test_reply_that_is_held_back_is_not_waited_for(notification_hub: Emulator, client: HubClient) -> None:
    client.put_installation(DEVICE)  # the connection is open before
    notification_hub.clear_log()
    notification_hub.fail("PUT", delay=HELD_SECONDS)
    client._exchange.allow(0.3)
    with pytest.raises(errors.HubUnavailable, match=r"no whole reply within 0\.3 s") as caught:
        comes_back(lambda: client.put_installation(DEVICE))
    assert type(caught.value) is errors.HubUnavailable
    assert caught.value.status is None
    assert happens(lambda: len(notification_hub.log()) == 1)
    client._exchange.allow(HANG_SECONDS)
    client.put_installation(DEVICE)  # the next exchange is whole
    assert len(notification_hub.log()) == 2, "nothing is repeated"


@pytest.mark.slow
def test_reply_that_drips_is_cut_at_one_deadline(client: HubClient) -> None:
    """A server that sends a byte now and then keeps every socket timeout from striking."""
    import threading

    listener = socket.create_server(("127.0.0.1", 0))
    stop = threading.Event()

    def drip() -> None:
        connection, _ = listener.accept()
        with connection:
            connection.recv(65536)
            connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 1000000\r\n\r\n")
            while not stop.wait(0.05):
                try:
                    connection.sendall(b"x")
                except OSError:
                    return

    server = threading.Thread(target=drip)
    server.start()
    transport = Transport(timeout=0.5)
    request = Request("GET", f"http://127.0.0.1:{listener.getsockname()[1]}/", {})
    try:
        with pytest.raises(errors.HubUnavailable, match="no whole reply within"):
            comes_back(lambda: transport.send(request))
    finally:
        stop.set()
        server.join()
        transport.close()
        listener.close()


def test_reply_larger_than_anything_a_hub_sends_is_refused(
    notification_hub: Emulator, client: HubClient
) -> None:
    notification_hub.fail("GET", status=200, body="x" * (MAX_REPLY_BYTES + 1))
    with pytest.raises(errors.HubUnavailable, match="larger than"):
        client.get_installation("device")


def test_netrc_does_not_replace_the_token(
    notification_hub: Emulator, client: HubClient, tmp_path: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    netrc = tmp_path / "netrc"
    netrc.write_text("machine 127.0.0.1 login someone password something\n")
    monkeypatch.setenv("NETRC", str(netrc))
    client.put_installation(DEVICE)


@pytest.mark.parametrize(("idle", "connections"), [(-1.0, 3), (HANG_SECONDS, 1)])
def test_connection_that_has_lain_idle_too_long_is_not_used_again(idle: float, connections: int) -> None:
    """Nobody says so where something on the way has dropped it."""
    made: list[int] = []

    def answer(connection: socket.socket) -> None:
        made.append(0)
        while connection.recv(65536):
            made[-1] += 1
            connection.sendall(b"HTTP/1.1 204 X\r\n\r\n")

    with serving(answer) as address, closing(Transport(timeout=HANG_SECONDS, idle=idle)) as transport:
        for _ in range(3):
            assert transport.send(Request("GET", address, {})).status == 204
    assert len(made) == connections
    assert sum(made) == 3


def test_proxy_of_the_environment_is_not_asked_for_loopback(
    client: HubClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    client.put_installation(DEVICE)


def test_certificate_of_an_unknown_authority_is_refused(tls_notification_hub: Emulator) -> None:
    hub = tls_notification_hub
    with HubClient(hub.listen, hub.hub) as client, pytest.raises(errors.HubUnavailable, match="ca_bundle"):
        client.put_installation(DEVICE)
    with HubClient(hub.listen, hub.hub, ca_bundle=hub.ca) as client:
        client.put_installation(DEVICE)
    assert [entry.status for entry in hub.log()] == [200]


def test_certificate_for_another_name_is_refused(tls_notification_hub: Emulator) -> None:
    hub = tls_notification_hub
    elsewhere = hub.endpoint.replace("localhost", "ip6-localhost")
    with (
        HubClient(hub.listen, hub.hub, endpoint=elsewhere, ca_bundle=hub.ca) as client,
        pytest.raises(errors.HubUnavailable),
    ):
        client.put_installation(DEVICE)
    assert hub.log() == []


def test_ca_bundle_that_cannot_be_read_is_told_before_anything_is_sent(tmp_path: Any) -> None:
    listen = "Endpoint=sb://x.example;SharedAccessKeyName=a;SharedAccessKey=b"
    (tmp_path / "no.pem").write_text("no certificate")
    for path in (tmp_path / "absent.pem", tmp_path / "no.pem", tmp_path, "/dev/zero", "a\0b"):
        with pytest.raises(errors.ConfigurationError, match="ca_bundle"):
            HubClient(listen, "hub", ca_bundle=str(path))


def test_ca_bundle_with_comments_in_any_encoding_is_trusted(
    tls_notification_hub: Emulator, tmp_path: Path
) -> None:
    hub, bundle = tls_notification_hub, tmp_path / "ca.pem"
    assert hub.ca is not None
    pem = Path(hub.ca).read_bytes()
    bundle.write_bytes(b"\xef\xbb\xbf# F\xc5\x91tan\xc3\xbas\xc3\xadtv\xe1ny\r\n" + pem + pem)
    with HubClient(hub.listen, hub.hub, ca_bundle=str(bundle)) as client:
        client.put_installation(DEVICE)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [
        ("7", 7.0), ("0", 0.0), ("1.5", 1.5), ("Fri, 02 Jan 2026 03:05:05 GMT", 60.0),
        ("Fri, 02 Jan 2026 03:00:05 GMT", 0.0), ("soon", None), ("-5", None), ("", None), (None, None),
    ],
)  # fmt: skip
def test_retry_after_is_read_as_seconds_and_as_a_date(text: str | None, seconds: float | None) -> None:
    assert read_retry_after(text, NOW) == seconds


@given(st.text())
def test_whatever_stands_for_a_date_or_a_wait_is_read_or_ignored(text: str) -> None:
    assert read_http_date(text) is None or isinstance(read_http_date(text), datetime)
    wait = read_retry_after(text, NOW)
    assert wait is None or wait >= 0


@given(st.binary())
def test_whatever_stands_for_an_error_body_is_an_error_of_the_tree(content: bytes) -> None:
    from nhagent.hub.replies import raise_for_error, read_facts
    from nhagent.hub.transport import Response

    response = Response(500, {}, content)
    facts = read_facts(response, sent=NOW, received=NOW + timedelta(seconds=1))
    with pytest.raises(errors.HubUnavailable):
        raise_for_error(response, facts, who='hub "hub"', record="installation device")


def test_document_types_in_an_error_body_are_not_expanded(
    notification_hub: Emulator, client: HubClient
) -> None:
    bomb = '<!DOCTYPE e [<!ENTITY a "aaaaaaaaaa">]><Error><Detail>&a;&a;</Detail></Error>'
    notification_hub.fail("PUT", status=400, body=bomb)
    with pytest.raises(errors.InvalidRequest) as caught:
        client.put_installation(DEVICE)
    assert caught.value.detail == ""


def test_errors_survive_pickling() -> None:
    import pickle

    error = errors.Throttled("busy", status=429, detail="d", tracking_id="t", retry_after=3.0)
    copy = pickle.loads(pickle.dumps(error))
    assert (str(copy), copy.status, copy.retry_after) == ("busy", 429, 3.0)
