from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Answer, Caller

from .sending import device, notify

PATH = "/my-hub/schedulednotifications"


def schedule(backend: Caller, when: str, tags: str | None = None) -> Answer:
    headers = {"X-WNS-Type": "wns/toast", "ServiceBusNotification-ScheduleTime": when}
    return notify(backend, "windows", "<toast/>", tags, headers=headers, path=PATH)


def in_hours(hours: float) -> str:
    """A time in .NET's form: without a zone, which is UTC."""
    return f"{datetime.now(UTC) + timedelta(hours=hours):%Y-%m-%dT%H:%M:%S}"


def id_in(reply: Answer) -> str:
    return str(reply.headers["Location"].partition("?")[0].rpartition("/")[2])


def state(backend: Caller, notification: str) -> str:
    reply = backend.send("GET", f"/my-hub/messages/{notification}?api-version=2020-06")
    assert reply.status == 200
    return reply.text.partition("<State>")[2].partition("<")[0]


def test_a_scheduled_notification_is_sent_when_the_hubs_clock_says_so(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("i", "kitchen")).status == 200
    reply = schedule(backend, in_hours(3), "kitchen")
    assert (reply.status, reply.body) == (201, b"")
    assert re.fullmatch(r"[0-9a-f]{32}_\d{14}_\d+_\d+", id_in(reply))
    assert emulator.deliveries() == []
    assert state(backend, id_in(reply)) == "Enqueued"
    # A device that comes in the meantime is meant as well.
    assert hub.put(device("j", "kitchen")).status == 200
    emulator.set_clock(2 * 3600)
    assert emulator.deliveries() == []
    assert hub.control("POST", "/clock", {"offset": 4 * 3600}).status == 200
    [delivery] = emulator.deliveries()
    assert delivery.id == id_in(reply)
    assert [match.installation for match in delivery.matched] == ["i", "j"]
    emulator.set_clock(0)
    assert state(backend, id_in(reply)) == "Completed"


def test_one_that_is_due_soon_is_sent_by_itself(emulator: Emulator, backend: Caller) -> None:
    reply = schedule(backend, f"{datetime.now(UTC) + timedelta(seconds=0.3):%Y-%m-%dT%H:%M:%S.%fZ}")
    assert emulator.wait_for_delivery(timeout=60).id == id_in(reply)


def test_one_in_the_past_is_sent_at_once(emulator: Emulator, backend: Caller) -> None:
    assert schedule(backend, "2020-01-01T00:00:00.000Z").status == 201
    assert emulator.wait_for_delivery(timeout=60).format == "windows"


def test_a_cancelled_one_is_not_sent(emulator: Emulator, backend: Caller) -> None:
    scheduled = id_in(schedule(backend, in_hours(1)))
    target = f"{PATH}/{scheduled}?api-version=2020-06"
    assert backend.send("DELETE", target).status == 200
    assert state(backend, scheduled) == "Cancelled"
    assert backend.send("DELETE", target).status == 404
    emulator.set_clock(2 * 3600)
    assert emulator.deliveries() == []


def test_one_that_was_sent_cannot_be_cancelled(emulator: Emulator, backend: Caller) -> None:
    scheduled = id_in(schedule(backend, "2020-01-01T00:00:00"))
    emulator.wait_for_delivery(timeout=60)
    assert backend.send("DELETE", f"{PATH}/{scheduled}?api-version=2020-06").status == 404


@pytest.mark.parametrize(
    ("headers", "words"),
    [
        ({}, "ServiceBusNotification-ScheduleTime is missing"),
        ({"ServiceBusNotification-ScheduleTime": "tomorrow"}, "is not a time: 'tomorrow'"),
        ({"ServiceBusNotification-ScheduleTime": in_hours(8 * 24)}, "more than 7 days ahead"),
        (
            {"ServiceBusNotification-ScheduleTime": in_hours(1), "ServiceBusNotification-Tags": "a &&"},
            "a tag is missing",
        ),
    ],
    ids=["missing", "no-time", "too-late", "no-expression"],
)
def test_what_cannot_be_scheduled_is_refused_with_the_reason(
    emulator: Emulator, backend: Caller, headers: dict[str, Any], words: str
) -> None:
    reply = notify(backend, "apple", "{}", headers=headers, path=PATH)
    assert (reply.status, words in reply.text.replace("&amp;", "&")) == (400, True), reply.text
    assert emulator._parts().outbox.schedule.waiting() == []


def test_scheduled_notifications_outlive_a_restart_of_the_emulator(tmp_path: Path) -> None:
    data = str(tmp_path / "hub.db")
    with (
        Emulator("my-hub", data=data) as emulator,
        Caller(emulator.endpoint, emulator.full, "my-hub") as backend,
    ):
        scheduled = id_in(schedule(backend, in_hours(3)))
    with Emulator("my-hub", data=data) as emulator:
        assert [found["id"] for found in emulator._parts().outbox.schedule.waiting()] == [scheduled]
        emulator.set_clock(4 * 3600)
        assert [delivery.id for delivery in emulator.deliveries()] == [scheduled]
    with Emulator("my-hub", data=data) as emulator:
        emulator.set_clock(4 * 3600)
        assert emulator.deliveries() == []
