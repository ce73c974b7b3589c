"""What is said to systemd: messages that never wait, and the priorities of lines."""

from __future__ import annotations

import logging
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nhagent.commands import log_lines, systemd
from nhagent.emulator import Emulator
from tests.commands.running import CONFIG
from tests.events import HANG_SECONDS, happens

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)


@pytest.fixture
def listening(short_folder: Path) -> Iterator[tuple[socket.socket, dict[str, str]]]:
    """A manager's socket, and the environment that names it."""
    path = str(short_folder / "notify")
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(path)
        door.settimeout(HANG_SECONDS)
        yield door, {"NOTIFY_SOCKET": path}


def test_priorities_stand_before_every_line() -> None:
    form = log_lines.JournalFormatter("%(message)s")
    for level, mark in ((logging.ERROR, "<3>"), (logging.INFO, "<6>"), (logging.DEBUG, "<7>")):
        record = logging.LogRecord("n", level, "f", 1, "a\nb", (), None)
        assert form.format(record) == f"{mark}a\n{mark}b"


def test_nobody_listening_is_no_failure(tmp_path: Path) -> None:
    assert not systemd.notify("READY=1", {})
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": str(tmp_path / "absent")})
    assert systemd.watchdog_seconds({}) is None
    assert systemd.watchdog_seconds({"WATCHDOG_USEC": "1000000", "WATCHDOG_PID": "1"}) is None
    assert systemd.watchdog_seconds({"WATCHDOG_USEC": "1000000"}) == 1.0
    assert not systemd.writes_to_journal({"JOURNAL_STREAM": "nonsense"})


@pytest.mark.parametrize("usec", ["9" * 5000, "9" * 400, "0", "-1", "nan", "1e6", ""])
def test_watchdog_interval_that_is_no_number_of_microseconds_is_none(usec: str) -> None:
    assert systemd.watchdog_seconds({"WATCHDOG_USEC": usec}) is None


@pytest.mark.parametrize("columns", ["9" * 5000, "0", "-5", "x"])
def test_help_is_printed_whatever_width_the_environment_names(columns: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "nhagent", "--help"],
        env={**os.environ, "COLUMNS": columns},
        capture_output=True,
        text=True,
        timeout=HANG_SECONDS,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")


def test_systemd_hears_a_bounded_text_whatever_is_said(
    listening: tuple[socket.socket, dict[str, str]],
) -> None:
    door, environ = listening
    assert systemd.notify(f"READY=1\nSTATUS=\udcff{'ü' * 5000}", environ)
    said = door.recv(99999).decode()
    assert said.startswith("READY=1\nSTATUS=\\udcffü")
    assert said.endswith("ü…")
    assert 490 < len(said.partition("\n")[2].encode()) <= 500
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": "/\0"})


def test_full_socket_of_a_manager_is_not_waited_for(full_door: str) -> None:
    assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": full_door})


@pytest.mark.parametrize(
    "odd", ["fifo", "file", "folder", "stream", "long", "abstract", "nul", "half", "empty"]
)
def test_address_at_which_no_manager_can_be_is_no_failure(short_folder: Path, odd: str) -> None:
    path = short_folder / "door"
    addresses = {
        "long": f"/{'x' * 5000}",
        "abstract": "@nobody\0is\0here",
        "nul": "/a\0b",
        "half": "/\ud800",
        "empty": "@",
    }
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as stream:
        match odd:
            case "fifo":
                os.mkfifo(path)
            case "file":
                path.touch()
            case "folder":
                path.mkdir()
            case "stream":
                stream.bind(str(path))
                stream.listen()
            case _:
                pass
        assert not systemd.notify("READY=1", {"NOTIFY_SOCKET": addresses.get(odd, str(path))})


def test_manager_that_was_busy_hears_what_counts_as_soon_as_it_is_not() -> None:
    heard: list[str] = []
    is_busy = True

    def tell(state: str) -> bool:
        if not is_busy:
            heard.append(state)
        return not is_busy

    messages = systemd.Messages(tell)
    for state in ("READY=1", "WATCHDOG=1", "RELOADING=1", "WATCHDOG=1", "READY=1\nSTATUS=x"):
        messages.send(state)
    is_busy = False
    messages.send("WATCHDOG=1")
    assert heard == ["READY=1", "RELOADING=1", "READY=1\nSTATUS=x", "WATCHDOG=1"]
    messages.send("STOPPING=1")
    assert heard[-2:] == ["WATCHDOG=1", "STOPPING=1"]


def test_manager_that_never_listens_costs_no_memory() -> None:
    told: list[str] = []

    def tell(state: str) -> bool:
        told.append(state)
        return False

    messages = systemd.Messages(tell)
    for number in range(1000):
        messages.send(f"STATUS={number}")
    assert len(told) == 1000, "one attempt each time"
    assert len(set(told[-systemd.MAX_UNTOLD :])) == systemd.MAX_UNTOLD


def test_journal_lines_carry_their_priorities(tmp_path: Path, notification_hub: Emulator) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(hub=notification_hub.hub, tags="[]"))
    log = tmp_path / "journal"
    with open(log, "w") as stream:
        facts = os.fstat(stream.fileno())
        process = subprocess.Popen(
            [sys.executable, "-m", "nhagent", "run", "--config", str(config)],
            env={
                **os.environ,
                "JOURNAL_STREAM": f"{facts.st_dev}:{facts.st_ino}",
                "NHAGENT_STATE_DIR": str(tmp_path / "state"),
                "NHAGENT_CONNECTION_STRING": notification_hub.listen,
            },
            stderr=stream,
        )
    assert happens(lambda: "nhagent.commands.daemon: waiting" in log.read_text())
    process.send_signal(signal.SIGTERM)
    process.wait(HANG_SECONDS)
    lines = log.read_text().splitlines()
    assert all(line.startswith(("<3>", "<4>", "<6>")) for line in lines)
    assert any(line.startswith("<4>nhagent.commands.daemon: waiting") for line in lines)
