"""What a first configuration gets wrong: the line is shown, and what is probably meant."""

from __future__ import annotations

import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent.commands.config import read_agent
from nhagent.device import paths
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from tests.commands.command import CONFIG, Command

SECRET = (
    "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=L;SharedAccessKey=" + "QUJD" * 10 + "QUI="
)
HANDLE = "https://db5.notify.windows.com/?token=AwYAAAB%2fabc"


@pytest.mark.parametrize(
    ("line", "fact", "hint"),
    [
        ("platform = wns", "line 5), where it says: platform = wns", 'quotation marks: platform = "…"'),
        ("platform = ", "line 5), where it says: platform =", "give platform a value"),
        ('platform = "wns', "line 5)", 'close the text with "'),
        ("platform = 'wns", "line 5)", "close the text with '"),
        ("platform = \u201cwns\u201d", "line 5)", "use straight quotation marks"),
        ("platform: wns", "line 5), where it says: platform: wns", "write key = value"),
        ("// the device", "line 5)", "begin a comment with #"),
        ('platform = "wns"\nplatform = "wns"', "line 6)", "this one stands above too"),
        ('[hub]\nname = "x"', "line 5)", "give each key and each table once"),
        ('body = "{"title": "$(title)"}"', "where it says: body = ", "put it between single quotation marks"),
        ("body = '{'title': 1}'", "line 5)", "put it between three quotation marks"),
        ('path = "C:\\Users\\x"', "line 5)", "holds a backslash: put it between single quotation marks"),
        ("owns_tags = True", "line 5)", "write true or false, in small letters"),
        ("user_id = None", "line 5)", "leave user_id out"),
        ('tags = ["a"', "line 5)", "close the list with ]"),
        ("[templates.alert", "line 5)", "close the name of the table with ]"),
        ("just words", "line 5), where it says: just words", "write key = value"),
        ("file = ~/channel", "line 5)", 'quotation marks: file = "…"'),
    ],
)  # fmt: skip
def test_line_that_is_no_toml_is_shown_with_its_likely_cause(
    write_config: Callable[[str], str], line: str, fact: str, hint: str
) -> None:
    path = write_config(f'app = "a"\n[hub]\nname = "hub"\n[device]\n{line}\n')
    with pytest.raises(ConfigurationError) as caught:
        read_agent(path)
    assert caught.value.fact.startswith(f"configuration file {path}: is not valid TOML: ")
    assert fact in caught.value.fact
    assert caught.value.hint.startswith("correct the file: ")
    assert hint in caught.value.hint


@pytest.mark.parametrize("value", [SECRET, HANDLE, f'"{SECRET}', f'"{HANDLE}', f'"{SECRET}" x', "QUJD" * 11])
def test_line_of_a_secret_or_a_handle_is_shown_without_it(
    write_config: Callable[[str], str], value: str
) -> None:
    with pytest.raises(ConfigurationError, match=r"\(at line 2\), where it says: value = …") as caught:
        read_agent(write_config(f"[channel]\nvalue = {value}\n"))
    assert value.strip('"') not in str(caught.value)
    assert not any(part in str(caught.value) for part in ("QUJDQUJD", "notify.windows", "servicebus"))


def test_file_of_another_encoding_is_told(tmp_path: Path) -> None:
    (tmp_path / "config.toml").write_bytes('app = "Tür"'.encode("latin-1"))
    with pytest.raises(ConfigurationError, match="is not text in UTF-8; save it in that encoding"):
        read_agent(str(tmp_path / "config.toml"))


