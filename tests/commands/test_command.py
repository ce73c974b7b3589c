"""The command as a person or systemd runs it: what is printed, the exit code, and what is left untouched."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from nhagent import HubClient, errors
from nhagent.commands.cli import exit_code, main
from nhagent.commands.config import read_agent, read_duration
from nhagent.emulator import Emulator

CONFIG = """
app = "thermostat"
[hub]
name = "HUB"
[device]
platform = "wns"
tags = ["kitchen"]
[channel]
file = "channel"
[templates.alert]
body = "<toast>$(message)</toast>"
headers = { "X-WNS-Type" = "wns/toast" }
tags = ["alerts"]
[tiles.weather]
channel = { file = "tile" }
tags = ["w"]
[tiles.weather.templates.front]
body = "<tile/>"
headers = { "X-WNS-Type" = "wns/tile" }
[refresh]
every = "12h"
"""


class Command:
    """Runs the command in this process, and remembers what it printed."""

    def __init__(self, capsys: pytest.CaptureFixture[str], config: str) -> None:
        self._capsys = capsys
        self._config = config
        self.errors = ""

    def run(self, *arguments: str) -> tuple[int, str]:
        code = main([*arguments, "--config", self._config])
        printed = self._capsys.readouterr()
        self.errors = printed.err
        return code, printed.out

    def json(self, *arguments: str) -> tuple[int, dict[str, Any]]:
        code, printed = self.run(*arguments, "--json")
        document: dict[str, Any] = json.loads(printed)
        assert printed.count("\n") == 1
        return code, document


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


def test_register_plan_status_unregister_enable(
    command: Command, notification_hub: Emulator, folder: Path
) -> None:
    assert command.run("plan")[1].startswith("PUT installation (new): not at the hub yet")
    assert command.json("status")[1]["state"] == "NEW"
    assert not (folder / "state").exists()

    code, report = command.json("register")
    assert (code, report["outcome"], report["requests"], report["error"]) == (0, "registered", 3, None)
    assert set(report) == {
        "outcome", "error", "installation_id", "registration_ids", "requests", "steps", "channel_errors",
        "failed_sources", "next_attempt", "clock_skew", "elapsed", "refresh_due",
    }  # fmt: skip
    assert command.run("register")[1].startswith(
        f"unchanged as installation {report['installation_id']} (0 req"
    )
    assert command.json("plan")[1] == {"steps": [], "disabled": False, "error": None}
    (folder / "channel").write_text("https://push.example/2")
    [step] = command.json("plan")[1]["steps"]
    assert (step["method"], step["operations"]) == ("PATCH", ["replace /pushChannel"])
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
    assert command.run("enable")[0] == 0
    assert command.json("register")[1]["outcome"] == "registered"


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
    assert command.json("plan")[0] == 75
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


@pytest.mark.parametrize(
    ("change", "names"),
    [
        (("platform", "platfrom"), 'device.platfrom: unknown key "platfrom"; did you mean "platform"?'),
        (("[refresh]", "[refesh]"), 'refesh: unknown key "refesh"; did you mean "refresh"?'),
        (('file = "channel"', 'fil = "channel"'), 'channel.fil: unknown key "fil"; did you mean "file"?'),
        (('body = "<tile/>"', 'bdy = ""'), "tiles.weather.templates.front.bdy"),
        (('app = "thermostat"', "x = 1"), 'x: unknown key "x"; known are app, hub'),
        (('app = "thermostat"', "app = 5"), "app: is of type int; write text in quotes"),
        (('app = "thermostat"', ""), "app: is missing"),
        (('tags = ["kitchen"]', 'tags = "kitchen"'), "device.tags: is of type str; write a list"),
        (('tags = ["kitchen"]', "tags = [1]"), "device.tags: is of type list"),
        (('tags = ["kitchen"]', 'tags = ["a b"]'), "tags 'a b'"),
        (('platform = "wns"', 'platform = "windows"'), "platform 'windows': unknown; give one of wns"),
        (('platform = "wns"', 'platform = "wns"\nowns_tags = "no"'), "device.owns_tags: is of type str"),
        (('platform = "wns"', 'platform = "fcmv1"'), "platform fcmv1 takes none"),
        (('every = "12h"', 'every = "twice"'), 'refresh.every "twice": is not a duration'),
        (('every = "12h"', 'every = "3000000d"'), 'refresh.every "3000000d": is longer than a hundred years'),
        (('every = "12h"', f"every = {'1' * 5000}"), "is not valid TOML: Exceeds the limit (4300 digits)"),
        (('every = "12h"', "startup_spread = 5"), "startup_spread: is of type int"),
        (('file = "channel"', ""), "channel: there is nothing; give exactly one of file"),
        (('file = "channel"', 'file = "channel"\nenv = "X"'), "there is file and env"),
        (('file = "channel"', "command = []"), "channel.command: is empty"),
        (('headers = { "X-WNS-Type" = "wns/toast" }', ""), "X-WNS-Type is missing"),
        (("[device]", 'style = "backend"\n[device]'), "style 'backend'"),
        (("[device]", "[device"), "is not valid TOML"),
        (("[device]", 'endpoint = "http://elsewhere"\n[device]'), "plain http is for loopback"),
        (("[device]", 'ca_bundle = "absent.pem"\n[device]'), "ca_bundle"),
    ],
    ids=lambda value: value[1][:30] if isinstance(value, tuple) else "",
)
def test_wrong_configuration_is_named_and_changes_nothing(
    command: Command,
    write_config: Callable[[str], str],
    notification_hub: Emulator,
    folder: Path,
    change: tuple[str, str],
    names: str,
) -> None:
    write_config(CONFIG.replace("HUB", notification_hub.hub).replace(*change, 1))
    code, report = command.json("register", "--timeout", "0")
    assert (code, report["error"]["type"]) == (78, "ConfigurationError")
    assert names in report["error"]["message"]
    assert names in command.errors
    assert not (folder / "state").exists()
    assert notification_hub.log() == []


@pytest.mark.parametrize(
    ("name", "value", "words"),
    [
        ("NHAGENT_CONNECTION_STRING", "Endpoint=sb://x", "SharedAccessKeyName is missing"),
        ("NHAGENT_CONNECTION_STRING", "nonsense", "part 1 is not"),
        ("NHAGENT_CONNECTION_STRING", "FULL", "may do more than listen"),
        ("NHAGENT_CONNECTION_STRING_FILE", "/absent", "check the path"),
        ("NHAGENT_STATE_DIR", "relative/folder", "absolute path"),
    ],
)
def test_wrong_environment_is_named_and_changes_nothing(
    command: Command,
    notification_hub: Emulator,
    folder: Path,
    monkeypatch: pytest.MonkeyPatch,
    name: str,
    value: str,
    words: str,
) -> None:
    monkeypatch.setenv(name, notification_hub.full if value == "FULL" else value)
    code, report = command.json("register")
    assert code == 78
    assert words in report["error"]["message"]
    assert "SharedAccessKey=" not in report["error"]["message"] + command.errors
    assert not (folder / "state").exists()
    assert notification_hub.log() == []


def test_no_connection_string_anywhere_is_a_matter_of_configuration(
    command: Command, monkeypatch: pytest.MonkeyPatch, notification_hub: Emulator
) -> None:
    monkeypatch.delenv("NHAGENT_CONNECTION_STRING")
    monkeypatch.delenv("DBUS_SESSION_BUS_ADDRESS", raising=False)
    code, report = command.json("register")
    assert (code, report["error"]["type"]) == (78, "CredentialError")
    assert notification_hub.log() == []


def test_hub_that_does_not_exist_is_a_matter_of_configuration(
    command: Command, write_config: Callable[[str], str]
) -> None:
    write_config(CONFIG.replace("HUB", "no-such-hub"))
    code, report = command.json("register")
    assert (code, report["error"]["type"]) == (78, "HubNotFound")
    assert "No service is hosted" in report["error"]["message"]


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


def test_configuration_that_begins_with_a_byte_order_mark_is_read(
    command: Command, folder: Path, notification_hub: Emulator
) -> None:
    text = CONFIG.replace("HUB", notification_hub.hub).replace("\n", "\r\n")
    (folder / "config.toml").write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert command.run("register")[0] == 0


def test_missing_configuration_file_is_named(command: Command, tmp_path: Path) -> None:
    code = main(["status", "--config", str(tmp_path / "absent.toml"), "--json"])
    assert code == 78


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


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("0s", 0), ("90d", 90 * 86400), ("1d12h", 36 * 3600), ("1.5m", 90), ("1w", 7 * 86400)],
)
def test_durations_are_read(text: str, seconds: float) -> None:
    assert read_duration(text, "x").total_seconds() == seconds


@pytest.mark.parametrize("text", ["", "5", "d", "-1d", "1d ", "1y", "1d x", "9" * 30 + "d"])
def test_what_is_no_duration_is_refused(text: str) -> None:
    with pytest.raises(errors.ConfigurationError, match="x "):
        read_duration(text, "x")


def test_configuration_in_full_is_taken(folder: Path, write_config: Callable[[str], str]) -> None:
    agent = read_agent(
        write_config(
            """
            app = "a"
            [hub]
            name = "my-hub"
            style = "installation"
            endpoint = "sb://ns.servicebus.windows.net"
            allow_full_access = true
            [device]
            platform = "browser"
            tags = []
            user_id = "ann"
            push_variables = { name = "Ann" }
            expires_after = "90d"
            owns_tags = true
            installation_id = "device-1"
            [channel]
            value = { endpoint = "https://b", p256dh = "cHVi", auth = "c2Vj" }
            [refresh]
            every = "0s"
            startup_spread = "0s"
            """
        )
    )
    assert agent.status().installation_id is None


def test_demo_tells_the_story_in_80_columns_within_five_seconds(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["demo"]) == 0
    text = capsys.readouterr().out
    assert max(map(len, text.splitlines())) <= 80
    for number, heading in enumerate(
        (
            "first start: registered",
            "second start: unchanged",
            "both channels rotated: updated",
            "lost at the hub: recreated",
            "the disk was wiped: registered",
            "registrations, first start: registered",
            "registration gone: recreated",
        ),
        start=1,
    ):
        assert f"{number}. {heading}\n" in text
    assert main(["demo", "--json"]) == 0
    story = json.loads(capsys.readouterr().out)
    seen = [[request["method"] for request in step["requests"]] for step in story["steps"]]
    assert seen[:5] == [["GET", "GET", "PUT"], [], ["PATCH"], ["PATCH", "PUT"], ["GET", "GET", "PUT"]]
    assert seen[5:] == [["GET", "PUT", "POST", "PUT", "DELETE", "DELETE"], ["PUT", "POST", "PUT", "PUT"]]
    assert len({step["installation_id"] for step in story["steps"] if step["style"] == "installation"}) == 1
    [held] = story["holds"]["installations"]
    assert held["pushChannel"].endswith("/3")
    rows = story["holds"]["registrations"]
    assert sorted(row.get("templateName", "native") for row in rows) == ["alert", "native"]
    assert story["elapsed"] < 5


@pytest.mark.parametrize("tls", [False, True], ids=["http", "tls"])
def test_emulator_says_in_one_line_how_to_reach_it_and_ends_on_sigterm(tls: bool) -> None:
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--json", "--hub", "my-hub", *(["--tls"] * tls)]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        assert list(ready) == ["endpoint", "hub", "listen", "full", "ca"]
        assert ready["hub"] == "my-hub"
        if tls:
            assert ready["endpoint"].startswith("https://localhost:")
            assert ready["listen"].startswith("Endpoint=sb://localhost:")
            assert Path(ready["ca"]).read_text().startswith("-----BEGIN CERTIFICATE")
        else:
            assert ready["ca"] is None
            assert ready["listen"].startswith(
                f"Endpoint={ready['endpoint']}/;SharedAccessKeyName=DefaultListen"
            )
            with urlopen(Request(f"{ready['endpoint']}/_emulator/log")) as reply:
                assert json.load(reply) == []
        process.send_signal(signal.SIGTERM)
        rest, _ = process.communicate(timeout=2)
    assert (process.returncode, rest) == (0, "")
    if tls:
        assert not os.path.exists(ready["ca"])


def test_emulator_that_others_cannot_use_without_tls_says_so() -> None:
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--host", "0.0.0.0", "--json"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stderr is not None
        json.loads(process.stdout.readline())
        assert "is plain http, which nhagent takes to loopback alone" in process.stderr.readline()
        process.send_signal(signal.SIGTERM)


def test_emulator_shows_every_certificate_that_it_has() -> None:
    from nhagent.commands.parser import make_parser
    from nhagent.emulator.emulator import CERTIFICATES

    for kind in CERTIFICATES:
        assert make_parser().parse_args(["emulator", "--certificate", kind]).certificate == kind
    arguments = [sys.executable, "-m", "nhagent", "emulator", "--json", "--tls", "--certificate", "expired"]
    with subprocess.Popen(arguments, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        ready = json.loads(process.stdout.readline())
        with (
            HubClient(ready["listen"], ready["hub"], ca_bundle=ready["ca"]) as client,
            pytest.raises(errors.HubUnavailable, match="has expired"),
        ):
            client.get_installation("device")
        process.send_signal(signal.SIGTERM)


def test_emulator_without_tls_has_no_certificate_to_show(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["emulator", "--certificate", "early", "--json"]) == 78
    assert "with TLS only" in json.loads(capsys.readouterr().out)["error"]["message"]


def test_emulator_that_cannot_listen_says_so(
    capsys: pytest.CaptureFixture[str], notification_hub: Emulator
) -> None:
    port = notification_hub.endpoint.rsplit(":", 1)[1]
    assert main(["emulator", "--port", port, "--json"]) == 78
    assert json.loads(capsys.readouterr().out)["error"]["type"] == "ConfigurationError"
