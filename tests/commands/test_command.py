"""The command as a person or systemd runs it: what is printed, the exit code, and what is left untouched."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent import errors
from nhagent.commands.cli import main
from nhagent.commands.exit_codes import exit_code
from nhagent.emulator import Emulator
from tests.commands.command import CONFIG, Command


def test_register_plan_status_unregister_enable(
    command: Command, notification_hub: Emulator, folder: Path
) -> None:
    assert command.run("plan")[1].startswith("PUT installation (new): not at the hub yet")
    assert command.json("status")[1]["state"] == "NEW"
    assert not (folder / "state").exists()

    code, report = command.json("register")
    assert (code, report["outcome"], report["requests"], report["error"]) == (0, "registered", 3, None)
    assert set(report) == {
        "schema", "outcome", "error", "installation_id", "registration_ids", "requests", "steps",
        "channel_errors", "next_attempt", "clock_skew", "elapsed", "refresh_due", "app", "hub", "channels",
        "in_sync",
    }  # fmt: skip
    assert command.run("register")[1].startswith(
        f"unchanged as installation {report['installation_id']} (0 req"
    )
    nothing = {"schema": 1, "steps": [], "channel_errors": {}, "disabled": False, "error": None}
    assert command.json("plan")[1] == nothing
    (folder / "channel").write_text("https://push.example/2")
    [step] = command.json("plan")[1]["steps"]
    assert (step["method"], step["fields"]) == ("PATCH", ["pushChannel"])
    assert command.json("register")[1]["outcome"] == "updated"
    code, status = command.json("status")
    assert (status["state"], status["error"]) == ("IN_SYNC", None)
    assert (status["writes"], status["losses"], status["failures"]) == (2, 0, 0)
    text = command.run("status")[1]
    assert "IN_SYNC: app 'thermostat'" in text
    assert "  writes:       2 accepted so far" in text

    [held] = notification_hub.contents()["installations"]
    assert held["pushChannel"] == "https://push.example/2"
    assert held["secondaryTiles"]["weather"]["templates"]["front"]["body"] == "<tile/>"
    assert command.json("unregister")[1]["outcome"] == "disabled"
    assert notification_hub.contents()["installations"] == []
    assert command.run("register")[1].startswith("disabled")
    assert command.json("enable")[1]["outcome"] == "registered"
    assert command.json("register")[1]["outcome"] == "unchanged"


def test_registration_style_is_a_line_of_the_configuration(
    command: Command, write_config: Callable[[str], str], notification_hub: Emulator
) -> None:
    name = f'name = "{notification_hub.hub}"'
    write_config(CONFIG.replace('name = "HUB"', f'{name}\nstyle = "registration"'))
    code, report = command.json("register")
    assert (code, report["outcome"]) == (0, "registered")
    assert set(report["registration_ids"]) == {
        "native", "template:alert", "tile:weather/native", "tile:weather/template:front",
    }  # fmt: skip
    assert len(notification_hub.contents()["registrations"]) == 4
    assert command.json("register")[1]["requests"] == 0


def test_empty_channel_file_is_waiting(command: Command, folder: Path, notification_hub: Emulator) -> None:
    (folder / "channel").write_text("")
    code, report = command.json("register")
    assert (code, report["outcome"], report["requests"]) == (75, "waiting", 0)
    assert (report["error"]["type"], report["error"]["retryable"]) == ("ChannelError", True)
    code, text = command.run("register")
    assert (code, text.splitlines()[0]) == (75, text.splitlines()[0])
    assert "is empty; there is no push channel yet" in text
    code, plan = command.json("plan")
    assert (code, plan["steps"], list(plan["channel_errors"])) == (0, [], ["channel"])
    assert "there is no push channel yet" in command.run("plan")[1]
    assert not (folder / "state").exists()
    assert notification_hub.log() == []


def test_state_folder_that_cannot_be_written_is_waiting(
    command: Command, unwritable: Path, monkeypatch: pytest.MonkeyPatch, notification_hub: Emulator
) -> None:
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(unwritable))
    code, report = command.json("register")
    assert (code, report["outcome"], report["error"]["type"]) == (75, "waiting", "StateUnwritable")
    assert notification_hub.log() == []


def test_hub_that_is_away_is_waiting_and_one_that_refuses_the_key_is_not(
    command: Command, notification_hub: Emulator
) -> None:
    notification_hub.fail("PUT", status=503, times=9)
    code, report = command.json("register", "--timeout", "0")
    assert (code, report["outcome"], report["error"]["type"]) == (75, "waiting", "HubUnavailable")
    notification_hub.clear_faults()
    notification_hub.fail("PUT", status=401)
    code, report = command.json("register")
    assert (code, report["outcome"], report["error"]["type"]) == (77, None, "Unauthorized")
    assert not report["error"]["retryable"]
    assert "refused the token" in command.errors


def test_long_words_of_a_hub_are_told_as_far_as_one_reads_them(
    command: Command, notification_hub: Emulator
) -> None:
    words = "wörd " * 4000
    notification_hub.fail("*", status=400, body=f"<Error><Code>400</Code><Detail>{words}</Detail></Error>")
    code, report = command.json("register")
    assert (code, report["error"]["type"]) == (78, "InvalidRequest")
    assert 'it says "wörd wörd ' in report["error"]["message"]
    assert '…"' in report["error"]["message"]
    assert len(report["error"]["message"]) < 500


@pytest.mark.parametrize(
    "arguments",
    [
        [],
        ["regster"],
        ["register", "--timeout", "soon"],
        ["register", "--timeout", "1e300"],
        ["register", "--bogus"],
        ["status", "--js"],
        ["--conf", "FILE", "status"],
    ],
)
def test_wrong_usage_exits_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as caught:
        main(arguments)
    assert caught.value.code == 2
    assert "usage: nhagent" in capsys.readouterr().err


def test_options_are_taken_before_the_command_too(
    command: Command, folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = str(folder / "config.toml")
    assert main(["--config", config, "--json", "-v", "status"]) == 0
    assert json.loads(capsys.readouterr().out)["state"] == "NEW"
    assert main(["--config", "absent.toml", "status", "--config", config]) == 0
    assert capsys.readouterr().out.startswith("NEW")


def test_warning_is_logged_on_stderr_though_logging_is_set_up_by_the_first_line(
    command: Command, folder: Path
) -> None:
    assert command.run("register")[0] == 0
    [state] = (folder / "state").rglob("state.json")
    state.write_text("{")
    arguments = [sys.executable, "-m", "nhagent", "register", "--config", str(folder / "config.toml")]
    ended = subprocess.run(arguments, capture_output=True, text=True, check=True)
    [line] = ended.stderr.splitlines()
    assert line.startswith("WARNING nhagent")
    assert "state.json" in line


@pytest.mark.skipif(sys.platform == "win32", reason="pipes break otherwise there")
def test_reader_that_goes_early_is_no_error(command: Command, folder: Path) -> None:
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "w") as pipe:
        ended = subprocess.run(
            [sys.executable, "-m", "nhagent", "status", "--config", str(folder / "config.toml")],
            stdout=pipe, stderr=subprocess.PIPE, text=True, check=False,
        )  # fmt: skip
    assert (ended.returncode, ended.stderr) == (0, "")


def test_every_error_of_the_tree_has_an_exit_code() -> None:
    codes = {
        errors.ConfigurationError: 78,
        errors.CredentialError: 78,
        errors.KeyringLocked: 75,
        errors.StateLocked: 75,
        errors.StateUnwritable: 75,
        errors.StateUnreadable: 70,
        errors.ChannelError: 75,
        errors.InvalidRequest: 78,
        errors.Unauthorized: 77,
        errors.Forbidden: 77,
        errors.QuotaExceeded: 77,
        errors.HubNotFound: 78,
        errors.RecordNotFound: 75,
        errors.RegistrationGone: 75,
        errors.ConcurrencyConflict: 75,
        errors.Throttled: 75,
        errors.HeldBack: 75,
        errors.HubUnavailable: 75,
    }
    tree: list[type[errors.NhagentError]] = [errors.NhagentError]
    for kind in tree:
        tree += kind.__subclasses__()
    branches = {errors.NhagentError, errors.StateError, errors.HubError}
    assert {kind for kind in tree if kind.__module__ == "nhagent.errors"} == codes.keys() | branches
    for kind, code in codes.items():
        assert exit_code(kind("text")) == code
    assert exit_code(ValueError()) == 70


def test_fault_of_ours_is_told_as_such(
    command: Command, write_config: Callable[[str], str], notification_hub: Emulator
) -> None:
    config = CONFIG.replace("HUB", notification_hub.hub)
    write_config(config.replace('file = "channel"', 'plugin = "os:abort_is_no_callable"'))
    assert command.json("register")[0] == 75, "a plug-in's fault is the plug-in's"
