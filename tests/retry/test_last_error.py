"""What stands in a device's way is one fact: in the report, in the status of any process, and on disk."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any

import pytest

from nhagent import Report
from nhagent.errors import NhagentError, Throttled
from tests.device_under_test import Device

AWAY = "Endpoint=sb://127.0.0.1:9/;SharedAccessKeyName=L;SharedAccessKey=QQ=="


def throttled(device: Device) -> dict[str, Any]:
    device.hub.fail("*", status=429, times=9, headers={"Retry-After": "100"})
    return {}


def throttled_without_a_word(device: Device) -> dict[str, Any]:
    device.hub.fail("*", status=429, times=9)
    return {}


def busy(device: Device) -> dict[str, Any]:
    device.hub.fail("*", status=503, times=9)
    return {}


def busy_for_a_while(device: Device) -> dict[str, Any]:
    device.hub.fail("*", status=503, times=9, headers={"Retry-After": "100"})
    return {}


def away(_: Device) -> dict[str, Any]:
    return {"connection_string": AWAY.replace("9/", "9/")}


def no_channel(device: Device) -> dict[str, Any]:
    device.channel = None
    return {"platform": "gcm"}  # of another platform the device had none before


def refused(device: Device) -> dict[str, Any]:
    device.hub.fail("*", status=401, times=9)
    return {}


MEETINGS: dict[str, Callable[[Device], dict[str, Any]]] = {
    "Throttled": throttled,
    "Throttled, no Retry-After": throttled_without_a_word,
    "HubUnavailable": busy,
    "HubUnavailable, Retry-After": busy_for_a_while,
    "HubUnavailable, no answer": away,
    "ChannelError": no_channel,
    "Unauthorized": refused,
}


def met(device: Device, settings: dict[str, Any]) -> Report | NhagentError:
    """What a start that cannot succeed comes to."""
    agent = device.agent(**{"templates": {}, "secondary_tiles": {}, **settings})
    try:
        return agent.start(timeout=0)
    except NhagentError as error:
        return error


@pytest.mark.parametrize("name", MEETINGS)
def test_last_error_is_told_whatever_its_class_and_its_moment_is_drawn_once(
    device: Device, name: str
) -> None:
    plain: dict[str, Any] = {"templates": {}, "secondary_tiles": {}}
    device.start(**plain)
    device.channel = "https://push.example/2"
    settings = MEETINGS[name](device)
    came_to = met(device, settings)
    status = device.agent(**plain, **({} if name != "ChannelError" else settings)).status()
    assert status.last_error == name.partition(",")[0]
    assert status.failures == 1
    stored = json.loads(device.files["state.json"].read_text())["trouble"]
    assert status.next_attempt == datetime.fromisoformat(stored["until"])
    if isinstance(came_to, Report):
        assert came_to.next_attempt == status.next_attempt
    again = met(device, settings)
    if isinstance(again, Report) and isinstance(again.error, Throttled | NhagentError) and "Retry" in name:
        later = device.agent(**plain).status()
        assert again.next_attempt == later.next_attempt == status.next_attempt, "the same after a restart"


@pytest.mark.parametrize("name", ["HubUnavailable", "ChannelError"])
def test_passing_fault_binds_no_other_process_and_is_forgotten_once_all_is_well(
    device: Device, name: str
) -> None:
    plain: dict[str, Any] = {"templates": {}, "secondary_tiles": {}}
    device.start(**plain)
    before = device.channel
    device.channel = "https://push.example/2"
    met(device, MEETINGS[name](device))
    device.hub.clear_faults()
    device.channel = before
    device.seen()
    report = device.start(**plain)
    assert report.error is None
    assert report.outcome == ("unchanged" if name == "ChannelError" else "updated"), (
        "what was in doubt is sent"
    )
    assert device.agent(**plain).status().last_error is None
    stamp = device.files["state.json"].stat().st_mtime_ns
    assert device.start(**plain).outcome == "unchanged"
    assert device.files["state.json"].stat().st_mtime_ns == stamp, "once is enough"


def test_fault_that_goes_on_is_written_down_once(device: Device) -> None:
    plain: dict[str, Any] = {"templates": {}, "secondary_tiles": {}}
    device.start(**plain)
    device.hub.fail("*", status=503, times=99)
    agent = device.agent(**plain)
    with pytest.raises(NhagentError):
        agent.verify()
    stamp = device.files["state.json"].stat().st_mtime_ns
    for _ in range(5):
        with pytest.raises(NhagentError):
            agent.verify()
    assert device.files["state.json"].stat().st_mtime_ns == stamp


def test_passing_fault_hides_neither_a_wait_that_the_hub_asked_for_nor_a_refusal(device: Device) -> None:
    plain: dict[str, Any] = {"templates": {}, "secondary_tiles": {}}
    device.start(**plain)
    for meeting, kind in ((throttled, "Throttled"), (refused, "Unauthorized")):
        device.channel = f"https://push.example/{kind}"
        met(device, meeting(device))
        device.hub.clear_faults()
        device.channel = OSError("no way")
        met(device, {**plain, "platform": "gcm"})
        assert device.agent(**plain).status().last_error == kind
        device.offset += timedelta(hours=2)


def test_device_without_a_channel_writes_nothing_for_that(device: Device) -> None:
    device.channel = None
    assert met(device, {}).error is not None  # type: ignore[union-attr]
    assert device.files == {}
