"""Kept fresh in the background: what wakes it, what it waits for, what cannot stop it; a day in fake time."""

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
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from nhagent import Agent, Report, SecondaryTile
from nhagent.emulator import Emulator
from nhagent.errors import ChannelError, ConfigurationError, HubUnavailable, NhagentError, Unauthorized
from nhagent.retry import backoff
from tests.device_under_test import PLAIN, TOAST, Device, first_run
from tests.events import HANG_SECONDS, HELD_SECONDS, comes_back, happens

DAY = 86400.0


class Days:
    """A world in which a wait takes no time: its clocks go on by what is slept, and the story has an end.

    A thread that sleeps past the end is held there until the world is let go.
    """

    def __init__(self, hub: Emulator, ends_after: float, began: timedelta = timedelta()) -> None:
        self._hub = hub
        self._offset = began
        self.now = datetime.now(UTC)
        self.slept: list[float] = []
        self.ended = threading.Event()
        self._left = ends_after
        self._released = threading.Event()

    def clock(self) -> datetime:
        return self.now

    def sleep(self, seconds: float) -> None:
        if self._left <= 0:
            self.ended.set()
            self._released.wait(HELD_SECONDS)
            return
        self.slept.append(seconds)
        self._left -= seconds
        self.now += timedelta(seconds=seconds)
        self._offset += timedelta(seconds=seconds)
        self._hub.set_clock(self._offset.total_seconds())

    def live(self, agent: Agent) -> None:
        """Keep a device fresh until the story ends."""
        with agent.keep_fresh():
            assert self.ended.wait(HELD_SECONDS), self.slept[-5:]
            self._released.set()


class SlowSource:
    """A channel source that gives nothing before it is let go; a later question is answered at once."""

    def __init__(self) -> None:
        self.asked = threading.Event()
        self.go_on = threading.Event()

    def __call__(self) -> str:
        if not self.asked.is_set():
            self.asked.set()
            self.go_on.wait(HELD_SECONDS)
        return "https://push.example/1"


@pytest.fixture
def settings() -> dict[str, Any]:
    return {**PLAIN, "sleep": None, "random": None, "clock": None}


def test_wish_is_kept_while_the_background_asks_a_slow_source(
    device: Device, settings: dict[str, Any]
) -> None:
    slow = SlowSource()
    agent = device.agent(**settings, channel=slow)
    with agent.keep_fresh():
        assert slow.asked.wait(HANG_SECONDS)
        wishes: list[Any] = []
        asking = threading.Thread(target=lambda: wishes.extend([agent.plan(), agent.unregister().outcome]))
        asking.start()
        slow.go_on.set()
        asking.join(HANG_SECONDS)
    assert wishes == [[], "disabled"]
    assert device.held() == []


@pytest.mark.slow
def test_start_does_not_wait_without_end_for_the_thread_in_the_background(
    device: Device, settings: dict[str, Any]
) -> None:
    slow = SlowSource()
    agent = device.agent(**settings, channel=slow)
    with agent.keep_fresh():
        assert slow.asked.wait(HANG_SECONDS)
        try:
            report = comes_back(lambda: agent.start(timeout=0.5))
        finally:
            slow.go_on.set()
    assert report.outcome == "waiting"
    assert "another thread of this program" in str(report.error)
    assert "did not finish within 5 s" in str(report.error)


@pytest.mark.filterwarnings("ignore:This process.*is multi-threaded:DeprecationWarning")
def test_child_forked_in_the_middle_of_a_turn_turns_by_itself(
    device: Device, settings: dict[str, Any]
) -> None:
    if sys.platform == "win32":
        pytest.skip("Windows does not fork")
    slow = SlowSource()
    agent = device.agent(**settings, channel=slow)
    with agent.keep_fresh():
        assert slow.asked.wait(HANG_SECONDS)
        child = os.fork()
        if child == 0:
            try:
                os._exit(0 if agent.start(timeout=HANG_SECONDS).error is None else 1)
            finally:
                os._exit(2)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        slow.go_on.set()
    assert len(device.held()) == 1


def test_device_is_registered_and_a_poke_brings_its_new_channel(
    device: Device, settings: dict[str, Any]
) -> None:
    reports: list[Report] = []
    agent = device.agent(**settings, on_registered=reports.append)
    with agent.keep_fresh():
        assert happens(lambda: len(reports) == 1)
        device.channel = "https://push.example/2"
        agent.poke()
        assert happens(lambda: len(reports) == 2)  # without a poke it would rest for a day
    assert [report.outcome for report in reports] == ["registered", "updated"]
    assert device.seen() == ["PUT", "PATCH"]


