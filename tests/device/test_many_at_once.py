"""Many processes, or threads, that start the same device at once."""

from __future__ import annotations

import subprocess
import sys
import threading
from collections import Counter

import pytest

from nhagent import Agent, Report
from tests.device_under_test import PLAIN, Device

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
