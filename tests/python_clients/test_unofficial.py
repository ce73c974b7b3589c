"""azure-notification-hub-unofficial writes installations, sends and reads by each of its methods."""

from __future__ import annotations

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.registered_devices import DEVICES, KEYS, hub_with

from . import call, methods, require_clients

pytestmark = pytest.mark.slow

NOTIFICATIONS: list[tuple[str, str, list[Any]]] = [
    ("apns", "make_apple_notification", [{"$answer": 0}]),
    ("gcm", "make_fcm_legacy_notification", [{"$answer": 1}]),
    ("fcmv1", "make_fcm_v1_notification", [{"$answer": 2}]),
    ("wns", "make_windows_notification", ["<toast/>"]),
    ("wns", "make_windows_toast_notification", [{"$answer": 3}]),
    ("wns", "make_windows_tile_notification", ["<tile/>"]),
    ("wns", "make_windows_badge_notification", ["<badge/>"]),
    ("wns", "make_windows_raw_notification", ["raw"]),
    ("mpns", "make_windowsphone_notification", [{"$answer": 4}]),
    ("adm", "make_adm_notification", [{"$answer": 5}]),
    ("baidu", "make_baidu_notification", [{"$answer": 6}]),
    ("xiaomi", "make_xiaomi_notification", [{"title": "hi"}]),
    ("browser", "make_browser_notification", [{"title": "hi"}]),
    ("fcmv1", "make_template_notification", [{"m": "hi"}]),
]
"""The platform that gets it, the factory, and its arguments."""
BODIES: list[dict[str, Any]] = [
    {"method": "make_apple_body", "named": {"alert": "hi"}},
    {"method": "make_fcm_legacy_body", "named": {"data": {"m": "hi"}}},
    {"method": "make_fcm_v1_body", "named": {"notification": {"title": "hi"}}},
    {"method": "make_windows_toast_body", "arguments": ["hi"]},
    {"method": "make_windowsphone_toast_body", "arguments": ["hi"]},
    {"method": "make_adm_body", "named": {"data": {"m": "hi"}}},
    {"method": "make_baidu_body", "named": {"title": "hi", "description": "there"}},
]
SENDING = [
    "send_notification",
    "send_broadcast_notification",
    "schedule_notification",
    "schedule_broadcast_notification",
    "cancel_scheduled_notification",
    "get_notification_outcome_details",
]
READING = [
    "create_or_update_installation",
    "update_installation",
    "get_installation",
    "delete_installation",
    "list_registrations",
    "get_registration",
    "delete_registration",
]
OTHERS = ["get_feedback_container_url", "close", "make_browser_installation", "make_sas_token"]


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    require_clients()
    with hub_with(DEVICES) as running:
        yield running


def test_every_public_method_is_called() -> None:
    called = {name for _, name, _ in NOTIFICATIONS} | {each["method"] for each in BODIES}
    assert methods("unofficial") == {*called, *SENDING, *READING, *OTHERS}


def test_each_platform_gets_what_is_sent_to_a_tag_and_to_all(emulator: Emulator) -> None:
    calls: list[dict[str, Any]] = list(BODIES)
    for _, factory, arguments in NOTIFICATIONS:
        made = {"$answer": len(calls)}
        calls += [
            {"method": factory, "arguments": arguments},
            {"method": "send_notification", "arguments": [made], "named": {"tag_expression": "home"}},
            {"method": "send_broadcast_notification", "arguments": [made]},
        ]
    answers = call("unofficial", emulator, calls)
    assert [each for each in answers if not each["ok"]] == []
    found = iter(emulator.deliveries())
    for place, (platform, factory, _) in enumerate(NOTIFICATIONS):
        body = answers[len(BODIES) + 3 * place]["value"]["body"]
        by_tag, to_all = next(found), next(found)
        assert (by_tag.expression, to_all.expression) == ("home", None), factory
        for delivery in (by_tag, to_all):
            assert [match.installation for match in delivery.matched] == [platform], factory
            filled_in = '{"m":"hi"}' if "template" in factory else body
            assert delivery.matched[0].body == filled_in, factory


