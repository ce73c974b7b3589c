"""What the service refuses, in its words where they are known; a lenient emulator takes the same."""

from __future__ import annotations

import json
from functools import partial
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.emulator.channels import absolute_uri
from nhagent.emulator.validation.expressions import expression_error
from tests.work import Counted, work_of

from .caller import Caller, toast, wns
from .describing import (
    HANDLES,
    MPNS_HEADERS,
    NAME,
    WNS_HEADERS,
    described,
    filtered,
    ids_of,
    on,
    post,
    texts_of,
)
from .test_refusals import HEAD, detail

NOT_HEX = "One or more characters in device token is not a hexadecimal digit."
NO_WNS_TYPE = "Must contain WNS Header : 'X-WNS-Type'."
NO_CLASS = "Must contain Mpns Header : 'X-NotificationClass'."
NEITHER = "Invalid payload format. Either Json object or valid Xml are allowed."
NO_ADDRESS = "The channel is not an absolute http or https address."
NO_JSON = "The body of the template is not JSON."
PAYLOAD = '{"a":"b"}'


def installation(platform: str, channel: Any, *templates: dict[str, Any]) -> dict[str, Any]:
    return {
        "installationId": "i",
        "platform": platform,
        "pushChannel": channel,
        "templates": {f"t{number}": found for number, found in enumerate(templates)},
    }


def templated(platform: str, **members: Any) -> dict[str, Any]:
    """An installation that is right but for what its template is given."""
    channels: dict[str, Any] = {
        "apns": "AB12",
        "wns": "https://w/",
        "mpns": "https://m/",
        "baidu": "u-c",
        "browser": {"endpoint": "https://b/1", "p256dh": "p", "auth": "a"},
    }
    headers = {"wns": {"X-WNS-Type": "wns/toast"}, "mpns": {"X-NotificationClass": "2"}}
    body = "<t/>" if platform in headers else PAYLOAD
    template = {"body": body, "headers": headers.get(platform, {}), **members}
    return installation(platform, channels.get(platform, "handle"), template)


REFUSED_INSTALLATIONS: list[tuple[dict[str, Any], str]] = [
    *(
        (installation("apns", token), NOT_HEX)
        for token in ("xyz1", "abc", "AB 12", "<AB12>", "AB12\n", "\uff41\uff42")
    ),
    *(
        (installation(platform, channel), NO_ADDRESS)
        for platform in ("wns", "mpns")
        for channel in (
            "c",
            "/c",
            "//c/d",
            "https://",
            "https:///c",
            "https://a b/",
            "ftp://c/",
            "https://c:99999/",
        )
    ),
    ({**wns(), "secondaryTiles": {"t": {"pushChannel": "c"}}}, NO_ADDRESS),
    *(
        (templated(platform, body=body), NO_JSON)
        for platform in ("apns", "gcm", "fcmv1", "adm", "baidu", "browser", "xiaomi")
        for body in ("<t/>", "{", "{'a':1}", '{"a":1}}', "text", '{"a":NaN}', "\ufeff{}")
    ),
    *(
        (templated(platform, body=body), NEITHER)
        for platform in ("wns", "mpns")
        for body in (
            "text",
            "<t>",
            "<t></u>",
            "<t/><t/>",
            "<!DOCTYPE t><t/>",
            "{",
            '{"a":}',
            "[]",
            "\ufeff<t/>",
        )
    ),
    (templated("wns", headers={}), NO_WNS_TYPE),
    (templated("wns", headers={"X-WNS-Type": " "}), NO_WNS_TYPE),
    (templated("wns", headers={"X-WNS-Tag": "wns/toast"}), NO_WNS_TYPE),
    (
        templated("wns", headers={"X-WNS-Type": "wns/toast", "X-WNS-TTL": ""}),
        "WNS header 'X-WNS-TTL' is null or empty.",
    ),
    (
        templated("wns", headers={"X-WNS-Type": "wns/toast", "X-WNS-Tag": "$(tag"}),
        "The expression '$(tag' is not valid",
    ),
    (templated("mpns", headers={}), NO_CLASS),
    (templated("mpns", headers={"X-WindowsPhone-Target": "toast"}), NO_CLASS),
    (
        templated("mpns", headers={"X-NotificationClass": "2", "X-MessageID": " "}),
        "The header 'X-MessageID' is empty.",
    ),
    *(
        (templated("apns", expiry=expiry), f"The expiry '{expiry}' is neither a date nor an expression.")
        for expiry in ("soon", "1", "2044-13-01", "0 days")
    ),
    (templated("apns", expiry="$(when"), "The expression '$(when' is not valid"),
    (templated("apns", headers={"X-WNS-Type": "wns/toast"}), "The header 'X-WNS-Type' is not for APNs"),
    (templated("apns", headers={"apns-priority": "256"}), "The priority '256' is neither"),
    (
        templated("apns", headers={"apns-expiration": "soon"}),
        "The value 'soon' of 'apns-expiration' is neither",
    ),
    (templated("apns", headers={"apns-topic": "$topic"}), "The expression '$topic' is not valid"),
]


