"""``hub dedupe``: one record for each push channel, kind and template name."""

from __future__ import annotations

import json
import os
import re
import signal
import sqlite3
import stat
import sys
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator, LogEntry
from tests.commands.hub.conftest import INSTALLATIONS, Tool, many, start
from tests.events import HANG_SECONDS

DEDUPE = ("--hub", "hub")


def registrations(hub: Emulator) -> set[str]:
    return {each["registrationId"] for each in hub.contents()["registrations"]}


def methods(hub: Emulator) -> list[str]:
    return [entry.method for entry in hub.log()]


def test_a_plan_is_told_and_nothing_is_deleted(tool: Tool, hub: Emulator) -> None:
    before = hub.snapshot()
    code, printed = tool("dedupe", *DEDUPE)
    assert (code, printed) == (0, "2 surplus records on 2 push channels; --yes deletes them\n")
    assert tool.errors == ""
    assert (hub.snapshot(), methods(hub)) == (before, ["GET"])


def test_of_equals_the_smallest_id_stays_and_an_installation_before_all(tool: Tool, hub: Emulator) -> None:
    code, printed = tool("dedupe", *DEDUPE, "--yes", "--json")
    assert code == 0
    assert json.loads(printed) == {
        "schema": 1, "channels": 2, "surplus": 2, "deleted": 2, "kept": 7, "requests": 3, "finished": True,
    }  # fmt: skip
    # 50-50-1 is of another platform than the installation: the same text is another channel.
    assert registrations(hub) == {"10-10-1", "30-30-1", "50-50-1"}
    assert [each["installationId"] for each in hub.contents()["installations"]] == ["one", "two"]
    code, printed = tool("dedupe", *DEDUPE, "--yes")
    assert (code, printed) == (0, "0 surplus records on 0 push channels: 0 deleted, 7 kept\n")


