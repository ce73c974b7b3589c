"""Expiry: by the hub's clock, whatever ours shows, and as the app gives it now."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from tests.device_under_test import PLAIN, Device, first_run

QUARTER = timedelta(days=90)
MINE: dict[str, Any] = {**PLAIN, "expires_after": QUARTER}
WRONG = [timedelta(days=400), timedelta(days=-400), timedelta(hours=-30), timedelta(0)]


def days_left(device: Device) -> float:
    """The days that the hub gives the device, by its own clock."""
    [held] = device.held()
    expires = datetime.fromisoformat(held["expirationTime"])
    return (expires - datetime.now(UTC)) / timedelta(days=1)


@pytest.mark.slow
@pytest.mark.parametrize("offset", WRONG, ids=str)
@pytest.mark.parametrize("lists", [True, False], ids=["list first", "write first"])
def test_expiry_is_by_the_hubs_clock_after_every_write(
    device: Device, offset: timedelta, lists: bool
) -> None:
    device.offset = offset
    mine = {**MINE, "first_run_list": lists}
    device.start(**mine)
    assert days_left(device) == pytest.approx(90, abs=0.1)
    device.agent(**mine).refresh(force=True)
    assert days_left(device) == pytest.approx(90, abs=0.1)
    device.channel = "https://push.example/2"
    device.start(**mine)
    assert days_left(device) == pytest.approx(90, abs=0.1)
    device.hub.forget(installation=device.held()[0]["installationId"])
    device.agent(**mine).refresh(force=True)
    assert days_left(device) == pytest.approx(90, abs=0.1)


@pytest.mark.parametrize("offset", WRONG[:3], ids=str)
def test_clock_that_was_set_since_is_believed(device: Device, offset: timedelta) -> None:
    device.offset = offset
    device.start(**MINE)
    device.offset = timedelta()
    device.seen()
    device.agent(**MINE).refresh(force=True)
    assert days_left(device) == pytest.approx(90, abs=0.1)


def test_right_clock_costs_no_second_write(device: Device) -> None:
    device.start(**MINE)
    device.agent(**MINE).refresh(force=True)
    assert device.seen() == ["PUT", "PUT"]


@pytest.mark.parametrize("later", [None, timedelta(days=30), timedelta(hours=4)], ids=str)
def test_expiry_that_is_dropped_or_changed_is_a_whole_write(device: Device, later: timedelta | None) -> None:
    device.start(**MINE)
    device.agent(**{**MINE, "tags": None}).add_tags("attic")
    assert device.seen() == ["PUT", "PATCH"]
    changed = {**MINE, "tags": None, "expires_after": later}
    report = device.start(**changed)
    assert (report.outcome, device.seen()) == ("updated", ["PUT"])
    if later is None:
        assert device.held()[0].get("expirationTime", "9999").startswith("9999")
    else:
        assert days_left(device) == pytest.approx(later / timedelta(days=1), abs=0.1)
    assert device.start(**changed).outcome == "unchanged"


def test_due_time_follows_what_the_hub_holds(device: Device) -> None:
    mine = {**MINE, "expires_after": timedelta(hours=4), "tags": None}
    device.start(**mine)
    report = device.agent(**mine).add_tags("attic")
    assert device.seen() == ["PUT", "PATCH"]
    assert report.refresh_due is not None
    assert (report.refresh_due - datetime.now(UTC)) / timedelta(hours=1) == pytest.approx(2, abs=0.1)


def test_first_run_with_a_wrong_clock_takes_no_request_more(device: Device) -> None:
    device.offset = timedelta(days=400)
    first_run(device, **MINE)
    assert device.seen() == ["GET", "PUT"]
