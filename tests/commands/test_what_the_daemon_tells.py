"""One line an event in the daemon's log, and a status that is renewed at every change."""

from __future__ import annotations

import json
import logging
import signal
import sys
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent.commands.cli import main
from nhagent.commands.daemon import Daemon
from nhagent.commands.setup import Setup, read_setup
from nhagent.emulator import Emulator
from tests.commands.running import CONFIG

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)


class _Over(BaseException):
    """The story is over."""


class Story:
    """The daemon in this process and in fake time, and what happens around it meanwhile."""

    def __init__(
        self, folder: Path, hub: Emulator, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
    ) -> None:
        self.hub, self.config, self.channel = hub, folder / "config.toml", folder / "channel"
        self.key = folder / "key"
        self.config.write_text(CONFIG.format(hub=hub.hub, tags="[]"))
        self.channel.write_text("handle-1")
        self.write_key(hub.listen)
        monkeypatch.delenv("NHAGENT_CONNECTION_STRING", raising=False)
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING_FILE", str(self.key))
        monkeypatch.setenv("NHAGENT_STATE_DIR", str(folder / "state"))
        self.lived = 0.0
        self.told: list[tuple[float, str]] = []
        self._caplog = caplog
        self._began = datetime.now(UTC)

    def write_key(self, text: str) -> None:
        self.key.write_text(text)
        self.key.chmod(0o600)

    def play(self, *events: tuple[float, Callable[[], object]], until: float) -> None:
        """Let the daemon live so many seconds; events happen at theirs."""
        left = sorted(events, key=lambda event: event[0])

        def sleep(seconds: float) -> None:
            self.lived += seconds
            self.hub.set_clock(self.lived)
            while left and self.lived >= left[0][0]:
                left.pop(0)[1]()
            if self.lived > until:
                raise _Over

        def read(path: str | None) -> Setup:
            return read_setup(path, clock=lambda: self._began + timedelta(seconds=self.lived))

        def notify(state: str) -> None:
            if "STATUS=" in state:
                self.told.append((self.lived, state.partition("STATUS=")[2]))

        with self._caplog.at_level(logging.INFO, "nhagent"), pytest.raises(_Over):
            Daemon(str(self.config), notify=notify, sleep=sleep, read=read).run()

    @property
    def lines(self) -> list[str]:
        """What was logged at the daemon's own level."""
        return [record.getMessage() for record in self._caplog.records if record.name.startswith("nhagent")]

    def command(self, *arguments: str) -> None:
        """Run a command beside it, as another process would."""
        with pytest.raises(SystemExit):
            sys.exit(main([*arguments, "--config", str(self.config)]))


