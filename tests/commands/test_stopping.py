"""SIGTERM ends the daemon whatever hangs, and systemd is told without waiting for it."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from nhagent.commands.daemon import Daemon
from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS, HELD_SECONDS, happens

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}"{more} }}
device = {{ platform = "gcm" }}
channel = {{ {channel} }}
"""


class Living:
    """The daemon in a process of its own, with a plug-in that tells in a file how far it came."""

    def __init__(self, folder: Path, hub: Emulator, channel: str, door: str = "", more: str = "") -> None:
        self.folder, self.hub = folder, hub
        (folder / "channel").write_text("handle")
        self.configure(channel, more)
        self.log = folder / "log"
        self.environment = {
            **os.environ,
            "NHAGENT_STATE_DIR": str(folder / "state"),
            "NHAGENT_CONNECTION_STRING": hub.listen,
            "NOTIFY_SOCKET": door,
            "PYTHONPATH": str(folder),
            "WATCHDOG_USEC": "100000",
        }

    def configure(self, channel: str, more: str = "") -> None:
        text = CONFIG.format(hub=self.hub.hub, channel=channel, more=more)
        (self.folder / "config.toml").write_text(text)

    def begins(self, stderr: int | None = None) -> subprocess.Popen[bytes]:
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nhagent", "-v", "run", "--config", str(self.folder / "config.toml")],
                env=self.environment,
                stderr=log if stderr is None else stderr,
            )
        return self.process

    def ends(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(HANG_SECONDS)


@pytest.fixture
def living(short_folder: Path, notification_hub: Emulator) -> Iterator[Callable[..., Living]]:
    made: list[Living] = []

    def make(channel: str = 'file = "channel"', **settings: str) -> Living:
        made.append(Living(short_folder, notification_hub, channel, **settings))
        return made[-1]

    yield make
    for each in made:
        each.process.kill()
        each.process.wait()


def place_folder(path: Path) -> None:
    path.mkdir()


def place_dangling_link(path: Path) -> None:
    path.symlink_to("nothing is there")


def place_link_to_itself(path: Path) -> None:
    path.symlink_to(path.name)


def place_huge_file(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(1 << 40)


def place_device(path: Path) -> None:
    path.symlink_to("/dev/zero")


def place_terminal(path: Path) -> None:
    path.symlink_to("/dev/ptmx")


ODD = {
    "fifo": os.mkfifo,
    "device": place_device,
    "terminal": place_terminal,
    "folder": place_folder,
    "huge": place_huge_file,
    "dangling": place_dangling_link,
    "loop": place_link_to_itself,
}
IS_TOLD = {
    "fifo": "is not a regular file",
    "device": "is not a regular file",
    "terminal": "is not a regular file",
    "folder": "is not a regular file",
    "huge": "is larger than",
    "dangling": "is not there",
    "loop": "Too many levels of symbolic links",
}


@pytest.mark.parametrize("odd", ODD)
def test_configuration_that_became_something_else_is_told_and_the_daemon_stops(
    living: Callable[..., Living], full_door: str, odd: str
) -> None:
    daemon = living(door=full_door)
    daemon.begins()
    assert happens(lambda: len(daemon.hub.contents()["installations"]) == 1)
    config = daemon.folder / "config.toml"
    config.unlink()
    ODD[odd](config)
    daemon.process.send_signal(signal.SIGHUP)
    assert happens(lambda: "the old one stays" in daemon.log.read_text())
    assert IS_TOLD[odd] in daemon.log.read_text()
    assert daemon.ends() == 0
    assert "stopping" in daemon.log.read_text()


@pytest.mark.parametrize("odd", ["fifo", "device", "huge"])
@pytest.mark.parametrize("named", ["channel", "ca"])
def test_what_a_configuration_names_may_be_anything_and_the_daemon_stops(
    living: Callable[..., Living], named: str, odd: str
) -> None:
    daemon = living()
    daemon.begins()
    assert happens(lambda: len(daemon.hub.contents()["installations"]) == 1)
    ODD[odd](daemon.folder / "odd")
    if named == "ca":
        daemon.configure('file = "channel"', ', ca_bundle = "odd"')
    else:
        daemon.configure('file = "odd"')
    daemon.process.send_signal(signal.SIGHUP)
    words = "the old one stays" if named == "ca" else "configuration was read again"
    assert happens(lambda: words in daemon.log.read_text())
    assert daemon.ends() == 0


def test_channel_file_whose_name_can_be_no_path_does_not_end_the_daemon(
    living: Callable[..., Living],
) -> None:
    daemon = living()
    daemon.begins()
    assert happens(lambda: len(daemon.hub.contents()["installations"]) == 1)
    daemon.configure('file = "a\\u0000b"')
    daemon.process.send_signal(signal.SIGHUP)
    assert happens(lambda: "configuration was read again" in daemon.log.read_text())
    assert daemon.ends() == 0


STUBBORN = {
    "catches everything": """
    while True:
        try:
            time.sleep(600)
        except BaseException:
            pass
""",
    "leaves a thread": """
    threading.Thread(target=time.sleep, args=(600,)).start()
    time.sleep(600)
""",
}


@pytest.mark.slow
@pytest.mark.parametrize("plugin", STUBBORN)
def test_plug_in_that_lets_nothing_end_it_ends_with_the_daemon(
    living: Callable[..., Living], short_folder: Path, plugin: str
) -> None:
    daemon = living('plugin = "stubborn:channel"', door=str(short_folder / "notify"))
    begun = daemon.folder / "begun"
    (daemon.folder / "stubborn.py").write_text(
        f"import pathlib, threading, time\ndef channel():\n    pathlib.Path({str(begun)!r}).touch()\n"
        f"{STUBBORN[plugin]}"
    )
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door:
        door.bind(str(short_folder / "notify"))
        daemon.begins()
        assert happens(begun.exists)
        assert daemon.ends() == 0
        door.setblocking(False)
        heard = []
        with contextlib.suppress(BlockingIOError):
            while True:
                heard.append(door.recv(4096))
    assert b"STOPPING=1" in heard


@pytest.mark.slow
def test_call_in_c_that_no_signal_interrupts_ends_with_the_daemon(living: Callable[..., Living]) -> None:
    daemon = living('plugin = "deaf:channel"')
    begun = daemon.folder / "begun"
    (daemon.folder / "deaf.py").write_text(
        "import ctypes, pathlib\n"
        "def channel():\n"
        "    libc, lock = ctypes.CDLL(None), ctypes.create_string_buffer(256)\n"
        "    libc.pthread_mutex_init(lock, None)\n"
        "    libc.pthread_mutex_lock(lock)\n"
        f"    pathlib.Path({str(begun)!r}).touch()\n"
        "    libc.pthread_mutex_lock(lock)\n"
    )
    daemon.begins()
    assert happens(begun.exists)
    assert daemon.ends() == 0


def test_command_that_ignores_signals_ends_with_the_daemon(living: Callable[..., Living]) -> None:
    begun = "begun"
    script = f"trap '' TERM INT HUP; echo >'{{}}/{begun}'; while :; do sleep {HELD_SECONDS}; done"
    daemon = living()
    command = json.dumps(["sh", "-c", script.format(daemon.folder)])
    daemon.configure(f"command = {command}")
    daemon.begins()
    assert happens((daemon.folder / begun).exists)
    assert daemon.ends() == 0


def test_key_ring_that_hangs_does_not_hold_up_the_stop(living: Callable[..., Living]) -> None:
    daemon = living()
    begun = daemon.folder / "begun"
    (daemon.folder / "hung.py").write_text(
        "import pathlib, time\nfrom keyring.backend import KeyringBackend\n"
        "class Hung(KeyringBackend):\n    priority = 9\n"
        "    def get_password(self, service, user):\n"
        f"        pathlib.Path({str(begun)!r}).touch()\n        time.sleep({HELD_SECONDS})\n"
        "    set_password = delete_password = None\n"
    )
    del daemon.environment["NHAGENT_CONNECTION_STRING"]
    daemon.environment["PYTHON_KEYRING_BACKEND"] = "hung.Hung"
    daemon.begins()
    assert happens(begun.exists)
    assert daemon.ends() == 0


@pytest.mark.slow
def test_log_that_nobody_reads_does_not_hold_up_the_stop(living: Callable[..., Living]) -> None:
    reading, writing = os.pipe()
    os.set_blocking(writing, False)
    try:
        while os.write(writing, b"x"):
            pass
    except BlockingIOError:
        pass
    os.set_blocking(writing, True)
    daemon = living('plugin = "told:channel"')
    begun = daemon.folder / "begun"
    (daemon.folder / "told.py").write_text(
        f"import pathlib\ndef channel():\n    pathlib.Path({str(begun)!r}).touch()\n    return 'handle'\n"
    )
    daemon.begins(stderr=writing)
    assert happens(begun.exists)
    assert daemon.ends() == 0
    os.close(reading)
    os.close(writing)


def test_daemon_whose_configuration_names_no_path_can_be_made(
    tmp_path: Path, notification_hub: Emulator
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(CONFIG.format(hub=notification_hub.hub, channel='file = "a\\u0000b"', more=""))
    Daemon(str(config))
