"""A device that was unregistered: nothing of it is left at the hub, and it stays off until it is enabled."""

from __future__ import annotations

import json
from datetime import timedelta
from typing import Any

import pytest

from nhagent import HubClient, Platform, Registration
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.report import StartState
from tests.device_under_test import Device, first_run, plant


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_unregistering_removes_what_else_is_on_the_channels(
    device: Device, style: str, backend: HubClient
) -> None:
    first_run(device, style=style)
    plant(backend, device.channel, 2)
    backend.create_registration(Registration(Platform.WNS, device.tile_channel))
    backend.create_registration(Registration(Platform.WNS, "https://push.example/of-another", ["theirs"]))
    assert device.agent(style=style, first_run_list=True).unregister().outcome == "disabled"
    [left] = device.hub.contents()["registrations"]
    assert left["tags"] == ["theirs"]
    device.seen()
    assert device.start(style=style, first_run_list=True).requests == 0


def test_pending_unregistering_outlives_a_start_at_another_namespace(
    device: Device, tls_notification_hub: Emulator, another_namespace: dict[str, Any]
) -> None:
    there = {**another_namespace, "first_run_list": True}
    device.start()
    device.hub.fail("DELETE", status=503, times=99)
    assert device.agent(first_run_list=True).unregister(timeout=0).outcome == "waiting"
    device.hub.clear_faults()
    assert device.start(**there).outcome == "disabled"
    assert tls_notification_hub.contents()["installations"] == []
    assert len(device.held()) == 1
    assert device.start(first_run_list=True).outcome == "disabled"
    assert device.held() == []
    device.seen()
    assert device.start(first_run_list=True).requests == 0


def test_unregistering_is_kept_though_what_is_declared_cannot_be_registered(device: Device) -> None:
    device.start()
    device.tile_channel = device.channel
    with pytest.raises(ConfigurationError, match="one of its own"):
        device.agent().start(timeout=0)
    assert device.agent().unregister().outcome == "disabled"
    assert device.held() == []
    assert device.agent().status().state is StartState.DISABLED


def test_unregistering_is_kept_though_the_stored_templates_are_another_platforms(device: Device) -> None:
    device.start()
    agent = device.agent(platform="apns", channel="aabbccdd", templates=None, secondary_tiles={})
    with pytest.raises(ConfigurationError, match="template"):
        agent.start(timeout=0)
    assert agent.unregister().outcome == "disabled"
    assert device.held() == []


def test_unregistering_again_asks_for_nothing(device: Device) -> None:
    device.start()
    assert device.agent(first_run_list=True).unregister().outcome == "disabled"
    device.seen()
    assert device.agent(first_run_list=True).unregister().outcome == "disabled"
    assert device.seen() == []


def test_unregistering_before_any_first_run_removes_what_a_lost_disk_left(
    device: Device, backend: HubClient
) -> None:
    plant(backend, device.channel)
    assert device.agent(first_run_list=True).unregister().outcome == "disabled"
    assert device.hub.contents()["registrations"] == []


def test_wish_to_be_off_survives_a_hub_that_is_away_and_outranks_every_refresh(device: Device) -> None:
    first_run(device)
    device.hub.fail("*", status=503, times=2)
    report = device.agent(first_run_list=True).unregister(timeout=0)
    assert report.outcome == "waiting"
    device.offset = timedelta(days=3)
    device.channel = "https://push.example/2"
    report = device.agent(first_run_list=True).refresh(force=True, timeout=0)
    assert report.outcome == "waiting"
    report = device.start(first_run_list=True)
    assert (report.outcome, device.held()) == ("disabled", [])
    assert device.seen()[-3:] == ["DELETE", "GET", "GET"]


def test_enabling_lifts_it_and_forgets_what_was_still_to_be_looked_for(device: Device) -> None:
    first_run(device)
    device.hub.fail("*", status=503)
    agent = device.agent(first_run_list=True)
    agent.unregister(timeout=0)
    assert agent.enable().outcome == "registered"
    assert len(device.held()) == 1
    assert agent.start().requests == 0


def test_damaged_note_of_a_channel_to_be_searched_does_not_keep_the_device_from_being_off(
    device: Device,
) -> None:
    first_run(device)
    device.hub.fail("*", status=503)
    device.agent(first_run_list=True).unregister(timeout=0)
    path = device.files["state.json"]
    document = json.loads(path.read_text())
    document["sweep"] = [{"platform": "pigeon", "channel": 7}]
    path.write_text(json.dumps(document))
    assert device.start(first_run_list=True).outcome == "disabled"
    assert device.held() == []
