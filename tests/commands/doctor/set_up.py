"""A set-up of the command that is in order until a test breaks it, and what the doctor says of it."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from nhagent.commands.cli import main
from nhagent.emulator import Emulator
from tests.device_under_test import rewrite
from tests.key_ring.machine import key_of

CONFIG = """
app = "thermostat"
[hub]
name = "HUB"
style = "STYLE"
CA
[device]
platform = "wns"
[channel]
file = "channel"
[tiles.weather]
channel = { file = "tile" }
"""
CHANNELS = {"channel": "https://push.example/1", "tile": "https://push.example/tile/1"}
CHECKS = [
    "configuration", "state folder", "state", "credentials", "dns", "tcp", "tls", "clock", "hub",
    "modes", "lock", "channel", "tiles.weather",
]  # fmt: skip
AS_ROOT = sys.platform != "win32" and os.geteuid() == 0


@dataclass
class Doctored:
    """A set-up that is in order, until a test breaks it.

    Attributes:
        hub: what the device is registered with.
        folder: holds the configuration, the channels and the state.
        environment: how the doctor finds them.
        keeps: what must be closed at the end.
    """

    hub: Emulator
    folder: Path
    environment: pytest.MonkeyPatch
    style: str
    capsys: pytest.CaptureFixture[str]
    keeps: ExitStack = field(default_factory=ExitStack)

    def __post_init__(self) -> None:
        for name, channel in CHANNELS.items():
            self.channel(name).write_text(channel)
        ca = "" if self.hub.ca is None else f'ca_bundle = "{self.hub.ca}"'
        config = CONFIG.replace("HUB", self.hub.hub).replace("STYLE", self.style).replace("CA", ca)
        self.config.write_text(config)
        self.environment.setenv("NHAGENT_STATE_DIR", str(self.folder / "state"))
        self.credential(self.hub.listen)

    @property
    def config(self) -> Path:
        return self.folder / "config.toml"

    @property
    def device_folder(self) -> Path:
        return self.folder / "state" / "thermostat" / self.hub.hub

    def channel(self, name: str) -> Path:
        return self.folder / name

    def credential(self, text: str) -> None:
        self.environment.setenv("NHAGENT_CONNECTION_STRING", text)

    def configure(self, old: str, new: str) -> None:
        text = self.config.read_text()
        assert old in text
        self.config.write_text(text.replace(old, new))

    def change(self, name: str, change: Callable[[dict[str, Any]], object]) -> None:
        """Change one of the state's documents."""
        rewrite(self.device_folder / name, change)

    def register(self) -> None:
        assert main(["register", "--config", str(self.config)]) == 0
        self.capsys.readouterr()
        self.hub.clear_log()

    def examine(self) -> tuple[int, dict[str, Any]]:
        """What the doctor says as JSON, having changed nothing."""
        before = self.all_there_is()
        code = main(["doctor", "--json", "--config", str(self.config)])
        printed = self.capsys.readouterr()
        assert self.all_there_is() == before
        assert {entry.method for entry in self.hub.log()} <= {"GET"}
        for secret in (key_of(self.hub.listen), key_of(self.hub.full), *CHANNELS.values()):
            assert secret not in printed.out + printed.err
        document: dict[str, Any] = json.loads(printed.out)
        assert (printed.out.count("\n"), set(document)) == (1, {"schema", "healthy", "checks", "error"})
        assert document["error"] is None
        assert document["healthy"] == (code == 0) == all(c["ok"] is not False for c in document["checks"])
        return code, document

    def all_there_is(self) -> dict[str, tuple[int, bytes]]:
        paths = sorted(self.folder.rglob("*"))
        return {
            str(path): (path.lstat().st_mode, path.read_bytes() if path.is_file() else b"") for path in paths
        }
