"""Waits that outlive a restart: what the hub asked for is neither forgotten nor made longer."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from nhagent.errors import (
    CredentialError,
    HeldBack,
    HubUnavailable,
    NhagentError,
    Throttled,
    Unauthorized,
)
from nhagent.report import StartState
from tests.device_under_test import Device, first_run, rewrite

YEARS = timedelta(days=3652)


@pytest.mark.parametrize("retry_after", [None, "300"])
def test_reboot_does_not_make_the_hubs_wish_forgotten(device: Device, retry_after: str | None) -> None:
    device.start()
    device.channel = "https://push.example/2"
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    device.hub.fail("*", status=429, times=99, headers=headers)
    device.seen()
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    for _ in range(5):  # a reboot loop
        report = device.agent().start(timeout=0)
        assert isinstance(report.error, HeldBack)
        assert (report.outcome, report.requests) == ("waiting", 0)
        assert report.next_attempt is not None
    assert len(device.seen()) == 1
    assert device.agent().status().last_error == "Throttled"
    device.offset = timedelta(hours=1)
    device.hub.clear_faults()
    assert device.start().outcome == "updated"
    assert device.agent().status().last_error is None


def test_first_start_that_was_throttled_is_held_back_after_a_reboot_too(device: Device) -> None:
    device.hub.fail("*", status=429)
    assert isinstance(device.agent(first_run_list=True).start(timeout=0).error, Throttled)
    report = device.agent(first_run_list=True).start(timeout=0)
    assert isinstance(report.error, HeldBack)
    assert device.seen() == ["GET"]
    device.offset = timedelta(hours=1)
    assert first_run(device).outcome == "registered"
    assert device.agent().status().last_error is None


def test_hub_that_asked_for_time_is_not_asked_anything_else_either(device: Device) -> None:
    device.start()
    device.hub.fail("GET", status=429)
    with pytest.raises(Throttled):
        device.agent().verify()
    device.channel = "https://push.example/2"
    assert isinstance(device.agent().start(timeout=0).error, HeldBack)
    with pytest.raises(HeldBack):
        device.agent().verify()
    assert device.seen() == ["PUT", "GET"]


def test_tries_go_on_being_counted_after_a_restart(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, times=99)
    waits = []
    began = datetime.now(UTC)
    for number in range(4):
        now = began + timedelta(days=number)
        report = device.agent(clock=lambda now=now: now).start(timeout=0)
        assert report.next_attempt is not None
        waits.append((report.next_attempt - now).total_seconds())
    assert waits == pytest.approx([205, 385, 745, 1465])


def test_nothing_to_send_waits_for_nothing(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429)
    device.agent().start(timeout=0)
    device.channel = "https://push.example/1"
    report = device.start()
    assert (report.outcome, report.error) in {("unchanged", None), ("updated", None)}


def test_clock_that_was_set_back_does_not_make_the_wait_longer(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "100"})
    device.agent().start(timeout=0)
    device.offset = -YEARS
    error = device.agent().start(timeout=0).error
    assert isinstance(error, HeldBack)
    assert error.retry_after is not None
    assert error.retry_after <= 120


@pytest.mark.parametrize("retry_after", [None, "600"])
def test_throttled_while_the_clock_was_ahead_waits_once_and_not_until_that_day(
    device: Device, retry_after: str | None
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    headers = {} if retry_after is None else {"Retry-After": retry_after}
    device.hub.fail("*", status=429, headers=headers)
    device.offset = YEARS
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    device.offset = timedelta()
    assert isinstance(device.agent().start(timeout=0).error, HeldBack), "a new process, and the time is right"
    device.offset = timedelta(minutes=15)
    assert device.start().outcome == "updated"


def test_wait_that_no_hub_can_have_asked_for_is_not_believed(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429)
    device.agent().start(timeout=0)

    def wait_for_millennia(document: dict[str, Any]) -> None:
        document["trouble"]["until"] = f"7{document['trouble']['until'][1:]}"

    rewrite(device.files["state.json"], wait_for_millennia)
    assert isinstance(device.agent().start(timeout=0).error, HeldBack)
    device.offset = timedelta(hours=2, minutes=1)
    assert device.start().outcome == "updated"


def test_start_with_nothing_to_send_does_not_forget_what_the_hub_asked_for(device: Device) -> None:
    device.start()
    device.hub.fail("*", status=429, headers={"Retry-After": "600"}, times=9)
    with pytest.raises(Throttled):
        device.agent().verify()
    before = device.files["state.json"].read_bytes()
    for _ in range(2):
        assert device.start().outcome == "unchanged"
        with pytest.raises(HeldBack):
            device.agent().verify()
    assert device.files["state.json"].read_bytes() == before
    assert device.seen() == ["PUT", "GET"]


def test_source_that_fails_does_not_shorten_what_the_hub_asked_for(device: Device) -> None:
    device.start()
    agent = device.agent()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "3000"}, times=9)
    assert isinstance(agent.start(timeout=0).error, Throttled)
    device.slept.clear()
    device.tile_channel = OSError("the platform is busy")
    error = agent.start(timeout=0).error
    assert isinstance(error, HeldBack)
    agent.start(timeout=300)
    assert len(device.seen()) == 2


def test_clock_that_is_set_in_a_pause_does_not_shorten_what_the_hub_asked_for(device: Device) -> None:
    class Ended(BaseException):
        pass

    device.hub.fail("*", status=429)
    lived, asked = [0.0], []

    def wait(seconds: float) -> bool:
        asked.append((lived[0], len(device.hub.log())))
        lived[0] += min(seconds, 10.0)
        device.offset = YEARS  # the network time has come
        if lived[0] > 3600:
            raise Ended
        return False

    with pytest.raises(Ended):
        device.agent(first_run_list=True)._live(wait=wait, lived=lambda: lived[0])
    first_again = next(moment for moment, requests in asked if requests > 1)
    assert first_again >= 205
    assert len(device.held()) == 1


@pytest.mark.parametrize("wish", ["0", "-5", "soon", "99999999999", "Mon, 01 Jan 2001 00:00:00 GMT"])
def test_hub_that_asks_for_time_in_odd_words_is_not_asked_at_once(device: Device, wish: str) -> None:
    device.hub.fail("*", status=403, headers={"Retry-After": wish}, times=99)
    report = device.agent().start(timeout=0.5)
    assert isinstance(report.error, Throttled)
    assert report.next_attempt is not None
    assert report.next_attempt - datetime.now(UTC) < timedelta(hours=2)
    assert (device.seen(), device.slept) == (["PUT"], [])


@pytest.mark.parametrize("status", [429, 503, 401])
def test_plan_that_the_hub_refuses_leaves_nothing_on_disk(device: Device, status: int) -> None:
    device.hub.fail("*", status=status, headers={"Retry-After": "3600"}, times=99)
    for _ in range(2):
        with pytest.raises(NhagentError):
            device.agent(first_run_list=True).plan()
    assert not device.folder.exists()


def test_hub_that_asked_for_time_holds_nobody_back_from_another(
    device: Device, another_namespace: dict[str, Any]
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "3600"}, times=99)
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    assert device.start(**another_namespace).outcome == "registered"


def test_first_start_with_a_refused_key_is_blocked(device: Device) -> None:
    device.hub.fail("*", status=401, times=9)
    with pytest.raises(Unauthorized):
        device.agent(first_run_list=True).start(timeout=0)
    status = device.agent().status()
    assert (status.state, status.last_error, status.failures) == (StartState.BLOCKED, "Unauthorized", 1)
    device.hub.clear_faults()
    assert first_run(device).outcome == "registered"
    assert device.agent().status().state is StartState.IN_SYNC


def test_network_that_was_away_is_tried_at_once_after_a_restart(device: Device) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", cut_after=0)
    assert isinstance(device.agent().start(timeout=0).error, HubUnavailable)
    assert json.loads(device.files["state.json"].read_text())["trouble"]["binds"] is False
    assert device.start().outcome == "updated"


def test_first_request_after_the_boot_waits_for_the_devices_own_place(device: Device) -> None:
    spread: dict[str, Any] = {"startup_spread": timedelta(days=20_000), "machine": lambda: "a board"}
    began = monotonic()
    report = device.agent(**spread).start(timeout=0)
    assert isinstance(report.error, HeldBack)
    again = device.agent(**spread).start(timeout=0).error
    took = monotonic() - began
    assert isinstance(again, HeldBack)
    assert again.retry_after == pytest.approx(report.error.retry_after, abs=took), "it keeps its place"
    assert device.seen() == []
    assert device.start(startup_spread=timedelta(milliseconds=1)).outcome == "registered"
    assert device.start(**spread).outcome == "unchanged", "there is nothing to wait for"


def test_key_that_may_not_be_used_does_not_make_a_start_forget_what_the_hub_asked_for(
    device: Device, monkeypatch: pytest.MonkeyPatch
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "600"})
    assert isinstance(device.agent().start(timeout=0).error, Throttled)
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", device.hub.full)
    with pytest.raises(CredentialError):
        device.start(connection_string=None)
    device.seen()
    assert isinstance(device.agent().start(timeout=0).error, HeldBack)
    assert device.seen() == []
