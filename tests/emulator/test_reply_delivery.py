from __future__ import annotations

import gzip
import http.client
import json
import signal
import socket
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.faults import Fault
from nhagent.emulator.http_messages import Reply
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.server import Server

from .caller import HANG_SECONDS, Caller, still_serving, wns
from .test_tls import strict

TARGET = "/my-hub/installations/i?api-version=2020-06"
MEGABYTE = 1 << 20


def sock_of(hub: Caller) -> socket.socket:
    assert hub.connection.sock is not None
    return hub.connection.sock


@contextmanager
def asking(hub: Caller, method: str = "GET", version: str = "1.1") -> Iterator[socket.socket]:
    """A bare connection on which a signed request has been sent."""
    parts = urlsplit(hub.endpoint)
    with closing(socket.create_connection((parts.hostname, parts.port), timeout=HANG_SECONDS)) as connection:
        head = f"{method} {TARGET} HTTP/{version}\r\nHost: {parts.netloc}\r\n"
        connection.sendall(f"{head}Authorization: {hub.token()}\r\n\r\n".encode())
        yield connection


def read(connection: socket.socket, most: int = 1 << 30) -> bytes:
    """What comes until the server closes, or at least so many bytes."""
    received = bytearray()
    # Below TLS where there is one: it would take a reset for an end.
    while len(received) < most and (piece := socket.socket.recv(connection, 65536)):
        received += piece
    return bytes(received)


class Pauses:
    """The waits of a web server: each lasts until the test ends it."""

    def __init__(self) -> None:
        self.seconds: list[float] = []
        self._begun = threading.Semaphore(0)
        self._over = threading.Semaphore(0)

    def __call__(self, seconds: float) -> None:
        self.seconds.append(seconds)
        self._begun.release()
        self._over.acquire(timeout=HANG_SECONDS)

    def wait_for_next(self) -> None:
        assert self._begun.acquire(timeout=HANG_SECONDS)

    def end(self) -> None:
        self._over.release()


@contextmanager
def answering(fault: Fault, pauses: Pauses) -> Iterator[socket.socket]:
    """A bare connection to a server that answers with this fault, on which a request has been sent."""
    server = Server("127.0.0.1", 0, lambda _: Answer(Reply(200, {"A": "b"}, b"whole"), fault), pause=pauses)
    server.start()
    try:
        with socket.create_connection(("127.0.0.1", server.port), timeout=HANG_SECONDS) as connection:
            connection.sendall(b"GET / HTTP/1.1\r\nHost: h\r\n\r\n")
            yield connection
    finally:
        server.close()


def nothing_comes(connection: socket.socket) -> bool:
    """Whether there is neither a byte to read nor an end."""
    connection.setblocking(False)
    try:
        connection.recv(1)
    except BlockingIOError:
        return True
    finally:
        connection.settimeout(HANG_SECONDS)
    return False


@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
@pytest.mark.parametrize(("reset", "status", "held"), [("before", 0, 0), ("after", 200, 1)])
def test_a_connection_is_reset_before_or_after_the_request_is_carried_out(
    reset: Any, status: int, held: int, tls: bool
) -> None:
    with Emulator("my-hub", tls=tls) as emulator:
        context = strict(emulator.ca) if tls else None
        with Caller(emulator.endpoint, emulator.listen, emulator.hub, context) as hub:
            assert hub.get().status == 404
            emulator.fail("PUT", reset=reset)
            body = json.dumps(wns())
            hub.connection.request("PUT", TARGET, body, {"Authorization": hub.token()})
            with pytest.raises(ConnectionResetError):
                read(sock_of(hub))
            assert [entry.status for entry in emulator.log()] == [404, status]
            assert len(emulator.contents()["installations"]) == held
            hub.connection.close()
            assert hub.put(wns()).status == 200


def test_a_reset_waits_for_its_delay(emulator: Emulator, hub: Caller) -> None:
    pauses = Pauses()
    with answering(Fault("GET", reset="after", delay=0.3), pauses) as connection:
        pauses.wait_for_next()
        assert nothing_comes(connection)
        pauses.end()
        with pytest.raises(ConnectionResetError):
            read(connection)
    assert pauses.seconds == [0.3]
    emulator.fail("GET", reset="after", delay=0.01)
    with pytest.raises(ConnectionResetError):
        hub.get()


def test_a_reply_waits_for_its_delay() -> None:
    pauses = Pauses()
    with answering(Fault("GET", delay=0.3), pauses) as connection:
        pauses.wait_for_next()
        assert nothing_comes(connection)
        pauses.end()
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK\r\n")
    assert pauses.seconds == [0.3]


def test_a_drip_is_one_byte_and_one_pause_after_another() -> None:
    pauses = Pauses()
    received = b""
    with answering(Fault("GET", drip=0.2), pauses) as connection:
        while not received.endswith(b"\r\n5\r\nwhole\r\n0\r\n\r\n"):
            pauses.wait_for_next()
            piece = connection.recv(65536)
            assert len(piece) == 1
            assert nothing_comes(connection)
            received += piece
            pauses.end()
    assert pauses.seconds == [0.2] * len(received)


