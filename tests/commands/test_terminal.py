"""What a person sees: colours on a terminal alone, the nearest word for a wrong one, silence on demand."""

from __future__ import annotations

import io
import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nhagent.commands.cli import main
from nhagent.commands.colour import painted
from nhagent.emulator import Emulator
from tests.commands.command import Command
from tests.events import HANG_SECONDS

if sys.platform == "win32":
    pytest.skip("Windows has no such terminals", allow_module_level=True)


def on_terminal(folder: Path, *arguments: str, **environment: str) -> str:
    """What a terminal shows of a command's output."""
    terminal, its_end = os.openpty()
    try:
        process = subprocess.Popen(
            [sys.executable, "-m", "nhagent", *arguments, "--config", str(folder / "config.toml")],
            stdout=its_end,
            stderr=its_end,
            env={**os.environ, "TERM": "xterm-256color", **environment},
            cwd=Path(__file__).parents[2],
        )
        os.close(its_end)
        shown = b""
        while True:
            try:
                part = os.read(terminal, 65536)
            except OSError:  # as Linux tells that nobody writes any more
                break
            if not part:
                break
            shown += part
        process.wait(HANG_SECONDS)
    finally:
        os.close(terminal)
    return shown.decode()


@pytest.mark.slow
def test_terminal_shows_the_first_word_in_colour(command: Command, folder: Path) -> None:
    assert on_terminal(folder, "register").startswith("\x1b[32mregistered\x1b[0m as installation ")
    assert on_terminal(folder, "status").startswith("\x1b[32mIN_SYNC\x1b[0m: app 'thermostat'")
    assert "\x1b[32mgreen\x1b[0m  hub" in on_terminal(folder, "doctor")


@pytest.mark.parametrize("environment", [{"NO_COLOR": "1"}, {"TERM": "dumb"}, {"TERM": ""}])
def test_whoever_wants_none_gets_none(command: Command, folder: Path, environment: dict[str, str]) -> None:
    assert "\x1b" not in on_terminal(folder, "register", **environment)


def test_error_is_red(command: Command, folder: Path) -> None:
    (folder / "config.toml").write_text("app = ")
    assert on_terminal(folder, "register").startswith("\x1b[31mnhagent:\x1b[0m configuration file")


def test_pipe_gets_no_colour(command: Command) -> None:
    for name in ("register", "status", "doctor", "verify"):
        assert "\x1b" not in command.run(name)[1]


def test_word_within_a_line_or_a_longer_one_is_not_painted(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TERM", "xterm")
    monkeypatch.delenv("NO_COLOR", raising=False)

    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    assert painted("greenish\n  red", Terminal()) == "greenish\n  red"
    assert painted("red  hub", Terminal()) == "\x1b[31mred\x1b[0m  hub"


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (["regster"], "'regster' is not known: did you mean \"register\"?"),
        (["bogus"], "'bogus' is not known: known are demo, init, doctor"),
        (["emulator", "--port", "99999"], "'99999' is not a port, from 0 to 65535"),
        (["hub", "dedup"], "'dedup' is not known: did you mean \"dedupe\"?"),
        (["status", "--jsn"], 'not understood: --jsn: did you mean "--json"?'),
        (["register", "--time=3"], 'not understood: --time=3: did you mean "--timeout"?'),
        (["run", "--log-format", "jsn"], "'jsn' is not known: did you mean \"json\"?"),
        (["qqq"], "'qqq' is not known: known are demo, "),
        (["status", "extra"], "not understood: extra"),
    ],
)
def test_wrong_word_is_told_with_the_nearest(
    arguments: list[str], told: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(arguments)
    assert ended.value.code == 2
    assert told in capsys.readouterr().err


def test_quiet_command_prints_errors_alone(command: Command, notification_hub: Emulator) -> None:
    assert command.run("-q", "register") == (0, "")
    assert command.errors == ""
    assert command.run("status", "--quiet") == (0, "")
    notification_hub.fail("*", status=401, times=5)
    code, printed = command.run("verify", "-q")
    assert (code, printed) == (77, "")
    assert command.errors.startswith("nhagent: ")


def test_quiet_command_still_prints_its_object(command: Command) -> None:
    code, printed = command.run("status", "-q", "--json")
    assert code == 0
    assert json.loads(printed)["schema"] == 1


def test_status_names_the_next_command_when_a_person_must_act(
    command: Command, notification_hub: Emulator, folder: Path
) -> None:
    command.run("register")
    code, document = command.json("status")
    assert (code, document["next"]) == (0, None)
    notification_hub.fail("*", status=401, times=5)
    (folder / "channel").write_text("https://push.example/2")
    command.run("register", "--timeout", "0")
    code, printed = command.run("status")
    assert code == 1
    assert "  next:         nhagent doctor\n" in printed
    notification_hub.clear_faults()
    command.run("register")
    assert command.run("status")[0] == 0


def test_status_of_a_damaged_state_asks_for_a_start(command: Command, folder: Path) -> None:
    command.run("register")
    [state] = folder.glob("state/*/*/state.json")
    state.write_text("{")
    code, document = command.json("status")
    assert (code, document["state"], document["next"]) == (1, "UNVERIFIED", "nhagent register")
    command.run("register")
    assert command.json("status")[0] == 0


def test_hub_that_is_away_needs_nobody(command: Command, notification_hub: Emulator) -> None:
    notification_hub.fail("*", status=503, times=5)
    command.run("register", "--timeout", "0")
    code, document = command.json("status")
    assert (code, document["last_error"], document["next"]) == (0, "HubUnavailable", None)


@pytest.mark.slow
def test_slow_look_at_the_hub_is_told_on_a_terminal(
    command: Command, folder: Path, notification_hub: Emulator
) -> None:
    command.run("register")
    notification_hub.fail("GET", delay=3.2, times=1)
    shown = on_terminal(folder, "verify")
    assert "asking the hub, 2 s" in shown
    assert shown.rpartition("\r\x1b[K")[2].startswith("\x1b[32min sync:\x1b[0m")
