"""A device that holds no key of the hub lives with the example backend, over TLS: what it lives through."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
from backend.tables import Device
from sqlalchemy import delete

from nhagent import Agent, Backend, Report, Template
from nhagent.emulator import Emulator
from nhagent.errors import Forbidden, RecordNotFound

if TYPE_CHECKING:
    from .running import Caller, RunningBackend

TOAST = Template("<toast>$(message)</toast>", headers={"X-WNS-Type": "wns/toast"})


@dataclass
class Thermostat:
    """An app on a device of a user. Its attributes are what the world gives it."""

    backend: RunningBackend
    caller: Caller
    folder: Path
    channel: str = "https://push.example/thermostat/1"
    settings: dict[str, Any] = field(default_factory=dict)
    slept: list[float] = field(default_factory=list)
    asleep: Callable[[float], object] = lambda _: None

    def agent(self, **changes: Any) -> Agent:
        where = Backend(
            "acme", f"{self.backend.url}/devices", token=lambda: self.caller.token, ca_bundle=self.backend.ca
        )

        def sleep(seconds: float) -> None:
            self.slept.append(seconds)
            self.asleep(seconds)

        settings: dict[str, Any] = {
            "app": "thermostat",
            "hub": where,
            "platform": "wns",
            "channel": lambda: self.channel,
            "templates": {"alert": TOAST},
            "state_dir": self.folder,
            "sleep": sleep,
            "random": lambda: 0.5,
        }
        return Agent(**{**settings, **self.settings, **changes})

    def start(self, **changes: Any) -> Report:
        return self.agent(**changes).start()


@pytest.fixture
def thermostat(backend: RunningBackend, phone: Caller, tmp_path: Path) -> Thermostat:
    return Thermostat(backend, phone, tmp_path / "thermostat")


@pytest.mark.slow
def test_it_registers_rests_rotates_and_unregisters(thermostat: Thermostat) -> None:
    first = thermostat.start()
    assert (first.outcome, first.requests) == ("registered", 1)
    assert first.installation_id is not None
    assert thermostat.backend.tags_of(first.installation_id) == ["username:anna"]
    assert thermostat.start().outcome == "unchanged"
    assert thermostat.agent().status().granted == {"tags": ["username:anna"]}

    thermostat.channel = "https://push.example/thermostat/2"
    assert thermostat.start().outcome == "updated"
    held = thermostat.backend.held(first.installation_id)
    assert held is not None
    assert (held["pushChannel"], held["tags"]) == (thermostat.channel, ["username:anna"])
    assert thermostat.agent().verify().in_sync

    assert thermostat.agent().unregister().outcome == "disabled"
    assert thermostat.backend.hub.contents()["installations"] == []
    assert thermostat.agent().verify().in_sync
    assert thermostat.agent().enable().outcome == "registered"


def test_it_waits_while_the_hub_behind_its_backend_is_away(thermostat: Thermostat) -> None:
    thermostat.backend.hub.fail("*", status=503, times=2, headers={"Retry-After": "3"})
    report = thermostat.start()
    assert report.outcome == "registered"
    assert thermostat.slept != []


def test_it_waits_while_its_backend_is_away_and_goes_to_where_that_has_moved(
    thermostat: Thermostat, tls_notification_hub: Emulator, database_url: str, tmp_path: Path
) -> None:
    from .running import running

    first = thermostat.start()
    assert first.installation_id is not None
    elsewhere = tmp_path / "elsewhere"
    elsewhere.mkdir()
    with ExitStack() as stack:
        before = thermostat.backend
        thermostat.backend = stack.enter_context(running(tls_notification_hub, database_url, elsewhere))
        report = thermostat.start()
        assert (report.outcome, report.installation_id) == ("registered", first.installation_id)
        assert len(thermostat.backend.hub.contents()["installations"]) == 1
        thermostat.channel = "https://push.example/thermostat/moved"
        assert thermostat.start().outcome == "updated"
        moved, thermostat.backend = thermostat.backend, before
        assert moved.held(first.installation_id) is not None


def test_a_backend_that_is_restored_from_a_backup_learns_of_the_device_again(thermostat: Thermostat) -> None:
    """The backup is older than the device's first start, of which the hub alone still knows."""
    first = thermostat.start()
    assert first.installation_id is not None
    with thermostat.backend.services.sessions.begin() as session:
        assert session.execute(delete(Device)).rowcount == 1  # type: ignore[attr-defined]
    assert not thermostat.agent().verify().in_sync
    report = thermostat.start()
    assert (report.outcome, report.installation_id) == ("recreated", first.installation_id)
    assert thermostat.agent().verify().in_sync
    assert [each["installationId"] for each in thermostat.backend.hub.contents()["installations"]] == [
        first.installation_id
    ]
    thermostat.channel = "https://push.example/thermostat/2"
    assert thermostat.start().outcome == "updated"