@pytest.mark.slow
def test_a_reply_drips_byte_by_byte_until_it_is_whole(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    whole = hub.get().body
    emulator.fail("GET", drip=0.001)
    with asking(hub) as connection:
        received = b""
        while not received.endswith(b"\r\n0\r\n\r\n"):
            received += connection.recv(65536)
    assert received.startswith(b"HTTP/1.1 200 OK\r\n")
    assert whole in received
    emulator.fail("GET", drip=0.001)
    assert hub.get().body == whole
    assert hub.get().body == whole, "and the connection goes on"


@pytest.mark.parametrize(
    "how",
    [
        {"drip": 0.05, "size": 1 << 20},
        {"drip": 3600},
        {"chunked": "endless"},
        {"size": 1 << 40},
        {"delay": 3600, "reset": "after"},
    ],
    ids=str,
)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "tls"])
def test_closing_does_not_wait_for_a_reply_that_does_not_end(how: dict[str, Any], tls: bool) -> None:
    """Nor for a client that reads nothing of it."""
    emulator = Emulator("my-hub", tls=tls).start()
    context = strict(emulator.ca) if tls else None
    with Caller(emulator.endpoint, emulator.listen, emulator.hub, context) as hub:
        emulator.fail("GET", **how)
        hub.connection.request("GET", TARGET)
        while not emulator.log():
            time.sleep(0.005)
        time.sleep(0.1)
        emulator.close()
        assert not still_serving()


def test_sigterm_ends_the_command_while_a_reply_drips() -> None:
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--json", "--hub", "my-hub"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with Caller(ready["endpoint"], ready["listen"], ready["hub"]) as hub:
            assert hub.control("POST", "/faults", {"match": "GET", "drip": 3600}).status == 200
            with asking(hub) as connection:
                assert connection.recv(1) == b"H"
                process.send_signal(signal.SIGTERM)
                assert process.wait(HANG_SECONDS) == 0
                assert read(connection) == b"", "the rest of the reply was not waited for"


def test_chunks_may_have_sizes_that_are_none(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=200, body="abc", chunked="garbage")
    with asking(hub) as connection:
        head, _, body = read(connection).partition(b"\r\n\r\n")
    assert b"\r\nTransfer-Encoding: chunked\r\n" in head
    assert b"Content-Length" not in head
    assert body == b"zz\r\nabc\r\nzz\r\n"
    emulator.fail("GET", chunked="garbage")
    with pytest.raises(http.client.IncompleteRead):
        hub.get()


def test_chunks_may_never_end(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=200, body="abc", chunked="endless")
    with asking(hub) as connection:
        received = read(connection, 5 * MEGABYTE)
    assert b"\r\n\r\n3\r\nabc\r\n10000\r\n" + b" " * 65536 + b"\r\n10000\r\n" in received
    emulator.fail("GET", chunked="endless", cut_after=MEGABYTE)
    with asking(hub) as connection:
        assert len(read(connection)) == MEGABYTE


