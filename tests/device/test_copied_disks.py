"""A disk that was copied to another machine, and how machines are told apart."""

from __future__ import annotations

import json
import shutil
import sys
from pathlib import Path
from typing import Any

import pytest

from nhagent.device.machine import Fingerprint, derived_installation_id, fingerprint_of, name_of_machine
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.report import StartState
from tests.device_under_test import Device

OTHER: dict[str, Any] = {"machine": lambda: "the other board"}


def test_copied_disk_waits_on_the_channel_of_the_machine_it_was_copied_from(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    first = device.start(machine=lambda: "the first board")
    device.seen()
    agent = device.agent(**OTHER, first_run_list=True)
    assert agent.status().state is StartState.CLONED
    report = agent.start(timeout=0)
    assert report.outcome == "waiting"
    assert "that of the machine from which this disk was copied" in str(report.error)
    assert "written on another machine" in caplog.text
    assert device.seen() == []
    assert agent.status().state is StartState.CLONED
    assert [held["installationId"] for held in device.held()] == [first.installation_id]


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_copied_disk_becomes_a_device_of_its_own_on_its_own_channel(device: Device, style: str) -> None:
    mine: dict[str, Any] = {"style": style, "tags": None, "first_run_list": True}
    first = device.start(**mine, machine=lambda: "the first board")
    device.agent(**mine, machine=lambda: "the first board").add_tags("living-room")
    before = device.hub.contents()
    device.channel, device.tile_channel = "https://push.example/mine", "https://push.example/tile/mine"
    report = device.start(**mine, **OTHER)
    assert report.outcome == "registered"
    assert report.installation_id != first.installation_id
    held = device.hub.contents()
    for kind in ("installations", "registrations"):
        assert all(record in held[kind] for record in before[kind]), "the other machine's are left alone"
        assert len(held[kind]) == 2 * len(before[kind])
    assert any(name.startswith("identity.2") for name in device.files), "what it was is kept aside"
    assert device.start(**mine, **OTHER).requests == 0
    assert "living-room" in device.files["state.json"].read_text(), "the user's own words are inherited"
    device.channel = "https://push.example/1"
    assert (
        device.agent(**mine, **OTHER).start(timeout=0).channel_errors["channel"].fact.startswith("channel:")
    )


def test_copied_disk_of_a_device_that_was_leaving_deletes_nothing(device: Device) -> None:
    device.start(machine=lambda: "the first board")
    device.hub.fail("DELETE", status=503, times=9)
    device.agent(machine=lambda: "the first board").unregister(timeout=0)
    device.hub.clear_faults()
    device.seen()
    report = device.start(**OTHER)
    assert (report.outcome, device.seen()) == ("disabled", [])
    assert len(device.held()) == 1


@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("lost", ["damaged", "removed"])
def test_copied_disk_with_a_lost_state_takes_nothing_over(device: Device, style: str, lost: str) -> None:
    mine: dict[str, Any] = {"style": style, "first_run_list": True}
    device.start(**mine, machine=lambda: "the first board")
    before = device.hub.contents()
    state = device.files["state.json"]
    state.unlink() if lost == "removed" else state.write_text("{")
    for _ in range(2):
        device.start(**mine, **OTHER)
        held = device.hub.contents()
        for kind in ("installations", "registrations"):
            assert all(record in held[kind] for record in before[kind]), "the other machine's are left alone"
    device.agent(style=style, **OTHER).unregister()
    assert all(record in device.hub.contents()["installations"] for record in before["installations"])


def test_copied_disk_knows_the_other_machines_channels_at_another_namespace_too(
    device: Device, tls_notification_hub: Emulator, another_namespace: dict[str, Any]
) -> None:
    there = {**another_namespace, "first_run_list": True}
    hub, first = device.hub.hub, {"machine": lambda: "the first board"}
    assert hub == tls_notification_hub.hub
    device.start(**first)
    folder = device.folder
    device.folder = shutil.copytree(folder, folder.with_name("copy"))
    device.channel = "https://push.example/mine"
    assert set(device.start(**OTHER).channel_errors) == {"tiles.weather"}
    device.folder, device.channel = folder, "https://push.example/1"
    device.start(**first, **there)
    [before] = tls_notification_hub.contents()["installations"]
    device.folder, device.channel = folder.with_name("copy"), "https://push.example/mine"
    assert set(device.start(**OTHER, **there).channel_errors) == {"tiles.weather"}
    held = tls_notification_hub.contents()["installations"]
    assert before in held
    assert len(held) == 2


@pytest.mark.parametrize("unknown", [None, "serial 1", "machine-id 0123"])
def test_unknown_or_equal_machine_changes_nothing(device: Device, unknown: str | None) -> None:
    device.start(machine=lambda: "serial 1")
    before = device.files["identity.json"].read_text()
    report = device.start(machine=lambda: unknown)
    assert (report.outcome, report.requests) == ("unchanged", 0)
    assert device.files["identity.json"].read_text() == before


def test_machine_that_becomes_known_is_written_down_with_the_next_write(device: Device) -> None:
    device.start(machine=lambda: None)
    assert device.start(**OTHER).requests == 0
    assert json.loads(device.files["identity.json"].read_text())["machine"] is None
    device.channel = "https://push.example/2"
    device.start(**OTHER)
    assert json.loads(device.files["identity.json"].read_text())["machine"] is not None
    assert device.agent(machine=lambda: "a third").status().state is StartState.CLONED


def test_serial_number_and_machine_id_do_not_get_to_disk(device: Device) -> None:
    device.start(machine=lambda: "serial 100000001234abcd")
    for path in device.files.values():
        assert "1234abcd" not in path.read_text()


def test_installation_id_of_the_machine_outlives_its_storage(device: Device, tmp_path: Path) -> None:
    mine: dict[str, Any] = {"installation_id": "machine", **OTHER}
    first = device.start(**mine)
    device.folder = tmp_path / "elsewhere"
    assert device.start(**mine).installation_id == first.installation_id
    assert len(device.held()) == 1
    device.folder = tmp_path / "and elsewhere"
    assert device.start(installation_id="machine", machine=lambda: "m").installation_id != (
        first.installation_id
    )
    with pytest.raises(ConfigurationError, match="systemd-machine-id-setup"):
        device.agent(installation_id="machine", machine=lambda: None)


def test_derived_id_depends_on_machine_app_and_hub() -> None:
    ids = {
        derived_installation_id(machine, app, hub)
        for machine in ("a", "b")
        for app in ("x", "y")
        for hub in ("h", "i")
    }
    assert len(ids) == 8
    assert derived_installation_id("a", "x", "Hub") == derived_installation_id("a", "x", "hub")
    assert fingerprint_of(None, "x", "h") == Fingerprint()
    assert fingerprint_of("a", "x", "h").name not in ids


def test_machine_is_told_by_its_board_and_else_by_its_machine_id(tmp_path: Path) -> None:
    root = str(tmp_path)
    etc, tree = tmp_path / "etc", tmp_path / "proc" / "device-tree"
    etc.mkdir()
    tree.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    if sys.platform != "win32":
        assert name_of_machine(root) is None
        for no_id in ("uninitialized\n", "", "0123"):
            (etc / "machine-id").write_text(no_id)
            assert name_of_machine(root) is None
        (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        assert name_of_machine(root) == "machine-id 0123456789abcdef0123456789abcdef"
        for no_serial in ("0000000000000000\0", "\0", "Default string\0", "0123456789ABCDEF\0"):
            (tree / "serial-number").write_text(no_serial)
            assert str(name_of_machine(root)).startswith("machine-id")
        (tree / "serial-number").write_text("10000000ffffabcd\0")
        assert name_of_machine(root) == "serial 10000000ffffabcd"
