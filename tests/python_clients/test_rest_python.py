"""notificationhubs-rest-python sends by each of its methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.registered_devices import DEVICES, hub_with

from . import call, methods, require_clients

pytestmark = pytest.mark.slow

PLATFORMS = ("apns", "gcm", "adm", "baidu", "mpns", "wns")
TOAST = '<toast><visual><binding template="ToastText01"><text id="1">hi</text></binding></visual></toast>'
PHONE = "<wp:Notification xmlns:wp='WPNotification'><wp:Toast></wp:Toast></wp:Notification>"
SENDS: dict[str, tuple[str, Any, str]] = {
    "send_apple_notification": ("apns", {"aps": {"alert": "hi"}}, '{"aps": {"alert": "hi"}}'),
    "send_google_notification": ("gcm", {"data": {"m": "hi"}}, '{"data": {"m": "hi"}}'),
    "send_amazon_notification": ("adm", {"data": {"m": "hi"}}, '{"data": {"m": "hi"}}'),
    "send_baidu_notification": ("baidu", {"title": "hi"}, '{"title": "hi"}'),
    "send_windows_phone_notification": ("mpns", PHONE, PHONE),
    "send_windows_notification": ("wns", TOAST, TOAST),
}
"""For each method the platform that it is for, what is sent, and what arrives."""


@pytest.fixture
def emulator() -> Iterator[Emulator]:
    require_clients()
    with hub_with(PLATFORMS, gcm={"templates": {"t": {"body": '{"data":{"m":"$(m)"}}'}}}) as running:
        yield running


def sending(method: str, payload: Any, **named: Any) -> dict[str, Any]:
    direct = [] if method == "send_template_notification" else [bool(named.get("device_handle"))]
    return {"method": method, "arguments": [*direct, payload], "named": named}


def test_every_public_method_is_called() -> None:
    assert methods("rest") == {*SENDS, "send_template_notification"}


def test_each_platform_gets_what_is_sent_to_a_tag_to_all_and_to_a_handle(emulator: Emulator) -> None:
    handles = {platform: DEVICES[platform]["pushChannel"] for platform in PLATFORMS}
    calls = [
        each
        for method, (platform, payload, _) in SENDS.items()
        for each in (
            sending(method, payload, tags="home && !away"),
            sending(method, payload),
            sending(method, payload, device_handle=handles[platform]),
        )
    ]
    answers = call("rest", emulator, calls)
    assert answers == [{"ok": True, "value": 201}] * len(calls)
    found = iter(emulator.deliveries())
    for platform, _, body in SENDS.values():
        by_tag, to_all, direct = next(found), next(found), next(found)
        assert (by_tag.expression, to_all.expression, direct.target) == ("home && !away", None, "direct")
        for delivery in (by_tag, to_all, direct):
            assert [(match.installation, match.body) for match in delivery.matched] == [(platform, body)]
    assert {entry.key for entry in emulator.log()} == {"DefaultFullSharedAccessSignature"}


def test_templates_are_filled_in(emulator: Emulator) -> None:
    calls = [
        sending("send_template_notification", {"m": "hello"}, tags="home"),
        sending("send_template_notification", {"m": "all"}),
    ]
    assert [each["value"] for each in call("rest", emulator, calls)] == [201, 201]
    bodies = [[match.body for match in delivery.matched] for delivery in emulator.deliveries()]
    assert bodies == [['{"data":{"m":"hello"}}'], ['{"data":{"m":"all"}}']]


def test_its_scheduled_sends_have_a_time_that_is_none(emulator: Emulator) -> None:
    # It writes the quotes of a pattern into the header: 2026-11-26'T'12:00:00.
    calls = [
        sending(method, payload, scheduled_time={"$time": "2026-11-26T12:00:00"})
        for method, (_, payload, _) in SENDS.items()
    ]
    calls.append(
        sending("send_template_notification", {"m": "x"}, scheduled_time={"$time": "2026-11-26T12:00:00"})
    )
    for answer in call("rest", emulator, calls):
        assert answer == {
            "ok": False,
            "message": "Exception: Error sending notification. Received HTTP code 400 Bad Request",
        }
    assert emulator.deliveries() == []
