"""The stream that keeps the page live."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Iterator
from contextlib import closing, contextmanager
from typing import Any
from urllib.parse import urlsplit

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.changes import Changes
from nhagent.emulator.page.events import MOST_STREAMS, Events
from tests.emulator.caller import HANG_SECONDS, Caller, still_serving, wns


@contextmanager
def stream(emulator: Emulator, last: int | None = None) -> Iterator[Any]:
    parts = urlsplit(emulator.endpoint)
    assert parts.hostname is not None and parts.port is not None
    with closing(socket.create_connection((parts.hostname, parts.port), timeout=HANG_SECONDS)) as connection:
        resumed = "" if last is None else f"Last-Event-ID: {last}\r\n"
        head = f"GET /_emulator/events HTTP/1.1\r\nHost: {parts.netloc}\r\nAccept: text/event-stream\r\n"
        connection.sendall(f"{head}{resumed}\r\n".encode())
        with connection.makefile("rb") as lines:
            yield lines


def head(lines: Any) -> tuple[int, dict[str, str]]:
    status = int(lines.readline().split()[1])
    headers = {}
    while line := lines.readline().strip():
        name, _, value = line.decode().partition(": ")
        headers[name] = value
    return status, headers


def event(lines: Any) -> dict[str, str]:
    """The next event, without comments."""
    found: dict[str, str] = {}
    while True:
        line = lines.readline().decode()
        assert line, "the stream has ended"
        if line == "\n":
            if "data" in found:
                return found
            found = {}
        name, _, value = line.strip().partition(": ")
        if name:
            found[name] = value


def test_changes_are_told_and_counted(emulator: Emulator, hub: Caller) -> None:
    with stream(emulator) as lines:
        status, headers = head(lines)
        assert (status, headers["Content-Type"]) == (200, "text/event-stream")
        hub.put(wns())
        told = set(json.loads(event(lines)["data"]))
        while told != {"hub", "requests"}:
            told |= set(json.loads(event(lines)["data"]))


def test_a_reader_that_comes_back_is_told_what_it_missed(emulator: Emulator, hub: Caller) -> None:
    seen = emulator._parts().changes.count
    hub.put(wns())
    with stream(emulator, seen) as lines:
        head(lines)
        found = event(lines)
        assert set(json.loads(found["data"])) == {"hub", "requests"}
        assert int(found["id"]) == emulator._parts().changes.count
    with stream(emulator, 10**9) as lines:
        head(lines)
        emulator.fail("PUT", status=503)
        assert json.loads(event(lines)["data"]) == ["faults"]


def test_what_changes_together_is_told_once() -> None:
    changes = Changes()
    paused: list[float] = []

    def pause(seconds: float) -> None:
        """More happens within the time in which changes are gathered."""
        paused.append(seconds)
        if len(paused) == 1:
            changes.note("deliveries")
            changes.note("requests")

    ours, theirs = socket.socketpair()
    events = Events(changes, pause)
    assert events.take()
    changes.note("hub")
    thread = threading.Thread(target=events.stream, args=(theirs, 0))
    thread.start()
    with closing(ours), closing(theirs), ours.makefile("rb") as lines:
        head(lines)
        found = event(lines)
        assert (json.loads(found["data"]), found["id"]) == (["requests", "deliveries", "hub"], "3")
        assert paused == [0.05]
        changes.end()
        assert event(lines) == {"event": "stopped", "data": "[]"}
        thread.join(HANG_SECONDS)
    assert not thread.is_alive()


def test_streams_end_with_a_word_when_the_emulator_closes() -> None:
    emulator = Emulator("my-hub").start()
    with stream(emulator) as lines:
        head(lines)
        emulator.close()
        assert event(lines)["event"] == "stopped"
    assert not still_serving()


def test_one_stream_too_many_is_turned_away_until_another_ends(emulator: Emulator) -> None:
    events = Events(Changes())
    assert [events.take() for _ in range(MOST_STREAMS + 1)] == [True] * MOST_STREAMS + [False]
    ours, theirs = socket.socketpair()
    ours.close()
    theirs.close()
    events.stream(theirs, 0)
    assert events.take()


@pytest.mark.parametrize("last", ["-1", "x", "9" * 40, ""])
def test_an_odd_last_id_is_no_fault(emulator: Emulator, last: str) -> None:
    with stream(emulator, last) as lines:  # type: ignore[arg-type]
        assert head(lines)[0] == 200
        emulator.fail("PUT", status=503)
        assert "faults" in json.loads(event(lines)["data"])
