"""The connection to a push service is made again whenever it is lost: soon enough, and not too often."""

from __future__ import annotations

import logging
import os
import subprocess
import sys
import threading
from datetime import UTC, datetime
from pathlib import Path
from threading import Event
from typing import Any

import pytest

from nhagent.channels.losses import AWAY_SECONDS, LIMIT_SECONDS, Cause, pause_after
from nhagent.channels.store import Home
from nhagent.device.channel_store import DeviceChannelStore
from nhagent.device.machine import fingerprint_of
from nhagent.emulator import Emulator
from nhagent.emulator.push.users import Message as Pushed
from tests.channels.push.conftest import FakeTime, HeadlessDevice
from tests.events import happens

pytestmark = pytest.mark.slow


def said(headless: HeadlessDevice, kind: str) -> int:
    return [entry.get("messageType") for entry in headless.hub.push_service.log()].count(kind)


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 3000, None], ids=str)
def test_connection_that_the_service_ends_is_made_again(
    code: int | None, headless: HeadlessDevice, fake_time: FakeTime
) -> None:
    headless.agent().start()
    agent = headless.agent(sleep=fake_time.sleep, random=lambda: 0.5)
    with headless.receiving(agent.receive) as received:
        hellos = said(headless, "hello")
        headless.hub.push_service.close(code)
        assert happens(lambda: said(headless, "hello") > hellos)
        assert happens(headless.is_connected)
        assert headless.push("after it") == 201
        assert happens(lambda: received.texts == ["after it"])
    assert len(headless.subscriptions) == 1


def test_service_that_asks_to_be_left_alone_is_left_alone_for_hours(
    headless: HeadlessDevice, fake_time: FakeTime, caplog: pytest.LogCaptureFixture
) -> None:
    headless.agent().start()
    headless.hub.push_service.ping_seconds = 0.05
    channel = headless.channel()
    headless.agent(channel=channel, sleep=fake_time.sleep, random=lambda: 0.5)
    with headless.receiving(channel.receive):
        began = fake_time.seconds
        hellos = said(headless, "hello")
        headless.hub.push_service.close(4774)
        assert happens(lambda: said(headless, "hello") > hellos)
        assert fake_time.seconds - began > AWAY_SECONDS - 1
    assert "asks to be left alone (close code 4774); tried again in 14400 s" in caplog.text


def test_push_service_that_was_away_for_an_hour_has_kept_the_messages(
    headless: HeadlessDevice, fake_time: FakeTime
) -> None:
    headless.agent().start()
    channel = headless.channel()
    headless.agent(channel=channel, sleep=fake_time.sleep, random=lambda: 0.5)
    service = headless.hub.push_service
    with headless.receiving(channel.receive) as received:
        service.refuses = 503
        service.close(1001)
        assert happens(lambda: not headless.is_connected())
        gone_at, tried_before = fake_time.seconds, len(fake_time.slept)
        assert happens(lambda: fake_time.seconds - gone_at > 3600)
        assert len(fake_time.slept) - tried_before < 20  # attempts, each after a longer rest
        headless.push("first")
        headless.push("second")
        service.refuses = None
        assert happens(lambda: received.texts == ["first", "second"])


def test_redirect_is_not_followed(headless: HeadlessDevice) -> None:
    headless.hub.push_service.refuses = 302
    report = headless.agent().start(timeout=0)
    assert "it answered with HTTP status 302" in str(report.channel_errors["channel"])
    assert headless.hub.push_service.log() == []


@pytest.mark.slow
def test_week_of_nothing_leaves_threads_and_descriptors_as_they_were(
    headless: HeadlessDevice, fake_time: FakeTime
) -> None:
    headless.agent().start()
    service = headless.hub.push_service
    service.ping_seconds = 0.02
    channel = headless.channel()
    headless.agent(channel=channel, sleep=fake_time.sleep, random=lambda: 0.5)

    def used() -> tuple[int, int]:
        descriptors = len(os.listdir("/proc/self/fd")) if sys.platform == "linux" else 0
        return threading.active_count(), descriptors

    with headless.receiving(channel.receive) as received:
        before, began = used(), fake_time.seconds
        assert happens(lambda: fake_time.seconds - began > 7 * 86400)
        assert happens(lambda: headless.is_connected() and used() == before)
        assert 5 <= said(headless, "hello") <= 60  # each day, and where a busy machine was late with a pong
        headless.push("at last")
        assert happens(lambda: received.texts == ["at last"])


def test_machine_that_slept_is_back_soon_after(headless: HeadlessDevice, tmp_path: Path) -> None:
    slept = 0.0
    channel = headless.channel()
    store = DeviceChannelStore(
        str(tmp_path / "alone"),
        "sensor",
        "hub",
        machine=lambda: fingerprint_of("first", "sensor", "hub"),
        clock=lambda: datetime.now(UTC),
    )
    rests: list[float] = []
    fake = FakeTime()

    def sleep(seconds: float) -> None:
        rests.append(seconds)
        fake.sleep(seconds)

    home = Home(store, lambda: datetime.now(UTC), lambda: slept, sleep, lambda: 0.5, lambda: None)
    channel.belong_to(home)
    headless.hub.push_service.ping_seconds = 0.02
    with headless.receiving(channel.receive):
        hellos = said(headless, "hello")
        slept += 8 * 3600
        assert happens(lambda: said(headless, "hello") > hellos)
    assert 2.0 in rests  # and no spread of minutes, since this device alone has lost its connection


