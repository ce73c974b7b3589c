"""The configuration of the command: what is read, and what is refused before anything is touched."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent import errors
from nhagent.commands.cli import main
from nhagent.commands.config import read_agent
from nhagent.commands.durations import read_duration
from nhagent.emulator import Emulator
from tests.commands.command import CONFIG, Command
from tests.subscriptions import AUTH, P256DH


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
            value = { endpoint = "https://b", p256dh = "P256DH", auth = "AUTH" }
            [refresh]
            every = "0s"
            startup_spread = "0s"
            """.replace("P256DH", P256DH).replace("AUTH", AUTH)
        )
    )
    assert agent.status().installation_id is None
