"""``nhagent init`` writes a configuration that is read, says what to do next, and overwrites nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.channels.encryption import new_pair
from nhagent.commands import init
from nhagent.commands.cli import main
from nhagent.commands.init import Given, initialise
from nhagent.commands.setup import read_setup
from nhagent.commands.toml_table import read_toml
from nhagent.device import paths
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.models import Platform
from tests.events import HANG_SECONDS

HUB = "my-hub"


def everything_in(text: str) -> str:
    """The file as it is once a person has taken out every comment's ``# `` before a key or a table."""
    lines = []
    for line in text.splitlines():
        bare = line.removeprefix("# ")
        is_setting = bare.startswith("[") or (" = " in bare and bare.split(" = ")[0].isidentifier())
        lines.append(bare if is_setting else line)
    return "\n".join(lines)


@pytest.fixture(autouse=True)
def _state(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))


@pytest.mark.parametrize("platform", Platform, ids=str)
def test_file_of_every_platform_is_read(platform: Platform, tmp_path: Path) -> None:
    path = str(tmp_path / "settings" / "config.toml")
    key = new_pair()[1] if platform is Platform.BROWSER else None
    handle = None if platform is Platform.BROWSER else "/run/handle"
    initialise(Given(path, "thermostat", HUB, platform.value, handle, key))
    setup = read_setup(path)
    assert (setup.platform, setup.agent.status().hub) == (platform, HUB)
    assert set(setup.channel_files.values()) == ({handle} - {None})


@pytest.mark.parametrize("platform", [one for one in Platform if one is not Platform.BROWSER], ids=str)
def test_every_line_that_is_a_comment_can_be_taken_into_use(platform: Platform, tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    initialise(Given(str(path), "thermostat", HUB, platform.value, "/run/handle"))
    whole = everything_in(path.read_text())
    for line in ('style = "registration"', 'ca_bundle = "ca.pem"', "owns_tags = false"):
        assert line in whole
        whole = whole.replace(line, "")  # cannot stand beside the others, or needs a file
    path.write_text(
        whole.replace("/usr/local/bin/registered", "/bin/true").replace("/usr/local/bin/failed", "/bin/true")
    )
    setup = read_setup(str(path))
    assert setup.metrics_file == "/var/lib/prometheus/node-exporter/nhagent.prom"
    assert list(setup.declared.templates or {}) == ["alert"]


@given(
    path=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=40)
)
def test_whatever_is_quoted_is_read_back(path: str) -> None:

    assert tomllib.loads(f"it = {init._quoted(path)}\n") == {"it": path}


