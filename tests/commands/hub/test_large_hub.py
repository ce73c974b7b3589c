"""A hub of many registrations, on a machine that is killed again and again."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections import Counter
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from nhagent.emulator import Emulator, LogEntry
from tests.commands.hub.conftest import start
from tests.events import HANG_SECONDS

if sys.platform == "win32":
    pytest.skip("Windows does not tell a process's peak of memory so", allow_module_level=True)

MEASURED = """
import os, sys
child = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
print(child, file=sys.stderr, flush=True)
_, status, used = os.wait4(child, 0)
print(used.ru_maxrss, file=sys.stderr)
sys.exit(os.waitstatus_to_exitcode(status) % 256)
"""
"""Runs a program, tells its process id first, and at its end the most memory that it had, in KiB."""
MIB = 1024
KILLS = 5
SIZE = int(os.environ.get("NHAGENT_REGISTRATIONS", "10000"))
"""How many there are; 100,000 take minutes."""


@pytest.mark.slow
def test_one_of_each_stays_and_memory_is_flat(tmp_path: Path) -> None:
    """30 % are surplus, on a third as many channels; it is killed five times on the way, in both parts."""
    size = SIZE
    surplus, channels, owned = size * 3 // 10, size // 10, size // 20
    registrations: list[dict[str, Any]] = [
        {"registrationId": f"{n}-1-1", "kind": "Gcm", "channel": f"c{n % channels if n <= surplus else n}"}
        for n in range(1, size - owned + 1)
    ]
    # The channels with a surplus have one that stays, too: beside a template, which is another record.
    registrations += [
        {
            "registrationId": f"{n}-2-2",
            "kind": "GcmTemplate",
            "channel": f"c{n % channels}",
            "templateName": "alert",
            "bodyTemplate": '{"m":"$(m)"}',
        }
        for n in range(owned // 2)
    ]
    installations = [
        {"installationId": f"i{n}", "platform": "gcm", "pushChannel": f"x{n}"} for n in range(owned // 2)
    ]
    pages = size // 100
    expected = surplus - channels
    kills_at = {pages // 3, pages // 2, pages + 2, pages + expected // 2, pages + expected - 2}
    child: list[int] = []
    asked = Event()
    requests = 0

    def kill(_: LogEntry) -> None:
        nonlocal requests
        requests += 1
        if requests in kills_at:
            asked.wait(HANG_SECONDS)
            os.kill(child[0], signal.SIGKILL)

    with Emulator("hub", on_request=kill) as hub:
        hub.restore({"installations": installations, "registrations": registrations})
        held = Counter((each["channel"], each["kind"]) for each in registrations)
        assert sum(held.values()) - len(held) == expected
        lives, peaks = 0, []
        while True:
            arguments = ("dedupe", "--hub", "hub", "--yes", "--resume", str(tmp_path / "plan"), "--json")
            asked.clear()
            process = start(hub, *arguments, before=(sys.executable, "-c", MEASURED))
            assert process.stderr is not None
            child[:] = [int(process.stderr.readline())]
            asked.set()
            printed, told = process.communicate(timeout=800)
            peaks.append(int(told.split()[-1]))
            lives += 1
            if process.returncode == 0:
                break
            assert process.returncode == -signal.SIGKILL % 256
        after = hub.contents()
    assert lives == KILLS + 1
    assert json.loads(printed)["finished"]
    left = Counter((each["channel"], each["kind"]) for each in after["registrations"])
    assert left == dict.fromkeys(held, 1)
    assert len(after["installations"]) == len(installations)
    assert max(peaks) <= 60 * MIB
    assert requests <= 1.05 * (len(registrations) / 100 + expected) + 2 * KILLS
