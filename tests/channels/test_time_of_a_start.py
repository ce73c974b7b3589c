"""Channel sources get the time that a start has left."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from nhagent import Agent, SecondaryTile, channels
from nhagent.channels.source import seconds_left
from nhagent.commands.config import read_agent
from nhagent.errors import ConfigurationError
from tests.device_under_test import PLAIN, Device
from tests.events import HELD_SECONDS

NEEDS_SLEEP = pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such program")
HANGING = ["sleep", str(HELD_SECONDS)]


def seconds_in(error: object) -> float:
    found = re.search(r"did not end within ([\d.]+) s", str(error))
    assert found is not None, error
    return float(found[1])


@pytest.mark.slow
@NEEDS_SLEEP
def test_start_with_two_seconds_gives_a_command_no_more(device: Device) -> None:
    report = device.agent(channel=channels.from_command(HANGING), **PLAIN).start(timeout=2)
    assert report.outcome == "waiting"
    assert 0 < seconds_in(report.error) <= 2


@pytest.mark.slow
@NEEDS_SLEEP
def test_tile_gets_what_the_channel_before_it_left(device: Device) -> None:
    tile = SecondaryTile(channel=channels.from_command(HANGING))
    report = device.agent(secondary_tiles={"a": tile, "b": tile}).start(timeout=2)
    first, second = map(str, report.channel_errors.values())
    assert 0 < seconds_in(first) <= 2
    assert "no time was left to run it" in second
    assert report.outcome == "registered"


@NEEDS_SLEEP
def test_command_keeps_its_own_shorter_time(device: Device) -> None:
    report = device.agent(channel=channels.from_command(HANGING, 0.2), **PLAIN).start(timeout=20)
    assert seconds_in(report.error) == 0.2


@pytest.mark.parametrize("act", [Agent.start, Agent.refresh, Agent.unregister, Agent.update, Agent.add_tags])
def test_every_call_with_a_timeout_gives_it_to_its_sources(device: Device, act: Callable[..., Any]) -> None:
    left: list[float | None] = []
    agent = device.agent(channel=lambda: left.append(seconds_left()), **PLAIN)
    act(agent, timeout=7)
    assert left
    assert all(seconds is not None and 0 < seconds <= 7 for seconds in left)


@pytest.mark.parametrize("timeout", [0, 0.01])
def test_start_without_time_gives_its_sources_a_little(device: Device, timeout: float) -> None:
    left: list[float | None] = []
    device.agent(channel=lambda: left.append(seconds_left()), **PLAIN).start(timeout=timeout)
    assert all(seconds is not None and 0 < seconds <= 2 for seconds in left)


def test_source_that_nobody_gave_a_time_has_what_it_likes(device: Device) -> None:
    left: list[float | None] = []
    agent = device.agent(channel=lambda: left.append(seconds_left()), **PLAIN)
    agent.start(timeout=7)
    assert "channel" in agent.plan().channel_errors
    assert left[-1] is None
    assert seconds_left() is None


CONFIGURATION = """
app = "a"
hub = {{ name = "hub" }}
device = {{ platform = "wns" }}
channel = {{ {} }}
[tiles.t]
channel = {{ {} }}
"""
GOOD = 'command = ["true"], pass_environment = ["A_1"]'


@pytest.fixture
def read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], Agent]:
    monkeypatch.setenv(
        "NHAGENT_CONNECTION_STRING", "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=b"
    )
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))

    def read(channel: str, tile: str) -> Agent:
        path = tmp_path / "config.toml"
        path.write_text(CONFIGURATION.format(channel, tile), encoding="utf-8")
        return read_agent(str(path))

    return read


def test_configuration_names_variables_beside_a_command(read: Callable[[str, str], Agent]) -> None:
    assert isinstance(read(GOOD, GOOD), Agent)


@pytest.mark.parametrize(
    ("channel", "words"),
    [
        ('command = ["true"], pass_environment = "A"', "pass_environment: is of type str"),
        ('command = ["true"], pass_environment = ["A B"]', "is not the name of a variable"),
        ('command = ["true"], pass_environment = [""]', "is not the name of a variable"),
        (
            'command = ["true"], pass_environment = ["NHAGENT_CONNECTION_STRING"]',
            "holds the connection string",
        ),
        ('value = "x", pass_environment = ["A"]', "there is no command beside it"),
        ('pass_environment = ["A"]', "there is nothing; give exactly one of file, command, env"),
    ],
)
def test_variables_that_cannot_be_passed_are_named(
    read: Callable[[str, str], Agent], channel: str, words: str
) -> None:
    for name, given in (("channel", (channel, GOOD)), (r"tiles\.t\.channel", (GOOD, channel))):
        with pytest.raises(ConfigurationError, match=rf"config\.toml: {name}.*{words}"):
            read(*given)
