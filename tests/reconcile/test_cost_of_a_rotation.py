"""What a rotated channel costs: one plan, two durable writes, few calls before the request leaves."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from types import CodeType, FrameType
from typing import Any

import pytest

from nhagent.filesystem import Disk
from nhagent.hub.transport import Transport
from nhagent.places import Folder
from nhagent.reconcile.planner import plan_start
from tests.device_under_test import Device, register

MOST_CALLS = 400


class CountingDisk(Disk):
    """Counts durable writes: each ends by taking the place of the file that was there."""

    def __init__(self) -> None:
        self.writes = 0

    def replace(self, folder: Folder, name: str, by: str) -> None:
        self.writes += 1
        super().replace(folder, name, by)


def calls_until_sent(start: Callable[[], Any]) -> Counter[CodeType]:
    """The calls of functions in nhagent's files before the first request leaves, by function."""
    calls: Counter[CodeType] = Counter()
    is_sent = False

    def profile(frame: FrameType, event: str, _: Any) -> None:
        nonlocal is_sent
        if event != "call" or is_sent:
            return
        is_sent = frame.f_code is Transport.send.__code__
        if str(frame.f_globals.get("__name__", "")).partition(".")[0] == "nhagent" and not is_sent:
            calls[frame.f_code] += 1

    sys.setprofile(profile)
    try:
        start()
    finally:
        sys.setprofile(None)
    assert is_sent
    return calls


@pytest.mark.skipif(sys.version_info[:2] != (3, 11), reason="counted on Python 3.11 alone")
@pytest.mark.parametrize("part", ["channel", "tile_channel"])
def test_rotation_takes_one_plan_and_few_calls_before_the_request_leaves(device: Device, part: str) -> None:
    device.start()
    setattr(device, part, "https://push.example/rotated")
    agent = device.agent(clock=None, sleep=None, random=None)
    device.seen()
    calls = calls_until_sent(agent.start)
    print(f"{part}: {calls.total()} calls of nhagent's own functions until the request leaves")
    for code, count in calls.most_common(150):
        print(f"{count:4} {code.co_filename.rpartition('nhagent/')[2]}:{code.co_name}")
    assert device.seen() == ["PATCH"]
    assert calls[plan_start.__code__] == 1
    assert calls.total() <= MOST_CALLS


def test_rotation_costs_two_durable_writes(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    disk = CountingDisk()
    assert device.start(disk=disk).outcome == "updated"
    assert disk.writes == 2


@pytest.mark.parametrize("changes", [{}, {"style": "registration"}], ids=["installation", "registration"])
def test_rotation_that_is_throttled_costs_two_durable_writes(device: Device, changes: dict[str, Any]) -> None:
    device.start(**changes)
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "100"})
    disk = CountingDisk()
    assert device.agent(disk=disk, **changes).start(timeout=0).outcome == "waiting"
    assert disk.writes == 2


def test_rotation_of_registrations_costs_one_durable_write_a_row_and_one_more(device: Device) -> None:
    register(device)
    device.channel, device.tile_channel = "https://push.example/2", "https://push.example/tile/2"
    disk = CountingDisk()
    device.seen()
    assert device.start(disk=disk, style="registration").outcome == "updated"
    assert device.seen() == ["PUT", "PUT", "PUT"]
    assert disk.writes == 4


def test_throttled_start_shows_one_moment_everywhere_and_in_the_next_process(device: Device) -> None:
    import json

    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "100"})
    report = device.agent(random=lambda: 0.77).start(timeout=0)
    status = device.agent().status()
    [stored] = [json.loads(path.read_text()) for name, path in device.files.items() if name == "state.json"]
    device.offset += timedelta(seconds=30)
    later = device.agent(random=lambda: 0.11).start(timeout=0)
    error: Any = later.error
    assert report.next_attempt is not None
    assert status.next_attempt == later.next_attempt == error.not_before == report.next_attempt
    assert stored["trouble"]["until"] == report.next_attempt.isoformat()
    assert (report.refresh_due, later.refresh_due) == (None, None)
