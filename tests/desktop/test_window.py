"""The desktop example in a real window: tiles that its user pins and unpins reach the hub."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.children import cannot
from tests.events import HANG_SECONDS, happens

ROOT = Path(__file__).parents[2]
PROGRAMS = ("Xvfb", "xdotool")
PACKAGES = "xvfb xdotool imagemagick python3-tk"
TITLE = "City news"


def python_with_tk() -> str:
    """The tests' own interpreter, or the distribution's, whichever has tkinter."""
    for python in (sys.executable, "/usr/bin/python3"):
        tried = [python, "-c", "import sys, tkinter; sys.exit(sys.version_info < (3, 11))"]
        if Path(python).exists() and subprocess.run(tried, capture_output=True, check=False).returncode == 0:
            return python
    return cannot(f"no Python here has tkinter: apt-get install {PACKAGES}")


@pytest.fixture
def display() -> Iterator[str]:
    """A screen that nobody sees."""
    if sys.platform != "linux":
        pytest.skip("X11 is Linux's")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            cannot(f"{program} is not installed: apt-get install {PACKAGES}")
    reader, writer = os.pipe()
    given = ["Xvfb", "-displayfd", str(writer), "-screen", "0", "640x480x24", "-nolisten", "tcp"]
    with subprocess.Popen(given, pass_fds=[writer], stderr=subprocess.DEVNULL) as server:
        os.close(writer)
        with open(reader, "rb") as told:
            number = told.readline().decode().strip()
        if not number:
            cannot("Xvfb did not start")
        yield f":{number}"
        server.terminate()


class Screen:
    """A window on it, and the hands of its user."""

    def __init__(self, display: str) -> None:
        self.environment = {**os.environ, "DISPLAY": display}

    def do(self, *arguments: str) -> str:
        return subprocess.run(
            ["xdotool", *arguments],
            env=self.environment,
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        ).stdout.strip()

    def press(self, window: str, *keys: str) -> None:
        self.do("windowfocus", "--sync", window)
        self.do("key", "--window", window, *keys)


def tiles_at(hub: Emulator) -> set[str]:
    held = hub.contents()["installations"]
    return set(held[0].get("secondaryTiles") or ()) if held else {"nothing is registered"}


@pytest.mark.slow
def test_tiles_follow_what_the_user_pins(display: str, notification_hub: Emulator, tmp_path: Path) -> None:
    screen = Screen(display)
    environment = {
        **screen.environment,
        "HUB": notification_hub.hub,
        "NHAGENT_CONNECTION_STRING": notification_hub.listen,
        "NHAGENT_STATE_DIR": str(tmp_path / "state"),
        # The distribution's Python has no nhagent of its own.
        "PYTHONPATH": str(ROOT),
    }
    given = [python_with_tk(), str(ROOT / "examples" / "desktop_window.py")]
    with subprocess.Popen(given, env=environment, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            assert process.stdout.readline() == "registered, 0 tiles\n"
            window = screen.do("search", "--sync", "--onlyvisible", "--name", TITLE)
            screen.press(window, "Tab", "space")
            assert process.stdout.readline() == "updated, 1 tile\n"
            assert tiles_at(notification_hub) == {"weather"}
            screen.press(window, "Tab", "space")
            assert process.stdout.readline() == "updated, 2 tiles\n"
            assert tiles_at(notification_hub) == {"weather", "traffic"}
            if shutil.which("import") is not None:  # ImageMagick's: for whoever wants to look
                picture = os.environ.get("PICTURES", str(tmp_path))
                shot = ["import", "-window", window, f"{picture}/desktop-window.png"]
                subprocess.run(shot, env=screen.environment, check=True, timeout=HANG_SECONDS)
            screen.press(window, "space")
            assert process.stdout.readline() == "updated, 1 tile\n"
            assert happens(lambda: tiles_at(notification_hub) == {"weather"})
        finally:
            process.kill()