@pytest.mark.parametrize(("document", "words"), REFUSED_INSTALLATIONS)
def test_an_installation_that_the_service_refuses_is_refused_and_a_lenient_hub_takes_it(
    hub: Caller, lenient_hub: Caller, document: dict[str, Any], words: str
) -> None:
    reply = hub.put(document)
    assert reply.status == 400
    head, *lines = detail(reply).split("\r\n")
    assert head == HEAD
    assert any(line.startswith(words) for line in lines)
    assert hub.get().status == 404
    assert lenient_hub.put(document).status == 200
    assert lenient_hub.get().json["pushChannel"] == document["pushChannel"]


def test_a_patch_that_the_service_refuses_changes_nothing(hub: Caller, lenient_hub: Caller) -> None:
    operations = [
        {"op": "replace", "path": "/pushChannel", "value": "no address"},
        {"op": "add", "path": "/templates/t/body", "value": "<toast>$(m</toast>"},
        {"op": "add", "path": "/templates/t/headers", "value": "{}"},
        {"op": "add", "path": "/templates/u", "value": json.dumps(toast(body="text"))},
    ]
    for caller in (hub, lenient_hub):
        assert caller.put(wns(templates={"t": toast()})).status == 200
        before = caller.get().json
        for operation in operations:
            assert caller.patch(operation).status == (400 if caller is hub else 200)
        assert (caller.get().json == before) is (caller is hub)


REFUSED_REGISTRATIONS: list[tuple[str, str, str]] = [
    *(
        ("Apple", f"<DeviceToken>{token}</DeviceToken>", NOT_HEX)
        for token in ("xyz1", "abc", "AB 12", " AB12")
    ),
    *((kind, "<ChannelUri>c</ChannelUri>", NO_ADDRESS) for kind in ("Windows", "Mpns")),
    *(
        (kind, f"{HANDLES[kind.removesuffix('Template')]}<BodyTemplate>text</BodyTemplate>{NAME}", NO_JSON)
        for kind in ("AppleTemplate", "GcmTemplate", "FcmV1Template", "AdmTemplate", "BaiduTemplate")
    ),
    ("WindowsTemplate", f"{HANDLES['Windows']}<BodyTemplate>text</BodyTemplate>{WNS_HEADERS}", NEITHER),
    ("MpnsTemplate", f"{HANDLES['Mpns']}<BodyTemplate>&lt;t&gt;</BodyTemplate>{MPNS_HEADERS}", NEITHER),
    (
        "WindowsTemplate",
        f"{HANDLES['Windows']}<BodyTemplate>&lt;t/&gt;</BodyTemplate><WnsHeaders/>",
        NO_WNS_TYPE,
    ),
    ("MpnsTemplate", f"{HANDLES['Mpns']}<BodyTemplate>&lt;t/&gt;</BodyTemplate><MpnsHeaders/>", NO_CLASS),
    (
        "GcmTemplate",
        f'{HANDLES["Gcm"]}<BodyTemplate>{{"t":"$(title"}}</BodyTemplate>',
        "The expression '$(title' is not valid: the closing parenthesis is missing.",
    ),
    (
        "AppleTemplate",
        f"{HANDLES['Apple']}<BodyTemplate>{{}}</BodyTemplate><Expiry>soon</Expiry>",
        "The expiry 'soon' is neither a date nor an expression.",
    ),
    (
        "AppleTemplate",
        f"{HANDLES['Apple']}<BodyTemplate>{{}}</BodyTemplate><Priority>high</Priority>",
        "The priority 'high' is neither 0 to 255 nor an expression.",
    ),
]


@pytest.mark.parametrize(("kind", "elements", "words"), REFUSED_REGISTRATIONS)
def test_a_registration_that_the_service_refuses_is_refused_and_a_lenient_hub_takes_it(
    hub: Caller, lenient_hub: Caller, kind: str, elements: str, words: str
) -> None:
    body = described(kind, elements)
    for reply in (post(hub, body), on(hub, "PUT", "1-1-1", body)):
        assert reply.status == 400
        assert detail(reply).startswith(words)
    assert on(hub, "GET", "1-1-1").status == 404
    assert post(lenient_hub, body).status == 200


