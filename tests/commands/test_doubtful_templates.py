"""Templates whose expressions the service may refuse: what the commands say of them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import pytest

from nhagent.emulator import Emulator
from tests.commands.command import CONFIG, Command

SAID = "templates['alert']: '$(message) and more' begins like an expression"


@pytest.fixture
def notification_hub() -> Iterator[Emulator]:
    """A hub that takes what the service's own library refuses; what the service does is not recorded."""
    with Emulator("emulated-hub", lenient=True) as hub:
        yield hub


@pytest.fixture
def doubtful(
    command: Command,  # sets the credential and the folders
    notification_hub: Emulator,
    write_config: Callable[[str], str],
    capsys: pytest.CaptureFixture[str],
) -> Command:
    text = CONFIG.replace("HUB", notification_hub.hub).replace("$(message)", "$(message) and more")
    return Command(capsys, write_config(text))


def test_plan_and_the_first_register_say_it(doubtful: Command, caplog: pytest.LogCaptureFixture) -> None:
    for command, times in (("plan", 1), ("plan", 2), ("register", 3), ("register", 3), ("plan", 4)):
        assert doubtful.run(command)[0] == 0
        assert caplog.text.count(SAID) == times


def test_doctor_says_it_and_calls_nothing_red_for_it(doubtful: Command) -> None:
    doubtful.run("register")
    code, document = doubtful.json("doctor")
    [check] = [check for check in document["checks"] if check["name"] == "templates['alert']"]
    assert (code, document["healthy"], check["ok"]) == (0, True, None)
    assert "'$(message) and more' begins like an expression" in check["fact"]


def test_nothing_is_said_where_nothing_is_doubtful(
    command: Command, caplog: pytest.LogCaptureFixture
) -> None:
    command.run("register")
    assert "expression" not in caplog.text
    assert "expression" not in command.run("doctor")[1]