@pytest.mark.parametrize(
    ("table", "line", "named", "hint"),
    [
        ("hub", 'connection_string = "SECRET"', "hub.connection_string", 'store it with "nhagent login"'),
        ("", 'connection_string = "SECRET"', "connection_string", "$NHAGENT_CONNECTION_STRING_FILE"),
        ("device", 'ConnectionString = "SECRET"', "device.ConnectionString", "nhagent login"),
        ("hub", 'key = "SECRET"', "hub.key", 'store it with "nhagent login"'),
        ("hub", 'token = "x"', "hub.token", 'store it with "nhagent login"'),
        ("hub", 'platform = "wns"', "hub.platform", "move it into [device]"),
        ("", 'platform = "wns"', "platform", "move it into [device]"),
        ("device", 'style = "installation"', "device.style", "move it into [hub]"),
        ("channel", 'tags = ["a"]', "channel.tags", "move it into [device]"),
        ("device", 'file = "x"', "device.file", "move it into [channel]"),
        ("hub", 'every = "1d"', "hub.every", "move it into [refresh]"),
        ("device", 'body = "x"', "device.body", "move it into [templates.NAME]"),
        ("hub", 'app = "a"', "hub.app", "move it to the top of the file"),
        ("device", "templates = {}", "device.templates", "which begins with [templates]"),
        ("", 'hub_name = "x"', "hub_name", "write it as name in [hub]"),
        ("", 'namespace = "x"', "namespace", "write it as endpoint in [hub]"),
        ("device", 'pushChannel = "x"', "device.pushChannel", "write it as value in [channel]"),
        ("refresh", 'interval = "1d"', "refresh.interval", "write it as every in [refresh]"),
        ("", 'state_dir = "x"', "state_dir", "$NHAGENT_STATE_DIR"),
        ("hub", "timeout = 5", "hub.timeout", "--timeout"),
        ("hub", 'expiresAfter = "1d"', "hub.expiresAfter", "write it as expires_after in [device]"),
        ("tiles.weather", 'file = "x"', "tiles.weather.file", "move it into [channel]"),
        ("device", "zzz = 1", "device.zzz", "known are platform, tags"),
        ("device", 'platfrom = "wns"', "device.platfrom", 'did you mean "platform"?'),
    ],
)  # fmt: skip
def test_key_in_a_wrong_place_is_answered_with_the_right_one(
    command: Command,
    write_config: Callable[[str], str],
    notification_hub: Emulator,
    table: str,
    line: str,
    named: str,
    hint: str,
) -> None:
    config = CONFIG.replace("HUB", notification_hub.hub)
    line = line.replace("SECRET", SECRET)
    head = f"[{table}]\n" if table else "\n"
    write_config(config.replace(head, f"{head}{line}\n", 1))
    code, report = command.json("register", "--timeout", "0")
    assert (code, report["error"]["type"]) == (78, "ConfigurationError")
    assert f'{named}: unknown key "{named.rpartition(".")[2]}"' in report["error"]["message"]
    assert hint in report["error"]["message"]
    assert "QUJDQUJD" not in str(report) + command.errors
    assert notification_hub.log() == []


def test_table_that_was_written_as_a_value_is_told_how_tables_begin(
    write_config: Callable[[str], str],
) -> None:
    with pytest.raises(ConfigurationError, match=r"hub: is of type str; write a line \[hub\], and its keys"):
        read_agent(write_config('app = "a"\nhub = "my-hub"\n'))


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    folder = tmp_path / "home"
    folder.mkdir()
    for name in ("HOME", "USERPROFILE"):
        monkeypatch.setenv(name, str(folder))
    return folder