def test_what_somebody_changes_meanwhile_is_left_to_him(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    def change(entry: LogEntry) -> None:
        if entry.method == "GET":
            kept = hub.snapshot()
            for each in kept["registrations"]:
                if each["registrationId"] == "2-1-1":
                    each["etag"] = "7"
            hub.restore(kept)

    with Emulator("hub", on_request=change) as hub:
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", hub.full)
        hub.restore({"registrations": many(3, channel="c")})
        code, printed = tool("dedupe", *DEDUPE, "--yes")
        assert code == 0
        assert registrations(hub) == {"1-1-1", "2-1-1"}
    surplus, outcome = printed.split(": ")
    assert surplus == "2 surplus records on 1 push channel"
    assert outcome == "1 deleted, 1 left to whoever changed them meanwhile, 2 kept\n"


def test_what_has_gone_meanwhile_counts_as_deleted(monkeypatch: pytest.MonkeyPatch, tool: Tool) -> None:
    def lose(entry: LogEntry) -> None:
        if entry.method == "GET":
            hub.restore({"registrations": many(1, channel="c")})

    with Emulator("hub", on_request=lose) as hub:
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", hub.full)
        hub.restore({"registrations": many(2, channel="c")})
        code, printed = tool("dedupe", *DEDUPE, "--yes")
    assert (code, printed) == (0, "1 surplus record on 1 push channel: 1 deleted, 1 kept\n")


@pytest.mark.slow
def test_a_hub_that_asks_for_time_loses_no_step(tool: Tool, hub: Emulator) -> None:
    hub.fail("DELETE", status=429, times=1, headers={"Retry-After": "0"})
    hub.fail("GET", status=503, times=1, headers={"Retry-After": "0"})
    code, printed = tool("dedupe", *DEDUPE, "--yes", "--rate", "1000", "--json")
    assert code == 0
    assert json.loads(printed)["requests"] == 5
    assert registrations(hub) == {"10-10-1", "30-30-1", "50-50-1"}


@pytest.mark.parametrize("rate", ["0", "-1", "inf", "nan", "fast"])
def test_a_rate_is_a_number_above_zero(tool: Tool, rate: str) -> None:
    with pytest.raises(SystemExit, match="2"):
        tool("dedupe", *DEDUPE, "--rate", rate)


def test_a_refused_deletion_ends_the_run_and_the_plan_goes_on(
    tool: Tool, hub: Emulator, tmp_path: Path
) -> None:
    plan = str(tmp_path / "plan")
    hub.fail("DELETE", status=400, times=1)
    code, printed = tool("dedupe", *DEDUPE, "--yes", "--resume", plan, "--json")
    assert code == 78
    assert json.loads(printed)["finished"] is None
    hub.clear_log()
    code, _ = tool("dedupe", *DEDUPE, "--yes", "--resume", plan)
    assert (code, methods(hub)) == (0, ["DELETE", "DELETE"])


def test_a_plan_that_was_read_is_carried_out_without_a_second_list(
    tool: Tool, hub: Emulator, tmp_path: Path
) -> None:
    plan = tmp_path / "plan"
    tool("dedupe", *DEDUPE, "--resume", str(plan))
    if sys.platform != "win32":
        assert stat.S_IMODE(os.stat(plan).st_mode) == 0o600
    hub.clear_log()
    code, _ = tool("dedupe", *DEDUPE, "--resume", str(plan), "--yes")
    assert (code, methods(hub)) == (0, ["DELETE", "DELETE"])
    for channel in (b"handle-a", b"push.example"):
        assert channel not in plan.read_bytes()


def test_a_plan_of_another_hub_or_of_nobody_is_refused(tool: Tool, hub: Emulator, tmp_path: Path) -> None:
    plan = str(tmp_path / "plan")
    tool("dedupe", *DEDUPE, "--resume", plan)
    hub.clear_log()
    code, _ = tool("dedupe", "--hub", "other", "--resume", plan)
    assert code == 78
    assert "--resume: the plan is that of " in tool.errors
    text = tmp_path / "text"
    text.write_text("a letter to somebody, of more than a few words, that must not be written over" * 20)
    before = text.read_bytes()
    code, _ = tool("dedupe", *DEDUPE, "--resume", str(text))
    assert code == 78
    assert "is no plan of nhagent" in tool.errors
    foreign = tmp_path / "foreign"
    with sqlite3.connect(foreign) as database:
        database.execute("CREATE TABLE t (a)")
    database.close()
    code, _ = tool("dedupe", *DEDUPE, "--resume", str(foreign))
    assert code == 78
    assert "is no plan of this nhagent" in tool.errors
    code, _ = tool("dedupe", *DEDUPE, "--resume", str(tmp_path / "none" / "plan"))
    assert code == 78
    assert "No such file or directory; name another file" in tool.errors
    assert text.read_bytes() == before
    assert hub.log() == []


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such terminals")
def test_a_terminal_shows_how_far_it_has_come(hub: Emulator) -> None:
    if sys.platform == "win32":
        return
    hub.restore({"registrations": many(150, channel="c")})
    terminal, its_end = os.openpty()
    try:
        process = start(hub, "dedupe", *DEDUPE, "--yes", stderr=its_end)
        os.close(its_end)
        printed, _ = process.communicate(timeout=HANG_SECONDS)
        shown = os.read(terminal, 65536).decode()
    finally:
        os.close(terminal)
    assert printed == "149 surplus records on 1 push channel: 149 deleted, 1 kept\n"
    listed, deleted = (
        line.rpartition("\r")[2] for line in shown.replace("\r\n", "\n").removesuffix("\n").split("\n")
    )
    assert re.fullmatch(r"150 listed, [\d,]+/s\x1b\[K", listed)
    assert re.fullmatch(r"149 deleted, [\d,]+/s, 0 to go\x1b\[K", deleted)


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="Windows has no such signals")
@pytest.mark.parametrize("method", ["GET", "DELETE"])
def test_a_signal_ends_it_between_two_requests_and_it_says_how_to_go_on(method: str, tmp_path: Path) -> None:
    running: list[Any] = []

    def interrupt(entry: LogEntry) -> None:
        if entry.method == method and running:
            running.pop().send_signal(signal.SIGINT)

    plan = tmp_path / "plan"
    with Emulator("hub", on_request=interrupt) as hub:
        hub.restore({"installations": INSTALLATIONS, "registrations": many(350, channel="c")})
        hub.fail(method, delay=1.0, times=1)  # it is still under way when the signal comes
        process = start(hub, "dedupe", *DEDUPE, "--yes", "--resume", str(plan), "--json")
        running.append(process)
        printed, told = process.communicate(timeout=HANG_SECONDS)
        assert process.returncode == 130
        assert f"; go on with --resume {plan}\n" in told
        document = json.loads(printed)
        assert document["finished"] is False
        first = len(hub.log())
        assert document["requests"] == first == (1 if method == "GET" else 5)
        again = start(hub, "dedupe", *DEDUPE, "--yes", "--resume", str(plan), "--json")
        printed, told = again.communicate(timeout=HANG_SECONDS)
        assert (again.returncode, told) == (0, "")
        assert registrations(hub) == {"1-1-1"}
        assert len(hub.log()) == 4 + 349
    assert json.loads(printed)["deleted"] == 349
