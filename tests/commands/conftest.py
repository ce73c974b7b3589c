"""What several tests of the commands need."""

from __future__ import annotations

import errno
import socket
import sys
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from nhagent.emulator import Emulator
from tests.commands.command import CONFIG, Command

if TYPE_CHECKING:
    from tests.commands.running import Running


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """A folder whose path leaves room for a socket's name."""
    with tempfile.TemporaryDirectory() as folder:
        yield Path(folder)


@pytest.fixture
def full_door(short_folder: Path) -> Iterator[str]:
    """A manager's socket that takes no more, and that nobody reads."""
    if sys.platform == "win32":
        pytest.skip("Windows has no such sockets")
    path = str(short_folder / "notify")
    with (
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as door,
        socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender,
    ):
        door.bind(path)
        sender.setblocking(False)
        fill(sender, path)
        yield path


def fill(sender: socket.socket, path: str) -> None:
    while True:
        try:
            sender.sendto(b"X=1", path)
        except OSError as error:
            assert error.errno in {errno.EAGAIN, errno.ENOBUFS}
            return


@pytest.fixture
def run(short_folder: Path, notification_hub: Emulator) -> Iterator[Callable[..., Running]]:
    from tests.commands.running import Running  # Windows has nothing to make it of

    running: list[Running] = []

    def start(name: str = "notify", **settings: Any) -> Running:
        running.append(Running(short_folder, notification_hub, name, **settings))
        return running[-1]

    yield start
    for daemon in running:
        daemon.close()


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "channel").write_text("https://push.example/1\n")
    (tmp_path / "tile").write_text("https://push.example/tile/1\n")
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
    return tmp_path


@pytest.fixture
def command(
    notification_hub: Emulator,
    folder: Path,
    write_config: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> Command:
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", notification_hub.listen)
    return Command(capsys, write_config(CONFIG.replace("HUB", notification_hub.hub)))
