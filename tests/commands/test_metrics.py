"""``nhagent metrics``: what Prometheus' own parser reads, in a file that is whole at every moment."""

from __future__ import annotations

import logging
import os
import sys
from datetime import UTC, datetime
from pathlib import Path

import pytest
from prometheus_client.parser import text_string_to_metric_families

from nhagent.commands import metrics
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.models import Platform
from nhagent.report import StartState, Status
from tests.commands.command import Command

if sys.platform == "win32":
    pytest.skip("the daemon is steered by signals that Windows has not", allow_module_level=True)

from tests.commands.test_what_the_daemon_tells import Story


def samples(text: str) -> dict[str, tuple[dict[str, str], float]]:
    """What Prometheus makes of it."""
    return {
        sample.name: (sample.labels, sample.value)
        for family in text_string_to_metric_families(text)
        for sample in family.samples
    }


def test_registered_device(command: Command, notification_hub: Emulator) -> None:
    command.run("register")
    code, printed = command.run("metrics")
    found = samples(printed)
    assert code == 0
    assert found["nhagent_in_sync"] == ({}, 1.0)
    assert found["nhagent_failures"] == ({"error": ""}, 0.0)
    assert "nhagent_next_attempt_timestamp_seconds" not in found
    assert abs(found["nhagent_last_success_timestamp_seconds"][1] - datetime.now(UTC).timestamp()) < 3600
    assert found["nhagent_info"][0] == {
        "state": "IN_SYNC", "app": "thermostat", "hub": notification_hub.hub, "platform": "wns",
    }  # fmt: skip


def test_new_device_has_no_success_yet(command: Command) -> None:
    found = samples(command.run("metrics")[1])
    assert found["nhagent_in_sync"] == ({}, 0.0)
    assert "nhagent_last_success_timestamp_seconds" not in found
    assert found["nhagent_info"][0]["state"] == "NEW"


def test_failures_are_told_by_the_class_of_the_error(command: Command, notification_hub: Emulator) -> None:
    notification_hub.fail("*", status=429, headers={"Retry-After": "500"})
    command.run("register", "--timeout", "0")
    found = samples(command.run("metrics")[1])
    assert found["nhagent_failures"] == ({"error": "Throttled"}, 1.0)
    assert found["nhagent_next_attempt_timestamp_seconds"][1] > datetime.now(UTC).timestamp()


def test_file_is_replaced_and_readable_for_all(command: Command, tmp_path: Path) -> None:
    path = tmp_path / "nhagent.prom"
    path.write_text("old")
    before = path.stat().st_ino
    os.chmod(path, 0o600)
    code, printed = command.run("metrics", str(path))
    assert (code, printed) == (0, "")
    assert "nhagent_in_sync" in samples(path.read_text())
    assert path.stat().st_ino != before
    assert path.stat().st_mode & 0o777 == 0o644
    assert [entry.name for entry in tmp_path.glob("nhagent.prom*")] == ["nhagent.prom"]


def test_link_in_its_place_is_replaced_and_what_it_names_is_untouched(
    command: Command, tmp_path: Path
) -> None:
    (tmp_path / "precious").write_text("precious")
    path = tmp_path / "nhagent.prom"
    path.symlink_to(tmp_path / "precious")
    assert command.run("metrics", str(path))[0] == 0
    assert (tmp_path / "precious").read_text() == "precious"
    assert not path.is_symlink()


def test_folder_that_is_missing_is_told(command: Command, tmp_path: Path) -> None:
    code, _ = command.run("metrics", str(tmp_path / "missing" / "nhagent.prom"))
    assert code == 78
    assert "make its folder" in command.errors


def test_names_are_escaped() -> None:
    status = Status(
        StartState.NEW, 'a "b" \\ c\nd', "hub", Platform.WNS, None, None, {}, None, None, None,
        (), (), (), (), None, 0, None, 0, 0, "/state",
    )  # fmt: skip
    found = samples(metrics.text_of(metrics.facts_of(status)))
    assert found["nhagent_info"][0]["app"] == 'a "b" \\ c\nd'


@pytest.fixture
def story(
    tmp_path: Path,
    notification_hub: Emulator,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> Story:
    return Story(tmp_path, notification_hub, monkeypatch, caplog)


def test_daemon_keeps_the_file_true(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "nhagent.prom"
    story.config.write_text(story.config.read_text() + f'metrics = {{ file = "{path}" }}\n')
    seen: list[tuple[str, float]] = []

    def look() -> None:
        found = samples(path.read_text())
        now = (found["nhagent_failures"][0]["error"], found["nhagent_in_sync"][1])
        if seen[-1:] != [now]:
            seen.append(now)

    story.play(
        (20, lambda: story.hub.fail("*", status=503, times=3)),
        (20, lambda: story.channel.write_text("handle-2")),
        *((10 + tenths / 10, look) for tenths in range(600)),
        until=100,
    )
    assert seen == [("", 1.0), ("HubUnavailable", 0.0), ("", 1.0)]


def test_daemon_says_once_that_the_file_cannot_be_written(story: Story, tmp_path: Path) -> None:
    path = tmp_path / "missing" / "nhagent.prom"
    story.config.write_text(story.config.read_text() + f'metrics = {{ file = "{path}" }}\n')
    story.play((20, lambda: story.channel.write_text("handle-2")), until=60)
    assert len([line for line in story.lines if "metrics file" in line]) == 1


def test_file_that_is_no_path_is_refused() -> None:
    with pytest.raises(ConfigurationError):
        metrics.write("a\0b", "text")


def test_every_metric_has_its_help(command: Command, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.DEBUG):
        printed = command.run("metrics")[1]
    for family in text_string_to_metric_families(printed):
        assert family.documentation == metrics.METRICS[family.name]
        assert family.type == "gauge"
