"""Kept fresh in the background: what wakes it, what it waits for, what ends it."""

from __future__ import annotations

import os
import sys
import threading
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nhagent import Report, channels
from nhagent.errors import ConfigurationError
from tests.device_under_test import PLAIN, Device
from tests.events import HANG_SECONDS, HELD_SECONDS, comes_back, happens


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


def test_wish_is_kept_while_the_background_asks_a_slow_source(
    device: Device, settings: dict[str, Any]
) -> None:
    slow = SlowSource()
    agent = device.agent(**settings, channel=slow)
    with agent.keep_fresh():
        assert slow.asked.wait(HANG_SECONDS)
        wishes: list[Any] = []
        asking = threading.Thread(
            target=lambda: wishes.extend([len(agent.plan()), agent.unregister().outcome])
        )
        asking.start()
        slow.go_on.set()
        asking.join(HANG_SECONDS)
    assert wishes == [0, "disabled"]
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


@pytest.mark.slow
@pytest.mark.parametrize("change", ["written to", "replaced", "removed and made anew", "given its old time"])
def test_file_that_a_channel_comes_from_is_followed(device: Device, tmp_path: Path, change: str) -> None:
    path, other = tmp_path / "channel", tmp_path / "other"
    path.write_text("https://push.example/1")
    with device.agent(**PLAIN, channel=channels.from_file(path), sleep=None).keep_fresh():
        assert happens(device.held)
        if change == "replaced":
            other.write_text("https://push.example/2")
            other.rename(path)
        else:
            before = path.stat().st_mtime_ns
            if change == "removed and made anew":
                path.unlink()
            path.write_text("https://push.example/2")
            if change == "given its old time":
                os.utime(path, ns=(before, before))
        assert happens(lambda: device.held()[0]["pushChannel"] == "https://push.example/2")


def holds(device: Device, address: str) -> bool:
    return [held["pushChannel"] for held in device.held()] == [address]


@pytest.mark.slow
@pytest.mark.skipif(sys.platform == "win32", reason="links are for administrators there")
def test_file_in_a_volume_whose_folder_is_swapped_is_followed(device: Device, tmp_path: Path) -> None:
    """As Kubernetes does it: the file's name leads by two links to it, and it is the first that changes."""

    def put(version: str) -> None:
        (tmp_path / f"..{version}").mkdir()
        (tmp_path / f"..{version}/channel").write_text(f"https://push.example/{version}")
        (tmp_path / "..new").symlink_to(f"..{version}")
        (tmp_path / "..new").replace(tmp_path / "..data")

    put("1")
    path = tmp_path / "channel"
    path.symlink_to("..data/channel")
    with device.agent(**PLAIN, channel=channels.from_file(path), sleep=None).keep_fresh():
        assert happens(device.held)
        for version in ("2", "3"):
            put(version)
            address = f"https://push.example/{version}"
            assert happens(partial(holds, device, address))