def test_a_file_that_is_there_is_left_alone(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tmp_path / "config.toml"
    path.write_text("mine")
    arguments = ["init", "--app", "a", "--hub", HUB, "--platform", "wns", "--channel-file", "/run/handle"]
    assert main([*arguments, "--config", str(path), "--json"]) == 78
    document = json.loads(capsys.readouterr().out)
    assert document["error"]["type"] == "ConfigurationError"
    assert "is there already" in document["error"]["message"]
    assert path.read_text() == "mine"


def test_a_link_that_leads_nowhere_is_left_alone(tmp_path: Path) -> None:
    path = tmp_path / "config.toml"
    path.symlink_to(tmp_path / "elsewhere")
    with pytest.raises(ConfigurationError, match="is there already"):
        initialise(Given(str(path), "a", HUB, "wns", "/run/handle"))
    assert not (tmp_path / "elsewhere").exists()


@pytest.mark.parametrize(
    ("wrong", "told"),
    [
        ({"platform": "fcm1"}, "platform"),
        ({"hub": "no hub"}, "hub"),
        ({"app": ""}, "app"),
        ({"vapid_public_key": "x", "platform": "browser", "channel_file": None}, "vapid"),
    ],
)
def test_what_is_wrong_is_told_and_nothing_is_written(
    wrong: dict[str, Any], told: str, tmp_path: Path
) -> None:
    given = {"app": "a", "hub": HUB, "platform": "wns", "channel_file": "/run/handle", **wrong}
    with pytest.raises(ConfigurationError, match=told):
        initialise(Given(str(tmp_path / "config.toml"), **given))
    assert list(tmp_path.iterdir()) == []


def test_without_a_terminal_what_is_missing_is_told(tmp_path: Path) -> None:
    given = [sys.executable, "-m", "nhagent", "init", "--app", "a", "--config", str(tmp_path / "c.toml")]
    ended = subprocess.run(
        given, stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=HANG_SECONDS, check=False
    )
    assert ended.returncode == 78
    assert "--hub: was not given" in ended.stderr
    assert not (tmp_path / "c.toml").exists()


def test_a_person_is_asked_again_until_the_answer_is_right(tmp_path: Path) -> None:
    answers = iter(["thermostat", "no hub", HUB, "fmc", "fcmv1", ""])
    asked: list[str] = []

    def ask(question: str) -> str:
        asked.append(question)
        return next(answers)

    document, _ = initialise(Given(str(tmp_path / "config.toml")), ask=ask, is_root=False)
    read = read_toml(document["config"])
    assert (read["app"], read["hub"]["name"], read["device"]["platform"]) == ("thermostat", HUB, "fcmv1")
    assert read["channel"] == {"file": "~/.local/share/thermostat/channel"}
    assert len(asked) == 6


def test_nobody_is_asked_for_ever(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="was not answered"):
        initialise(Given(str(tmp_path / "config.toml"), "a", HUB), ask=lambda _: "nonsense")


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_on_a_terminal_the_questions_do_not_stand_in_the_result(tmp_path: Path) -> None:
    if sys.platform == "win32":
        return
    terminal, its_end = os.openpty()
    given = [sys.executable, "-m", "nhagent", "init", "--json", "--config", str(tmp_path / "config.toml")]
    with subprocess.Popen(
        given, stdin=its_end, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        os.close(its_end)
        os.write(terminal, f"thermostat\n{HUB}\nwns\n/run/handle\n".encode())
        printed, _ = process.communicate(timeout=HANG_SECONDS)
    os.close(terminal)
    assert process.returncode == 0
    assert json.loads(printed)["config"] == str(tmp_path / "config.toml")
    assert read_toml(str(tmp_path / "config.toml"))["channel"] == {"file": "/run/handle"}


@pytest.mark.slow
def test_the_commands_that_follow_make_it_registered(
    tmp_path: Path,
    notification_hub: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.delenv("NHAGENT_CONNECTION_STRING")  # the fixture's: login is not needed beside it
    monkeypatch.setenv("NHAGENT_VAULT_KEY_FILE", str(tmp_path / "vault.key"))
    monkeypatch.setenv("PYTHON_KEYRING_BACKEND", "nhagent.device.vault.Vault")
    (tmp_path / "handle").write_text("token-1")
    assert main(["vault", "init"]) == 0
    capsys.readouterr()
    config = str(tmp_path / "config.toml")
    given = ["--app", "a", "--hub", notification_hub.hub, "--platform", "fcmv1"]
    assert (
        main(["init", *given, "--channel-file", str(tmp_path / "handle"), "--config", config, "--json"]) == 0
    )
    commands = json.loads(capsys.readouterr().out)["commands"]
    assert [command.split()[:2] for command in commands] == [
        ["nhagent", "login"], ["nhagent", "register"], ["nhagent", "doctor"],
    ]  # fmt: skip
    for command in commands:
        ended = subprocess.run(
            [sys.executable, "-m", *command.split()],
            input=notification_hub.listen,
            text=True,
            capture_output=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        assert ended.returncode == 0, ended
    assert "healthy" in ended.stdout
    [held] = notification_hub.contents()["installations"]
    assert held["pushChannel"] == "token-1"


def test_root_writes_the_systems_file_and_a_user_ones_own(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path))
    assert init._path_of(Given(), is_root=True) == paths.SYSTEM_CONFIG
    assert init._path_of(Given(), is_root=False) == str(tmp_path / "nhagent/config.toml")
    assert init._commands(paths.SYSTEM_CONFIG, is_root=True)[1:] == [
        "nhagent units --install", "nhagent --service wait && nhagent --service doctor",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("path", "last"),
    [
        ("/etc/nhagent/bell.toml", " && ".join(
            f"nhagent --service --config /etc/nhagent/bell.toml {word}" for word in ("wait", "doctor")
        )),
        ("/etc/nhagent/my device.toml", "nhagent doctor --config '/etc/nhagent/my device.toml'"),
        ("/etc/nhagent/bell.conf", "nhagent doctor --config /etc/nhagent/bell.conf"),
    ],
)  # fmt: skip
def test_commands_for_one_of_several_services_are_those_of_its_unit(path: str, last: str) -> None:
    *_, said = init._commands(path, is_root=True)
    assert said == last


def test_daemon_needs_a_login_whatever_the_shell_has(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    (tmp_path / "systemctl").write_text("#!/bin/sh\n")
    (tmp_path / "systemctl").chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", "Endpoint=…")
    assert init._commands(paths.users_config_file(), is_root=False)[0] == "nhagent login"
    assert init._commands("/srv/config.toml", is_root=False)[0].startswith("nhagent register")
