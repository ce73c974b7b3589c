"""``run --log-format json``: one object an event, with what it tells by name."""

from __future__ import annotations

import json
import signal
import sys
from collections.abc import Callable
from typing import Any

import pytest

from tests.events import happens

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

from tests.commands.running import Running


@pytest.mark.slow
def test_every_line_is_an_object(run: Callable[..., Running]) -> None:
    daemon = run(arguments=["--log-format", "json"])
    daemon.hears("registered")
    daemon.give("handle-2")
    assert happens(lambda: daemon.channel() == "handle-2")
    daemon.hears("updated")
    daemon.hub.fail("*", status=503, times=1)
    daemon.give("handle-3")
    daemon.hears("waiting")
    assert happens(lambda: daemon.channel() == "handle-3")
    daemon.hears("updated")
    daemon.send(signal.SIGTERM)
    assert daemon.process.wait(60) == 0
    lines: list[dict[str, Any]] = [json.loads(line) for line in daemon.log.read_text().splitlines()]
    assert all(
        line.keys() == {"schema", "time", "level", "logger", "message", "facts"} and line["schema"] == 1
        for line in lines
    )
    told = [line for line in lines if line["facts"]]
    assert [(line["level"], line["facts"]["outcome"]) for line in told] == [
        ("info", "registered"),
        ("info", "updated"),
        ("warning", "waiting"),
        ("info", "updated"),
    ]
    assert told[2]["facts"]["error"]["type"] == "HubUnavailable"
    assert "handle-" not in daemon.log.read_text()


def test_configuration_that_is_wrong_is_an_object_too(run: Callable[..., Running]) -> None:
    daemon = run(arguments=["--log-format", "json", "--bad"])
    assert daemon.process.wait(60) == 2
    daemon = run("other", arguments=["--log-format", "json"], text="app = ")
    assert daemon.process.wait(60) == 78
    [line] = map(json.loads, daemon.log.read_text().splitlines())
    assert (line["level"], line["logger"]) == ("error", "nhagent")
    assert "is not valid TOML" in line["message"]
