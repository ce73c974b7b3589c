"""``nhagent wait`` looks at what the daemon has written, sends nothing, and tells who must act."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent.commands.waiting import wait
from nhagent.emulator import Emulator
from tests.commands.command import Command


@pytest.fixture
def config(folder: Path, command: Command) -> str:
    return str(folder / "config.toml")


def test_registered_device_is_not_waited_for(command: Command, notification_hub: Emulator) -> None:
    command.run("register")
    notification_hub.clear_log()
    code, document = command.json("wait", "--timeout", "0")
    assert (code, document["registered"], document["state"], document["why"]) == (0, True, "IN_SYNC", None)
    assert notification_hub.log() == []


def test_change_that_is_still_on_its_way_is_not_waited_for(command: Command, folder: Path) -> None:
    command.run("register")
    config = folder / "config.toml"
    config.write_text(config.read_text().replace('["kitchen"]', '["kitchen", "attic"]'))
    code, document = command.json("wait", "--timeout", "0")
    assert (code, document["registered"], document["state"]) == (0, True, "DRIFTED")


def test_push_channel_that_is_not_there_yet_is_told_by_its_file(command: Command, folder: Path) -> None:
    (folder / "channel").unlink()
    code, printed = command.run("wait", "--timeout", "0")
    assert code == 75
    path = folder / "channel"
    assert printed == f"waiting: there is no push channel yet: whoever gets it writes {path}\n"


def test_device_that_nobody_has_registered_is_75(command: Command, folder: Path) -> None:
    code, printed = command.run("wait", "--timeout", "0")
    assert code == 75
    assert printed == "waiting: nobody has registered it so far; see: nhagent register, nhagent run\n"
    assert not (folder / "state").exists()


def test_hub_that_is_away_is_75_and_one_that_refuses_the_key_is_77(
    command: Command, notification_hub: Emulator
) -> None:
    notification_hub.fail("*", status=503, times=20)
    command.run("register", "--timeout", "0")
    assert command.json("wait", "--timeout", "0")[0] == 75
    notification_hub.clear_faults()
    notification_hub.fail("*", status=401, times=20)
    command.run("register", "--timeout", "0")
    code, document = command.json("wait", "--timeout", "0")
    assert (code, document["state"]) == (77, "BLOCKED")
    assert "Unauthorized" in document["why"]


def test_unregistered_device_is_78(command: Command) -> None:
    command.run("register")
    command.run("unregister")
    code, document = command.json("wait", "--timeout", "0")
    assert (code, document["registered"], document["state"]) == (78, False, "DISABLED")


def test_record_that_the_hub_has_lost_is_waited_for(command: Command, notification_hub: Emulator) -> None:
    command.run("register")
    _, report = command.json("status")
    notification_hub.forget(installation=report["installation_id"])
    command.run("verify")
    assert command.json("wait", "--timeout", "0")[0] == 75
    command.run("register")
    assert command.json("wait", "--timeout", "0")[0] == 0


def test_it_ends_as_soon_as_the_hub_has_accepted(command: Command, config: str) -> None:
    pauses: list[float] = []

    def pause(seconds: float) -> None:
        pauses.append(seconds)
        if len(pauses) == 3:
            command.run("register")

    assert wait(config, 60.0, clock=lambda: sum(pauses), pause=pause)[0]
    assert len(pauses) == 3


def test_it_ends_when_the_time_is_up(config: str) -> None:
    pauses: list[float] = []
    is_registered, status, _ = wait(config, 1.1, clock=lambda: sum(pauses), pause=pauses.append)
    assert not is_registered
    assert status.state == "NEW"
    assert sum(pauses) == pytest.approx(1.1)


def test_state_is_read_only_when_it_has_changed(
    config: str, count_reads: Callable[[], int], command: Command
) -> None:
    pauses: list[float] = []
    wait(config, 25.0, clock=lambda: sum(pauses), pause=pauses.append)
    assert len(pauses) == 100
    assert count_reads() < 10


@pytest.fixture
def count_reads(folder: Path) -> Callable[[], int]:
    """How often the state was opened, told by the interpreter itself."""
    import sys

    opened: list[str] = []
    state = str(folder / "state")

    def hook(event: str, arguments: tuple[object, ...]) -> None:
        if event == "open" and str(arguments[0]).startswith(state):
            opened.append(str(arguments[0]))

    sys.addaudithook(hook)
    return lambda: len(opened)


def test_without_json_it_says_as_what(command: Command) -> None:
    _, report = command.json("register")
    code, printed = command.run("wait")
    assert (code, printed) == (0, f"registered as {report['installation_id']}\n")
    assert json.dumps(report)
