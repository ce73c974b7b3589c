"""Messages without code: the daemon hands them to a program, and ``nhagent receive`` prints them."""

from __future__ import annotations

import base64
import json
import os
import pty
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nhagent.channels.encryption import new_pair
from nhagent.commands.cli import main
from nhagent.commands.config import read_agent
from nhagent.commands.setup import read_setup
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from tests.events import HANG_SECONDS, happens

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

TAKER = """
import json, os, sys
folder = {folder!r}
data = sys.stdin.buffer.read()
with open(os.path.join(folder, "began"), "a") as began:
    began.write(data.decode() + "\\n")
while os.path.exists(os.path.join(folder, "hold")):
    pass
if os.path.exists(os.path.join(folder, "fail")):
    os.remove(os.path.join(folder, "fail"))
    sys.exit(3)
with open(os.path.join(folder, "taken"), "a") as taken:
    taken.write(json.dumps([data.decode(), sys.argv[1:], dict(os.environ)]) + "\\n")
"""


class Station:
    """A device whose daemon hands messages to a program."""

    def __init__(self, folder: Path, hub: Emulator) -> None:
        self.folder, self.hub = folder, hub
        self.running: list[subprocess.Popen[bytes]] = []
        self.push_url, self.key = hub.push, hub.vapid_public_key
        (folder / "taker.py").write_text(TAKER.format(folder=str(folder)))
        self.environment = {
            **os.environ,
            "NHAGENT_STATE_DIR": str(folder / "state"),
            "NHAGENT_CONNECTION_STRING": hub.listen,
            "EXTRA": "passed on",
        }
        self.configure()

    def configure(self, receive: str | None = None) -> None:
        if receive is None:
            program = json.dumps([sys.executable, str(self.folder / "taker.py"), "fixed"])
            receive = f'[receive]\ncommand = {program}\ntimeout = "60s"\npass_environment = ["EXTRA"]\n'
        (self.folder / "config.toml").write_text(
            f'app = "sensor"\nhub = {{ name = "{self.hub.hub}" }}\ndevice = {{ tags = ["attic"] }}\n'
            f'[channel]\nwebpush = {{ vapid_public_key = "{self.key}", server = "{self.push_url}" }}\n'
            f"{receive}"
        )

    def begin(self, *arguments: str, **how: Any) -> subprocess.Popen[bytes]:
        given = [sys.executable, "-m", "nhagent", *arguments, "--config", str(self.folder / "config.toml")]
        log = open(self.folder / "log", "a")  # noqa: SIM115 - the process has it
        process = subprocess.Popen(given, env=self.environment, stderr=log, **how)
        log.close()
        self.running.append(process)
        return process

    def is_connected(self) -> bool:
        return any(user["connected"] for user in self.hub.push_service.state().values())

    def is_ready(self) -> bool:
        """The hub holds the subscription that the push service knows, and the device is there."""
        return bool(self.hub.contents()["installations"]) and self.is_connected()

    def push(self, text: str) -> None:
        [held] = self.hub.contents()["installations"]
        assert self.hub.send_push(held["installationId"], text).status == 201

    def taken(self) -> list[Any]:
        try:
            return [json.loads(line) for line in (self.folder / "taken").read_text().splitlines()]
        except FileNotFoundError:
            return []

    def texts(self) -> list[str]:
        return [text for text, _, _ in self.taken()]

    def log(self) -> str:
        return (self.folder / "log").read_text()


# Each is a daemon or a command in a process of its own.
in_processes = pytest.mark.slow


@pytest.fixture
def station(tmp_path: Path, notification_hub: Emulator) -> Iterator[Station]:
    station = Station(tmp_path, notification_hub)
    yield station
    for process in station.running:
        process.kill()
        process.wait()
        for pipe in (process.stdout, process.stdin):
            if pipe is not None:
                pipe.close()


@in_processes
def test_daemon_gets_a_channel_registers_and_hands_messages_to_a_program(station: Station) -> None:
    station.begin("run")
    assert happens(station.is_ready), station.log()
    station.push("first; rm -rf / $(reboot)\n\x1b[2J")
    station.push("second")
    assert happens(lambda: len(station.taken()) == 2), station.log()
    assert station.texts() == ["first; rm -rf / $(reboot)\n\x1b[2J", "second"]
    for _, arguments, environment in station.taken():
        assert arguments == ["fixed"]
        assert environment["EXTRA"] == "passed on"
        assert set(environment["NHAGENT_MESSAGE_ID"]) <= set("0123456789abcdef")
        assert "NHAGENT_CONNECTION_STRING" not in environment
    assert "first" not in station.log()


