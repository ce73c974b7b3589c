"""The daemon in fake time: what a day of it costs, and what it owes its watchdog."""

from __future__ import annotations

import os
import signal
import sys
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from nhagent.commands.daemon import Daemon
from nhagent.commands.setup import Setup, read_setup
from nhagent.emulator import Emulator
from nhagent.retry import backoff
from tests.commands.running import CONFIG

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

DAY = 86400.0


class _Over(BaseException):
    """The story is over."""


@pytest.fixture
def config(tmp_path: Path, notification_hub: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """The configuration of a device in this process, whose signals mean afterwards what they do to tests."""
    path = tmp_path / "config.toml"
    path.write_text(CONFIG.format(hub=notification_hub.hub, tags="[]"))
    (tmp_path / "channel").write_text("handle-1")
    monkeypatch.setenv("NHAGENT_CONNECTION_STRING", notification_hub.listen)
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
    yield path
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_watchdog_is_told_after_each_wait_and_none_is_longer_than_half_its_time(
    config: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("WATCHDOG_USEC", "600000")
    said: list[str] = []
    waits: list[float] = []
    unheard = 0

    def sleep(seconds: float) -> None:
        nonlocal unheard
        unheard += not any("WATCHDOG=1" in each for each in said)
        said.clear()
        waits.append(seconds)
        if len(waits) == 50:
            raise _Over

    with pytest.raises(_Over):
        Daemon(str(config), notify=said.append, sleep=sleep).run()
    assert unheard == 0
    assert max(waits) <= 0.3


@pytest.mark.slow
def test_a_day_of_the_daemon_costs_what_it_should(config: Path, notification_hub: Emulator) -> None:
    """Ten days in fake time: one registration, one look at it, a refresh a day; no busy loop."""
    began = datetime.now(UTC)
    lived = 0.0
    waits: list[float] = []
    told: list[str] = []

    def sleep(seconds: float) -> None:
        nonlocal lived
        lived += seconds
        waits.append(seconds)
        notification_hub.set_clock(lived)
        if lived > 10 * DAY:
            raise _Over

    def read(path: str | None) -> Setup:
        return read_setup(path, clock=lambda: began + timedelta(seconds=lived))

    with pytest.raises(_Over):
        Daemon(str(config), notify=told.append, sleep=sleep, read=read).run()
    methods = [entry.method for entry in notification_hub.log()]
    assert methods[:4] == ["GET", "PUT", "GET", "GET"], "the look asks who else has the channel"
    assert set(methods[4:]) == {"PUT"}
    assert len(methods[4:]) in {9, 10}
    assert max(waits) <= 2.0
    turns = [said for said in told if "STATUS=" in said]
    assert len(turns) < 10 * 24 * 4 + 30, "the sources are asked four times an hour"
    assert backoff.LONGEST_WAIT_SECONDS == 900


def test_refused_configuration_leaves_the_look_at_a_first_registration_pending(
    config: Path, notification_hub: Emulator
) -> None:
    waits = 0

    def sleep(_: float) -> None:
        nonlocal waits
        waits += 1
        if waits == 3:
            config.write_text("app = 7")
            os.kill(os.getpid(), signal.SIGHUP)
        if waits > 1200:
            raise _Over

    told: list[str] = []
    with pytest.raises(_Over):
        Daemon(str(config), notify=told.append, sleep=sleep).run()
    assert any("is not used" in said for said in told)
    assert [entry.method for entry in notification_hub.log()] == ["GET", "PUT", "GET", "GET"]
