"""The background thread goes on, whatever the hub, the app and the clocks do."""

from __future__ import annotations

import asyncio
import gc
import json
import logging
import os
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nhagent import Report
from nhagent.errors import ChannelError, HubUnavailable, NhagentError
from tests.device_under_test import PLAIN, Device, first_run
from tests.events import HELD_SECONDS, happens
from tests.retry.days import DAY, Days


def test_it_goes_on_until_the_hub_is_back(device: Device) -> None:
    days = Days(device.hub, DAY / 2)
    device.hub.fail("*", status=503, times=40)
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep))
    assert len(device.held()) == 1
    statuses = [entry.status for entry in device.hub.log()]
    assert statuses[:40] == [503] * 40
    assert statuses[40] == 200


@pytest.mark.slow
def test_what_callbacks_and_sources_raise_does_not_stop_it(
    device: Device, settings: dict[str, Any], caplog: pytest.LogCaptureFixture
) -> None:
    seen: list[NhagentError] = []

    def fail(what: object) -> None:
        if isinstance(what, NhagentError):
            seen.append(what)
        raise RuntimeError("the app's own fault")

    agent = device.agent(**settings, on_registered=fail, on_error=fail)
    with agent.keep_fresh() as background:
        assert happens(lambda: len(device.held()) == 1)
        device.channel = ValueError("no channel now")
        agent.poke()
        assert happens(lambda: len(seen) == 1)
        device.channel = "https://push.example/2"
        agent.poke()
        assert happens(lambda: device.held()[0]["pushChannel"] == "https://push.example/2")
        assert happens(lambda: caplog.text.count("a callback of the app failed") == 3)
        assert background.is_alive
    assert isinstance(seen[0], ChannelError)