def test_it_stops_at_once_in_the_middle_of_an_exchange(device: Device, settings: dict[str, Any]) -> None:
    device.hub.fail("PUT", delay=HELD_SECONDS)
    background = device.agent(**settings).keep_fresh()
    background.start()
    assert happens(lambda: len(device.hub.log()) == 1)
    comes_back(background.stop)
    assert not background.is_alive, "the reply is held back for minutes"
    assert device.start(**PLAIN).outcome in {"registered", "updated"}


def set_once_stopping(answer: threading.Event, background: Any) -> None:
    """Let an answer come while the background is being stopped, and not before."""

    def wait() -> None:
        happens(lambda: not background.is_at_work)
        time.sleep(0.2)
        answer.set()

    threading.Thread(target=wait, daemon=True).start()


def test_block_that_ends_while_a_source_is_asked_ends_the_work(
    device: Device, settings: dict[str, Any]
) -> None:
    asked, answer = threading.Event(), threading.Event()
    told: list[object] = []

    def source() -> str:
        asked.set()
        answer.wait(HANG_SECONDS)
        return "https://push.example/1"

    agent = device.agent(**settings, channel=source, on_registered=told.append, on_error=told.append)
    background = agent.keep_fresh()
    background.start()
    assert asked.wait(HANG_SECONDS)
    set_once_stopping(answer, background)
    background.stop()
    assert not background.is_alive
    assert (device.seen(), told) == ([], [])
    assert device.files.keys() <= {"lock"}, "nothing is begun that nobody will end"
    assert agent.start().outcome == "registered", "its owner may use it as before"
    agent.unregister()
    agent.enable()
    with agent.keep_fresh():
        assert happens(lambda: len(told) == 2)


def test_exchange_that_begins_after_the_stop_is_not_made(device: Device, settings: dict[str, Any]) -> None:
    asked, answer = threading.Event(), threading.Event()

    def token() -> str:
        asked.set()
        answer.wait(HANG_SECONDS)
        return "SharedAccessSignature sr=x"

    device.hub.fail("*", delay=HELD_SECONDS)
    agent = device.agent(**{**settings, "connection_string": token, "endpoint": device.hub.endpoint})
    background = agent.keep_fresh()
    background.start()
    assert asked.wait(HANG_SECONDS)
    set_once_stopping(answer, background)
    comes_back(background.stop)
    assert not background.is_alive
    assert device.seen() == []


def test_exchange_that_the_stop_has_cut_is_no_error_to_tell(device: Device, settings: dict[str, Any]) -> None:
    device.hub.fail("PUT", delay=HELD_SECONDS)
    told: list[object] = []
    with device.agent(**settings, on_registered=told.append, on_error=told.append).keep_fresh():
        assert happens(lambda: len(device.hub.log()) == 1)
    assert told == []


def test_second_background_of_an_agent_is_refused_while_the_first_one_runs(
    device: Device, settings: dict[str, Any]
) -> None:
    reports: list[Report] = []
    agent = device.agent(**settings, on_registered=reports.append)
    never_begun = agent.keep_fresh()
    with agent.keep_fresh() as background:
        with pytest.raises(ConfigurationError, match="a background thread keeps this agent fresh already"):
            agent.keep_fresh()
        for other in (background, never_begun):
            with pytest.raises(ConfigurationError, match="call keep_fresh again"):
                other.start()
        assert happens(lambda: len(reports) == 1)
        device.channel = "https://push.example/2"
        agent.poke()
        assert happens(lambda: len(reports) == 2)
    with pytest.raises(ConfigurationError, match="call keep_fresh again"), background:
        pass
    device.channel = "https://push.example/3"
    with agent.keep_fresh():
        assert happens(lambda: len(reports) == 3)


def test_report_of_the_background_tells_how_long_its_turn_took(
    device: Device, settings: dict[str, Any]
) -> None:
    reports: list[Report] = []
    device.hub.fail("PUT", delay=0.2)
    began = time.monotonic()
    with device.agent(**settings, on_registered=reports.append).keep_fresh():
        assert happens(lambda: len(reports) == 1)
    assert 0.1 < reports[0].elapsed < time.monotonic() - began


def test_it_goes_on_until_the_hub_is_back(device: Device) -> None:
    days = Days(device.hub, DAY / 2)
    device.hub.fail("*", status=503, times=40)
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep))
    assert len(device.held()) == 1
    statuses = [entry.status for entry in device.hub.log()]
    assert statuses[:40] == [503] * 40
    assert statuses[40] == 200


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


