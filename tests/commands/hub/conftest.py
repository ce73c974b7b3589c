"""A hub with a few devices, and ``nhagent hub`` in this process and in processes of its own."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

import pytest

from nhagent.commands.cli import main
from nhagent.emulator import Emulator

TOAST = "<toast>$(message)</toast>"
INSTALLATIONS: list[dict[str, Any]] = [
    {
        "installationId": "one",
        "platform": "wns",
        "pushChannel": "https://push.example/1",
        "tags": ["kitchen"],
        "templates": {"alert": {"body": TOAST, "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]}},
        "secondaryTiles": {"weather": {"pushChannel": "https://push.example/tile", "tags": ["rain"]}},
    },
    {"installationId": "two", "platform": "fcmv1", "pushChannel": "handle-two", "tags": ["hall"]},
]
REGISTRATIONS: list[dict[str, Any]] = [
    {"registrationId": "10-10-1", "kind": "Gcm", "channel": "handle-a", "tags": ["hall", "kitchen"]},
    {"registrationId": "20-20-1", "kind": "Gcm", "channel": "handle-a", "tags": ["hall"]},
    {
        "registrationId": "30-30-1",
        "kind": "GcmTemplate",
        "channel": "handle-a",
        "templateName": "alert",
        "bodyTemplate": '{"m":"$(message)"}',
    },
    {"registrationId": "40-40-1", "kind": "FcmV1", "channel": "handle-two"},
    {"registrationId": "50-50-1", "kind": "Gcm", "channel": "handle-two"},
]


class Tool:
    """``nhagent hub`` in this process."""

    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.errors = ""

    def __call__(self, name: str, *arguments: str) -> tuple[int, str]:
        code = main(["hub", name, *arguments])
        printed = self._capsys.readouterr()
        self.errors = printed.err
        return code, printed.out


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch) -> Iterator[Emulator]:
    with Emulator("hub") as running:
        running.restore({"installations": INSTALLATIONS, "registrations": REGISTRATIONS})
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", running.full)
        yield running


@pytest.fixture
def tool(hub: Emulator, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Tool:
    monkeypatch.delenv("JOURNAL_STREAM", raising=False)
    return Tool(capsys)


def many(count: int, *, channel: str | None = None) -> list[dict[str, Any]]:
    """As many registrations, each on a channel of its own or all on one."""
    return [
        {"registrationId": f"{n}-1-1", "kind": "Gcm", "channel": channel or f"c{n}"}
        for n in range(1, count + 1)
    ]


def start(
    hub: Emulator,
    *arguments: str,
    before: tuple[str, ...] = (),
    stdin: int | None = None,
    stdout: IO[str] | int = subprocess.PIPE,
    stderr: int = subprocess.PIPE,
) -> subprocess.Popen[str]:
    """Start ``nhagent hub`` in a process of its own; ``before`` is what runs it."""
    return subprocess.Popen(
        [*before, sys.executable, "-m", "nhagent", "hub", *arguments],
        env={**os.environ, "NHAGENT_CONNECTION_STRING": hub.full},
        stdin=stdin,
        stdout=stdout,
        stderr=stderr,
        text=True,
        cwd=Path(__file__).parents[3],
    )
