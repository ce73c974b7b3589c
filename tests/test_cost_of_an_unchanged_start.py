"""What an unchanged start costs, as far as that is exact: modules, files, system calls, requests, writes.

How long it takes, ``nox -s bench`` measures.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS

START = """
import sys
from nhagent import Agent
listen, hub, folder, style = sys.argv[1:]
agent = Agent(app="a", hub=hub, platform="gcm", channel="handle", tags=["t"], connection_string=listen,
              state_dir=folder, style=style)
print(agent.start().outcome)
"""
MODULES = {
    *("", "version", "agent", "errors", "curves", "visible", "values", "secret", "validation", "logs"),
    *("report", "models", "push_channels", "handle_validation", "documents", "steps"),
    *("filesystem", "places", "regular_files", "interruption", "hashes", "loopback"),
    *("channels", "channels.source", "device", "device.accepted", "device.credential_sources"),
    *("device.document", "device.machine", "device.paths", "device.state", "device.store"),
    *("hub", "hub.connection", "hub.installations", "hub.texts", "hub.times"),
    *(
        "reconcile",
        "reconcile.assembly",
        "reconcile.callbacks",
        "reconcile.deadline",
        "reconcile.declaration",
    ),
    *("reconcile.identity", "reconcile.inspector", "reconcile.planner", "reconcile.readings"),
    *("reconcile.reconciler", "reconcile.seams", "reconcile.settings"),
    *("registrars", "registrars.deletions", "registrars.protocol", "registrars.records"),
    *("retry", "retry.backoff", "retry.loop", "retry.state"),
    *("session", "session.credential_chain", "session.hub_clock", "session.hub_session"),
    "session.token_source",
}
OF_STYLE = {
    "installation": {"registrars.installation", "registrars.installation_plan"},
    "registration": {"registrars.registration", "registrars.rows", "registrations"},
}
"""The modules of nhagent that an unchanged start loads. One more costs each boot of each device a tenth of a
millisecond, on a slow core one."""


@pytest.fixture(params=["installation", "registration"])
def arguments(request: pytest.FixtureRequest, notification_hub: Emulator, tmp_path: Path) -> list[str]:
    """A device that is registered."""
    arguments = [notification_hub.listen, notification_hub.hub, str(tmp_path / "state"), request.param]
    assert run([sys.executable, "-c", START, *arguments]) == "registered"
    assert run([sys.executable, "-c", START, *arguments]) == "unchanged"
    notification_hub.clear_log()
    return arguments


def run(command: list[str]) -> str:
    ended = subprocess.run(command, capture_output=True, text=True, timeout=HANG_SECONDS, check=False)
    assert ended.returncode == 0, ended.stderr
    return ended.stdout.strip()


def test_unchanged_start_loads_these_modules_and_no_other(arguments: list[str]) -> None:
    loaded = run(
        [sys.executable, "-c", f"{START}\nprint(*[name for name in sys.modules if name[:7] == 'nhagent'])",
         *arguments]
    ).splitlines()  # fmt: skip
    assert loaded[0] == "unchanged"
    names = {name.removeprefix("nhagent").removeprefix(".") for name in loaded[1].split()}
    assert names == MODULES | OF_STYLE[arguments[-1]]


def test_unchanged_start_reads_each_file_once_and_writes_none(
    arguments: list[str], notification_hub: Emulator, tmp_path: Path
) -> None:
    strace = shutil.which("strace")
    if strace is None:
        pytest.skip("strace is not installed")
    trace = tmp_path / "trace"
    traced = [strace, "-f", "-qq", "-y", "-s", "4096", "-o", str(trace), sys.executable, "-c", START]
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "state").rglob("*")}
    try:
        assert run([*traced, *arguments]) == "unchanged"
    except AssertionError as refused:
        if "ptrace" in str(refused):
            pytest.skip("this machine forbids strace")
        raise
    calls = re.findall(r"^\d+ +(\w+)\((.*)$", trace.read_text(errors="replace"), re.MULTILINE)
    counts = Counter(name for name, _ in calls)
    assert not counts.keys() & {"socket", "connect", "fsync", "fdatasync", "flock", "clone", "clone3", "fork"}
    assert not counts.keys() & {"rename", "renameat", "renameat2", "unlink", "unlinkat", "mkdir", "mkdirat"}
    opened = [rest for name, rest in calls if name == "openat" and " = -1" not in rest]
    assert not [rest for rest in opened if re.search("O_WRONLY|O_RDWR|O_CREAT", rest)]
    state = Counter(re.findall(r'"(\w+\.json)"', "\n".join(opened)))
    assert state == {"identity.json": 1, "state.json": 1}
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "state").rglob("*")} == before
    assert notification_hub.log() == []


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="descriptors are counted in /proc")
def test_unchanged_start_leaves_no_thread_and_no_descriptor(arguments: list[str]) -> None:
    program = f"""
import os, threading
before = len(os.listdir("/proc/self/fd"))
{START}
print(threading.active_count(), len(os.listdir("/proc/self/fd")) - before)
"""
    assert run([sys.executable, "-c", program, *arguments]).split() == ["unchanged", "1", "0"]