@pytest.fixture
def story(
    tmp_path: Path,
    notification_hub: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Iterator[Story]:
    yield Story(tmp_path, notification_hub, monkeypatch, caplog)
    for number in (signal.SIGTERM, signal.SIGHUP, signal.SIGUSR1):
        signal.signal(number, signal.SIG_DFL)
    signal.signal(signal.SIGINT, signal.default_int_handler)


def test_each_event_is_one_line_that_names_what_changed(story: Story) -> None:
    story.play((10, lambda: story.channel.write_text("handle-2")), until=60)
    started, registered, updated = story.lines
    assert started.startswith("started: <agent of app 'thermostat' for hub 'emulated-hub'>, kept in ")
    assert registered.startswith("registered in 2 requests: PUT installation ")
    assert updated.startswith("updated in 1 request: PATCH installation ")
    assert "changed (pushChannel)" in updated


def test_failures_and_the_recovery_from_them_are_told_once_each_in_their_own_words(story: Story) -> None:
    def break_channel() -> None:
        story.channel.write_text("null")

    story.hub.fail("*", status=503, times=1)
    story.play(
        (100, break_channel),
        (200, lambda: story.hub.fail("*", status=401, times=99)),
        (200, lambda: story.channel.write_text("handle-2")),
        (260, story.hub.clear_faults),
        (260, lambda: story.write_key(story.hub.listen + ";")),
        until=400,
    )
    kinds = [line.partition(":")[0] for line in story.lines]
    assert kinds[:2] == ["started", "waiting"]
    assert kinds[2].startswith("registered in 2 requests")
    assert kinds[3] == "the old channel stays in place"
    assert kinds[4] == "refused", "the hub did"
    assert kinds[5].startswith("updated in 1 request")
    assert kinds[6] == "channel"
    assert story.lines[6] == "channel: its source is well again"
    assert len(kinds) == 7


def test_credential_file_that_changes_wakes_a_daemon_whose_key_was_refused(story: Story) -> None:
    wrong = story.hub.listen.replace("SharedAccessKey=", "SharedAccessKey=AA")
    story.write_key(wrong)
    story.play((300, lambda: story.write_key(story.hub.listen)), until=310)
    assert [text.partition(":")[0] for _, text in story.told] == [
        "refused",
        story.told[-1][1].partition(":")[0],
    ]
    at, text = story.told[-1]
    assert text.startswith("registered, 2 requests"), text
    assert at - 300 < 10, "not after the hour that a refusal asks for"


def test_status_is_renewed_after_the_look_at_the_hub(story: Story) -> None:
    story.play(until=900)
    statuses = [text for _, text in story.told]
    assert statuses[0].startswith("registered, 2 requests; next look in ")
    assert statuses[1].startswith("verified: the hub holds what it accepted; next look in ")
    assert [entry.method for entry in story.hub.log()] == ["GET", "PUT", "GET", "GET"]


def test_what_the_look_at_the_hub_has_found_is_told_and_mended_at_once(story: Story) -> None:
    def lose() -> None:
        [held] = story.hub.contents()["installations"]
        story.hub.forget(installation=held["installationId"])

    story.play((30, lose), until=900)
    statuses = [text for _, text in story.told]
    assert statuses[1].startswith("drifted: installation: expected a record, the hub holds none")
    assert statuses[2].startswith("recreated, 1 request")
    assert sum("does not hold what it accepted" in line for line in story.lines) == 1


def test_second_verification_within_a_minute_is_acted_upon_within_seconds(story: Story) -> None:
    mended: list[float] = []

    def lose_and_verify() -> None:
        [held] = story.hub.contents()["installations"]
        story.hub.forget(installation=held["installationId"])
        story.command("verify")
        assert story.hub.contents()["installations"] == []

    story.play((100, lose_and_verify), (110, lose_and_verify), (120, lose_and_verify), until=135)
    mended = [at for at, text in story.told if text.startswith("recreated")]
    assert len(mended) == 3
    assert all(at - asked < 9 for at, asked in zip(mended, (100, 110, 120), strict=True)), mended


@pytest.fixture
def blocked(story: Story, capsys: pytest.CaptureFixture[str]) -> Story:
    """A device that is registered, whose key was refused since, and is good again."""
    story.command("register")
    good = story.key.read_text()
    story.write_key(good.replace("SharedAccessKey=", "SharedAccessKey=AA"))
    story.command("verify")
    story.write_key(good)
    capsys.readouterr()
    return story


def state_of(story: Story, capsys: pytest.CaptureFixture[str]) -> Any:
    capsys.readouterr()
    story.command("status", "--json")
    return json.loads(capsys.readouterr().out)["state"]


def test_start_that_has_nothing_to_send_says_that_the_key_was_refused(
    blocked: Story, capsys: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture
) -> None:
    assert state_of(blocked, capsys) == "BLOCKED"
    caplog.clear()
    blocked.hub.clear_log()
    blocked.command("register")
    assert "nothing had to be sent; the last attempt to send ended with Unauthorized" in caplog.text
    assert blocked.hub.log() == []
    assert state_of(blocked, capsys) == "BLOCKED", "nothing has shown otherwise"


@pytest.mark.parametrize("command", [["doctor"], ["verify"]])
def test_key_that_the_hub_accepts_is_good_everywhere(
    blocked: Story,
    capsys: pytest.CaptureFixture[str],
    caplog: pytest.LogCaptureFixture,
    command: list[str],
) -> None:
    blocked.command(*command)
    capsys.readouterr()
    assert state_of(blocked, capsys) == "IN_SYNC"
    caplog.clear()
    blocked.command("register")
    assert "nothing had to be sent" not in caplog.text


def test_doctor_writes_nothing_where_no_key_was_refused(story: Story, tmp_path: Path) -> None:
    story.command("register")
    before = {path: path.stat().st_mtime_ns for path in (tmp_path / "state").rglob("*")}
    story.command("doctor")
    assert {path: path.stat().st_mtime_ns for path in (tmp_path / "state").rglob("*")} == before