def test_scheduled_sends_wait_are_cancelled_and_are_looked_up(emulator: Emulator) -> None:
    later = {"$time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    made = {"method": "make_apple_notification", "arguments": ['{"aps":{}}']}
    answers = call(
        "unofficial",
        emulator,
        [
            made,
            {"method": "schedule_notification", "arguments": [later, {"$answer": 0}, "home"]},
            {"method": "schedule_broadcast_notification", "arguments": [later, {"$answer": 0}]},
            {"method": "send_notification", "arguments": [{"$answer": 0}, "home"]},
        ],
    )
    assert [each["ok"] for each in answers] == [True] * 4, answers
    waiting = [each["id"] for each in emulator.snapshot()["scheduled"]]
    assert len(waiting) == 2
    [sent] = emulator.deliveries()
    cancelled, again, details = call(
        "unofficial",
        emulator,
        [
            {"method": "cancel_scheduled_notification", "arguments": [waiting[0]]},
            {"method": "cancel_scheduled_notification", "arguments": [waiting[0]]},
            {"method": "get_notification_outcome_details", "arguments": [sent.id]},
        ],
    )
    assert cancelled["ok"]
    assert "404" in again["message"]
    assert "<NotificationDetails" in details["value"]["_raw_xml"]
    emulator.set_clock(7200)
    assert emulator.wait_for_delivery(timeout=30).target in ("tags", "broadcast")


def test_installations_are_written_changed_read_and_deleted(emulator: Emulator) -> None:
    emulator.reset()
    made = {"method": "make_browser_installation", "arguments": ["i-1", KEYS, ["user:1"]]}
    patches = [{"op": "add", "path": "/tags", "value": "news"}]
    answers = call(
        "unofficial",
        emulator,
        [
            made,
            {"method": "create_or_update_installation", "arguments": [{"$answer": 0}]},
            {"method": "update_installation", "arguments": ["i-1", patches]},
            {"method": "get_installation", "arguments": ["i-1"]},
            {"method": "delete_installation", "arguments": ["i-1"]},
            {"method": "get_installation", "arguments": ["i-1"]},
            {"method": "close"},
        ],
    )
    assert [each["ok"] for each in answers] == [True, True, True, True, True, False, True], answers
    # The service labels the JSON of an installation as XML, and so the client gives it as it came.
    read = json.loads(answers[3]["value"]["_raw_xml"])
    assert (read["pushChannel"], read["tags"]) == (KEYS, ["user:1", "news"])
    assert "Installation not found" in answers[5]["message"]
    assert emulator.contents()["installations"] == []


def test_registrations_are_listed_read_and_not_deleted_without_an_etag(emulator: Emulator) -> None:
    [listed] = call("unofficial", emulator, [{"method": "list_registrations", "arguments": [100]}])
    assert len(listed["value"]) == len(DEVICES) + 1
    registration_id = next(
        each["RegistrationId"] for each in listed["value"] if each.get("GcmRegistrationId") == "gcm-1"
    )
    read, deleted = call(
        "unofficial",
        emulator,
        [
            {"method": "get_registration", "arguments": [registration_id]},
            {"method": "delete_registration", "arguments": [registration_id]},
        ],
    )
    assert read["value"]["RegistrationId"] == registration_id
    assert "home" in read["value"]["Tags"]
    # It sends no If-Match, which the service wants.
    assert "412" in deleted["message"]


def test_what_is_not_built_says_so(emulator: Emulator) -> None:
    key = ["DefaultListenSharedAccessSignature", "YQ==", emulator.endpoint]
    feedback, token = call(
        "unofficial",
        emulator,
        [{"method": "get_feedback_container_url"}, {"method": "make_sas_token", "arguments": key}],
    )
    assert "501" in feedback["message"]
    assert "Feedback containers are not part of this emulator" in feedback["message"]
    assert token["value"].startswith("SharedAccessSignature sr=")
