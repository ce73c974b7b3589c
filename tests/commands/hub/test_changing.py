"""``hub send`` and ``hub delete``."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nhagent.emulator import Emulator
from tests.commands.hub.conftest import Tool, start
from tests.events import HANG_SECONDS

TO_HUB = ("--hub", "hub")


def ids(hub: Emulator) -> set[str]:
    contents = hub.contents()
    return {each["installationId"] for each in contents["installations"]} | {
        each["registrationId"] for each in contents["registrations"]
    }


def test_a_template_is_sent_to_a_tag_expression(tool: Tool, hub: Emulator) -> None:
    code, printed = tool("send", *TO_HUB, "--property", "message=a=b", "--tags", "alerts && !hall", "--json")
    assert code == 0
    [delivery] = hub.deliveries()
    assert json.loads(printed) == {"schema": 1, "notification_id": delivery.id}
    assert [(match.installation, match.body) for match in delivery.matched] == [("one", "<toast>a=b</toast>")]


def test_a_native_notification_is_sent_to_an_installation(tool: Tool, hub: Emulator, tmp_path: Path) -> None:
    body = tmp_path / "body.xml"
    body.write_text("<toast><visual/></toast>")
    arguments = ("--format", "wns", "--body-file", str(body), "--header", "X-WNS-TTL: 60")
    code, printed = tool("send", *TO_HUB, *arguments, "--installation", "one")
    assert code == 0
    [delivery] = hub.deliveries()
    assert printed == f"sent as {delivery.id}\n"
    assert {match.installation for match in delivery.matched} == {"one"}  # its own channel, and its tile's
    for match in delivery.matched:
        assert match.body == "<toast><visual/></toast>"
        assert match.headers.items() >= {"X-WNS-TTL": "60", "X-WNS-Type": "wns/toast"}.items()


def test_a_body_comes_by_stdin(hub: Emulator) -> None:
    arguments = (*TO_HUB, "--format", "fcmv1", "--body-file", "-", "--broadcast")
    process = start(hub, "send", *arguments, stdin=subprocess.PIPE)
    process.communicate('{"m": "ü"}', timeout=HANG_SECONDS)
    assert process.returncode == 0
    assert {match.body for match in hub.deliveries()[0].matched} == {'{"m": "ü"}'}


def test_a_test_send_tells_what_came_of_each_message(tool: Tool, hub: Emulator) -> None:
    arguments = ("--body", '{"message":{}}', "--format", "gcm", "--tags", "hall", "--test")
    code, printed = tool("send", *TO_HUB, *arguments, "--json")
    assert code == 0
    document = json.loads(printed)
    assert (document["schema"], document["success"], document["failure"]) == (1, 2, 0)
    assert {each["registration_id"] for each in document["results"]} == {"10-10-1", "20-20-1"}
    code, printed = tool("send", *TO_HUB, *arguments)
    assert printed.splitlines()[0] == "2 taken, 0 not"
    nobody = ("--body", "{}", "--format", "gcm", "--tags", "nobody", "--test")
    assert tool("send", *TO_HUB, *nobody) == (0, "no device is meant\n")


def test_properties_of_a_native_send_are_refused(tool: Tool, hub: Emulator) -> None:
    code, _ = tool("send", *TO_HUB, "--format", "fcmv1", "--property", "message=hello", "--broadcast")
    assert code == 78
    assert "--property is for templates, and the format is fcmv1" in tool.errors
    assert hub.deliveries() == []


def test_a_notification_is_scheduled(tool: Tool, hub: Emulator) -> None:
    at = (datetime.now(UTC) + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S")
    arguments = ("--property", "message=later", "--broadcast", "--at")
    code, printed = tool("send", *TO_HUB, *arguments, at, "--json")
    assert code == 0
    assert json.loads(printed)["notification_id"]
    assert hub.deliveries() == []
    hub.set_clock(timedelta(hours=3).total_seconds())
    assert [match.body for match in hub.wait_for_delivery(tag=None, timeout=10).matched] != []
    code, _ = tool("send", *TO_HUB, *arguments, "tomorrow")
    assert code == 78
    assert "--at 'tomorrow': is no time; write 2030-01-31T18:00:00+00:00" in tool.errors


@pytest.mark.parametrize(
    ("arguments", "told"),
    [
        (("--broadcast",), "what is sent is not clear; give one of --property, --body and --body-file"),
        (("--body", "x", "--property", "a=b", "--broadcast"), "what is sent is not clear"),
        (("--property", "message=x"), "nobody: who is meant is not clear"),
        (
            ("--property", "a=b", "--tags", "x", "--broadcast"),
            "tags and broadcast: who is meant is not clear",
        ),
        (("--property", "message", "--broadcast"), "--property 'message': is no pair; write NAME=VALUE"),
        (("--body-file", "/none", "--broadcast"), "--body-file /none: No such file or directory"),
        (("--format", "toast", "--body", "x", "--broadcast"), "format 'toast': unknown"),
    ],
)
def test_what_is_not_clear_is_refused_before_anything_is_sent(
    tool: Tool, hub: Emulator, arguments: tuple[str, ...], told: str
) -> None:
    code, _ = tool("send", *TO_HUB, *arguments)
    assert code == 78
    assert told in tool.errors
    assert hub.log() == []


def test_a_key_that_may_not_send_is_told(tool: Tool, hub: Emulator, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", hub.listen)
    code, printed = tool("send", *TO_HUB, "--property", "message=x", "--broadcast", "--json")
    assert code == 77
    document = json.loads(printed)
    assert document["notification_id"] is None
    assert "Send" in tool.errors


def test_records_are_deleted_and_what_was_not_there_is_told(tool: Tool, hub: Emulator) -> None:
    code, printed = tool("delete", *TO_HUB, "--yes", "one", "20-20-1", "nobody", "99-99-1", "--json")
    assert code == 1
    assert json.loads(printed) == {
        "schema": 1,
        "deleted": ["one", "20-20-1"],
        "unknown": ["nobody", "99-99-1"],
    }
    assert ids(hub) == {"two", "10-10-1", "30-30-1", "40-40-1", "50-50-1"}
    assert tool("delete", *TO_HUB, "--yes", "two") == (0, "1 record deleted\n")


def test_nothing_is_deleted_where_nobody_can_be_asked(hub: Emulator) -> None:
    process = start(hub, "delete", *TO_HUB, "one", stdin=subprocess.PIPE)
    _, told = process.communicate("y\n", timeout=HANG_SECONDS)
    assert process.returncode == 78
    assert "nobody is there to be asked; give --yes" in told
    assert hub.log() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
@pytest.mark.parametrize(("answer", "left"), [(b"y\n", False), (b"n\n", True), (b"\n", True)])
def test_somebody_is_asked_before_anything_is_deleted(hub: Emulator, answer: bytes, left: bool) -> None:
    if sys.platform == "win32":
        return
    terminal, its_end = os.openpty()
    try:
        process = start(hub, "delete", *TO_HUB, "one", stdin=its_end)
        os.close(its_end)
        os.write(terminal, answer)
        printed, _ = process.communicate(timeout=HANG_SECONDS)
    finally:
        os.close(terminal)
    assert "Delete 1 record? [y/N]" in printed
    assert process.returncode == (1 if left else 0)
    assert ("one" in ids(hub)) is left


def test_the_hub_is_that_of_the_configuration(
    tool: Tool, hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    config = tmp_path / "config.toml"
    config.write_text(
        'app = "a"\n[hub]\nname = "hub"\n[device]\nplatform = "gcm"\n[channel]\nfile = "channel"\n'
    )
    config.chmod(0o600)
    code, _ = tool("show", "one", "--config", str(config))
    assert code == 0
    code, _ = tool("show", "one", "--hub", "hub", "--config", str(config))
    assert code == 0
    config.write_text(
        'app = "a"\n[backend]\nname = "b"\nurl = "https://b.example/d"\ntoken_file = "t"\n'
        '[device]\nplatform = "gcm"\n[channel]\nfile = "channel"\n'
    )
    code, _ = tool("show", "one", "--config", str(config))
    assert code == 78
    assert (
        "hub: the configuration names a backend, which has the key; name the hub: --hub NAME" in tool.errors
    )
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "nothing"))
    code, _ = tool("show", "one")
    assert code == 78
    assert "hub: is not named, and there is no configuration; name it: --hub NAME" in tool.errors