@pytest.mark.parametrize(
    "document",
    [
        *(installation("apns", token) for token in ("00ff", "AB12" * 50)),
        *(
            templated("apns", expiry=expiry)
            for expiry in ("0", "2044-05-01", "2044-05-01T12:00:00Z", "$(when)")
        ),
        *(
            templated("apns", expiry=expiry)
            for expiry in ("5/1/2044 12:00:00 PM", "Sun, 01 May 2044 12:00:00 GMT")
        ),
        templated("apns", headers={"apns-priority": "$(p)", "apns-expiration": "0", "APNS-Topic": "a.b"}),
        *(templated(platform, body=PAYLOAD) for platform in ("wns", "mpns")),
        *(templated(platform, body=" <t a='$(a)'>{$(b) + 'c'}</t>\n") for platform in ("wns", "mpns")),
        templated("wns", body='<?xml version="1.0" encoding="utf-16"?><t/>'),
        # A raw notification may be anything.
        templated("wns", body="$(m", headers={"X-WNS-Type": "wns/raw"}),
        templated("mpns", body="text", headers={"X-NotificationClass": "3"}),
        # Headers mean nothing on other platforms, and an expiry only on Apple's.
        templated("gcm", headers={"X": "$("}, expiry="soon"),
        templated("gcm", body='"text"'),
    ],
)
def test_what_the_service_takes_is_taken(hub: Caller, document: dict[str, Any]) -> None:
    reply = hub.put(document)
    assert reply.status == 200, reply.text


def test_gcm_without_a_channel_is_told_in_two_more_lines(hub: Caller, lenient_hub: Caller) -> None:
    required = [HEAD, "'PushChannel' is required."]
    for caller in (hub, lenient_hub):
        for platform, more in [
            ("gcm", ["Value cannot be null.", "Parameter name: gcmRegistrationId"]),
            ("fcmv1", []),
            ("apns", []),
        ]:
            reply = caller.put({"installationId": "i", "platform": platform})
            assert (reply.status, detail(reply).split("\r\n")) == (400, [*required, *more])


KEPT = [
    ("https://some.url", "https://some.url/"),
    ("HTTPS://Some.URL/Path?Query=A", "https://some.url/Path?Query=A"),
    ("https://some.url?q", "https://some.url/?q"),
    ("https://some.url:443/a", "https://some.url/a"),
    ("http://some.url:80", "http://some.url/"),
    ("http://some.url:443/", "http://some.url:443/"),
    ("https://some.url:0444/", "https://some.url:444/"),
    ("https://[2001:DB8::1]/", "https://[2001:db8::1]/"),
    (" https://some.url/a b ", "https://some.url/a%20b"),
    ("https://some.url/%2f%3D?x=%2B", "https://some.url/%2f%3D?x=%2B"),
    ("https://x.notify.windows.com/?token=A%2fB", "https://x.notify.windows.com/?token=A%2fB"),
]


@pytest.mark.parametrize(("given", "kept"), KEPT)
@pytest.mark.parametrize("platform", ["wns", "mpns"])
def test_an_address_is_kept_and_matched_as_dotnet_writes_it(
    hub: Caller, lenient_hub: Caller, platform: str, given: str, kept: str
) -> None:
    for caller in (hub, lenient_hub):
        assert caller.put(installation(platform, given)).status == 200
        assert caller.get().json["pushChannel"] == kept
        kind = "Windows" if platform == "wns" else "Mpns"
        shown = post(caller, described(kind, f"<ChannelUri>{given}</ChannelUri>"))
        assert texts_of(shown, "ChannelUri") == [kept]
        assert len(ids_of(filtered(caller, f"ChannelUri eq '{kept}'"))) == 2
        as_given = ids_of(filtered(caller, f"ChannelUri eq '{given}'"))
        assert len(as_given) == (2 if given == kept or caller is lenient_hub else 0)


def test_a_tiles_channel_and_a_patched_one_are_kept_so_too(hub: Caller) -> None:
    hub.put(wns(secondaryTiles={"t": {"pushChannel": "https://Tile"}}))
    hub.patch({"op": "replace", "path": "/pushChannel", "value": "https://New:443"})
    got = hub.get().json
    assert (got["pushChannel"], got["secondaryTiles"]["t"]["pushChannel"]) == (
        "https://new/",
        "https://tile/",
    )


