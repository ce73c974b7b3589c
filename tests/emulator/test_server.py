from __future__ import annotations

import http.client
import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing

import pytest

from nhagent.emulator import Emulator

from .caller import HANG_SECONDS, Caller, still_serving, wns

TARGET = "/my-hub/installations/i?api-version=2020-06"


@pytest.fixture
def raw(emulator: Emulator) -> Iterator[socket.socket]:
    """A bare connection, for what no HTTP client would send."""
    port = int(emulator.endpoint.rpartition(":")[2])
    with closing(socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS)) as connection:
        yield connection


def exchange(connection: socket.socket, data: bytes) -> bytes:
    """Send, and read until the server closes."""
    connection.sendall(data)
    received = b""
    while piece := connection.recv(65536):
        received += piece
    return received


def test_requests_of_every_kind_share_a_connection(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    first = hub.connection.sock
    for _ in range(3):
        hub.send("POST", "/my-hub/nothing", b"a body that nobody wants")
        hub.send("GET", TARGET, b"a body with a GET", sign_it=False)
        emulator.fail("PUT", status=500)
        hub.put(wns())
        assert hub.get().status == 200
    assert hub.connection.sock is first


def test_a_body_in_chunks_is_read(hub: Caller) -> None:
    body = json.dumps(wns()).encode()
    pieces = [body[:10], body[10:50], body[50:]]
    headers = {"Authorization": hub.token(), "Transfer-Encoding": "chunked"}
    hub.connection.request("PUT", TARGET, iter(pieces), headers, encode_chunked=True)
    with hub.connection.getresponse() as response:
        response.read()
        assert response.status == 200
    assert hub.get().json["pushChannel"] == wns()["pushChannel"]


def test_a_client_that_waits_for_100_continue_gets_it(hub: Caller, raw: socket.socket) -> None:
    body = json.dumps(wns()).encode()
    head = (
        f"PUT {TARGET} HTTP/1.1\r\nHost: 127.0.0.1\r\nAuthorization: {hub.token()}\r\n"
        f"Content-Length: {len(body)}\r\nExpect: 100-continue\r\nConnection: close\r\n\r\n"
    )
    raw.sendall(head.encode())
    assert raw.recv(100).startswith(b"HTTP/1.1 100 ")
    assert exchange(raw, body).startswith(b"HTTP/1.1 200 OK\r\n")


def test_a_body_above_one_mebibyte_is_refused_and_the_connection_kept(
    emulator: Emulator, hub: Caller
) -> None:
    hub.put(wns())
    reply = hub.send("PUT", TARGET, b" " * ((1 << 20) + 1))
    assert reply.status == 413
    assert "<Code>413</Code>" in reply.text
    assert hub.get().status == 200
    assert [entry.status for entry in emulator.log()] == [200, 200]
    assert hub.send("PUT", TARGET, b" " * (1 << 20)).status == 400


def test_a_body_far_too_large_is_not_read(raw: socket.socket) -> None:
    head = f"PUT {TARGET} HTTP/1.1\r\nHost: h\r\nContent-Length: {1 << 40}\r\n\r\n"
    assert exchange(raw, head.encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize(
    ("headers", "body"),
    [
        ("Content-Length: -1", ""),
        ("Content-Length: x", ""),
        ("Transfer-Encoding: gzip", ""),
        ("Transfer-Encoding: chunked", "x\r\n"),
        ("Transfer-Encoding: chunked", "-1\r\n"),
    ],
)
def test_a_body_without_sense_is_refused_and_the_connection_closed(
    raw: socket.socket, headers: str, body: str
) -> None:
    reply = exchange(raw, f"PUT {TARGET} HTTP/1.1\r\nHost: h\r\n{headers}\r\n\r\n{body}".encode())
    assert reply.startswith(b"HTTP/1.1 400 ")


def test_chunks_beyond_the_limit_are_refused(raw: socket.socket) -> None:
    head = f"PUT {TARGET} HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n200000\r\n"
    assert exchange(raw, head.encode()).startswith(b"HTTP/1.1 413 ")


@pytest.mark.parametrize("request_line", ["NONSENSE", "GET /x HTTP/9.9", "BREW /my-hub HTTP/1.1"])
def test_what_is_no_http_gets_an_error_in_the_services_form(raw: socket.socket, request_line: str) -> None:
    reply = exchange(raw, f"{request_line}\r\nHost: h\r\n\r\n".encode())
    assert b"<Error><Code>" in reply
    assert b"TrackingId" in reply


def test_an_http_1_0_client_gets_a_length_and_a_closed_connection(raw: socket.socket) -> None:
    reply = exchange(raw, b"GET /my-hub HTTP/1.0\r\n\r\n")
    head, _, body = reply.partition(b"\r\n\r\n")
    assert b"chunked" not in head
    assert f"Content-Length: {len(body)}".encode() in head


def test_a_head_request_has_no_body(hub: Caller) -> None:
    reply = hub.send("HEAD", TARGET)
    assert (reply.status, reply.body) == (405, b"")
    assert hub.get().status == 404


def test_an_absolute_address_is_understood(hub: Caller) -> None:
    assert hub.send("GET", f"{hub.endpoint}{TARGET}").status == 404
    assert hub.put(wns()).status == 200
    assert hub.send("GET", f"{hub.endpoint}{TARGET}").status == 200


def test_a_client_that_leaves_in_the_middle_changes_nothing(
    emulator: Emulator, hub: Caller, raw: socket.socket
) -> None:
    raw.sendall(f"PUT {TARGET} HTTP/1.1\r\nHost: h\r\nContent-Length: 100\r\n\r\n{{".encode())
    raw.shutdown(socket.SHUT_WR)
    assert raw.recv(100) == b""
    assert hub.get().status == 404
    assert len(emulator.log()) == 1


def test_many_clients_are_served_at_once(emulator: Emulator) -> None:
    statuses: list[int] = []

    def work(number: int) -> None:
        with Caller(emulator.endpoint, emulator.listen, emulator.hub) as hub:
            for _ in range(10):
                statuses.append(hub.put({**wns(), "installationId": f"i{number}"}).status)
                operation = {"op": "add", "path": "/tags", "value": f"t{number}"}
                statuses.append(hub.patch(operation, installation_id=f"i{number}").status)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert statuses == [200] * 160
    assert len(emulator.contents()["installations"]) == 8


def test_patches_at_the_same_time_lose_nothing(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())

    def work(number: int) -> None:
        with Caller(emulator.endpoint, emulator.listen, emulator.hub) as caller:
            for count in range(10):
                caller.patch({"op": "add", "path": "/tags", "value": f"t{number}-{count}"})

    threads = [threading.Thread(target=work, args=(number,)) for number in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(hub.get().json["tags"]) == 60


def test_closing_ends_idle_connections_frees_the_port_and_leaves_no_thread() -> None:
    before = threading.active_count()
    emulator = Emulator().start()
    port = int(emulator.endpoint.rpartition(":")[2])
    idle = [socket.create_connection(("127.0.0.1", port), timeout=HANG_SECONDS) for _ in range(5)]
    with Caller(emulator.endpoint, emulator.listen, emulator.hub) as hub:
        hub.get()
        emulator.close()
        emulator.close()
        assert not still_serving()
        assert threading.active_count() == before
        with pytest.raises((http.client.HTTPException, OSError)):
            hub.get()
    for connection in idle:
        assert connection.recv(1) == b"", "closed by the emulator, long before it is idle too long"
        connection.close()
    with socket.create_server(("127.0.0.1", port)):
        pass


def test_starting_again_keeps_address_and_keys_and_forgets_the_rest() -> None:
    emulator = Emulator()
    with emulator:
        assert emulator.start() is emulator
        address, listen = emulator.endpoint, emulator.listen
        with Caller(address, listen, emulator.hub) as hub:
            hub.put(wns())
    with emulator, Caller(address, listen, emulator.hub) as hub:
        assert (emulator.endpoint, emulator.listen) == (address, listen)
        assert hub.get().status == 404
    assert len(emulator.log()) == 2


def test_before_the_start_there_is_no_address() -> None:
    emulator = Emulator()
    for ask in (lambda: emulator.endpoint, lambda: emulator.listen, lambda: emulator.ca, emulator.contents):
        with pytest.raises(RuntimeError, match="start it first"):
            ask()
    emulator.close()


def test_a_port_that_is_taken_is_an_error_that_leaves_nothing_behind() -> None:
    with Emulator() as first:
        second = Emulator(port=int(first.endpoint.rpartition(":")[2]))
        with pytest.raises(OSError, match="in use"):
            second.start()
        second.close()


@pytest.mark.parametrize("name", ["", "9hub", "a//b", "/a", "a/", "a b", "_emulator", "x" * 261])
def test_a_name_that_no_hub_can_have_is_refused(name: str) -> None:
    with pytest.raises(ValueError, match="name for a hub"):
        Emulator(name)


def test_rules_and_rates_that_cannot_be_are_refused() -> None:
    with pytest.raises(ValueError, match="rights"):
        Emulator(rules={"x": ["Read"]})
    for name in ("a b", "", "DefaultListenSharedAccessSignature"):
        with pytest.raises(ValueError, match="further rule"):
            Emulator(rules={name: ["Listen"]})
    for rate in (0, -1, float("nan"), float("inf")):
        with pytest.raises(ValueError, match="rate"):
            Emulator(rate=rate)
    with Emulator() as emulator, pytest.raises(KeyError):
        emulator.connection_string("Other")