@pytest.mark.skipif(sys.platform != "linux", reason="elsewhere $HOME and XDG's variables name no such folder")
@pytest.mark.parametrize(
    ("find", "named_by"),
    [
        (lambda: paths.config_file(None), "$NHAGENT_CONFIG"),
        (lambda: paths.state_folder(None), "$NHAGENT_STATE_DIR"),
        (paths.vault_file, "$NHAGENT_STATE_DIR"),
        (paths.vault_key_file, "$NHAGENT_VAULT_KEY_FILE"),
    ],
)
def test_user_whom_the_system_does_not_know_is_told_what_to_name(
    monkeypatch: pytest.MonkeyPatch, find: Callable[[], str], named_by: str
) -> None:
    """As in containers under any number: what would be found there depends on the working folder."""
    if os.path.exists(paths.SYSTEM_CONFIG):
        pytest.skip("this machine has a configuration of its own")
    for name in ("XDG_CONFIG_HOME", "XDG_DATA_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "~")  # what expanding ~ then gives
    with pytest.raises(ConfigurationError, match=r"folder '~/.*nhagent': is relative") as caught:
        find()
    assert "set $HOME" in caught.value.hint
    assert named_by in caught.value.hint


@pytest.mark.parametrize("path", ["~/chan", "../home/chan", "sub/../../home/chan", "ABSOLUTE"])
def test_channel_file_is_found_from_home_and_from_the_files_folder(
    command: Command,
    folder: Path,
    home: Path,
    notification_hub: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    path: str,
) -> None:
    (home / "chan").write_text("https://push.example/home")
    place = folder / "etc"
    (place / "sub").mkdir(parents=True)
    named = path.replace("ABSOLUTE", str(home / "chan")).replace("../home", f"../{home.name}")
    text = (
        CONFIG.replace("HUB", notification_hub.hub)
        .replace('"channel"', f"'{named}'")
        .replace('"tile"', '"../tile"')
    )
    (folder / "config.toml").write_text(text)
    (place / "config.toml").write_text(text)
    monkeypatch.chdir("/")
    code, _ = Command(command._capsys, str(place / "config.toml")).run("register")
    assert code == 0
    [held] = notification_hub.contents()["installations"]
    assert held["pushChannel"] == "https://push.example/home"


def test_tile_and_certificates_and_the_file_itself_may_be_named_from_home(
    home: Path, monkeypatch: pytest.MonkeyPatch, tls_notification_hub: Emulator
) -> None:
    assert tls_notification_hub.ca is not None
    (home / "ca.pem").write_bytes(Path(tls_notification_hub.ca).read_bytes())
    (home / "chan").write_text("https://push.example/home")
    (home / "tile").write_text("https://push.example/tile")
    (home / "config.toml").write_text(
        'app = "a"\n[hub]\nname = "HUB"\nca_bundle = "~/ca.pem"\n[device]\nplatform = "wns"\n[channel]\n'
        'file = "chan"\n[tiles.weather]\nchannel = { file = "~/tile" }\n'.replace(
            "HUB", tls_notification_hub.hub
        )
    )
    monkeypatch.setenv("NHAGENT_CONFIG", "~/config.toml")
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(home / "state"))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", tls_notification_hub.listen)
    assert read_agent(None).start().outcome == "registered"
    [held] = tls_notification_hub.contents()["installations"]
    assert held["secondaryTiles"]["weather"]["pushChannel"] == "https://push.example/tile"


@pytest.mark.skipif(sys.platform == "win32", reason="a script with a first line of its own")
@pytest.mark.parametrize("program", ["~/give", "../home/give"])
def test_command_is_found_from_home_and_from_the_files_folder(
    home: Path, write_config: Callable[[str], str], monkeypatch: pytest.MonkeyPatch, program: str
) -> None:
    from nhagent.commands.setup import read_setup

    (home / "give").write_text("#!/bin/sh\necho https://push.example/given\n")
    (home / "give").chmod(0o700)
    path = write_config("")
    named = program.replace("../home", home.name)
    Path(path).write_text(
        f'app = "a"\n[hub]\nname = "h"\n[device]\nplatform = "wns"\n[channel]\ncommand = ["{named}"]\n'
    )
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(home / "state"))
    monkeypatch.chdir("/")
    assert read_setup(path).ask_source("channel") == "https://push.example/given"


def test_home_of_nobody_is_told(write_config: Callable[[str], str]) -> None:
    text = 'app = "a"\n[hub]\nname = "h"\n[device]\nplatform = "wns"\n[channel]\nfile = "~no-such-user/x"\n'
    with pytest.raises(
        ConfigurationError, match=r"channel\.file '~no-such-user/x': names a home folder that"
    ):
        read_agent(write_config(text))