@in_processes
def test_program_that_fails_gets_the_message_again(station: Station) -> None:
    (station.folder / "fail").write_text("")
    station.begin("run")
    assert happens(station.is_ready), station.log()
    station.push("try again")
    assert happens(lambda: station.texts() == ["try again"]), station.log()
    assert (station.folder / "began").read_text() == "try again\n" * 2
    assert "failed with status 3" in station.log()


@in_processes
def test_daemon_that_is_killed_in_the_middle_of_a_message_hands_it_on_after_its_restart(
    station: Station,
) -> None:
    (station.folder / "hold").write_text("")
    daemon = station.begin("run")
    assert happens(station.is_ready), station.log()
    station.push("in the middle")
    station.push("after it")
    assert happens((station.folder / "began").exists)
    daemon.kill()
    daemon.wait()
    (station.folder / "hold").unlink()
    assert station.texts() in ([], ["in the middle"])  # its program may have outlived it
    station.begin("run")
    assert happens(lambda: station.texts()[-2:] == ["in the middle", "after it"]), station.log()


@pytest.mark.slow
def test_device_that_the_push_service_has_forgotten_is_registered_with_its_new_channel(
    station: Station,
) -> None:
    station.begin("run")
    assert happens(station.is_ready), station.log()
    [before] = station.hub.contents()["installations"]
    station.hub.push_service.drop()

    def has_another() -> bool:
        [held] = station.hub.contents()["installations"]
        return bool(held["pushChannel"] != before["pushChannel"])

    assert happens(has_another), station.log()
    station.push("to the new one")
    assert happens(lambda: station.texts() == ["to the new one"]), station.log()


@in_processes
def test_reload_takes_another_program_and_none_tells_that_nothing_is_received(station: Station) -> None:
    daemon = station.begin("run")
    assert happens(station.is_ready), station.log()
    station.configure(receive="")
    daemon.send_signal(signal.SIGHUP)
    assert happens(lambda: "has no [receive] command" in station.log()), station.log()
    assert happens(lambda: not station.is_connected())
    station.push("waits at the push service")
    station.configure()
    daemon.send_signal(signal.SIGHUP)
    assert happens(lambda: station.texts() == ["waits at the push service"]), station.log()


@in_processes
def test_daemon_stops_at_once_while_it_receives(station: Station) -> None:
    daemon = station.begin("run")
    assert happens(station.is_ready), station.log()
    daemon.send_signal(signal.SIGTERM)
    assert daemon.wait(HANG_SECONDS) == 0


