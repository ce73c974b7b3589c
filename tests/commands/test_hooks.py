"""``[hooks]``: programs are told what the hub has accepted and what fails, and stop nothing."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.commands.command import Command

TOLD = """
import json, os, sys
with open({path!r}, "a") as told:
    told.write(json.dumps([json.load(sys.stdin), sys.argv[1:], dict(os.environ)]) + "\\n")
"""


class Hooks:
    """Two hooks that write down what they were told."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._config = folder / "config.toml"
        (folder / "hook.py").write_text(TOLD.format(path=str(folder / "told")))

    def configure(self, more: str = "", **commands: list[str]) -> None:
        program = [sys.executable, str(self._folder / "hook.py"), "fixed"]
        given = {"on_registered": program, "on_error": program, **commands}
        lines = [f"{name} = {json.dumps(command)}" for name, command in given.items() if command]
        text = self._config.read_text().partition("[hooks]")[0]
        self._config.write_text("\n".join([text, "[hooks]", *lines, more, ""]))

    def told(self) -> list[Any]:
        path = self._folder / "told"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []


@pytest.fixture
def hooks(folder: Path, command: Command) -> Hooks:
    hooks = Hooks(folder)
    hooks.configure()
    return hooks


def test_registered_device_is_told_once_with_the_report(
    hooks: Hooks, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("SECRET_OF_THE_SERVICE", "x")
    _, report = command.json("register")
    command.run("register")  # unchanged
    [(told, arguments, environment)] = hooks.told()
    assert told == {**report, "event": "on_registered"}
    assert told["channels"]["channel"].startswith("#")
    assert "push.example" not in json.dumps(told)
    assert arguments == ["fixed"]
    assert "SECRET_OF_THE_SERVICE" not in environment
    assert "NHAGENT_CONNECTION_STRING" not in environment


def test_hub_that_is_away_is_told(hooks: Hooks, command: Command, notification_hub: Emulator) -> None:
    notification_hub.fail("*", status=503, times=5)
    assert command.run("register", "--timeout", "0")[0] == 75
    [(told, _, _)] = hooks.told()
    assert told["event"] == "on_error"
    assert (told["error"]["type"], told["error"]["retryable"]) == ("HubUnavailable", True)


def test_refused_key_is_told(hooks: Hooks, command: Command, notification_hub: Emulator) -> None:
    notification_hub.fail("*", status=401, times=5)
    assert command.run("register", "--timeout", "0")[0] == 77
    assert [told["error"]["type"] for told, _, _ in hooks.told()] == ["Unauthorized"]


def test_variables_that_are_named_are_passed(
    hooks: Hooks, command: Command, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PLACE", "attic")
    hooks.configure('pass_environment = ["PLACE"]')
    command.run("register")
    [(_, _, environment)] = hooks.told()
    assert environment["PLACE"] == "attic"


@pytest.mark.slow
@pytest.mark.parametrize(
    ("program", "told"),
    [
        ([sys.executable, "-c", "raise SystemExit(3)"], "failed with status 3"),
        ([sys.executable, "-c", "while True: pass"], "did not end within"),
        (["/no/such/program"], "cannot be run"),
    ],
    ids=["fails", "hangs", "missing"],
)
def test_hook_that_goes_wrong_is_logged_and_stops_nothing(
    program: list[str], told: str, hooks: Hooks, command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    hooks.configure('timeout = "1s"', on_registered=program)
    code, document = command.json("register")
    assert (code, document["outcome"]) == (0, "registered")
    assert told in caplog.text


@pytest.mark.parametrize(
    ("lines", "told"),
    [
        ("[hooks]\n", "names no program"),
        ("[hooks]\non_registered = []\n", "hooks.on_registered: is empty"),
        ('[hooks]\non_registerd = ["/bin/true"]\n', 'did you mean "on_registered"'),
        ('[hooks]\non_error = "/bin/true"\n', "a list of texts"),
        ('[hooks]\non_error = ["/bin/true"]\ntimeout = "0s"\n', "hooks.timeout: is zero"),
        ('[hooks]\non_error = ["/bin/true"]\npass_environment = ["A B"]\n', "hooks"),
        ("[metrics]\n", "metrics.file: is missing"),
        ("[metrics]\nfile = 3\n", "metrics.file: is of type int"),
    ],
)
def test_what_is_wrong_is_told_by_every_command(
    lines: str, told: str, command: Command, folder: Path
) -> None:
    config = folder / "config.toml"
    config.write_text(config.read_text() + lines)
    for name in ("register", "status", "metrics"):
        assert command.run(name)[0] == 78
        assert told in command.errors
