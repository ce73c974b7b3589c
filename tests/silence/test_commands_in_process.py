"""The command in this process, whatever the hub or a plug-in does: no secret comes out of it."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from nhagent.commands.cli import main

from .marks import TILE
from .world import STYLES, WNS, World

CONFIG = """
app = "thermostat"
hub = {{ name = "{hub}", style = "{style}" }}
device = {{ platform = "wns", tags = ["kitchen"] }}
channel = {{ {channel} }}
[tiles.weather]
channel = {{ file = "tile" }}
"""


@pytest.fixture
def command(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., dict[str, Any]]:
    """Runs the command with --json, checks all that it showed, and gives the object."""
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(world.folder))
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", world.hub.listen)
    monkeypatch.syspath_prepend(str(tmp_path))
    (tmp_path / "tile").write_text(TILE)

    def run(
        *arguments: str, style: str, channel: str | None = None, first_start: bool = False
    ) -> dict[str, Any]:
        config = tmp_path / "config.toml"
        given = channel or f"value = {json.dumps(WNS)}"
        config.write_text(CONFIG.format(hub=world.hub.hub, style=style, channel=given))
        shown = []
        for form in ([], ["--json"]):
            if first_start:  # of a device that was told nothing yet: no wait is remembered
                shutil.rmtree(world.folder, ignore_errors=True)
            main([*arguments, "-vv", *form, "--config", str(config)])
            printed = capsys.readouterr()
            world.check(printed.out, f"stdout of {arguments}")
            world.check(printed.err, f"stderr of {arguments}")
            shown.append(printed.out)
        document: dict[str, Any] = json.loads(shown[-1])
        return document

    return run


STATUSES = {
    400: "InvalidRequest", 401: "Unauthorized", 403: "Forbidden", 404: "HubNotFound", 409: "Throttled",
    410: "RegistrationGone", 412: "ConcurrencyConflict", 429: "Throttled", 503: "HubUnavailable",
}  # fmt: skip


@pytest.mark.slow
@pytest.mark.parametrize("style", STYLES)
def test_command_shows_no_secret_whatever_the_hub_answers(
    world: World, command: Callable[..., dict[str, Any]], style: str
) -> None:
    for status, kind in STATUSES.items():
        world.fail(status)
        for name in ("register", "plan"):
            timeout = ["--timeout", "0"] if name == "register" else []
            error = command(name, *timeout, style=style, first_start=True)["error"]
            assert error["type"] == kind
            world.check(json.dumps(error), "--json")
        world.hub.clear_faults()
    assert command("register", style=style)["outcome"] == "unchanged", "the first of the two has done it"
    for status in STATUSES:
        world.fail(status, "DELETE")
        command("unregister", "--timeout", "0", style=style)
        world.hub.clear_faults()
        command("enable", style=style)
    world.check_rest()


PLUGIN = f"""
from asyncio import CancelledError
class Odd(dict):
    def items(self):
        raise ValueError({WNS!r})
def fails(): raise RuntimeError({WNS!r})
def stops(): raise KeyboardInterrupt({WNS!r})
def cancels(): raise CancelledError({WNS!r})
def leaves(): raise SystemExit({WNS!r})
def chatters():
    return Odd()
"""


@pytest.mark.parametrize("style", STYLES)
def test_command_shows_no_secret_when_a_plug_in_breaks_it(
    world: World,
    tmp_path: Path,
    command: Callable[..., dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    style: str,
) -> None:
    (tmp_path / "marked_plugin.py").write_text(PLUGIN)
    for name, kind in {
        "fails": "ChannelError",
        "cancels": "ChannelError",
        "leaves": "ChannelError",
    }.items():
        shown = command("register", "--timeout", "0", style=style, channel=f'plugin = "marked_plugin:{name}"')
        assert shown["error"]["type"] == kind
    config = tmp_path / "config.toml"
    config.write_text(config.read_text().replace("leaves", "stops"))
    assert main(["register", "--json", "--config", str(config)]) == 130
    text = config.read_text().replace('"wns"', '"browser"').replace("stops", "chatters")
    config.write_text(text.partition("[tiles")[0])
    assert main(["register", "--json", "--config", str(config)]) == 70
    printed = capsys.readouterr()
    assert "this is a fault in nhagent" in printed.err
    world.check(printed.out + printed.err, "a crash")
    world.check_rest()


def test_connection_string_as_an_argument_is_not_repeated(
    world: World, capsys: pytest.CaptureFixture[str]
) -> None:
    for arguments in (
        ["login", world.hub.listen],
        [world.hub.listen],
        ["register", "--timeout", world.hub.listen],
    ):
        for form in ([], ["--json"]):
            with pytest.raises(SystemExit), ExitStack():
                main([*arguments, *form])
    printed = capsys.readouterr()
    assert "usage: nhagent" in printed.err
    world.check(printed.out + printed.err, "wrong usage")
