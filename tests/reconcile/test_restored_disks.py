"""A state folder that comes back from an old backup beside a newer record of the same device: one is left."""

from __future__ import annotations

import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import HubClient, Registration
from tests.device_under_test import PLAIN, Device

ASKING: dict[str, Any] = {**PLAIN, "first_run_list": True}


def restored(device: Device, tmp_path: Path, **changes: Any) -> str | None:
    """A device that has forgotten itself, is another one since, and gets its old disk back; the newer id.

    The channel is that of the newer one.
    """
    backup = tmp_path / "backup"
    device.start(**ASKING, **changes)
    shutil.copytree(device.folder, backup)
    shutil.rmtree(device.folder)
    device.channel = "https://push.example/2"
    newer = device.start(**ASKING, **changes).installation_id
    shutil.rmtree(device.folder)
    shutil.copytree(backup, device.folder)
    device.seen()
    return newer


def ids(device: Device) -> set[str]:
    return {held["installationId"] for held in device.held()}


def test_verify_finds_the_newer_record_and_the_next_start_deletes_it(device: Device, tmp_path: Path) -> None:
    newer = restored(device, tmp_path)
    agent = device.agent(**ASKING)
    ours = agent.start().installation_id
    assert device.seen() == ["PATCH"], "a plain rotation stays one PATCH"
    assert ids(device) == {ours, newer}
    found = agent.verify()
    assert device.seen() == ["GET", "GET"]
    assert not found.in_sync
    assert [(drift.expected, drift.found) for drift in found.drift] == [("none", newer)]
    assert agent.start().outcome == "updated"
    assert device.seen() == ["DELETE"]
    assert ids(device) == {ours}
    assert agent.verify().in_sync


@pytest.mark.parametrize("how", ["by age", "asked for"])
def test_first_refresh_after_a_channel_changed_lists_again_and_a_later_one_does_not(
    device: Device, tmp_path: Path, how: str
) -> None:
    restored(device, tmp_path)
    agent = device.agent(**ASKING)
    ours = agent.start().installation_id
    device.seen()

    def refresh() -> None:
        device.offset += timedelta(days=1, minutes=1)
        device.hub.set_clock(device.offset.total_seconds())
        report = agent.start() if how == "by age" else agent.refresh(force=True)
        assert report.outcome == "updated"

    refresh()
    assert device.seen() == ["GET", "PUT", "DELETE"], "written first, deleted after"
    assert ids(device) == {ours}
    refresh()
    assert device.seen() == ["PUT"]


def test_rotation_and_a_refresh_without_one_ask_for_no_list(device: Device) -> None:
    agent = device.agent(**ASKING)
    agent.start()
    device.seen()
    agent.refresh(force=True)
    assert device.seen() == ["PUT"]
    for number in range(2, 5):
        device.channel = f"https://push.example/{number}"
        agent.start()
    assert device.seen() == ["PATCH"] * 3


def test_tile_that_changes_its_channel_is_listed_too(device: Device) -> None:
    agent = device.agent(first_run_list=True)
    agent.start()
    device.tile_channel = "https://push.example/tile/2"
    agent.start()
    device.seen()
    agent.refresh(force=True)
    assert device.seen() == ["GET", "GET", "PUT"]


def test_registrations_of_another_life_leave(device: Device, backend: HubClient) -> None:
    style: dict[str, Any] = {**ASKING, "style": "registration"}
    agent = device.agent(**style)
    kept = agent.start().registration_ids
    device.channel = "https://push.example/2"
    agent.start()
    stale = backend.create_registration(Registration("wns", device.channel, ["stale"]))
    device.seen()
    found = agent.verify()
    assert [drift.found for drift in found.drift] == [stale.registration_id]
    assert agent.start().registration_ids == kept
    assert {row.registration_id for row in backend.registrations()} == set(kept.values())
    device.channel = "https://push.example/3"
    agent.start()
    backend.create_registration(Registration("wns", device.channel, ["stale"]))
    agent.refresh(force=True)
    assert {row.registration_id for row in backend.registrations()} == set(kept.values())


def test_record_of_somebody_else_on_another_channel_stays(device: Device, backend: HubClient) -> None:
    agent = device.agent(**ASKING)
    agent.start()
    other = backend.create_registration(Registration("wns", "https://push.example/other"))
    assert agent.verify().in_sync
    assert backend.get_registration(other.registration_id).etag == other.etag


def test_lists_that_are_turned_off_are_not_asked_for(device: Device) -> None:
    agent = device.agent(**{**ASKING, "first_run_list": False})
    agent.start()
    device.channel = "https://push.example/2"
    agent.start()
    device.seen()
    assert agent.verify().in_sync
    agent.refresh(force=True)
    assert device.seen() == ["GET", "PUT"]


def test_backend_that_owns_the_tags_keeps_them_when_the_list_is_made_again(
    device: Device, backend: HubClient, tmp_path: Path
) -> None:
    own: dict[str, Any] = {"tags": None, "owns_tags": False}
    newer = restored(device, tmp_path, **own)
    agent = device.agent(**{**ASKING, **own})
    ours = str(agent.start().installation_id)
    backend.patch_installation(ours, [{"op": "add", "path": "/tags", "value": "given"}])
    agent.refresh(force=True)
    assert ids(device) == {ours} != {newer}
    assert device.held()[0]["tags"] == ["given"]
