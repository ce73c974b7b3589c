from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Caller
from tests.emulator.describing import CONTRACT, HANDLES, described, native, post, template

from .sending import alert, device, notify, toast_to

FORMATS = {
    "apple": ("Apple", "apns"),
    "gcm": ("Gcm", "gcm"),
    "fcmV1": ("FcmV1", "fcmv1"),
    "windows": ("Windows", "wns"),
    "windowsphone": ("Mpns", "mpns"),
    "adm": ("Adm", "adm"),
    "baidu": ("Baidu", "baidu"),
    "browser": ("Browser", "browser"),
    "xiaomi": ("Xiaomi", "xiaomi"),
}

NOTIFICATION = "--b\r\nContent-Disposition: inline; name=notification\r\n\r\n{}\r\n"


def reached(emulator: Emulator) -> list[str | None]:
    """Who receives the latest send, by installation."""
    return [match.installation for match in emulator.deliveries()[-1].matched]


@pytest.mark.parametrize("notification_format", FORMATS)
def test_a_native_send_reaches_the_native_registrations_of_its_platform(
    emulator: Emulator, hub: Caller, backend: Caller, notification_format: str
) -> None:
    for kind in HANDLES:
        assert post(hub, native(kind)).status == 200
        assert post(hub, template(kind)).status == 200
    kind, platform = FORMATS[notification_format]
    reply = notify(backend, notification_format, '{"a":1}', headers={"X-WNS-Type": "wns/toast"})
    assert (reply.status, reply.body) == (201, b"")
    assert reply.headers["Content-Type"] == "application/xml; charset=utf-8"
    [delivery] = emulator.deliveries()
    assert (delivery.format, delivery.target, delivery.expression) == (
        notification_format.lower(),
        "broadcast",
        None,
    )
    [match] = delivery.matched
    assert (match.platform, match.body, match.template) == (platform, '{"a":1}', None)
    assert match.registration == next(
        found["registrationId"] for found in emulator.contents()["registrations"] if found["kind"] == kind
    )


def test_a_notification_has_an_id_of_the_services_form_and_an_address(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("i")).status == 200
    reply = toast_to(backend)
    location = reply.headers["Location"]
    match = re.fullmatch(
        r"https://127\.0\.0\.1:\d+/my-hub/messages/([0-9a-f]{32}-\d{14}-\d+-\d+)\?api-version=2020-06",
        location,
    )
    assert match is not None, location
    assert emulator.deliveries()[0].id == match[1]


