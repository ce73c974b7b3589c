"""A first start that finds thousands of duplicates: it is not silent, and it does not flood."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.commands.command import Command
from tests.events import HANG_SECONDS

DUPLICATES = 40


@pytest.fixture
def crowded(notification_hub: Emulator) -> Emulator:
    registrations = [
        {"registrationId": f"{n}-1-1", "kind": "Windows", "channel": "https://push.example/1"}
        for n in range(1, DUPLICATES + 1)
    ]
    notification_hub.restore({"registrations": registrations})
    return notification_hub


def deletions(printed: str) -> list[str]:
    return [line.partition("done:")[2].strip() for line in printed.splitlines() if "DELETE" in line]


def test_many_deletions_are_one_line(crowded: Emulator, command: Command) -> None:
    code, printed = command.run("register")
    assert code == 0
    assert deletions(printed) == [f"DELETE of {DUPLICATES} records: no longer wanted (-v tells each)"]
    assert crowded.contents()["registrations"] == []


def test_each_deletion_is_told_on_demand(crowded: Emulator, command: Command) -> None:
    code, printed = command.run("register", "-v")
    assert code == 0
    assert len(deletions(printed)) == len(set(deletions(printed))) == DUPLICATES


def test_json_has_every_step(crowded: Emulator, command: Command) -> None:
    _, report = command.json("register")
    assert sum(step.startswith("DELETE") for step in report["steps"]) == DUPLICATES


def registering(folder: Path, stderr: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "nhagent", "register", "--config", str(folder / "config.toml")],
        stdout=subprocess.PIPE,
        stderr=stderr,
        text=True,
        cwd=Path(__file__).parents[2],
    )


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_shows_how_far_it_has_come(crowded: Emulator, command: Command, folder: Path) -> None:
    if sys.platform == "win32":
        return
    crowded.fail("DELETE", delay=0.1, times=DUPLICATES)
    terminal, its_end = os.openpty()
    try:
        process = registering(folder, its_end)
        os.close(its_end)
        printed, _ = process.communicate(timeout=HANG_SECONDS)
        shown = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
    assert process.returncode == 0
    assert len(deletions(printed)) == 1
    *_, last, wiped = shown.split("\r")
    assert re.fullmatch(r"\d+ exchanges with the hub, \d+/s, \d to go\x1b\[K", last)
    assert wiped == "\x1b[K", "nothing is left standing"
    assert "DELETE" not in shown


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_shows_that_the_first_answer_is_waited_for(
    crowded: Emulator, command: Command, folder: Path
) -> None:
    if sys.platform == "win32":
        return
    crowded.fail("GET", delay=3.5)
    terminal, its_end = os.openpty()
    try:
        process = registering(folder, its_end)
        os.close(its_end)
        process.communicate(timeout=HANG_SECONDS)
        shown = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
    assert shown.startswith("\rasking the hub, 2 s\x1b[K")


@pytest.mark.slow
def test_a_pipe_is_told_nothing(crowded: Emulator, command: Command, folder: Path) -> None:
    crowded.fail("DELETE", delay=0.1, times=DUPLICATES)
    process = registering(folder, subprocess.PIPE)
    _, told = process.communicate(timeout=HANG_SECONDS)
    assert (process.returncode, told) == (0, "")
