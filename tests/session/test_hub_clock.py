"""Wrong clocks: what a device with one costs, and whose clock its dates are reckoned by."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from time import monotonic
from typing import Any

import pytest

from nhagent import ConnectionString
from nhagent.emulator import Emulator
from nhagent.errors import Unauthorized
from tests.device_under_test import Device, first_run

YEARS = timedelta(days=3652)
OFFSETS = [sign * offset for offset in (timedelta(minutes=10), timedelta(days=1), YEARS) for sign in (1, -1)]
QUARTER = timedelta(days=90)


def assert_expires_in_a_quarter(device: Device, began: datetime) -> None:
    """The expiry that the hub holds is a quarter after some moment since then, by the hub's clock.

    That clock is known to the second, and as far off as its answer took.
    """
    now = datetime.now(UTC)
    margin = now - began + timedelta(seconds=2)
    expires = datetime.fromisoformat(device.held()[0]["expirationTime"])
    assert began - margin <= expires - QUARTER <= now + margin


@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("offset", OFFSETS, ids=str)
@pytest.mark.parametrize("tls", [False, True], ids=["plain", "TLS"])
def test_wrong_clock_costs_at_most_two_requests_more(
    tls: bool,
    offset: timedelta,
    style: str,
    notification_hub: Emulator,
    tls_notification_hub: Emulator,
    tmp_path: Any,
) -> None:
    device = Device(tls_notification_hub if tls else notification_hub, tmp_path / "state")
    right = Device(device.hub, tmp_path / "right").start(style=style, first_run_list=True).requests
    device.channel, device.tile_channel = "https://push.example/w", "https://push.example/tile/w"
    device.offset = offset
    agent = device.agent(style=style, first_run_list=True)
    began = monotonic()
    report = agent.start()
    took = monotonic() - began
    assert report.outcome == "registered"
    assert report.requests <= right + 2
    assert report.clock_skew == pytest.approx(-offset.total_seconds(), abs=took + 1), (
        "to the second of a Date"
    )
    device.channel = "https://push.example/w2"
    assert agent.start().requests <= (1 if style == "installation" else 2), "remembered by the process"


def test_clock_that_is_ahead_does_not_refresh_at_every_start(device: Device) -> None:
    device.offset = YEARS
    device.start()
    device.seen()
    for _ in range(3):
        assert device.start().requests == 0
    device.offset += timedelta(days=2)
    assert device.start().requests > 0, "two days have passed by its own clock"


def test_clock_that_is_set_right_does_not_keep_the_device_from_refreshing(device: Device) -> None:
    device.offset = timedelta(days=5)
    device.start()
    device.offset = timedelta()
    assert device.start().requests == 0
    device.offset = timedelta(days=6.5)
    assert device.start().requests > 0


def test_every_tenth_start_before_the_last_acceptance_refreshes(device: Device) -> None:
    device.start()
    device.seen()
    device.offset = -YEARS
    requests = [device.start().requests for _ in range(21)]
    assert [bool(count) for count in requests] == [number in {9, 19} for number in range(21)]
    assert device.seen().count("PUT") == 2


def test_date_that_moves_with_every_401_is_followed_once(device: Device) -> None:
    for hours in (2, 5, 9):
        date = (datetime.now(UTC) + timedelta(hours=hours)).strftime("%a, %d %b %Y %H:%M:%S GMT")
        device.hub.fail("*", status=401, headers={"Date": date})
    with pytest.raises(Unauthorized, match="401"):
        device.start()
    assert len(device.seen()) == 2


def test_expiry_is_reckoned_by_the_hubs_clock(device: Device) -> None:
    device.offset = -YEARS
    began = datetime.now(UTC)
    device.start(expires_after=QUARTER)
    assert_expires_in_a_quarter(device, began)


@pytest.mark.parametrize("offset", [YEARS, -YEARS], ids=["ahead", "behind"])
@pytest.mark.parametrize("by_token", [True, False], ids=["token callable", "key"])
def test_expiry_of_a_first_run_is_reckoned_by_the_hubs_clock_without_a_401(
    device: Device, offset: timedelta, by_token: bool
) -> None:
    key = ConnectionString.parse(device.hub.listen)
    given: dict[str, Any] = {
        "connection_string": lambda: key.token(device.hub.endpoint, datetime.now(UTC)),
        "endpoint": device.hub.endpoint,
    }
    device.offset = offset
    began = datetime.now(UTC)
    first_run(device, expires_after=QUARTER, **(given if by_token else {}))
    assert_expires_in_a_quarter(device, began)


def test_clock_that_is_set_while_the_process_runs_is_believed_again(device: Device) -> None:
    device.offset = -YEARS
    agent = device.agent(expires_after=QUARTER)
    assert agent.start().requests == 2, "one by its own clock, one by the hub's"
    device.offset = timedelta()
    device.seen()
    for _ in range(3):
        assert agent.start().outcome == "unchanged"
    began = datetime.now(UTC)
    agent.refresh(force=True)
    assert_expires_in_a_quarter(device, began)
    assert device.seen() == ["PUT"]