@pytest.mark.slow
@given(st.text() | st.text("hHtps:/.@?#[]%1:\\ ", max_size=30).map("https://".__add__))
def test_an_address_that_was_kept_stays_as_it_is(text: str) -> None:
    kept = absolute_uri(text)
    assert kept is None or absolute_uri(kept) == kept


EXPRESSIONS = [
    *("", " ", "text", "Hello $(name)", " $(", "100 %", "a.b", "'quoted'"),
    *("$(a)", "$( a )", "$(a, 3)", "$(a,0)", ".(a, 20)", "%(a)", "#(a)", "$(A_1)"),
    *("$(a:{none})", "$(a:{1,2) \\} 3}, 5)", ".(a:{x}, 3)", "$(a :{})"),
    *(
        "{$(a)}",
        "{ 'Hello ' + $(a) + \"!\" }",
        "{'it''s ' + .(a, 3)}",
        "{'' + $(a)}",
        "{#(a)}",
        "$(a) + $(b)",
    ),
    "$(" + "a" * 120 + ")",
]
NO_EXPRESSIONS = [
    *(
        "$(m",
        "$(title",
        "$(m) and more",
        "$m",
        "$",
        "$()",
        "$( )",
        "$(a b)",
        "$(é)",
        "$(a, )",
        "$(a, -1)",
        "$(a, b)",
    ),
    *(
        "$(a, 99999999999)",
        "$(a) ",
        "$(a) +",
        "$(a) $(b)",
        "$(a)+b",
        "$body",
        "$(a:{x)",
        "$(a:{x} )",
        "$(:{x})",
    ),
    *(".(a)", ".5", "...", ". ", "%(a, 3)", "% sale", "%", "#(a, 3)", "#FF0000", "#1", "#"),
    *(
        "{",
        "{}",
        "{'x' + $(m)",
        "{'x' + }",
        "{$(a)",
        "{x}",
        "{''}",
        "{'x}",
        "{#(a) + 'x'}",
        '{"a":1}',
        "{'a' 'b'}",
    ),
    "$(" + "a" * 121 + ")",
]


@pytest.mark.parametrize("value", EXPRESSIONS)
def test_a_literal_or_one_whole_expression_is_taken(hub: Caller, value: str) -> None:
    assert hub.put(templated("gcm", body=json.dumps({"data": {"list": [1, value]}}))).status == 200


@pytest.mark.parametrize("value", NO_EXPRESSIONS)
def test_a_value_that_begins_like_an_expression_and_is_none_is_refused(
    hub: Caller, lenient_hub: Caller, value: str
) -> None:
    attribute = value.replace("&", "&amp;").replace("<", "&lt;").replace('"', "&quot;")
    for document in (
        templated("gcm", body=json.dumps({"data": {"list": [1, value]}})),
        templated("apns", body=json.dumps(value)),
        templated("wns", body=f'<t a="{attribute}"/>'),
        templated("mpns", body=f"<t><u/><v>{attribute}</v></t>"),
        templated("wns", headers={"X-WNS-Type": "wns/toast", "X-WNS-Tag": value}),
    ):
        reply = hub.put(document)
        assert reply.status == 400
        assert "The expression '" in detail(reply)
        assert lenient_hub.put(document).status == 200


def test_of_many_wrong_values_the_first_is_told(hub: Caller) -> None:
    reply = hub.put(templated("gcm", body=json.dumps([*"ab", "$1", *["#2"] * 1000])))
    assert detail(reply).split("\r\n") == [
        HEAD,
        "The expression '$1' is not valid: no parenthesis follows $.",
    ]


def test_the_text_around_elements_and_the_names_of_members_are_no_values(hub: Caller) -> None:
    assert hub.put(templated("wns", body="<t>#1<u/></t>")).status == 200
    assert hub.put(templated("gcm", body='{"#1": "x", "$(": 2}')).status == 200


@given(st.text("$.%#{}(),+:'\" a1\\", max_size=30))
def test_any_text_is_an_expression_or_not(text: str) -> None:
    error = expression_error(text)
    assert error is None or error.startswith("The expression '")


@pytest.mark.parametrize(
    "part", ["{'a'+", "$(a)+", "$(a:{", "''", "{", "$(a:{x},", "$(a)+'b'+", " ", "$(", "$(a:{\\"]
)
def test_the_work_on_an_expression_grows_with_its_length(part: str) -> None:
    once, twice = (
        work_of(partial(expression_error, Counted("$(a)+" + part * times))) for times in (1000, 2000)
    )
    assert twice <= 2.3 * once + 100