def test_a_disk_that_is_restored_from_a_backup_is_written_over_what_came_after(
    thermostat: Thermostat,
) -> None:
    first = thermostat.start()
    saved = {path: path.read_bytes() for path in thermostat.folder.rglob("*.json")}
    thermostat.channel = "https://push.example/thermostat/2"
    thermostat.start()
    for path, content in saved.items():
        path.write_bytes(content)
    thermostat.channel = "https://push.example/thermostat/3"
    assert thermostat.start().outcome == "updated"
    assert first.installation_id is not None
    held = thermostat.backend.held(first.installation_id)
    assert held is not None
    assert held["pushChannel"] == thermostat.channel


def test_a_lost_disk_leaves_no_second_record(thermostat: Thermostat, tmp_path: Path) -> None:
    thermostat.start()
    thermostat.folder = tmp_path / "new disk"
    assert thermostat.start().outcome == "registered"
    assert len(thermostat.backend.hub.contents()["installations"]) == 1


def test_when_its_user_changes_it_keeps_its_id_and_loses_the_tags(thermostat: Thermostat) -> None:
    thermostat.caller.follow("dinner")
    first = thermostat.start()
    assert first.installation_id is not None
    assert thermostat.backend.tags_of(first.installation_id) == ["topic:dinner", "username:anna"]
    thermostat.backend.device_of("bob")
    thermostat.backend.sign_in(thermostat.caller, "bob")
    report = thermostat.agent().refresh(force=True)
    assert report.installation_id == first.installation_id
    assert thermostat.backend.tags_of(first.installation_id) == ["username:bob"]


@pytest.mark.slow
def test_a_topic_that_one_device_follows_reaches_the_other_while_that_is_off(
    thermostat: Thermostat, tablet: Caller, tmp_path: Path
) -> None:
    first = thermostat.start()
    assert first.installation_id is not None
    other = Thermostat(thermostat.backend, tablet, tmp_path / "tablet", "https://push.example/tablet")
    other.start()
    assert tablet.follow("seahawks").status < 300
    assert "topic:seahawks" in thermostat.backend.tags_of(first.installation_id)
    assert thermostat.start().outcome == "unchanged"
    assert thermostat.agent().verify().in_sync
    thermostat.channel = "https://push.example/thermostat/2"
    assert thermostat.start().outcome == "updated"
    assert "topic:seahawks" in thermostat.backend.tags_of(first.installation_id)


def test_a_tag_of_another_user_is_refused_by_its_name(thermostat: Thermostat) -> None:
    with pytest.raises(Forbidden) as caught:
        thermostat.start(tags=["username:bob"])
    assert (caught.value.code, caught.value.tags) == ("tags_not_allowed", ("username:bob",))
    assert thermostat.backend.hub.contents()["installations"] == []


def test_another_devices_id_is_refused_and_nothing_is_changed(
    thermostat: Thermostat, stranger: Caller, tmp_path: Path
) -> None:
    first = thermostat.start()
    assert first.installation_id is not None
    before = thermostat.backend.held(first.installation_id)
    thief = Thermostat(thermostat.backend, stranger, tmp_path / "thief", "https://push.example/thief")
    with pytest.raises(RecordNotFound, match="another device's"):
        thief.start(installation_id=first.installation_id)
    assert thermostat.backend.held(first.installation_id) == before
