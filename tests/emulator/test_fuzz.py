"""Whatever is sent, the emulator prints nothing, answers without a fault of its own, and goes on."""

from __future__ import annotations

import re
import socket
import time
from contextlib import closing, suppress
from urllib.parse import urlsplit

import pytest

from nhagent.emulator import Emulator

from .caller import HANG_SECONDS, Caller, still_serving, toast, wns
from .describing import created, described
from .fuzzing import Fuzzer

_STATUS = re.compile(rb"^HTTP/1\.[01] (\d{3}) ", re.MULTILINE)


def received(address: tuple[str, int], data: bytes) -> bytes:
    """Send, say that nothing follows, and read all that comes. The emulator may close before it read all."""
    answer = b""
    with (
        closing(socket.create_connection(address, timeout=HANG_SECONDS)) as connection,
        suppress(ConnectionError),
    ):
        connection.sendall(data)
        with suppress(OSError):  # on some systems an error where the other side has closed
            connection.shutdown(socket.SHUT_WR)
        while piece := connection.recv(65536):
            answer += piece
    return answer


def address_of(emulator: Emulator) -> tuple[str, int]:
    parts = urlsplit(emulator.endpoint)
    assert parts.hostname is not None and parts.port is not None
    return parts.hostname, parts.port


def check(answer: bytes, data: bytes) -> None:
    """A closed connection, or a status that puts the fault on the sender, or says what is not built."""
    statuses = [int(status) for status in _STATUS.findall(answer)]
    assert bool(statuses) is bool(answer), (data, answer)
    unbuilt = b" of this emulator" in answer
    assert all(status < 500 or (status == 501 and unbuilt) for status in statuses), (data, answer)


@pytest.mark.parametrize("lenient", [False, True], ids=["strict", "lenient"])
@pytest.mark.parametrize("seed", range(4))
def test_random_requests_bring_out_no_fault(
    seed: int, lenient: bool, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        Emulator("my-hub", lenient=lenient) as emulator,
        Caller(emulator.endpoint, emulator.full, emulator.hub) as backend,
    ):
        fuzzer = Fuzzer(seed, backend)
        for count in range(250):
            data = fuzzer.request()
            check(received(address_of(emulator), data), data)
            if count % 50 == 0:
                # The requests may have set the clock, or ended a connection's patience.
                emulator.set_clock(0)
                emulator.clear_faults()
                assert backend.put(wns()).status == 200
                assert backend.control("GET", "/hubs/my-hub").status == 200
    assert not still_serving()
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("seed", range(100, 104))
def test_random_requests_drop_no_row_that_they_do_not_name(
    seed: int, capfd: pytest.CaptureFixture[str]
) -> None:
    with (
        Emulator("my-hub") as emulator,
        Caller(emulator.endpoint, emulator.full, emulator.hub) as backend,
    ):
        kept = wns(installationId="kept", tags=["t"], templates={"t": toast()})
        assert backend.put(kept).status == 200
        registration = created(backend, described("Gcm", "<GcmRegistrationId>kept</GcmRegistrationId>"))
        before = emulator.snapshot()["registrations"]
        fuzzer = Fuzzer(seed, backend, empties=False)
        for _ in range(250):
            data = fuzzer.request()
            check(received(address_of(emulator), data), data)
        emulator.set_clock(0)
        emulator.clear_faults()
        assert backend.get("kept").json["tags"] == ["t"]
        assert registration in {each["registrationId"] for each in emulator.contents()["registrations"]}
        after = emulator.snapshot()["registrations"]
        assert [each for each in before if each not in after] == []
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("depth", [63, 64, 65, 300, 480, *range(900, 1000, 9), 100_000])
@pytest.mark.parametrize(
    ("method", "target", "document"),
    [
        ("PATCH", "/my-hub/installations/i", '[{"op": "add", "path": "/templates/t", "value": DEEP}]'),
        ("PATCH", "/my-hub/installations/i", '[{"op": DEEP, "path": "/tags", "value": "x"}]'),
        ("PATCH", "/my-hub/installations/i", '[{"op": "add", "path": DEEP, "value": "x"}]'),
        ("PUT", "/my-hub/installations/i", '{"platform": "wns", "pushChannel": "https://x", "other": DEEP}'),
        ("POST", "/_emulator/faults", '{"match": "*", "headers": DEEP}'),
    ],
)
def test_however_deep_a_document_is_it_is_no_fault(
    emulator: Emulator,
    hub: Caller,
    capfd: pytest.CaptureFixture[str],
    method: str,
    target: str,
    document: str,
    depth: int,
) -> None:
    hub.put(wns())
    before = emulator.contents()
    for left, inner, right in (("[", "", "]"), ('{"body":', "1", "}")):
        body = document.replace("DEEP", left * depth + inner + right * depth)
        reply = hub.send(
            method, f"{target}?api-version=2020-06", body, headers={"Content-Type": "application/json"}
        )
        assert reply.status == (200 if method == "PUT" and depth < 64 else 400)
        if reply.status != 200:
            assert emulator.contents() == before
    assert capfd.readouterr() == ("", "")