def test_templates_get_a_template_send_each_filled_in_with_the_message_and_push_variables(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    templates = {
        "toast": alert("<toast launch='$(where)'><text>{'Hi ' + $(name)}</text></toast>"),
        "tile": alert("<tile><text>$(name)</text></tile>", headers={"X-WNS-Type": "$(kind)"}),
    }
    variables = {"name": "from the device", "where": "door"}
    assert hub.put(device("i", templates=templates, pushVariables=variables)).status == 200
    assert notify(backend, "template", {"NAME": "Ann & Bob", "kind": "wns/tile"}).status == 201
    first, second = emulator.deliveries()[0].matched
    assert (first.template, first.body) == (
        "toast",
        '<toast launch="door"><text>Hi Ann &amp; Bob</text></toast>',
    )
    assert first.headers == {"X-WNS-Type": "wns/toast", "Content-Type": "text/xml"}
    assert (second.template, second.headers["X-WNS-Type"]) == ("tile", "wns/tile")
    assert second.body == "<tile><text>Ann &amp; Bob</text></tile>"


def test_a_send_without_a_format_is_one_to_templates(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("i", templates={"t": alert()})).status == 200
    assert notify(backend, None, {"m": "x"}).status == 201
    assert emulator.deliveries()[0].format == "template"


def test_apples_expiry_priority_and_headers_come_from_the_template(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert post(hub, template("Apple")).status == 200
    assert notify(backend, "template", {"m": "x", "when": "2030-01-02T03:04:05Z"}).status == 201
    [match] = emulator.deliveries()[0].matched
    assert match.headers == {
        "apns-priority": "5",
        "apns-expiration": "1893553445",
        "Content-Type": "application/json",
    }


def test_apples_expiry_and_priority_of_a_native_send_are_named_as_apple_has_them(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert post(hub, native("Apple")).status == 200
    headers = {
        "ServiceBusNotification-Apns-Expiry": "2030-01-02T03:04:05",
        "X-Apns-Priority": "10",
        "apns-push-type": "alert",
        "Content-Type": "application/json;charset=utf-8",
    }
    assert notify(backend, "apple", "{}", headers=headers).status == 201
    assert emulator.deliveries()[0].matched[0].headers == {
        "apns-expiration": "1893553445",
        "apns-priority": "10",
        "apns-push-type": "alert",
        "Content-Type": "application/json;charset=utf-8",
    }


def test_an_installation_is_addressed_by_its_id_its_user_its_template_and_its_tags(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("a-1", "kitchen", userId="ann", templates={"morning": alert()})).status == 200
    assert hub.put(device("b-2", "cellar", userId="bob", templates={"evening": alert()})).status == 200
    for expression, notification_format, expected in [
        ("$InstallationId:{a-1}", "windows", ["a-1"]),
        ("$installationid:{A-1} || cellar", "windows", ["a-1", "b-2"]),
        ("$UserId:{bob}", "windows", ["b-2"]),
        ("KITCHEN && !cellar", "windows", ["a-1"]),
        ("$InstallationId:{a-1} && morning", "template", ["a-1"]),
        ("$InstallationId:{a-1} && evening", "template", []),
        ("!kitchen", "windows", ["b-2"]),
    ]:
        body: Any = {"m": "x"} if notification_format == "template" else "<toast/>"
        assert (
            notify(backend, notification_format, body, expression, headers={"X-WNS-Type": "wns/toast"}).status
            == 201
        )
        assert reached(emulator) == expected, expression


def test_a_secondary_tile_is_reached_on_its_own_channel_by_its_own_tags(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    tile = {"pushChannel": "https://x.notify.windows.com/?t=tile", "tags": ["rain"]}
    assert hub.put(device("i", "home", secondaryTiles={"weather": tile})).status == 200
    toast_to(backend, "rain")
    [match] = emulator.deliveries()[0].matched
    assert (match.tile, match.channel) == ("weather", "https://x.notify.windows.com/?t=tile")


def test_expired_channels_and_records_past_their_time_are_skipped(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("alive")).status == 200
    assert hub.put(device("expired", templates={"t": alert()})).status == 200
    assert hub.put(device("over", expirationTime="2030-01-01T00:00:00Z")).status == 200
    emulator.expire(installation="expired")
    toast_to(backend)
    assert reached(emulator) == ["alive", "over"]
    assert notify(backend, "template", {"m": "x"}).status == 201
    assert reached(emulator) == []
    emulator.set_clock(10 * 365 * 86400)
    backend.connection.close()
    reply = backend.send(
        "POST",
        "/my-hub/messages?api-version=2020-06",
        "<toast/>",
        headers={
            "ServiceBusNotification-Format": "windows",
            "X-WNS-Type": "wns/toast",
            "Authorization": backend.token(lifetime=11 * 365 * 86400),
        },
    )
    assert reply.status == 201
    assert reached(emulator) == ["alive"]


def test_an_expired_channel_is_sent_to_again_once_it_is_replaced(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("i")).status == 200
    emulator.expire(installation="i")
    replaced = {"op": "replace", "path": "/pushChannel", "value": "https://x.notify.windows.com/?t=2"}
    assert hub.patch(replaced).status == 200
    toast_to(backend)
    assert reached(emulator) == ["i"]


def test_a_handle_that_is_registered_twice_gets_two_messages(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    for _ in range(2):
        assert post(hub, native("Gcm")).status == 200
    assert notify(backend, "gcm", '{"data":{}}').status == 201
    assert len(emulator.deliveries()[0].matched) == 2


def test_a_direct_send_goes_to_the_handle_whether_or_not_it_is_registered(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert hub.put(device("i")).status == 200
    for handle, installation in [("https://x.notify.windows.com/?t=i", "i"), ("https://elsewhere/", None)]:
        headers = {"X-WNS-Type": "wns/toast", "ServiceBusNotification-DeviceHandle": handle}
        reply = notify(backend, "windows", "<toast/>", headers=headers, query="&direct")
        assert reply.status == 201
        assert reply.headers["Location"].endswith("?api-version=2020-06&direct")
        delivery = emulator.deliveries()[-1]
        [match] = delivery.matched
        assert (delivery.target, match.channel, match.installation) == ("direct", handle, installation)


def test_a_direct_send_to_a_browser_takes_the_keys_from_headers(emulator: Emulator, backend: Caller) -> None:
    headers = {"ServiceBusNotification-DeviceHandle": "https://b/1", "P256DH": "key", "Auth": "secret"}
    assert notify(backend, "browser", "{}", headers=headers, query="&direct=true").status == 201
    channel = {"endpoint": "https://b/1", "p256dh": "key", "auth": "secret"}
    assert emulator.deliveries()[0].matched[0].channel == channel


@pytest.mark.parametrize(
    "boundary", ["boundary=nh-batch-multipart-boundary", 'boundary = "nh-batch-multipart-boundary"']
)
def test_a_direct_batch_goes_to_each_of_its_handles(
    emulator: Emulator, backend: Caller, boundary: str
) -> None:
    body = (
        "--nh-batch-multipart-boundary\r\nContent-type: application/xml\r\n"
        "Content-Disposition: inline; name=notification\r\n\r\n<toast/>\r\n"
        "--nh-batch-multipart-boundary\r\nContent-type: application/json\r\n"
        'Content-Disposition: inline; name=devices\r\n\r\n["https://a/","https://b/"]\r\n'
        "--nh-batch-multipart-boundary--"
    )
    headers = {"X-WNS-Type": "wns/toast", "Content-Type": f"multipart/mixed; {boundary}"}
    path = "/my-hub/messages/$batch"
    assert notify(backend, "windows", body, headers=headers, query="&direct", path=path).status == 201
    [delivery] = emulator.deliveries()
    assert [(match.channel, match.body) for match in delivery.matched] == [
        ("https://a/", "<toast/>"),
        ("https://b/", "<toast/>"),
    ]
    assert delivery.matched[0].headers == {"X-WNS-Type": "wns/toast", "Content-Type": "application/xml"}


def test_a_test_send_reaches_ten_devices_and_tells_the_outcome_of_each(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    for number in range(12):
        assert hub.put(device(f"i{number}")).status == 200
    reply = notify(backend, "windows", "<toast/>", headers={"X-WNS-Type": "wns/toast"}, query="&test")
    assert reply.status == 201
    outcome = ET.fromstring(reply.text)
    assert outcome.tag == f"{{{CONTRACT}}}NotificationOutcome"
    assert [child.tag.rpartition("}")[2] for child in outcome] == ["Success", "Failure", "Results"]
    assert [child.text for child in outcome[:2]] == ["10", "0"]
    names = [child.tag.rpartition("}")[2] for child in outcome[2][0]]
    assert names == ["ApplicationPlatform", "PnsHandle", "RegistrationId", "Outcome"]
    assert outcome[2][0][1].text == "https://x.notify.windows.com/?t=i0"
    assert emulator.deliveries()[0].test


def test_the_details_of_a_notification_are_told(hub: Caller, backend: Caller) -> None:
    assert hub.put(device("i", "kitchen")).status == 200
    for tag, state, platforms in [("kitchen", "Completed", "windows"), ("cellar", "NoTargetFound", None)]:
        notification = toast_to(backend, tag).headers["Location"].partition("?")[0].rpartition("/")[2]
        reply = backend.send("GET", f"/my-hub/messages/{notification}?api-version=2020-06")
        assert (reply.status, reply.headers["Content-Type"]) == (200, "application/xml; charset=utf-8")
        details = {child.tag.rpartition("}")[2]: child for child in ET.fromstring(reply.text)}
        assert details["NotificationId"].text == notification
        assert details["State"].text == state
        assert details["NotificationBody"].text == "<toast/>"
        assert details["Tags"].text == tag
        found = details.get("TargetPlatforms")
        assert (None if found is None else found.text) == platforms
        counts = details.get("WnsOutcomeCounts")
        assert (counts is not None) == (tag == "kitchen")
    assert backend.send("GET", "/my-hub/messages/unknown?api-version=2020-06").status == 404


@pytest.mark.parametrize(
    ("notification_format", "body", "headers", "status", "words"),
    [
        ("nokiax", "{}", {}, 400, "The supplied notification format 'nokiax' is not supported."),
        ("windows", "<toast/>", {}, 400, "The mandatory HTTP header 'X-WNS-Type' is missing."),
        ("apple", b"x" * (64 * 1024 + 1), {}, 413, "larger than 65536 bytes"),
        ("windows", b"x" * 5121, {"X-WNS-Type": "wns/raw"}, 413, "larger than 5120 bytes"),
        ("template", "no json", {}, 400, "is not JSON"),
        ("template", '{"m": 1}', {}, 400, "whose values are strings"),
        ("template", "[]", {}, 400, "whose values are strings"),
        ("apple", "{}", {"ServiceBusNotification-Tags": "a b"}, 400, "'b' is not expected after 'a'"),
        ("apple", "{}", {"ServiceBusNotification-Tags": "a &&"}, 400, "a tag is missing at its end"),
        ("apple", "{}", {"ServiceBusNotification-Tags": "a&&b&&c&&d&&e&&f&&g"}, 400, "at most 6"),
        ("apple", "{}", {"ServiceBusNotification-Tags": "||".join("abcdefghijklmnopqrstu")}, 400, "most 20"),
    ],
)
def test_a_send_is_refused_with_the_reason(
    emulator: Emulator,
    backend: Caller,
    notification_format: str,
    body: Any,
    headers: dict[str, str],
    status: int,
    words: str,
) -> None:
    reply = notify(backend, notification_format, body, headers=headers)
    assert reply.status == status
    assert words in reply.text.replace("&amp;", "&").replace("&gt;", ">")
    assert emulator.deliveries() == []


@pytest.mark.parametrize(
    ("query", "headers", "words"),
    [
        ("&direct", {}, "needs the header ServiceBusNotification-DeviceHandle"),
        (
            "&direct",
            {"ServiceBusNotification-DeviceHandle": "ab", "ServiceBusNotification-Tags": "a"},
            "goes to the handle alone",
        ),
    ],
)
def test_a_direct_send_that_names_no_handle_or_tags_too_is_refused(
    backend: Caller, query: str, headers: dict[str, str], words: str
) -> None:
    reply = notify(backend, "apple", "{}", headers=headers, query=query)
    assert (reply.status, words in reply.text) == (400, True)


@pytest.mark.parametrize(
    ("content_type", "body", "words"),
    [
        ("application/json", "{}", "names no boundary"),
        ("multipart/mixed; boundary=b", "--b\r\n", "closing boundary is missing"),
        ("multipart/mixed; boundary=b", "--b\r\nno end\r\n--b--", "no end of its headers"),
        ("multipart/mixed; boundary=b", "--b\r\n\r\nx\r\n--b--", "has no name of its own"),
        (
            "multipart/mixed; boundary=b",
            NOTIFICATION + "--b--",
            "two parts",
        ),
        *(
            (
                "multipart/mixed; boundary=b",
                f"{NOTIFICATION}--b\r\nContent-Disposition: inline; name=devices\r\n\r\n{devices}\r\n--b--",
                words,
            )
            for devices, words in [
                ("no json", "are not JSON"),
                ("[]", "array of handles"),
                ("[1]", "array of handles"),
                ('["a",""]', "array of handles"),
                ("[" + ",".join(['"a"'] * 1001) + "]", "at most 1000 devices, not 1001"),
            ]
        ),
    ],
)
def test_a_batch_that_is_not_one_is_refused_with_the_reason(
    emulator: Emulator, backend: Caller, content_type: str, body: str, words: str
) -> None:
    headers = {"Content-Type": content_type}
    reply = notify(backend, "apple", body, headers=headers, query="&direct", path="/my-hub/messages/$batch")
    assert (reply.status, words in reply.text) == (400, True), reply.text
    assert emulator.deliveries() == []


def test_a_key_that_may_only_listen_cannot_send(emulator: Emulator, hub: Caller) -> None:
    for path in ("/my-hub/messages", "/my-hub/messages/$batch", "/my-hub/schedulednotifications"):
        reply = notify(hub, "apple", "{}", path=path)
        assert (reply.status, reply.body) == (403, b"")
    assert emulator.deliveries() == []


@pytest.mark.parametrize(
    ("method", "target"),
    [
        ("POST", "/my-hub/jobs"),
        ("GET", "/my-hub/jobs"),
        ("GET", "/my-hub/jobs/1"),
        ("GET", "/my-hub/feedbackcontainer"),
        ("PUT", "/my-hub"),
        ("GET", "/my-hub"),
        ("DELETE", "/my-hub"),
        ("GET", "/$Resources/NotificationHubs"),
    ],
)
def test_what_is_not_built_says_so_after_token_right_and_hub_were_checked(
    emulator: Emulator, hub: Caller, backend: Caller, method: str, target: str
) -> None:
    query = "?api-version=2020-06"
    assert hub.send(method, target + query, sign_it=False).status == 401
    listening = hub.send(method, target + query)
    assert listening.status == 401
    assert "Manage claim is required for this operation." in listening.text
    reply = backend.send(method, target + query)
    assert (reply.status, "are not part of this emulator" in reply.text) == (501, True)
    if target.startswith("/my-hub"):
        other = backend.send(method, target.replace("my-hub", "other-hub") + query)
        assert (other.status, "No service is hosted" in other.text) == (404, True)
    assert emulator.contents() == {"hub": "my-hub", "installations": [], "registrations": []}


def test_a_message_type_of_baidu_and_a_raw_notification_are_passed_on(
    emulator: Emulator, hub: Caller, backend: Caller
) -> None:
    assert post(hub, template("Baidu")).status == 200
    assert post(hub, described("Windows", HANDLES["Windows"])).status == 200
    assert notify(backend, "template", {"m": "x"}).status == 201
    assert emulator.deliveries()[0].matched[0].headers["X-Baidu-Message-Type"] == "1"
    headers = {"X-WNS-Type": "wns/raw", "Content-Type": "application/octet-stream"}
    assert notify(backend, "windows", b"\xff\x00raw", headers=headers).status == 201
    assert emulator.deliveries()[1].matched[0].body == "\ufffd\x00raw"
