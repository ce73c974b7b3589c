"""Days of the background thread: when it refreshes, looks, and tries again."""

from __future__ import annotations

import logging
import threading
from dataclasses import replace
from datetime import datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from nhagent import Report, SecondaryTile
from nhagent.errors import ChannelError, NhagentError, Unauthorized
from nhagent.retry import backoff
from tests.device_under_test import PLAIN, TOAST, Device
from tests.events import happens
from tests.retry.days import DAY, Days


@pytest.mark.slow
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
        agent._live(wait=wait, lived=lambda: lived[0])
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


def test_channel_sources_are_asked_every_quarter_of_an_hour(device: Device) -> None:
    days = Days(device.hub, 18 * 3600)  # an unchanged record is written again after a day, more or less
    asked: list[datetime] = []

    def channel() -> str:
        asked.append(days.clock())
        return "https://push.example/1"

    days.live(device.agent(**PLAIN, channel=channel, clock=days.clock, sleep=days.sleep))
    pauses = [later - before for before, later in pairwise(asked)]
    assert max(pauses) <= timedelta(minutes=15)
    assert len(asked) > 70
    assert device.seen() == ["PUT", "GET"], "no request more than without it"


NAIVE = datetime.fromisoformat("2026-01-01T00:00:00")


class LeasedChannel:
    """A channel source whose push channel ends, and that gives another when it is asked shortly before."""

    def __init__(self, days: Days, life: float) -> None:
        self._days, self._life = days, timedelta(seconds=life)
        self.expires_at: Any = None
        self.asked: list[datetime] = []
        self.number = 0

    def __call__(self) -> str:
        now = self._days.now
        self.asked.append(now)
        if self.expires_at is None or self.expires_at - now <= self._life / 5:
            self.number += 1
            self.expires_at = now + self._life
        return f"https://push.example/{self.number}"


@pytest.mark.slow
@pytest.mark.parametrize("life", [300.0, 600.0, 1800.0])
def test_source_is_asked_again_before_its_channel_ends(device: Device, life: float) -> None:
    days = Days(device.hub, 4 * 3600)
    source = LeasedChannel(days, life)
    ends: list[datetime] = []

    def give() -> str:
        if source.expires_at is not None:
            ends.append(source.expires_at)
        return source()

    class Source:
        expires_at = property(lambda _: source.expires_at)
        __call__ = staticmethod(give)

    days.live(device.agent(**PLAIN, channel=Source(), clock=days.clock, sleep=days.sleep))
    assert source.number >= 4 * 3600 / life
    assert all(asked <= end for asked, end in zip(source.asked[1:], ends, strict=True))


@pytest.mark.slow
def test_source_whose_channels_end_at_once_is_asked_once_a_minute(device: Device) -> None:
    days = Days(device.hub, 3600)
    source = LeasedChannel(days, 1.0)
    days.live(device.agent(**PLAIN, channel=source, clock=days.clock, sleep=days.sleep))
    assert 50 <= len(source.asked) <= 65


@pytest.mark.parametrize("moment", ["tomorrow", NAIVE, float("nan"), 1e300, True, object()])
def test_end_of_a_channel_that_is_no_moment_is_told_once_and_has_no_effect(
    device: Device, moment: Any, caplog: pytest.LogCaptureFixture
) -> None:
    days = Days(device.hub, 4 * 3600)
    asked: list[datetime] = []

    class Source:
        expires_at = moment

        def __call__(self) -> str:
            asked.append(days.now)
            return "https://push.example/1"

    days.live(device.agent(**PLAIN, channel=Source(), clock=days.clock, sleep=days.sleep))
    assert 14 <= len(asked) <= 20
    assert caplog.text.count("expires_at is no moment") == 1


def test_end_of_a_channel_that_a_source_fails_to_tell_is_no_fault_of_the_background(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    days = Days(device.hub, 4 * 3600)
    asked: list[datetime] = []

    class Source:
        @property
        def expires_at(self) -> datetime:
            raise LookupError("not known")

        def __call__(self) -> str:
            asked.append(days.now)
            return "https://push.example/1"

    days.live(device.agent(**PLAIN, channel=Source(), clock=days.clock, sleep=days.sleep))
    assert 14 <= len(asked) <= 20
    assert caplog.text.count("expires_at is no moment") == 1
    assert "a fault" not in caplog.text


def test_source_of_a_tile_is_asked_again_before_its_channel_ends(device: Device) -> None:
    days = Days(device.hub, 2 * 3600)
    source = LeasedChannel(days, 300.0)
    ends: list[datetime] = []

    class Source:
        expires_at = property(lambda _: source.expires_at.timestamp())  # the seconds since 1970

        def __call__(self) -> str:
            if source.expires_at is not None:
                ends.append(source.expires_at)
            return source()

    tiles = {"weather": SecondaryTile(channel=Source(), templates={"w": TOAST})}
    device.channel = "https://push.example/app"
    days.live(device.agent(templates={}, secondary_tiles=tiles, clock=days.clock, sleep=days.sleep))
    assert source.number >= 2 * 3600 / 300
    assert all(asked <= end for asked, end in zip(source.asked[1:], ends, strict=True))
    [held] = device.held()
    assert held["secondaryTiles"]["weather"]["pushChannel"] == f"https://push.example/{source.number}"


@pytest.mark.parametrize("is_pending", [True, False])
def test_source_that_fails_when_its_channel_ends_is_asked_once_a_minute_at_most(
    device: Device, is_pending: bool
) -> None:
    days = Days(device.hub, 3600)
    asked: list[datetime] = []

    class Source:
        expires_at: datetime | None = None

        def __call__(self) -> str:
            asked.append(days.now)
            if self.expires_at is not None:
                raise ChannelError("channel: offline", "wait", pending=is_pending)
            self.expires_at = days.now + timedelta(seconds=300)
            return "https://push.example/1"

    days.live(device.agent(**PLAIN, channel=Source(), clock=days.clock, sleep=days.sleep))
    pauses = [after - before for before, after in pairwise(asked)]
    assert len(pauses) > 5
    assert min(pauses) >= timedelta(seconds=59)
    assert device.seen() == ["PUT", "GET"]
