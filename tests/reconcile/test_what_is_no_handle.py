"""Text that cannot be a handle of its platform: the old channel stays, and the report says why."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest

from nhagent import Agent, BrowserChannel, HubClient
from nhagent.errors import ConfigurationError
from nhagent.models import altered, unvalidated
from tests.device_under_test import PLAIN, Device, respell
from tests.subscriptions import AUTH, KEYS, OTHER_AUTH, OTHER_P256DH, P256DH, public_key

STYLES = ["installation", "registration"]
BASE64 = P256DH.replace("-", "+").replace("_", "/") + "="
GOOD: dict[str, Any] = {
    "wns": "https://db5.notify.windows.com/?token=AwYAAAD%2fabc%3d",
    "mpns": "http://sn1.notify.live.net/throttledthirdparty/01.00/AAE/",
    "apns": "C0FFEE51" * 8,
    "fcmv1": "dQw4:APA91b-good_1x",
    "gcm": "APA91bHPRgkF3JUikC4ENAHEeMrd41Zxv3hVZjC9KtT8OvPVGJ-hQMRKRrZuJAEcl7B338qju59zJMjw2",
    "adm": "amzn1.adm-registration.v3.Y29tLmFtYXpvbi5EZXZpY2VNZXNzYWdpbmc/V+rL==",
    "xiaomi": "q2c5tHbsJ/egM9lKDdWotd+Yk7tO0njRu/+O/905Lvqpm+sRo064FAgV4A1kwPe4",
    "baidu": "1092514331839047301-3569420485671190552",
    "browser": {"endpoint": "https://push.example/wpush/v2/gAAAA", "keys": KEYS},
}
WORDS = [
    "null", "NULL", "undefined", "None", "nil", "NaN", "(null)", "<null>", "(nil)", "[object Object]",
    "Promise { <pending> }", "BLACKLISTED", "blacklisted", "StubToken", "TIMEOUT", "SERVICE_NOT_AVAILABLE",
    "AUTHENTICATION_FAILED", "MISSING_INSTANCEID_SERVICE", "|ID|1|:PHONE_REGISTRATION_ERROR", "error", "-",
    "java.io.IOException: SERVICE_NOT_AVAILABLE", "java.io.IOException:SERVICE_NOT_AVAILABLE",
    "java.util.concurrent.ExecutionException", "com.google.android.gms.tasks.zzu@8525085",
    "Attempt to invoke virtual method 'void a.b.c()' on a null object reference",
    '"dQw4:APA91b-good_1x"', "'dQw4:APA91b-good_1x'", '{"token": "dQw4:APA91b-good_1x"}',
    '["dQw4:APA91b-good_1x"]', "ExponentPushToken[xxxxxxxxxxxxxxxxxxxxxx]", "$FCM_TOKEN", "${FCM_TOKEN}",
    "%FCM_TOKEN%", "{{ token }}", "<token>", "dQw4:APA91b-good_1x\u200b", "https://push.example/1",
]  # fmt: skip


def of(platform: str, **changes: Any) -> dict[str, Any]:
    return {**PLAIN, "platform": platform, **changes}


def state_of(device: Device) -> Any:
    return json.loads(device.files["state.json"].read_text())


@pytest.mark.parametrize("platform", GOOD)
@pytest.mark.parametrize("style", STYLES)
def test_a_handle_of_its_platform_is_registered(device: Device, platform: str, style: str) -> None:
    device.channel = GOOD[platform]
    assert device.start(**of(platform, style=style)).outcome == "registered"
    device.seen()
    assert (device.start(**of(platform, style=style)).outcome, device.seen()) == ("unchanged", [])


@pytest.mark.parametrize("platform", ["fcmv1", "gcm", "adm", "xiaomi", "baidu"])
@pytest.mark.parametrize("word", WORDS)
def test_a_word_for_nothing_leaves_the_good_handle_in_place(device: Device, platform: str, word: str) -> None:
    device.channel = GOOD[platform]
    device.start(**of(platform))
    device.seen()
    device.channel = word
    report = device.start(**of(platform))
    assert (report.outcome, report.requests, device.seen()) == ("unchanged", 0, [])
    assert "channel" in report.channel_errors
    assert "no handle of platform" in str(report.channel_errors["channel"])
    assert [held["pushChannel"] for held in device.held()] == [GOOD[platform]]
    assert state_of(device)["channels"][platform] == {"channel": GOOD[platform]}


@pytest.mark.parametrize("platform", ["wns", "mpns"])
@pytest.mark.parametrize(
    "word", [*WORDS[:-1], "https://", "https:///path", "ftp://host/", "//host/", "https://host:99999/",
             "https://permanently-removed.invalid/", "https://a b/", '"https://push.example/1"'],
)  # fmt: skip
def test_what_is_no_address_leaves_the_good_one_in_place(device: Device, platform: str, word: str) -> None:
    device.channel = GOOD[platform]
    device.start(**of(platform))
    device.seen()
    device.channel = word
    report = device.start(**of(platform))
    assert (report.outcome, device.seen(), list(report.channel_errors)) == ("unchanged", [], ["channel"])
    assert [held["pushChannel"] for held in device.held()] == [GOOD[platform]]


@pytest.mark.parametrize("pair", ["null-null", "undefined-1234", "1234-None", "1234", "-1234", "1234-"])
def test_half_a_baidu_handle_is_none(device: Device, pair: str) -> None:
    device.channel = pair
    assert (device.start(**of("baidu")).outcome, device.held()) == ("waiting", [])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("word", ["null", "BLACKLISTED", '"a"'])
def test_two_new_devices_with_the_same_placeholder_wait_and_never_merge(
    device: Device, word: str, style: str
) -> None:
    other = Device(device.hub, device.folder.parent / "other", channel=word)
    device.channel = word
    for one in (device, other):
        report = one.start(**of("fcmv1", style=style, first_run_list=True))
        assert (report.outcome, list(report.channel_errors)) == ("waiting", ["channel"])
    held = device.hub.contents()
    assert (held["installations"], held["registrations"], device.seen()) == ([], [], [])
    device.agent(**of("fcmv1", style=style)).unregister()
    other.channel = GOOD["fcmv1"]
    assert other.start(**of("fcmv1", style=style)).outcome == "registered"


def test_a_placeholder_that_is_given_as_it_is_is_a_mistake_of_the_app(device: Device) -> None:
    for platform, word in (("fcmv1", "null"), ("wns", "undefined"), ("baidu", "1234")):
        with pytest.raises(ConfigurationError, match="no handle of platform") as caught:
            device.agent(**of(platform, channel=word))
        assert caught.value.hint


def test_a_placeholder_that_an_older_version_registered_is_replaced_by_the_first_handle(
    device: Device,
) -> None:
    device.channel = GOOD["fcmv1"]
    device.start(**of("fcmv1"))
    path = device.files["state.json"]
    respell(path, GOOD["fcmv1"], "null")
    device.channel = "null"
    device.seen()
    assert (device.start(**of("fcmv1")).outcome, device.seen()) == ("waiting", [])
    device.channel = GOOD["fcmv1"]
    assert (device.start(**of("fcmv1")).outcome, device.seen()) == ("updated", ["PATCH"])


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("platform", "given", "kept", "again"),
    [
        ("apns", "c0ffee51" * 8, "C0FFEE51" * 8, "C0ffEE51" * 8),
        ("wns", "https://some.url", "https://some.url/", "HTTPS://Some.URL:443/"),
        ("mpns", "http://SN1.notify.live.net:80/a/../b c", "http://sn1.notify.live.net/b%20c",
         "HTTP://sn1.notify.live.net/./b%20c"),
        ("wns", "\ufeff https://x.example/é\r\n", "https://x.example/%C3%A9", "https://X.example/%C3%A9"),
    ],
    ids=["apns", "wns", "mpns", "mark"],
)  # fmt: skip
def test_a_channel_that_is_spelt_another_way_is_the_same(
    device: Device, backend: HubClient, style: str, platform: str, given: str, kept: str, again: str
) -> None:
    mine = of(platform, style=style, first_run_list=True)
    device.channel = given
    device.start(**mine)
    [row] = backend.registrations()
    assert row.channel == kept
    device.seen()
    device.channel = again
    assert (device.start(**mine).outcome, device.seen()) == ("unchanged", [])
    assert device.agent(**mine).verify().drift == ()
    for path in device.files.values():
        path.unlink()
    device.channel = again
    device.start(**mine)
    [found] = backend.registrations()
    assert (found.registration_id, found.channel, found.tags) == (row.registration_id, kept, row.tags)


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize(
    ("platform", "older", "newer"),
    [("apns", "c0ffee51" * 8, "C0FFEE51" * 8), ("wns", "https://Some.url", "https://some.url/")],
)
def test_a_state_that_holds_another_spelling_costs_no_request(
    device: Device, style: str, platform: str, older: str, newer: str
) -> None:
    mine = of(platform, style=style)
    device.channel = newer
    device.start(**mine)
    path = device.files["state.json"]
    respell(path, json.dumps(newer), json.dumps(older))
    device.seen()
    for spelt in (older, newer):
        device.channel = spelt
        assert (device.start(**mine).outcome, device.seen()) == ("unchanged", [])
    assert device.agent(**mine).verify().in_sync


def test_a_tile_on_the_channel_of_the_device_is_refused_however_it_is_spelt(device: Device) -> None:
    device.channel, device.tile_channel = "https://x.example", "https://X.example:443/"
    with pytest.raises(ConfigurationError, match="is the push channel of the device too"):
        device.start()
    assert device.seen() == []


@pytest.mark.parametrize("style", STYLES)
def test_keys_of_a_subscription_in_another_alphabet_are_the_same(
    device: Device, backend: HubClient, style: str
) -> None:
    mine = of("browser", style=style)
    endpoint = GOOD["browser"]["endpoint"]
    device.channel = {"endpoint": endpoint, "p256dh": BASE64, "auth": f"{AUTH}=="}
    device.start(**mine)
    assert [row.channel for row in backend.registrations()] == [BrowserChannel(endpoint, P256DH, AUTH)]
    device.seen()
    for keys in (KEYS, {"p256dh": f"{P256DH}=", "auth": AUTH.replace("-", "+").replace("_", "/")}):
        device.channel = {"endpoint": endpoint, "keys": keys}
        assert (device.start(**mine).outcome, device.seen()) == ("unchanged", [])
    device.channel = BrowserChannel(endpoint, BASE64, AUTH)
    assert (device.start(**mine).outcome, device.seen()) == ("unchanged", [])
    assert device.agent(**mine).verify().in_sync


@pytest.mark.parametrize("beside", [{"expirationTime": None}, {"expirationTime": 1.9e12}, {"options": {}}])
@pytest.mark.parametrize("written", [dict, json.dumps])
def test_what_browsers_write_beside_a_subscription_changes_nothing(
    device: Device, beside: dict[str, Any], written: Callable[[dict[str, Any]], object]
) -> None:
    mine = of("browser")
    device.channel = GOOD["browser"]
    device.start(**mine)
    device.seen()
    device.channel = written({**GOOD["browser"], **beside})
    report = device.start(**mine)
    assert (report.outcome, dict(report.channel_errors), device.seen()) == ("unchanged", {}, [])
    device.channel = written({"subscription": GOOD["browser"], **beside})
    report = device.start(**mine)
    assert (report.outcome, device.seen()) == ("unchanged", [])
    assert "endpoint, p256dh, auth missing" in str(report.channel_errors["channel"])


@pytest.mark.parametrize(
    "changes",
    [
        {"keys": {"p256dh": AUTH, "auth": P256DH}},
        {"keys": {"p256dh": P256DH[:-1] + "A", "auth": AUTH}},
        {"keys": {"p256dh": "C" + P256DH[1:], "auth": AUTH}},
        {"keys": {"p256dh": P256DH[:-2], "auth": AUTH}},
        {"keys": {"p256dh": P256DH, "auth": AUTH[:-2]}},
        {"keys": {"p256dh": P256DH, "auth": "null"}},
        {"keys": {"p256dh": "undefined", "auth": AUTH}},
        {"endpoint": "https://permanently-removed.invalid/fcm/send/1"},
        {"endpoint": "https://PUSH.INVALID:443/"},
        {"endpoint": "https://"},
        {"endpoint": "null"},
    ],
)
def test_a_subscription_that_is_none_leaves_the_old_one(device: Device, changes: dict[str, Any]) -> None:
    mine = of("browser")
    device.channel = GOOD["browser"]
    device.start(**mine)
    before = device.held()
    device.seen()
    device.channel = {**GOOD["browser"], **changes}
    report = device.start(**mine)
    assert (report.outcome, device.seen(), list(report.channel_errors)) == ("unchanged", [], ["channel"])
    assert device.held() == before


def test_a_subscription_with_other_keys_is_followed(device: Device) -> None:
    mine = of("browser")
    device.channel = GOOD["browser"]
    device.start(**mine)
    device.seen()
    for keys in ({"p256dh": OTHER_P256DH, "auth": AUTH}, {"p256dh": OTHER_P256DH, "auth": OTHER_AUTH}):
        device.channel = {**GOOD["browser"], "keys": keys}
        assert (device.start(**mine).outcome, device.seen()) == ("updated", ["PATCH"])


def test_padded_keys_at_the_hub_are_no_drift(device: Device, backend: HubClient) -> None:
    mine = of("browser")
    device.channel = GOOD["browser"]
    device.start(**mine)
    [held] = device.held()
    found = backend.get_installation(held["installationId"])
    padded = unvalidated(
        BrowserChannel, endpoint=GOOD["browser"]["endpoint"], p256dh=BASE64, auth=f"{AUTH}=="
    )
    backend.put_installation(altered(found, push_channel=padded))
    assert device.agent(**mine).verify().drift == ()
    other = replace(found, push_channel=BrowserChannel(padded.endpoint, public_key("BH"), AUTH))
    backend.put_installation(other)
    assert [part.field for part in device.agent(**mine).verify().drift] == ["pushChannel"]


def test_an_agent_made_with_a_handle_as_text_keeps_it_in_the_form_of_the_service(device: Device) -> None:
    agent: Agent = device.agent(**of("wns", channel="https://Some.url"))
    agent.start()
    assert [held["pushChannel"] for held in device.held()] == ["https://some.url/"]
