from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from .caller import Answer, Caller, toast, wns

HEAD = "Installation validation failed with following error(s):"
TAG_TEXT = "An invalid tag(s) '{}' was supplied. Valid tag characters are alphanumeric, _, @, -, ., : and #"


def detail(reply: Answer) -> str:
    """The service's words, without tracking id and time."""
    found = ET.fromstring(reply.body).findtext("Detail")
    assert found is not None
    return found.partition(".TrackingId:")[0]


def test_an_error_has_the_services_form(hub: Caller) -> None:
    reply = hub.get("none")
    assert reply.headers["Content-Type"] == "application/xml; charset=utf-8"
    pattern = (
        r"<Error><Code>404</Code><Detail>Installation not found\.TrackingId:([0-9a-f-]{36})_G\d,"
        r"TimeStamp:([1-9]|1[0-2])/[1-9]\d?/20\d\d ([1-9]|1[0-2]):\d\d:\d\d [AP]M</Detail></Error>"
    )
    match = re.fullmatch(pattern, reply.text)
    assert match is not None
    assert match[1] == reply.headers["TrackingId"]


@pytest.mark.parametrize("tag", ["a b", "a,b", "", "é", "a/b", "a=b", "<&>"])
def test_a_tag_with_other_characters_is_refused_in_the_services_words(hub: Caller, tag: str) -> None:
    reply = hub.put(wns(tags=["good", tag]))
    assert reply.status == 400
    assert detail(reply) == f"{HEAD}\r\n{TAG_TEXT.format(tag)}"


def test_each_fault_has_a_line(hub: Caller) -> None:
    reply = hub.put(
        {"installationId": "i", "platform": "wns", "tags": ["a b", "$x"], "templates": {"t": {"body": ""}}}
    )
    assert reply.status == 400
    assert detail(reply).split("\r\n") == [
        HEAD,
        "'PushChannel' is required.",
        "Tags can not start with $",
        TAG_TEXT.format("a b"),
        "'Body' of the template 't' is required.",
        "Must contain WNS Header : 'X-WNS-Type'.",
    ]


def test_every_character_of_the_documented_set_may_stand_in_a_tag(hub: Caller) -> None:
    assert hub.put(wns(tags=["aZ09_@#.:-"])).status == 200


def test_a_tag_is_at_most_120_characters_long(hub: Caller) -> None:
    assert hub.put(wns(tags=["x" * 120])).status == 200
    assert hub.put(wns(tags=["x" * 121])).status == 400


def test_all_tags_of_a_registration_together_are_at_most_8000_bytes(hub: Caller) -> None:
    # "$InstallationId:{i}" and a comma before each tag count: 19 + 79 * 101 = 7998.
    tags = [f"{number:0100}" for number in range(79)]
    assert hub.put(wns(tags=tags)).status == 200
    reply = hub.put(wns(tags=[*tags, "xx"]))
    assert reply.status == 400
    assert "Actual Size: '8001' and Max Allowed Size: '8000'" in detail(reply)
    assert hub.put(wns(tags=tags, templates={"t": toast(tags=["xx"])})).status == 400


@pytest.mark.parametrize("platform", [None, "", "fcm", "windows", 7])
def test_a_missing_or_unknown_platform_is_refused_in_the_services_words(hub: Caller, platform: Any) -> None:
    reply = hub.put(wns(platform=platform))
    assert reply.status == 400
    assert detail(reply) == (
        "The provided request body is invalid. Error: "
        "'Platform' property is not specified or given value is not supported."
    )


@pytest.mark.parametrize(
    "body",
    [
        "",
        "[]",
        '"text"',
        "null",
        "{",
        b"\xff\xfe",
        '{"platform":"wns","pushChannel":"c","x":NaN}',
        "[" * 100_000,
        '{"platform":"wns","pushChannel":"\\ud800"}',
    ],
)
def test_a_body_that_is_no_json_object_is_refused(hub: Caller, body: str | bytes) -> None:
    reply = hub.send("PUT", "/my-hub/installations/i?api-version=2020-06", body)
    assert reply.status == 400
    assert detail(reply).startswith("The provided request body is invalid. Error: ")
    assert hub.get().status == 404


@pytest.mark.parametrize(
    "members",
    [
        {"pushChannel": {"endpoint": "e"}},
        {"pushChannel": 7},
        {"pushChannel": ""},
        {"tags": "a"},
        {"tags": [1]},
        {"tags": [None]},
        {"userId": 7},
        {"userId": "a b"},
        {"pushVariables": {"a": 1}},
        {"pushVariables": []},
        {"templates": []},
        {"templates": {"t": "text"}},
        {"templates": {"t": toast(headers="x")}},
        {"templates": {"t": toast(tags=["$x"])}},
        {"templates": {"t": {"body": "<toast/>", "headers": {"X-WNS-Type": " "}}}},
        {"templates": {"x" * 201: toast()}},
        {"templates": {"": toast()}},
        {"secondaryTiles": {"w": {}}},
        {"secondaryTiles": {"w": {"pushChannel": "c", "tags": ["a b"]}}},
        {"secondaryTiles": {"w": {"pushChannel": "c", "templates": {"t": {"body": "<toast/>"}}}}},
        {"platform": "apns", "secondaryTiles": {"w": {"pushChannel": "c"}}},
        {"platform": "browser", "pushChannel": "https://no.object"},
        {"platform": "browser", "pushChannel": {"endpoint": "e", "auth": "a"}},
        {"expirationTime": 7},
    ],
)
def test_what_no_installation_may_contain_is_refused_and_not_stored(
    hub: Caller, members: dict[str, Any]
) -> None:
    assert hub.put({**wns(), **members}).status == 400
    assert hub.get().status == 404


def test_the_wns_type_header_is_known_in_any_case_and_only_for_wns(hub: Caller) -> None:
    assert hub.put(wns(templates={"t": {"body": "<t/>", "headers": {"x-wns-type": "wns/raw"}}})).status == 200
    assert hub.put({**wns(), "platform": "gcm", "templates": {"t": {"body": "{}"}}}).status == 200


def test_tags_that_differ_only_in_case_are_one_tag(hub: Caller) -> None:
    hub.put(wns(tags=["a", "B", "A", "b", "c"]))
    assert hub.get().json["tags"] == ["a", "B", "c"]


def test_characters_that_xml_cannot_carry_do_not_break_the_error(hub: Caller) -> None:
    reply = hub.put(wns(tags=["a\x00\x1b]]>\ud800"]))
    assert reply.status == 400
    ET.fromstring(reply.body)