def test_blocked_device_tries_after_an_hour_growing_to_a_day_or_at_once_when_poked(device: Device) -> None:
    days = Days(device.hub, 4 * DAY)
    device.hub.fail("*", status=403, times=1000)
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep))
    tries = len(device.seen())
    assert 6 <= tries <= 9, "1, 2, 4, 8, 16, 24, 24 hours"
    with device.agent(**PLAIN, sleep=None).keep_fresh() as background:
        assert happens(lambda: len(device.hub.log()) == 1)
        background.poke()
        assert happens(lambda: len(device.hub.log()) == 2)


@pytest.mark.parametrize("status", [503, 401, 429])
def test_app_that_pokes_at_every_error_makes_no_storm(device: Device, status: int) -> None:
    days = Days(device.hub, 3600)
    told: list[NhagentError] = []
    device.hub.fail("*", status=status, times=100_000)

    def poke(error: NhagentError) -> None:
        told.append(error)
        agent.poke()

    agent = device.agent(**PLAIN, clock=days.clock, sleep=days.sleep, on_error=poke)
    days.live(agent)
    assert len(device.seen()) <= 25, "1, 2, 4 … 256, 300, 300 … seconds"
    assert 15 <= len(told) <= 25
    if status != 503:  # whose own pauses are as short
        assert days.slept[:5] == pytest.approx([1, 2, 4, 8, 16], abs=0.5)


def test_source_that_pokes_whenever_it_is_asked_makes_no_busy_loop(device: Device) -> None:
    days = Days(device.hub, 60)
    asked: list[str] = []

    def source() -> str:
        asked.append("once more")
        agent.poke()
        return "https://push.example/1"

    agent = device.agent(**PLAIN, channel=source, clock=days.clock, sleep=days.sleep)
    days.live(agent)
    assert 30 < len(asked) <= 63
    assert device.seen() == ["PUT"]


def test_poke_after_a_long_rest_is_obeyed_at_once_however_often_it_failed(device: Device) -> None:
    device.hub.fail("*", status=403, times=1000)
    days = Days(device.hub, DAY / 4)
    tries: list[datetime] = []

    def sleep(seconds: float) -> None:
        days.sleep(seconds)
        if len(days.slept) % 2:
            agent.poke()

    agent = device.agent(**PLAIN, clock=days.clock, sleep=sleep, on_error=lambda _: tries.append(days.now))
    days.live(agent)
    waits = [(after - before).total_seconds() for before, after in pairwise(tries)]
    assert len(waits) > 8
    assert set(waits[1:]) <= {900.0, 1800.0}, "no longer than until the poke"


def test_a_day_of_a_device_at_rest_is_one_refresh_in_its_slot_and_one_look(device: Device) -> None:
    days = Days(device.hub, 10 * DAY)
    began = days.now
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep))
    requests = device.seen()
    assert requests[:2] == ["PUT", "GET"]
    assert set(requests[2:]) == {"PUT"}
    assert len(requests[2:]) in {9, 10}
    assert max(days.slept) <= backoff.LONGEST_WAIT_SECONDS
    assert len(days.slept) < 10 * 96 + 60, "no busy loop"
    assert (days.now - began).total_seconds() >= 10 * DAY


def test_fleet_whose_clocks_are_wrong_refreshes_in_slots_too(device: Device) -> None:
    class Ended(BaseException):
        pass

    device.start(**PLAIN)
    device.offset = timedelta(days=-365)
    lived, sent = [0.0], []
    agent = device.agent(**PLAIN, on_registered=lambda _: sent.append(lived[0]))

    def wait(seconds: float) -> bool:
        lived[0] += seconds
        device.offset += timedelta(seconds=seconds)
        if lived[0] > 1.5 * DAY:
            raise Ended
        return False

    with pytest.raises(Ended):
        agent.live(wait=wait, lived=lambda: lived[0])
    place = backoff.slot(str(agent.status().installation_id))
    assert sent == [pytest.approx(DAY * (1 + place / 10), abs=60)]


def test_refresh_goes_out_in_the_devices_own_slot_within_the_next_tenth(device: Device) -> None:
    days = Days(device.hub, 1.2 * DAY)
    sent: list[datetime] = []
    agent = device.agent(
        **PLAIN, clock=days.clock, sleep=days.sleep, on_registered=lambda _: sent.append(days.now)
    )
    days.live(agent)
    assert len(sent) == 2
    lag = (sent[1] - sent[0]).total_seconds() - DAY
    place = backoff.slot(str(agent.status().installation_id))
    assert -1 <= lag - place * DAY / 10 < 60  # the hub dates by whole seconds


def test_refresh_at_every_start_is_in_the_background_one_at_its_start_and_daily(device: Device) -> None:
    device.start(**PLAIN)
    device.seen()
    days = Days(device.hub, 2.5 * DAY)
    daily: dict[str, Any] = {**PLAIN, "refresh_every": timedelta(), "clock": days.clock, "sleep": days.sleep}
    days.live(device.agent(**daily))
    assert device.seen() == ["PUT"] * 3


