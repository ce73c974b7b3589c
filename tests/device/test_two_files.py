"""Two files that do not belong together, or only one of them: whose they are is written in both."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent.device.store import MAX_ASIDES, Store
from nhagent.errors import StateUnwritable
from nhagent.report import StartState
from tests.device_under_test import Device

HERE: dict[str, Any] = {"machine": lambda: "serial here", "first_run_list": True}
THERE: dict[str, Any] = {"machine": lambda: "serial there", "first_run_list": True}
STYLES = pytest.mark.parametrize("style", ["installation", "registration"])


def another(device: Device) -> Device:
    return replace(
        device,
        folder=device.folder.with_name("another"),
        channel="https://push.example/another",
        tile_channel="https://push.example/tile/another",
    )


def rows(device: Device) -> dict[str, Any]:
    """What the hub holds, by id."""
    held = device.hub.contents()
    found = {row["registrationId"]: row for row in held["registrations"] if not row.get("installationId")}
    return found | {installation["installationId"]: installation for installation in held["installations"]}


@STYLES
@pytest.mark.parametrize("theirs", [HERE, THERE], ids=["same machine", "another machine"])
def test_state_of_one_device_beside_the_identity_of_another_is_set_aside(
    device: Device, style: str, theirs: dict[str, Any]
) -> None:
    other = another(device)
    other.start(style=style, **theirs)
    of_other = rows(device)
    first = device.start(style=style, **HERE)
    ours = rows(device).keys() - of_other.keys()
    shutil.copy(other.files["state.json"], device.files["state.json"])
    assert device.agent(style=style, **HERE).status().state is StartState.CLONED
    report = device.start(style=style, **HERE)
    assert report.installation_id == first.installation_id
    held = rows(device)
    assert {name: held[name] for name in of_other} == of_other
    assert held.keys() - of_other.keys() == ours
    assert [name for name in device.files if name.startswith("state.2")]
    assert device.start(style=style, **HERE).requests == 0


@STYLES
def test_state_on_another_machine_without_its_identity_is_not_taken_over(device: Device, style: str) -> None:
    device.start(style=style, **HERE)
    before = rows(device)
    device.files["identity.json"].unlink()
    device.channel, device.tile_channel = "https://push.example/new", "https://push.example/tile/new"
    assert device.agent(style=style, **THERE).status().state is StartState.CLONED
    device.start(style=style, **THERE)
    held = rows(device)
    assert {name: held[name] for name in before} == before
    assert len(held) == 2 * len(before)


@STYLES
def test_identity_that_was_lost_is_recovered_from_the_state_without_a_request(
    device: Device, style: str
) -> None:
    first = device.start(style=style, **HERE)
    device.files["identity.json"].unlink()
    device.seen()
    report = device.start(style=style, **HERE)
    assert (report.outcome, report.installation_id) == ("unchanged", first.installation_id)
    assert device.seen() == []
    assert json.loads(device.files["identity.json"].read_text())["installation_id"] == first.installation_id


@STYLES
def test_clone_that_was_stopped_between_its_two_files_goes_on_as_itself(device: Device, style: str) -> None:
    device.start(style=style, **HERE)
    old = device.files["identity.json"].read_bytes()
    device.channel, device.tile_channel = "https://push.example/new", "https://push.example/tile/new"
    mine = device.start(style=style, **THERE)
    before = rows(device)
    device.files["identity.json"].write_bytes(old)  # its own did not get to disk any more
    report = device.start(style=style, **THERE)
    assert (report.error, report.installation_id) == (None, mine.installation_id)
    assert rows(device).keys() == before.keys()
    assert device.start(style=style, **THERE).requests == 0


def test_registrations_are_found_again_without_a_state_though_the_channel_has_changed(device: Device) -> None:
    device.start(style="registration", **HERE)
    before = rows(device)
    device.files["state.json"].write_text("{ torn")
    device.channel = "https://push.example/2"
    device.start(style="registration", **HERE)
    assert rows(device).keys() == before.keys()


def test_three_files_at_most_are_kept_aside_and_they_are_the_newest(device: Device) -> None:
    device.start(**HERE)
    for number in range(MAX_ASIDES + 3):
        name = ("state.json", "identity.json")[number % 2]
        device.files[name].write_text(f"damage {number}")
        device.offset += timedelta(seconds=1)
        device.start(**HERE)
    kept = [path.read_text() for name, path in sorted(device.files.items()) if name.count(".") == 2]
    assert sorted(kept) == ["damage 3", "damage 4", "damage 5"]
    assert device.agent(**HERE).status().state is StartState.IN_SYNC


def test_names_that_only_look_like_those_of_files_kept_aside_stay(device: Device) -> None:
    device.start(**HERE)
    folder = device.files["state.json"].parent
    for name in ("state.old.json", "state.2026.txt", "notes.20260101T000000000000.json", "state.json.bak"):
        (folder / name).write_text("somebody's own")
    for _ in range(MAX_ASIDES + 1):
        device.files["state.json"].write_text("{")
        device.offset += timedelta(seconds=1)
        device.start(**HERE)
    assert sum(path.read_text() == "somebody's own" for path in device.files.values()) == 4


def test_what_could_not_be_read_back_is_not_written(tmp_path: Path) -> None:
    from nhagent.device.state import State

    store = Store(str(tmp_path / "state" / "app" / "hub"))
    with store.lock(1):
        store.save_state(State(namespace="kept"))
        with pytest.raises(StateUnwritable, match=r"state\.json would be larger than 8388608 bytes"):
            store.save_state(State(declaration={"tags": ["x" * 9_000_000]}))
    assert store.load().state.namespace == "kept"
