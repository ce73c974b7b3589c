"""The first run, stops in the middle of it, racers, and the change of style: nothing is lost on the way."""

from __future__ import annotations

import json
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from time import sleep
from typing import Any

import pytest

from nhagent import HubClient, Installation, Platform, Registration, Template
from nhagent.emulator import Emulator
from tests.device_under_test import Device, first_run, plant, register


def test_first_run_of_an_installation_lists_and_writes(device: Device) -> None:
    report = first_run(device, secondary_tiles={})
    assert (report.outcome, report.requests, device.seen()) == ("registered", 2, ["GET", "PUT"])


def wipe(device: Device) -> None:
    for path in device.files.values():
        path.unlink()


@pytest.mark.parametrize("declared", [{}, {"tags": None, "templates": None, "secondary_tiles": None}])
def test_wiped_disk_comes_back_as_the_same_installation(device: Device, declared: dict[str, Any]) -> None:
    first = first_run(device)
    before = device.held()
    wipe(device)
    device.seen()
    report = first_run(device, **declared)
    assert report.installation_id == first.installation_id
    assert device.held() == before, "and what was left open is what the hub still knew"
    lists = 1 if declared else 2  # a tile that is left open has no channel to list
    assert device.seen() == [*["GET"] * lists, "GET", "PUT"]
    assert first_run(device, **declared).requests == 0


def test_of_several_installations_the_smallest_is_adopted_and_the_others_leave(
    device: Device, backend: HubClient
) -> None:
    for name in ("b", "a", "c"):
        backend.put_installation(Installation(name, Platform.WNS, device.channel))
    backend.create_registration(Registration(Platform.WNS, device.channel))
    device.seen()
    report = first_run(device, secondary_tiles={})
    assert report.installation_id == "a"
    assert device.seen() == ["GET", "GET", "PUT", "DELETE", "DELETE", "DELETE"]
    assert [held["installationId"] for held in device.held()] == ["a"]
    assert device.hub.contents()["registrations"] == []


def test_id_of_the_apps_own_wins_over_what_is_found(device: Device, backend: HubClient) -> None:
    backend.put_installation(Installation("a", Platform.WNS, device.channel))
    assert first_run(device, installation_id="mine").installation_id == "mine"
    assert [held["installationId"] for held in device.held()] == ["mine"]


def test_list_can_be_turned_off(device: Device) -> None:
    device.start(first_run_list=False)
    assert device.seen() == ["PUT"]


def test_plan_shows_what_the_first_run_would_adopt_and_delete(device: Device, backend: HubClient) -> None:
    plant(backend, device.channel)
    backend.put_installation(Installation("a", Platform.WNS, device.channel))
    before = device.hub.contents()
    steps = device.agent(first_run_list=True, secondary_tiles={}).plan()
    assert (steps[0].method, steps[0].id) == ("PUT", "a")
    assert [step.method for step in steps] == ["PUT", "DELETE", "DELETE", "DELETE"]
    assert "adopted" in str(steps[0])
    assert (device.hub.contents(), device.files) == (before, {})


# From one style to the other.


def test_new_style_is_written_before_the_old_ones_records_leave(
    device: Device, rows: Callable[[], dict[str, Any]]
) -> None:
    device.start()
    device.seen()
    register(device, first_run_list=False)
    assert device.seen() == [*["POST", "PUT"] * 3, "DELETE"]
    assert (device.held(), len(rows())) == ([], 3)
    device.start()
    assert device.seen() == ["PUT", *["DELETE"] * 3]
    assert (len(device.held()), rows()) == (1, {})
    assert device.start().requests == 0


FLOWS: dict[str, tuple[dict[str, Any], dict[str, Any]]] = {
    "first run": ({}, {}),
    "rotation": ({"channel": "https://push.example/2", "tile_channel": "https://push.example/tile/2"}, {}),
}