@pytest.mark.parametrize("seconds", [0.001, 1, 59])
def test_no_refresh_of_the_background_follows_another_within_a_minute(device: Device, seconds: float) -> None:
    days = Days(device.hub, 600)
    sent: list[datetime] = []
    short: dict[str, Any] = {**PLAIN, "refresh_every": timedelta(seconds=seconds)}
    agent = device.agent(
        **short, clock=days.clock, sleep=days.sleep, on_registered=lambda _: sent.append(days.now)
    )
    days.live(agent)
    assert len(sent) > 5
    # The hub dates by whole seconds.
    assert min(after - before for before, after in pairwise(sent)) >= timedelta(seconds=59)


def test_expiry_is_renewed_at_half_its_life(device: Device) -> None:
    days = Days(device.hub, 4 * DAY)
    expires_after = timedelta(days=2)
    days.live(
        device.agent(
            **PLAIN,
            clock=days.clock,
            sleep=days.sleep,
            expires_after=expires_after,
            refresh_every=timedelta(days=30),
        )
    )
    assert device.seen().count("PUT") in {4, 5}


def test_clock_that_stands_still_does_not_keep_it_from_refreshing(device: Device) -> None:
    days = Days(device.hub, 3 * DAY)
    still = days.now
    agent = device.agent(**PLAIN, clock=lambda: still, sleep=days.sleep)
    days.live(agent)
    # Once a day and a tenth, by uptime; what was signed by the standing clock is signed again.
    assert [entry.method for entry in device.hub.log() if entry.status == 200].count("PUT") == 3


def test_registration_that_the_hub_did_not_keep_is_made_again_minutes_later(device: Device) -> None:
    days = Days(device.hub, 3600)
    made = threading.Event()

    def forget(report: Report) -> None:
        if not made.is_set():
            made.set()
            device.hub.forget(installation=str(report.installation_id))

    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep, on_registered=forget))
    assert device.seen()[:3] == ["PUT", "GET", "PUT"]
    assert len(device.held()) == 1


def test_look_that_failed_is_made_once_more(device: Device) -> None:
    days = Days(device.hub, 3 * 3600)
    device.hub.fail("GET", status=503)
    lost: list[str] = []

    def forget(report: Report) -> None:
        if not lost:
            lost.append(str(report.installation_id))
            device.hub.forget(installation=lost[0])

    agent = device.agent(**PLAIN, clock=days.clock, sleep=days.sleep, on_registered=forget)
    days.live(agent)
    assert device.seen()[:4] == ["PUT", "GET", "GET", "PUT"]
    assert len(device.held()) == 1


def test_look_that_fails_twice_is_given_up(device: Device) -> None:
    days = Days(device.hub, 6 * 3600)
    device.hub.fail("GET", status=503, times=9)
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep))
    assert device.seen() == ["PUT", "GET", "GET"]


def test_first_registration_with_templates_without_tags_is_looked_at_and_not_made_again(
    device: Device,
) -> None:
    days = Days(device.hub, 3600)
    bare = {"alert": replace(TOAST, tags=())}
    tiles = {"weather": SecondaryTile(device.tile_channel, templates=bare)}
    days.live(device.agent(templates=bare, secondary_tiles=tiles, clock=days.clock, sleep=days.sleep))
    assert device.seen() == ["PUT", "GET"]


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
    marks: list[tuple[int, tuple[int, int]]] = []
    done = threading.Event()
    now = datetime.now(UTC)

    def count(error: NhagentError) -> None:
        nonlocal failed
        assert isinstance(error, HubUnavailable)
        failed += 1
        if failed in {cycles // 2, cycles}:
            gc.collect()
            marks.append((_resident(), _resources()))
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
    (before, resources_before), (after, resources_after) = marks
    assert resources_after == resources_before
    assert after - before < 1024 * 1024, "memory grows"


@pytest.mark.slow
def test_log_of_a_day_of_failures_is_no_flood(device: Device, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    days = Days(device.hub, DAY)
    device.hub.fail("*", status=503, times=100_000)
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep))
    assert len(caplog.records) < 1000


def test_background_of_a_device_whose_key_is_refused_tells_the_app(device: Device) -> None:
    days = Days(device.hub, 3 * 3600)
    told: list[NhagentError] = []
    device.hub.fail("*", status=401, times=99)
    days.live(device.agent(**PLAIN, clock=days.clock, sleep=days.sleep, on_error=told.append))
    assert told
    assert all(isinstance(error, Unauthorized) for error in told)
