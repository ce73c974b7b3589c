"""Many processes, or threads, that start the same device at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter
from pathlib import Path
from time import sleep

import pytest

from nhagent import Agent, Report
from nhagent.filesystem import Disk, locked
from tests.device_under_test import PLAIN, Device
from tests.events import HANG_SECONDS

START = """
import sys
from nhagent import Agent
hub, listen, folder, style, gate = sys.argv[1:]
agent = Agent(app="thermostat", hub=hub, platform="gcm", channel="handle", tags=["t"],
              connection_string=listen, state_dir=folder, style=style)
print("ready", flush=True)
sys.stdin.readline()
report = agent.start()
print(report.outcome, report.installation_id, report.error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_sixteen_processes_at_once_make_one_record_with_one_write(device: Device, style: str) -> None:
    arguments = [device.hub.hub, device.hub.listen, str(device.folder), style, ""]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(16)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [process.communicate()[0].split() for process in processes]
    assert Counter(outcome for outcome, _, _ in reports) == {"registered": 1, "unchanged": 15}
    assert {error for _, _, error in reports} == {"None"}
    assert len({installation_id for _, installation_id, _ in reports}) == 1
    assert device.seen() == (["GET", "PUT"] if style == "installation" else ["GET", "POST", "PUT"])


@pytest.mark.parametrize("shared", [True, False], ids=["one agent", "an agent each"])
def test_sixteen_threads_at_once_make_one_record_with_one_write(device: Device, shared: bool) -> None:
    one = device.agent(first_run_list=True, **PLAIN, sleep=None)
    agents = [one if shared else device.agent(first_run_list=True, **PLAIN, sleep=None) for _ in range(16)]
    gate = threading.Barrier(16)
    reports: list[Report] = []

    def start(agent: Agent) -> None:
        gate.wait()
        reports.append(agent.start())

    threads = [threading.Thread(target=start, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(report.outcome for report in reports) == {"registered": 1, "unchanged": 15}
    assert len({report.installation_id for report in reports}) == 1
    assert device.seen() == ["GET", "PUT"]


FORKS_UNDER_LOCK = """
import os, sys
from nhagent.filesystem import Disk, locked
with locked(Disk(), sys.argv[1], 5, lambda seconds: None):
    if os.fork() == 0:
        print("forked", flush=True)
        os.read(0, 1)
        os._exit(0)
    os.read(0, 1)
"""


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_child_that_outlives_the_holder_of_a_lock_does_not_hold_it(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    with subprocess.Popen(
        [sys.executable, "-c", FORKS_UNDER_LOCK, path], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as holder:
        assert holder.stdin is not None
        assert holder.stdout is not None
        assert holder.stdout.readline() == b"forked\n"
        with pytest.raises(BlockingIOError), locked(Disk(), path, 0, sleep):
            pass
        holder.kill()
        holder.wait()
        with locked(Disk(), path, 0, sleep):
            pass


@pytest.mark.skipif(sys.platform == "win32", reason="Windows does not fork")
def test_child_that_leaves_the_block_of_a_lock_does_not_end_its_parents(tmp_path: Path) -> None:
    path = str(tmp_path / "lock")
    script = f"""
import os, sys
from nhagent.filesystem import Disk, locked
child = None
with locked(Disk(), {path!r}, 5, lambda seconds: None):
    child = os.fork()
    if child:
        os.waitpid(child, 0)
        try:
            with locked(Disk(), {path!r}, 0, lambda seconds: None):
                print("free")
        except BlockingIOError:
            print("locked")
"""
    ended = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, check=True, timeout=HANG_SECONDS
    )
    assert ended.stdout == b"locked\n"