def test_a_compressed_reply_is_what_it_was(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    whole = hub.get().body
    for size in (None, len(whole), 200_000):
        emulator.fail("GET", encoding="gzip", size=size)
        reply = hub.get()
        assert reply.headers["Content-Encoding"] == "gzip"
        assert gzip.decompress(reply.body) == whole.ljust(size or 0)
    emulator.fail("GET", encoding="gzip")
    with asking(hub, version="1.0") as connection:
        _, _, body = read(connection).partition(b"\r\n\r\n")
    assert gzip.decompress(body) == whole


@pytest.mark.slow
def test_a_bomb_is_small_until_it_is_opened(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=200, body="{}", encoding="gzip", size=1 << 28)
    packed = hub.get().body
    assert len(packed) < MEGABYTE // 2
    opener = zlib.decompressobj(wbits=31)
    opened = 0
    rest = packed
    while rest:
        opened += len(opener.decompress(rest, MEGABYTE))
        rest = opener.unconsumed_tail
    assert (opened, opener.eof) == (1 << 28, True)


def test_a_reply_is_padded_to_its_size_without_being_held(emulator: Emulator, hub: Caller) -> None:
    size = 100 * MEGABYTE
    for headers in ({}, {"Content-Length": str(size)}):
        emulator.fail("GET", status=200, headers=headers, body="{}", size=size)
        hub.connection.request("GET", TARGET)
        tracemalloc.start()
        try:
            buffer = bytearray(MEGABYTE)
            read_so_far = 0
            with hub.connection.getresponse() as response:
                assert response.chunked is not bool(headers)
                while count := response.readinto(buffer):
                    read_so_far += count
            assert read_so_far == size
            assert tracemalloc.get_traced_memory()[1] < 8 * MEGABYTE
        finally:
            tracemalloc.stop()
    assert hub.get().status == 404


def test_a_padded_reply_remains_a_document(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    emulator.fail("GET", size=10_000)
    reply = hub.get()
    assert len(reply.body) == 10_000
    assert reply.json["installationId"] == "i"
    emulator.fail("GET", size=5)
    assert hub.get().json["installationId"] == "i", "nothing is taken away"


def test_a_client_of_http_1_0_gets_no_chunks(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=200, body="abc", size=100_000)
    with asking(hub, version="1.0") as connection:
        head, _, body = read(connection).partition(b"\r\n\r\n")
    assert b"Connection: close" in head
    assert b"chunked" not in head
    assert body == b"abc".ljust(100_000)


def test_a_body_that_a_fault_made_goes_out_even_beside_a_204(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    emulator.fail("DELETE", chunked="garbage")
    with asking(hub, "DELETE") as connection:
        received = read(connection)
    assert received.startswith(b"HTTP/1.1 204 ")
    assert received.endswith(b"\r\n\r\nzz\r\n\r\nzz\r\n")


@pytest.mark.parametrize(
    ("fault", "status", "kind"),
    [
        ({"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "OK"}, 200, "text/plain"),
        (
            {"status": 200, "headers": {"Content-Type": "text/html"}, "body": "<!DOCTYPE html><form>"},
            200,
            "text/html",
        ),
        ({"status": 302, "headers": {"Location": "http://portal.test/", "Content-Type": "text/html"}},
         302, "text/html"),
    ],
    ids=["wrong content type", "captive portal", "redirect"],
)  # fmt: skip
def test_whatever_stands_in_between_answers_as_it_likes(
    emulator: Emulator, hub: Caller, fault: dict[str, Any], status: int, kind: str
) -> None:
    emulator.fail("PUT", **fault)
    reply = hub.put(wns())
    assert (reply.status, reply.headers.get_all("Content-Type")) == (status, [kind])
    assert reply.text == fault.get("body", "")
    assert reply.headers["Location"] == fault["headers"].get("Location")
    assert emulator.contents()["installations"] == []


@pytest.mark.parametrize(
    "fault",
    [
        {"reset": "before"},
        {"reset": "after", "delay": 0.01},
        {"drip": 0.0001},
        {"chunked": "garbage"},
        {"chunked": "endless", "cut_after": 1000},
        {"encoding": "gzip"},
        {"size": 100},
        {"size": None, "drip": None, "reset": None, "chunked": None, "encoding": None, "delay": 0.01},
    ],
    ids=str,
)
def test_the_control_route_takes_what_fail_takes(
    emulator: Emulator, hub: Caller, fault: dict[str, Any]
) -> None:
    assert hub.control("POST", "/faults", {"match": "GET", **fault}).status == 200
    with asking(hub):
        while not emulator.log():
            time.sleep(0.005)
    assert [entry.status for entry in emulator.log()] == [0 if fault.get("reset") == "before" else 404]


@pytest.mark.parametrize(
    ("wrong", "words"),
    [
        ({"reset": "during"}, "reset is before or after, not 'during'"),
        ({"reset": "before", "status": 500}, "it has no status"),
        ({"reset": "after", "cut_after": 5}, "only a delay goes with it"),
        ({"reset": "after", "drip": 5}, "only a delay goes with it"),
        ({"drip": -1}, "drip is a number of seconds"),
        ({"drip": 0}, "nothing would go wrong"),
        ({"chunked": "some"}, "chunked is garbage or endless"),
        ({"chunked": "endless", "size": 5}, "has no size"),
        ({"status": 200, "chunked": "garbage", "headers": {"content-length": "5"}}, "leave its header out"),
        ({"encoding": "br"}, "encoding is gzip, not 'br'"),
        ({"size": 0}, "cannot be padded to 0 bytes"),
        ({"size": 1, "headers": {"A": "b"}}, "without a status"),
    ],
    ids=str,
)
def test_a_way_out_that_cannot_be_is_refused_with_the_reason(
    emulator: Emulator, hub: Caller, wrong: dict[str, Any], words: str
) -> None:
    with pytest.raises(ValueError, match=words):
        emulator.fail("*", **wrong)
    reply = hub.control("POST", "/faults", {"match": "*", **wrong})
    assert reply.status == 400
    assert words in reply.json["error"]


@pytest.mark.parametrize(
    "wrong",
    [{"reset": True}, {"drip": "1"}, {"drip": True}, {"chunked": 1}, {"encoding": []}, {"size": 1.5}],
    ids=str,
)
def test_a_way_out_of_the_wrong_type_is_refused(hub: Caller, wrong: dict[str, Any]) -> None:
    [name] = wrong
    reply = hub.control("POST", "/faults", {"match": "*", **wrong})
    assert reply.status == 400
    assert reply.json["error"] == f"'{name}' is missing or of the wrong type."
