"""The daemon in a process of its own."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}" }}
device = {{ platform = "gcm", tags = {tags} }}
channel = {{ file = "channel" }}
"""
LOOKS_OFTEN = {"WATCHDOG_USEC": "100000"}
"""A daemon looks at its files as often as it tells its watchdog that it lives, twice in its time."""


class Running:
    """The daemon in a process of its own, and a manager that hears what it says."""

    def __init__(
        self,
        folder: Path,
        hub: Emulator,
        name: str = "notify",
        folder_name: bytes = b"",
        arguments: Sequence[str] = (),
        text: str | None = None,
        **environment: str,
    ) -> None:
        self.log = folder / f"{name}.log"
        door = folder / name
        folder /= os.fsdecode(folder_name)
        folder.mkdir(exist_ok=True)
        self.folder, self.hub = folder, hub
        self._door = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._door.bind(str(door))
        self._said: SimpleQueue[str] = SimpleQueue()
        self._listener = Thread(target=self._listen, daemon=True)
        self._listener.start()
        self.heard: list[str] = []
        self.configure(text=text)
        self.give("handle-1")
        self.environment = {
            **os.environ,
            "NHAGENT_STATE_DIR": str(folder / "state"),
            "NHAGENT_CONNECTION_STRING": hub.listen,
            **LOOKS_OFTEN,
            **environment,
        }
        with open(self.log, "w") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-m", "nhagent", "run", *arguments, "--config", str(folder / "config.toml")],
                env={**self.environment, "NOTIFY_SOCKET": str(door)},
                stderr=log,
                stdout=log,
            )

    def configure(self, tags: tuple[str, ...] = ("kitchen",), text: str | None = None) -> None:
        text = CONFIG.format(hub=self.hub.hub, tags=json.dumps(tags)) if text is None else text
        self._replace("config.toml", text)

    def give(self, handle: str) -> None:
        """A new channel, written as others do: beside it, then in its place."""
        self._replace("channel", handle)

    def hears(self, words: str) -> str:
        """Wait until it says this; its signs of life do not make the wait longer."""
        ends = time.monotonic() + HANG_SECONDS
        while True:
            try:
                self.heard.append(self._said.get(timeout=max(0.0, ends - time.monotonic())))
            except Empty:
                raise AssertionError(f"{words!r} was not said: {self.heard} {self.log.read_text()}") from None
            if words in self.heard[-1]:
                return self.heard[-1]

    def looks_around(self, times: int) -> None:
        """Wait until it has looked at its files so often from now on."""
        while not self._said.empty():
            self.heard.append(self._said.get())
        for _ in range(times):
            self.hears("WATCHDOG=1")

    def command(self, *arguments: str) -> int:
        """Give a command of nhagent beside it."""
        given = [sys.executable, "-m", "nhagent", *arguments, "--config", str(self.folder / "config.toml")]
        ended = subprocess.run(
            given, env=self.environment, capture_output=True, timeout=HANG_SECONDS, check=False
        )
        return ended.returncode

    def send(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def channel(self) -> Any:
        held = self.hub.contents()["installations"]
        return held[0]["pushChannel"] if held else None

    def close(self) -> None:
        self.process.kill()
        self.process.wait()
        self.listens_no_more()

    def listens_no_more(self) -> None:
        """The manager is gone."""
        if self._listener.is_alive():
            self._door.shutdown(socket.SHUT_RD)
            self._listener.join()
        self._door.close()

    def _listen(self) -> None:
        """Take what it says at once: a daemon that nobody hears waits until somebody does."""
        while said := self._door.recv(4096):
            self._said.put(said.decode())

    def _replace(self, name: str, text: str) -> None:
        (self.folder / f"{name}.new").write_text(text)
        os.replace(self.folder / f"{name}.new", self.folder / name)
