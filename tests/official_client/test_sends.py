"""The official JavaScript client sends by each of its methods, and every format, over TLS."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.children import answer_of
from tests.registered_devices import DEVICES, KEYS, hub_with

from . import FOLDER, require_client

pytestmark = pytest.mark.slow

PLATFORMS = [platform for platform in DEVICES if platform != "mpns"]  # it has no client for that
FACTORIES = {
    "createAppleNotification": ("apns", '{"aps":{"alert":"hi"}}'),
    "createFcmLegacyNotification": ("gcm", '{"data":{"m":"hi"}}'),
    "createFcmV1Notification": ("fcmv1", '{"message":{"data":{"m":"hi"}}}'),
    "createWindowsNotification": ("wns", "<toast/>"),
    "createWindowsToastNotification": ("wns", "<toast/>"),
    "createWindowsTileNotification": ("wns", "<tile/>"),
    "createWindowsBadgeNotification": ("wns", "<badge/>"),
    "createWindowsRawNotification": ("wns", "raw"),
    "createAdmNotification": ("adm", '{"data":{"m":"hi"}}'),
    "createBaiduNotification": ("baidu", '{"title":"hi"}'),
    "createXiaomiNotification": ("xiaomi", '{"title":"hi"}'),
    "createBrowserNotification": ("browser", '{"title":"hi"}'),
    "createTemplateNotification": ("fcmv1", '{"m":"hi"}'),
}
"""For each factory of notifications the platform that gets it, and its body."""
ELSEWHERE = {
    "createOrUpdateInstallation",
    "deleteInstallation",
    "getInstallation",
    "updateInstallation",
    "createRegistrationId",
    "createRegistration",
    "createOrUpdateRegistration",
    "updateRegistration",
    "deleteRegistration",
    "getRegistration",
    "listRegistrations",
    "listRegistrationsByChannel",
    "listRegistrationsByTag",
}
"""Methods that the other files of this folder call; see ``client.mjs``."""
HERE = {
    "sendNotification",
    "sendBroadcastNotification",
    "scheduleNotification",
    "scheduleBroadcastNotification",
    "cancelScheduledNotification",
    "getNotificationOutcomeDetails",
}
NOT_BUILT: dict[str, list[Any]] = {
    "getFeedbackContainerUrl": [],
    "getNotificationHubJob": ["1"],
    "listNotificationHubJobs": [],
    "submitNotificationHubJob": [{"type": "ExportRegistrations", "outputContainerUrl": "https://x.example/"}],
    "beginSubmitNotificationHubJob": [
        {"type": "ExportRegistrations", "outputContainerUrl": "https://x.example/"}
    ],
}


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    require_client()
    with hub_with(PLATFORMS) as running:
        yield running


def ask(request: dict[str, Any], ca: str | None = None) -> Any:
    require_client()
    return answer_of(["node", str(FOLDER / "sends.mjs")], request, ca=ca)


def call(emulator: Emulator, *calls: tuple[str, Sequence[Any]]) -> list[dict[str, Any]]:
    request = {
        "connectionString": emulator.full,
        "hub": emulator.hub,
        "calls": [{"method": method, "arguments": list(arguments)} for method, arguments in calls],
    }
    found: list[dict[str, Any]] = ask(request, emulator.ca)["answers"]
    return found


def made(factory: str) -> dict[str, Any]:
    headers = {"X-WNS-Type": "wns/toast"} if factory == "createWindowsNotification" else {}
    return {"$make": factory, "notification": {"body": FACTORIES[factory][1], "headers": headers}}


def test_every_public_method_and_every_factory_is_called() -> None:
    found = ask({"walk": True})
    assert set(found["methods"]) == ELSEWHERE | HERE | NOT_BUILT.keys()
    assert set(found["factories"]) == FACTORIES.keys()
    driven = (Path(FOLDER) / "client.mjs").read_text()
    assert set(re.findall(r"client\.(\w+)\(", driven)) | set(re.findall(r'case "(\w+)"', driven)) >= ELSEWHERE


def test_each_platform_gets_what_is_sent_to_a_tag_and_to_all(emulator: Emulator) -> None:
    calls = [
        each
        for factory in FACTORIES
        for each in (
            ("sendNotification", [made(factory), {"tagExpression": "home && !away"}]),
            ("sendBroadcastNotification", [made(factory)]),
        )
    ]
    answers = call(emulator, *calls)
    assert [each for each in answers if not each["ok"]] == []
    found = iter(emulator.deliveries())
    ids = []
    for factory, (platform, body) in FACTORIES.items():
        by_tag, to_all = next(found), next(found)
        ids += [by_tag.id, to_all.id]
        assert (by_tag.expression, to_all.expression) == ("home && !away", None), factory
        for delivery in (by_tag, to_all):
            assert [(match.installation, match.body) for match in delivery.matched] == [(platform, body)], (
                factory
            )
    assert [each["value"]["notificationId"] for each in answers] == ids
    assert all(each["value"]["trackingId"] for each in answers)


def test_direct_sends_go_to_one_handle_to_many_and_to_a_browser(emulator: Emulator) -> None:
    answers = call(
        emulator,
        ("sendNotification", [made("createAppleNotification"), {"deviceHandle": "AB12"}]),
        ("sendNotification", [made("createFcmV1Notification"), {"deviceHandle": ["fcm-1", "fcm-2"]}]),
        ("sendNotification", [made("createBrowserNotification"), {"deviceHandle": KEYS}]),
    )
    assert [each for each in answers if not each["ok"]] == []
    one, many, browser = emulator.deliveries()
    assert {one.target, many.target, browser.target} == {"direct"}
    assert [match.channel for match in one.matched] == ["AB12"]
    assert [match.channel for match in many.matched] == ["fcm-1", "fcm-2"]
    assert [match.installation for match in many.matched] == ["fcmv1", None]
    [match] = browser.matched
    assert isinstance(match.channel, dict)
    assert match.channel["endpoint"] == KEYS["endpoint"]


def test_a_test_send_tells_what_came_of_each_message(emulator: Emulator) -> None:
    [answer] = call(
        emulator,
        (
            "sendNotification",
            [made("createTemplateNotification"), {"tagExpression": "home", "enableTestSend": True}],
        ),
    )
    assert answer["ok"], answer
    value = answer["value"]
    assert (value["successCount"], value["failureCount"]) == (1, 0)
    [result] = value["results"]
    assert (result["pnsHandle"], result["applicationPlatform"].lower()) == ("fcm-1", "fcmv1")


def test_scheduled_sends_wait_for_their_time_and_can_be_cancelled(emulator: Emulator) -> None:
    later = {"$time": (datetime.now(UTC) + timedelta(hours=1)).isoformat()}
    first, second = call(
        emulator,
        ("scheduleNotification", [later, made("createAppleNotification"), {"tagExpression": "home"}]),
        ("scheduleBroadcastNotification", [later, made("createAppleNotification")]),
    )
    assert first["ok"] and second["ok"], (first, second)
    ids = [each["value"]["notificationId"] for each in (first, second)]
    assert sorted(each["id"] for each in emulator.snapshot()["scheduled"]) == sorted(ids)
    cancelled, again = call(
        emulator,
        ("cancelScheduledNotification", [ids[0]]),
        ("cancelScheduledNotification", [ids[0]]),
    )
    assert (cancelled["ok"], again["statusCode"]) == (True, 404)
    emulator.set_clock(7200)
    assert emulator.wait_for_delivery(timeout=30).id == ids[1]
    emulator.set_clock(0)
    [details] = call(emulator, ("getNotificationOutcomeDetails", [ids[1]]))
    assert details["ok"], details
    assert (details["value"]["notificationId"], details["value"]["state"]) == (ids[1], "Completed")


def test_what_is_not_built_says_so_in_plain_words(emulator: Emulator) -> None:
    for method, answer in zip(NOT_BUILT, call(emulator, *NOT_BUILT.items()), strict=True):
        assert (answer["ok"], answer["statusCode"]) == (False, 501), (method, answer)
        assert "are not part of this emulator" in answer["message"]