def test_clock_that_raises_does_not_stop_it(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    days = Days(device.hub, 3600)
    faults = iter([True, True])

    def clock() -> datetime:
        if next(faults, False):
            raise OSError("no clock")
        return days.now

    days.live(device.agent(**PLAIN, clock=clock, sleep=days.sleep))
    assert len(device.held()) == 1
    assert "a fault, in nhagent or in the app's clock" in caplog.text


def exited(*_: object) -> Any:
    sys.exit("enough")


def cancelled(*_: object) -> Any:
    raise asyncio.CancelledError


def interrupted(*_: object) -> Any:
    raise KeyboardInterrupt


@pytest.mark.parametrize("end", [exited, cancelled, interrupted])
def test_callback_that_would_end_the_program_does_not_stop_it(
    device: Device, settings: dict[str, Any], end: Callable[[object], Any], caplog: pytest.LogCaptureFixture
) -> None:
    with device.agent(**settings, on_registered=end).keep_fresh() as background:
        assert happens(lambda: bool(re.search("SystemExit|CancelledError|KeyboardInterrupt", caplog.text)))
        assert background.is_alive
    assert device.seen() == ["PUT"]


@pytest.mark.parametrize("end", [exited, cancelled, interrupted])
def test_source_or_token_callable_that_would_end_the_program_does_not_stop_it(
    device: Device, end: Callable[..., Any]
) -> None:
    for changes in ({"channel": end}, {"connection_string": end, "endpoint": device.hub.endpoint}):
        days = Days(device.hub, 3 * 3600)
        asked: list[object] = []

        def ask(asked: list[object] = asked) -> Any:
            asked.append(1)
            return end()

        given = {name: ask if value is end else value for name, value in changes.items()}
        days.live(device.agent(**{**PLAIN, **given}, clock=days.clock, sleep=days.sleep))
        assert len(asked) > 1, "it goes on asking"
    assert device.seen() == []


def test_clock_that_fails_while_nothing_is_due_does_not_stop_it(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    days = Days(device.hub, 2 * DAY)
    faults = [False]

    def clock() -> datetime:
        if faults[0]:
            raise OSError("no clock")
        return days.now

    def sleep(seconds: float) -> None:
        days.sleep(seconds)
        faults[0] = len(days.slept) < 4

    def fail_from_now_on(_: Report) -> None:
        faults[0] = True

    days.live(device.agent(**PLAIN, clock=clock, sleep=sleep, on_registered=fail_from_now_on))
    assert "a fault, in nhagent or in the app's clock (OSError" in caplog.text
    assert device.seen().count("PUT") == 2, "the refresh of the next day is made all the same"


def test_clock_that_fails_after_a_refusal_does_not_stop_it(device: Device) -> None:
    days = Days(device.hub, 3600)
    faults = iter([True])
    device.hub.fail("*", status=429)

    def clock() -> datetime:
        if len(device.hub.log()) > 0 and next(faults, False):
            raise OSError("no clock")
        return days.now

    days.live(device.agent(**PLAIN, clock=clock, sleep=days.sleep))
    assert len(device.held()) == 1


def test_reply_that_the_look_makes_no_sense_of_does_not_stop_it(device: Device) -> None:
    days = Days(device.hub, 1.2 * DAY)
    odd = {"installationId": "x", "platform": "wns", "pushChannel": "c", "pushVariables": {"a": [1, "b"]}}
    device.hub.fail("GET", status=200, headers={"Content-Type": "application/json"}, body=json.dumps(odd))
    agent = device.agent(**PLAIN, clock=days.clock, sleep=days.sleep, installation_id="x")
    days.live(agent)
    assert device.seen().count("PUT") >= 2, "the refresh of the next day is made all the same"


def test_sleep_that_raises_does_not_stop_it(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    def sleep(_: float) -> None:
        raise OSError("no sleep")

    with device.agent(**PLAIN, sleep=sleep).keep_fresh() as background:
        assert happens(lambda: "in the app's sleep (OSError" in caplog.text)
        assert background.is_alive
    assert not background.is_alive
    assert device.seen() == ["PUT"]


@pytest.fixture
def quiet() -> Iterator[None]:
    logging.getLogger("nhagent").setLevel(logging.CRITICAL)
    yield
    logging.getLogger("nhagent").setLevel(logging.NOTSET)


def _resident() -> int:
    """Bytes of this process in memory; 0 where the system does not say."""
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[1]) * 4096
    except OSError:
        return 0


def _resources() -> tuple[int, int]:
    descriptors = len(os.listdir("/proc/self/fd")) if os.path.isdir("/proc/self/fd") else 0
    return threading.active_count(), descriptors


@pytest.mark.slow
@pytest.mark.usefixtures("quiet")
def test_ten_thousand_failed_cycles_leave_nothing_behind(device: Device) -> None:
    """Against a port where nobody listens: the whole way down to the socket, each time."""
    cycles = int(os.environ.get("NHAGENT_CYCLES", "10000" if os.environ.get("NHAGENT_CI") == "1" else "1000"))
    first_run(device)
    device.channel = "https://push.example/2"
    failed = 0
    marks: list[tuple[int, int, tuple[int, int]]] = []
    done = threading.Event()
    now = datetime.now(UTC)

    def count(error: NhagentError) -> None:
        nonlocal failed
        assert isinstance(error, HubUnavailable)
        failed += 1
        if failed in {cycles // 2, cycles}:
            gc.collect()
            marks.append((_resident(), sys.getallocatedblocks(), _resources()))
        if failed == cycles:
            done.set()

    def sleep(seconds: float) -> None:
        nonlocal now
        now += timedelta(seconds=seconds)
        if done.is_set():
            time.sleep(0.01)

    agent = device.agent(on_error=count, sleep=sleep, clock=lambda: now)
    device.hub.close()
    with agent.keep_fresh():
        assert done.wait(4 * HELD_SECONDS)
    (before, blocks_before, resources_before), (after, blocks_after, resources_after) = marks
    assert resources_after == resources_before
    # One object a cycle would be thousands. What is resident tells of what C libraries keep, and also of
    # how the tests before this one have left the memory in pieces.
    assert blocks_after - blocks_before < cycles // 20, "objects are left behind"
    assert after - before < 8 * 1024 * 1024, "memory grows"
