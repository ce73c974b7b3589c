"""When the next attempt may be made is decided once, for each thread by itself, whatever the clocks do."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent.device.store import Store
from nhagent.errors import ConfigurationError, CredentialError, HeldBack, HubUnavailable, Throttled
from nhagent.retry import backoff
from nhagent.retry.state import Retries
from tests.device_under_test import Device

NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


def refuse() -> Any:
    raise ConfigurationError("clock: must give an aware datetime", "correct it")


def test_clock_or_random_of_the_app_that_fails_leaves_a_pause_all_the_same() -> None:
    without_random = Retries(Store("/nowhere"), clock=lambda: NOW, random=refuse)
    with pytest.raises(ConfigurationError):
        without_random.decide(HubUnavailable("away"))
    assert without_random.pause == backoff.LOCAL_SECONDS
    without_clock = Retries(Store("/nowhere"), clock=refuse, random=lambda: 0.5)
    with pytest.raises(ConfigurationError):
        without_clock.decide(ConfigurationError("app: is not a name"))
    assert without_clock.pause == backoff.BLOCKED_SECONDS


def test_failure_of_another_thread_does_not_change_how_long_this_one_waits() -> None:
    retries = Retries(Store("/nowhere"), clock=lambda: NOW, random=lambda: 0.5)
    retries.decide(HubUnavailable("away"))
    other = threading.Thread(target=retries.decide, args=(CredentialError("none was found"),))
    other.start()
    other.join()
    assert retries.pause == backoff.FAULT_SECONDS


def test_rest_that_began_before_a_failure_is_no_part_of_the_wait_for_it(tmp_path: Path) -> None:
    store = Store(str(tmp_path))
    retries = Retries(store, clock=lambda: NOW, random=lambda: 0.0)
    state = retries.decide(Throttled("busy", retry_after=9))
    retries.written_down(state)
    retries.slept(900, took=900)  # by another thread, which the uptime shows as far as it belongs here
    with pytest.raises(HeldBack):
        retries.check(state)


@pytest.mark.parametrize("days", [-30, 30])
def test_clock_that_is_set_while_the_device_is_held_back_shows_the_moment_by_the_new_clock(
    device: Device, days: int
) -> None:
    device.start()
    device.channel = "https://push.example/2"
    device.hub.fail("*", status=429, headers={"Retry-After": "100"})
    agent = device.agent(random=lambda: 0.0)
    agent.start(timeout=0)
    device.offset += timedelta(days=days)
    report = agent.start(timeout=0)
    error: Any = report.error
    assert isinstance(error, HeldBack)
    assert report.next_attempt is not None
    left = (report.next_attempt - (datetime.now(UTC) + device.offset)).total_seconds()
    assert 0 < left <= 100
    assert error.not_before == report.next_attempt == agent.status().next_attempt
