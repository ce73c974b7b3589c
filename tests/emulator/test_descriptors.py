"""An emulator whose process has no descriptor left refuses connections in silence, and goes on afterwards."""

from __future__ import annotations

import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from .caller import HANG_SECONDS, Caller, wns

pytest.importorskip("resource", reason="only POSIX limits descriptors")

LIMIT = 48
PROGRAM = f"""
import json, os, resource, sys
from nhagent.emulator import Emulator

hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, hard))
taken = []
with Emulator("my-hub", data=sys.argv[1], tls=sys.argv[2] == "tls") as emulator:
    print(json.dumps([emulator.endpoint, emulator.full, emulator.ca]), flush=True)
    for line in sys.stdin:
        match line.strip():
            case "fill":
                try:
                    while True:
                        taken.append(os.open(os.devnull, os.O_RDONLY))
                except OSError:
                    pass
            case "free":
                while taken:
                    os.close(taken.pop())
            case "lower":
                resource.setrlimit(resource.RLIMIT_NOFILE, (3, hard))
            case "raise":
                resource.setrlimit(resource.RLIMIT_NOFILE, ({LIMIT}, hard))
        print("done", flush=True)
"""


class Limited:
    """An emulator in a process with few descriptors."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        assert process.stdin is not None and process.stdout is not None
        self._stdin, self._stdout = process.stdin, process.stdout
        self._endpoint, self._full, ca = json.loads(self._stdout.readline())
        self._context = None if ca is None else ssl.create_default_context(cafile=ca)

    def caller(self) -> Caller:
        return Caller(self._endpoint, self._full, "my-hub", self._context)

    def do(self, command: str) -> None:
        print(command, file=self._stdin, flush=True)
        assert self._stdout.readline() == "done\n"


@contextmanager
def limited(data: Path | str, *, tls: bool = False) -> Iterator[Limited]:
    """A running emulator, which must end well and have printed nothing."""
    arguments: list[Any] = [sys.executable, "-c", PROGRAM, data, "tls" if tls else "plain"]
    pipe = subprocess.PIPE
    with subprocess.Popen(arguments, stdin=pipe, stdout=pipe, stderr=pipe, text=True) as process:
        try:
            yield Limited(process)
            rest = process.communicate(timeout=HANG_SECONDS)
        except BaseException:
            process.kill()
            raise
    assert (process.returncode, rest) == (0, ("", ""))


def is_served(caller: Caller) -> bool:
    try:
        return caller.get().status in (200, 404)
    except (OSError, HTTPException) as error:
        assert not isinstance(error, TimeoutError), "neither answered nor refused"
        return False


def one_is_served(emulator: Limited) -> bool:
    with emulator.caller() as caller:
        return is_served(caller)


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
@pytest.mark.parametrize("data", ["file", ":memory:"])
def test_connections_beyond_the_limit_are_refused_and_those_within_it_served(
    tmp_path: Path, data: str, tls: bool
) -> None:
    with limited(tmp_path / "hub" if data == "file" else data, tls=tls) as emulator:
        with ExitStack() as open_ones:
            callers = [open_ones.enter_context(emulator.caller()) for _ in range(LIMIT + 10)]
            served = [caller for caller in callers if is_served(caller)]
            assert LIMIT // 2 < len(served) < LIMIT
            first = served[0]
            # Of everything that it has not done before, nothing needs one more descriptor.
            assert first.put(wns(templates={}, userId="u")).status == 200
            assert first.patch({"op": "add", "path": "/tags", "value": "t"}).status == 200
            for target in (
                "registrations",
                "tags/t/registrations",
                "registrations?$filter=ChannelUri%20eq%20'%C3%A9'",
            ):
                joint = "&" if "?" in target else "?"
                reply = first.send("GET", f"/my-hub/{target}{joint}api-version=2020-06")
                assert reply.status == 200
            assert first.control("POST", "/faults", {"match": "PURGE", "status": 500}).status == 200
            assert first.control("POST", "/forget", {"registration": "1", "gone": True}).status == 200
            assert first.control("POST", "/clock", {"offset": 1}).status == 200
            assert first.control("GET", "/hubs/my-hub").json["installations"][0]["tags"] == ["t"]
            assert first.delete().status == 204
            assert all(map(is_served, served))
        # Each descriptor is free once its thread has seen the end of its connection.
        while not one_is_served(emulator):
            pass


def test_a_process_that_used_up_its_descriptors_itself_serves_again_when_they_are_free() -> None:
    # Connections are held, so that none gives its descriptor back at another moment than the test's.
    with limited(":memory:") as emulator, ExitStack() as held:
        for _ in range(3):
            emulator.do("fill")
            assert not any(one_is_served(emulator) for _ in range(5))
            emulator.do("free")
            assert all(is_served(held.enter_context(emulator.caller())) for _ in range(5))


@pytest.mark.slow
def test_where_even_the_spare_descriptor_is_no_help_a_connection_waits_or_is_refused() -> None:
    with limited(":memory:") as emulator:
        for _ in range(3):
            emulator.do("lower")
            with emulator.caller() as caller:
                caller.connection.connect()
                emulator.do("raise")
                is_served(caller)  # or refused, where the limit was raised between two attempts to accept it
            assert one_is_served(emulator)