NUL, SURROGATE, LONG = "\\u0000", "\\ud800", "9" * 4000


@pytest.mark.parametrize(
    ("method", "target", "document"),
    [
        ("PUT", "/my-hub/installations/%00", '{"platform": "wns", "pushChannel": "x", "tags": ["WILD"]}'),
        (
            "PUT",
            "/my-hub/installations/i",
            '{"platform": "browser", "pushChannel": "{\\"auth\\": \\"WILD\\"}"}',
        ),
        ("PUT", "/my-hub/installations/i", '{"platform": "wns", "pushChannel": "WILD"}'),
        ("PUT", "/my-hub/installations/i", '{"platform": WILD}'),
        ("PATCH", "/my-hub/installations/i", '[{"op": "add", "path": "/tags", "value": "[\\"WILD\\"]"}]'),
        ("PATCH", "/my-hub/installations/i", '[{"op": "WILD", "path": "/WILD", "value": WILD}]'),
        ("POST", "/_emulator/faults", '{"match": "WILD", "status": 200, "body": "WILD"}'),
        ("POST", "/_emulator/faults", '{"match": "PURGE", "delay": WILD}'),
        ("POST", "/_emulator/faults", '{"match": "PURGE", "status": WILD, "times": WILD, "size": WILD}'),
        ("POST", "/_emulator/forget", '{"installation": "WILD"}'),
        ("POST", "/_emulator/forget", '{"registration": "WILD", "gone": true}'),
        ("POST", "/_emulator/expire", '{"registration": "WILD"}'),
        ("POST", "/_emulator/clock", '{"offset": WILD}'),
        ("POST", "/_emulator/clock", '{"WILD": "WILD"}'),
    ],
)
@pytest.mark.parametrize(
    "wild", [NUL, SURROGATE, LONG, "1e999", "-1e308", "NaN", "-0", "0.1e-9", "\\u202e\x7f"]
)
def test_odd_texts_and_numbers_are_refused_or_kept(
    emulator: Emulator,
    hub: Caller,
    capfd: pytest.CaptureFixture[str],
    method: str,
    target: str,
    document: str,
    wild: str,
) -> None:
    hub.put(wns())
    headers = {"Content-Type": "application/json"}
    reply = hub.send(method, f"{target}?api-version=2020-06", document.replace("WILD", wild), headers=headers)
    assert reply.status < 500
    assert hub.control("GET", "/hubs/my-hub").status == 200
    assert hub.control("GET", "/log").status == 200
    emulator.set_clock(0)
    assert hub.get().status == 200
    assert capfd.readouterr() == ("", "")


def test_at_the_end_of_the_calendar_the_hub_still_answers(
    hub: Caller, capfd: pytest.CaptureFixture[str]
) -> None:
    left = 253402300799.4 - time.time()
    assert hub.control("POST", "/clock", {"offset": left}).status == 200
    assert hub.get().status == 401
    assert hub.get().headers["Date"] == "Fri, 31 Dec 9999 23:59:59 GMT"
    assert hub.control("POST", "/clock", {"offset": left + 1}).status == 400
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\r\n",
        b"\0" * 100,
        b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"x" * 100,
        b"GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
        b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        b"G" * 70_000,
    ],
)
def test_what_is_no_handshake_is_dropped_in_silence(data: bytes, capfd: pytest.CaptureFixture[str]) -> None:
    with Emulator("my-hub", tls=True) as emulator:
        received(address_of(emulator), data)
    assert not still_serving()
    assert capfd.readouterr() == ("", "")