@in_processes
def test_receive_prints_one_object_a_message(station: Station) -> None:
    process = station.begin("receive", "--json", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert happens(station.is_ready), station.log()
    station.push("hello ☂")
    line = json.loads(process.stdout.readline())
    assert line["text"] == "hello ☂"
    assert base64.b64decode(line["data"]).decode() == "hello ☂"
    assert set(line) == {"schema", "id", "data", "text"}
    assert line["schema"] == 1
    process.send_signal(signal.SIGINT)
    assert process.wait(HANG_SECONDS) == 130


@in_processes
def test_receive_ends_well_when_it_is_asked_to(station: Station) -> None:
    process = station.begin("receive", stdout=subprocess.PIPE)
    assert happens(station.is_ready), station.log()
    process.send_signal(signal.SIGTERM)
    assert process.wait(HANG_SECONDS) == 0


@in_processes
def test_message_on_a_terminal_is_escaped(station: Station) -> None:
    ours, theirs = pty.openpty()
    try:
        station.begin("receive", stdout=theirs)
        os.close(theirs)
        assert happens(station.is_ready), station.log()
        station.push("\x1b]0;title\x07red")
        shown = os.read(ours, 4096)
    finally:
        os.close(ours)
    assert shown.strip() == rb"\x1b]0;title\x07red"


@in_processes
def test_message_whose_reader_has_gone_comes_again(station: Station) -> None:
    process = station.begin("receive", stdout=subprocess.PIPE)
    assert process.stdout is not None
    assert happens(station.is_ready), station.log()
    process.stdout.close()
    station.push("unread")
    assert process.wait(HANG_SECONDS) == 0
    again = station.begin("receive", stdout=subprocess.PIPE)
    assert again.stdout is not None
    assert again.stdout.readline() == b"unread\n"


@in_processes
def test_receive_beside_a_daemon_that_receives_says_so(station: Station) -> None:
    station.begin("run")
    assert happens(station.is_ready), station.log()
    second = station.begin("receive", "--json", stdout=subprocess.PIPE)
    assert second.wait(HANG_SECONDS) == 75
    assert second.stdout is not None
    error = json.loads(second.stdout.read())["error"]
    assert error["type"] == "StateLocked"
    assert "another process of this app is connected to the push service" in error["message"]


@in_processes
def test_doctor_says_whether_the_push_service_can_be_reached(station: Station) -> None:
    def examined() -> dict[str, Any]:
        process = station.begin("doctor", "--json", stdout=subprocess.PIPE)
        said, _ = process.communicate(timeout=HANG_SECONDS)
        return {check["name"]: check for check in json.loads(said)["checks"]}

    before = examined()
    assert before["push service"]["ok"] is True
    assert "there is no subscription yet" in before["channel"]["fact"]
    assert station.hub.push_service.state() == {}
    assert station.begin("register").wait(HANG_SECONDS) == 0
    assert examined()["channel"]["ok"] is True
    station.hub.push_service.refuses = 503
    refused = examined()["push service"]
    assert refused["ok"] is False
    assert "takes no connection (it answered with HTTP status 503)" in refused["fact"]


def test_vapid_makes_a_pair_that_devices_and_hubs_take(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["vapid", "--json"]) == 0
    pair = json.loads(capsys.readouterr().out)
    from nhagent.channels import WebPushChannel

    WebPushChannel(pair["vapid_public_key"])
    assert len(pair["vapid_private_key"]) == 43
    assert main(["vapid"]) == 0
    text = capsys.readouterr().out
    assert "shown once, and kept nowhere" in text
    assert pair["vapid_public_key"] not in text


WEB_PUSH = 'webpush = { vapid_public_key = "KEY", server = "ws://127.0.0.1:9/" }'


@pytest.mark.parametrize(
    ("channel", "receive", "words"),
    [
        ('file = "channel"', 'command = ["true"]', "receive: nothing arrives on this channel here"),
        (WEB_PUSH, "", "receive.command: is empty"),
        (WEB_PUSH, 'command = "true"', "receive.command: is of type str"),
        (WEB_PUSH, 'command = ["true"]\ntimeout = "0s"', "receive.timeout: is zero"),
        (WEB_PUSH, 'command = ["true"]\ntimeout = "soon"', "is not a duration"),
        (
            WEB_PUSH,
            'command = ["true"]\npass_environment = ["NHAGENT_CONNECTION_STRING"]',
            "holds the connection string",
        ),
        (WEB_PUSH, 'comand = ["true"]', 'receive.comand: unknown key "comand"; did you mean "command"?'),
        ('webpush = { vapid = "x" }', "", 'channel.webpush.vapid: unknown key "vapid"'),
        ("webpush = {}", "", 'channel.webpush.vapid_public_key: is missing; write vapid_public_key = "…"'),
        ('webpush = "KEY"', "", "channel.webpush: is of type str"),
        (WEB_PUSH.replace("ws:", "http:"), "", "is not a push service's address"),
    ],
)
def test_configuration_that_cannot_be_meant_is_refused(
    channel: str, receive: str, words: str, write_config: Callable[[str], str]
) -> None:
    platform = 'platform = "wns"' if channel.startswith("file") else ""
    text = f'app = "sensor"\n[hub]\nname = "hub"\n[device]\n{platform}\n[channel]\n{channel}\n'
    text += f"[receive]\n{receive}\n"
    path = write_config(text.replace("KEY", new_pair()[1]))
    with pytest.raises(ConfigurationError) as caught:
        read_agent(path)
    assert words in str(caught.value)


def test_channels_of_windows_are_those_of_the_app_and_of_each_tile(
    write_config: Callable[[str], str],
) -> None:
    text = 'app = "a"\n[hub]\nname = "h"\n[device]\ntags = []\n[channel]\nwns = {}\n'
    text += "[tiles.weather]\nchannel = { wns = {} }\n"
    setup = read_setup(write_config(text))
    assert setup.platform == "wns"
    assert [getattr(source, "_tile_id", "none") for source in setup.sources.values()] == [None, "weather"]


def test_tile_with_a_channel_of_another_platform_is_refused(write_config: Callable[[str], str]) -> None:
    text = 'app = "a"\n[hub]\nname = "h"\n[device]\nplatform = "wns"\n[channel]\nvalue = "https://push.example/1"\n'
    text += f"[tiles.weather.channel]\n{WEB_PUSH}\n"
    with pytest.raises(
        ConfigurationError, match=r"tiles\.weather\.channel\.webpush: a tile has no such channel"
    ):
        read_agent(write_config(text))