def test_pings_are_answered_while_the_app_is_busy(headless: HeadlessDevice) -> None:
    headless.agent().start()
    service = headless.hub.push_service
    service.ping_seconds = 0.02
    go_on = Event()
    answered = 0

    def take(_: object) -> None:
        go_on.wait(60)

    with headless.receiving(headless.agent().receive, take) as received:
        headless.push("busy with it")
        sessions = service.sessions()
        for _ in range(20):
            assert happens(lambda: sessions[0]._ping_sent is not None)
            assert happens(lambda: sessions[0]._ping_sent is None)
            answered += 1
        go_on.set()
        assert happens(lambda: received.texts == ["busy with it"])
    assert answered == 20
    assert said(headless, "hello") == 2


@pytest.mark.slow
def test_service_that_takes_the_connection_and_says_nothing_is_given_up(headless: HeadlessDevice) -> None:
    headless.hub.push_service.is_silent = True
    headless.hub.push_service.hello_seconds = 600
    report = headless.agent().start(timeout=0)
    assert "gave no answer to hello within 10 s" in str(report.channel_errors["channel"])


def test_message_on_a_channel_that_nobody_knows_is_given_back_with_it(headless: HeadlessDevice) -> None:
    headless.agent().start()
    service = headless.hub.push_service
    with headless.receiving(headless.agent().receive) as received:
        [user] = service.users.all()
        unknown = "00000000-0000-4000-8000-000000000000"
        service.deliver(user, Pushed("v1", unknown, "AAAA", {"encoding": "aes128gcm"}, 9e9))
        assert happens(lambda: said(headless, "unregister") == 1)
        headless.push("ours")
        assert happens(lambda: received.texts == ["ours"])
    [gone] = [entry for entry in service.log() if entry.get("messageType") == "unregister"]
    assert gone["channelID"] == unknown


@pytest.mark.parametrize("kind", ["self-signed", "expired", "wrong-name"])
def test_service_whose_certificate_is_not_trusted_is_not_spoken_to(kind: str, tmp_path: Path) -> None:
    with Emulator(tls=True, certificate=kind) as hub:
        headless = HeadlessDevice(hub, tmp_path)
        report = headless.agent().start(timeout=0)
        assert "its certificate is not trusted" in str(report.channel_errors["channel"])
        assert hub.push_service.log() == []


def test_authority_that_is_not_named_is_not_trusted(tmp_path: Path) -> None:
    with Emulator(tls=True) as hub:
        headless = HeadlessDevice(hub, tmp_path)
        channel = headless.channel()
        channel._ca_bundle = None
        report = headless.agent(channel=channel).start(timeout=0)
        assert "its certificate is not trusted" in str(report.channel_errors["channel"])
        good = headless.agent(channel=headless.channel()).start()
        assert good.outcome == "registered"


def test_trace_output_of_the_library_shows_nothing_of_what_is_said(headless: HeadlessDevice) -> None:
    headless.agent().start()
    headless.push("the content")
    program = f"""
import threading, websocket
websocket.enableTrace(True)
from nhagent import Agent
from nhagent.channels import WebPushChannel
channel = WebPushChannel({headless.hub.vapid_public_key!r}, server={headless.hub.push!r})
agent = Agent(app="sensor", hub={headless.hub.hub!r}, channel=channel, tags=["attic"],
              machine=lambda: "first", connection_string={headless.hub.listen!r},
              state_dir={str(headless.folder)!r})
stop = threading.Event()
def take(message):
    print(message.text)
    stop.set()
agent.receive(take, stop)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout == "the content\n"
    [uaid] = headless.hub.push_service.state()
    assert uaid not in done.stderr
    assert "messageType" not in done.stderr


def test_log_says_where_it_is_connected_and_no_secret(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture, fake_time: FakeTime
) -> None:
    caplog.set_level(logging.DEBUG)
    channel = headless.channel()
    agent = headless.agent(channel=channel, sleep=fake_time.sleep)
    agent.start()
    with headless.receiving(channel.receive) as received:
        headless.push("private words")
        assert happens(lambda: received.messages)
        headless.hub.push_service.close(1011)
        assert happens(lambda: "ended the connection with code 1011; tried again in" in caplog.text)
    [uaid] = headless.hub.push_service.state()
    for secret in (uaid, headless.held["pushChannel"]["endpoint"], "private words"):
        assert secret not in caplog.text
    assert f"connected to the push service {headless.hub.push}" in caplog.text


@pytest.mark.parametrize("cause", Cause)
@pytest.mark.parametrize("random", [0.0, 1.0])
def test_pauses_grow_and_end(cause: Cause, random: float) -> None:
    pauses = [pause_after(cause, failures, random) for failures in range(40)]
    assert pauses == sorted(pauses)
    assert pauses[0] > 0
    assert max(pauses) <= (1.5 * AWAY_SECONDS if cause is Cause.AWAY else 1.5 * LIMIT_SECONDS)


def test_pause_after_an_end_is_spread_over_minutes_for_all_that_were_connected_for_long() -> None:
    pauses: list[Any] = [pause_after(Cause.ENDED, 0, number / 100) for number in range(101)]
    assert (pauses[0], pauses[-1]) == (5.0, 365.0)
    assert pause_after(Cause.ENDED, 0, 1.0, age=0.0) == 35.0
    assert pause_after(Cause.UNREACHABLE, 1, 1.0, was_ended=True) == 365.0
    assert pause_after(Cause.UNREACHABLE, 2, 1.0, was_ended=True) == 725.0