@pytest.mark.slow
@pytest.mark.parametrize("lost", ["before", "after"])
@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("flow", ["first run", "rotation", "to the other style"])
def test_stopped_after_each_request_then_started_again(
    tmp_path: Path, flow: str, style: str, lost: str
) -> None:
    """Every request of the flow in turn is the last that goes out; then the device simply starts again."""
    other = {"installation": "registration", "registration": "installation"}[style]
    for stop in range(1, 40):
        with Emulator() as hub:
            device = Device(hub, tmp_path / f"{stop}")
            old_channels = (device.channel, device.tile_channel)
            with HubClient(hub.full, hub.hub) as backend:
                plant(backend, device.channel, 2)
            if flow != "first run":
                device.start(style=style, first_run_list=True)
                if flow == "rotation":
                    device.channel, device.tile_channel = (
                        "https://push.example/2",
                        "https://push.example/tile/2",
                    )
            wanted = other if flow == "to the other style" else style
            hub.clear_log()
            for _ in range(stop - 1):
                hub.fail("*", delay=0.0001)
            if lost == "before":
                hub.fail("*", status=503, times=99)
            else:
                hub.fail("*", cut_after=0)
                hub.fail("*", status=503, times=99)
            stopped = device.agent(style=wanted, first_run_list=True).start(timeout=0)
            finished = stopped.error is None
            hub.clear_faults()
            device.start(style=wanted, first_run_list=True)
            hub.clear_log()
            assert device.start(style=wanted, first_run_list=True).outcome == "unchanged"
            assert hub.log() == []
            held = hub.contents()
            if wanted == "installation":
                assert len(held["installations"]) == 1
                assert held["registrations"] == []
                assert held["installations"][0]["pushChannel"] == device.channel
            else:
                assert held["installations"] == []
                names = sorted(
                    f"{row.get('secondaryTileName')}/{row.get('templateName')}"
                    for row in held["registrations"]
                )
                assert names == ["None/None", "None/alert", "weather/None"]
                assert {row["channel"] for row in held["registrations"]} == {
                    device.channel,
                    device.tile_channel,
                }
            if flow == "rotation":
                shown = json.dumps(held)
                assert not any(f'"{channel}"' in shown for channel in old_channels)
        if finished:
            return
    raise AssertionError("the flow never ended")


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_two_devices_racing_on_one_channel_end_with_one_record_for_each_name(
    tmp_path: Path, style: str
) -> None:
    for attempt in range(10):
        with Emulator() as hub:
            with HubClient(hub.full, hub.hub) as backend:
                plant(backend, "https://push.example/1", 3)
                backend.put_installation(Installation("a", Platform.WNS, "https://push.example/1"))
                backend.put_installation(Installation("b", Platform.WNS, "https://push.example/1"))
            racers = [Device(hub, tmp_path / f"{attempt}-{number}") for number in range(2)]
            settings: dict[str, Any] = {
                "style": style, "first_run_list": True, "secondary_tiles": {}, "sleep": sleep,
            }  # fmt: skip
            with ThreadPoolExecutor(2) as threads:
                starts = [threads.submit(racer.start, **settings) for racer in racers]
                assert all(start.result().error is None for start in starts)
            held = hub.contents()
            if style == "installation":
                assert [found["installationId"] for found in held["installations"]] == ["a"]
                assert held["registrations"] == []
            else:
                assert sorted(str(row.get("templateName")) for row in held["registrations"]) == [
                    "None",
                    "alert",
                ]


def test_template_of_the_app_is_what_an_adopted_row_becomes(
    device: Device, backend: HubClient, rows: Callable[[], dict[str, Any]]
) -> None:
    plant(backend, device.channel)
    new = Template("<toast>new</toast>", {"X-WNS-Type": "wns/toast"})
    register(device, templates={"alert": new}, secondary_tiles={})
    assert rows()["alert"]["bodyTemplate"] == "<toast>new</toast>"
