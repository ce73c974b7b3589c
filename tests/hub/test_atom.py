"""Registrations to Atom and back: every type, in the order that the service enforces."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nhagent import BrowserChannel, Platform, Registration, Template
from nhagent.errors import ConfigurationError
from nhagent.hub.atom import NotARegistration, from_entry, from_feed, to_entry
from nhagent.hub.markup import MAX_ELEMENTS
from nhagent.hub.times import read_moment
from nhagent.models import altered, unvalidated
from tests.subscriptions import AUTH, P256DH

# What XML can carry, and JSON's whole range for the rest.
texts = st.text(
    st.characters(exclude_categories=["Cs", "Cc"]) | st.sampled_from("&<>]'\"\t\n"), min_size=1, max_size=40
).map(lambda text: f"x{text}y")
handles = st.text(st.characters(exclude_categories=["Cs", "Cc"]), max_size=40).map(lambda text: f"h{text}h")
long_texts = texts | st.sampled_from(["]]>" * 100, "ä&" * 4000, "a\r\nb\rc"])
tags = st.lists(st.from_regex(r"[A-Za-z0-9_@#.:\-]{1,20}", fullmatch=True), max_size=5, unique_by=str.lower)

GOOD: dict[Platform, Any] = {
    **dict.fromkeys(Platform, "1-2"),
    Platform.WNS: "https://h/1",
    Platform.MPNS: "https://h/1",
    Platform.APNS: "AB",
    Platform.BROWSER: BrowserChannel("https://h/1", P256DH, AUTH),
}


@st.composite
def registrations(draw: st.DrawFn) -> Registration:
    platform = draw(st.sampled_from(list(Platform)))
    channel: Any = {
        Platform.APNS: st.sampled_from(["ABCD", "0123456789abcdef"]),
        Platform.BAIDU: handles.map(lambda text: f"user-{text}"),
        Platform.BROWSER: handles.map(
            lambda text: unvalidated(BrowserChannel, endpoint=f"https://{text}", p256dh=P256DH, auth=AUTH)
        ),
    }.get(platform, handles)
    template: Template | None = None
    if draw(st.booleans()):
        body, expiry = draw(long_texts), None
        headers: dict[str, str] = {}
        if platform is Platform.WNS:
            headers = {"X-WNS-Type": "wns/raw", **draw(st.dictionaries(st.just("X-WNS-Tag"), texts))}
        elif platform is Platform.MPNS:
            headers = {"X-WindowsPhone-Target": "toast"}
            body = f"<t>{body}</t>"
        else:
            import json

            body = json.dumps({"message": body}, ensure_ascii=False)
        if platform is Platform.APNS:
            headers = draw(st.dictionaries(st.just("apns-priority"), texts))
            expiry = draw(st.none() | texts)
        template = Template(body, headers, expiry=expiry)
    made = Registration(
        platform,
        GOOD[platform],
        draw(tags),
        draw(st.dictionaries(st.from_regex(r"[A-Za-z0-9_]{1,10}", fullmatch=True), texts, max_size=3)),
        template,
        draw(st.none() | st.just("front:page")) if template else None,
        draw(st.none() | st.just("weather")) if platform in {Platform.WNS, Platform.MPNS} else None,
    )
    return altered(made, channel=draw(channel))


@pytest.mark.slow
@settings(max_examples=300)
@given(registrations())
def test_description_to_atom_and_back_is_the_identity(registration: Registration) -> None:
    held = from_entry(to_entry(registration))
    assert {name: getattr(held, name) for name in Registration._fields} == vars(registration)


ORDER = [
    "ETag", "ExpirationTime", "RegistrationId", "Tags", "PushVariables",
    "ChannelUri", "DeviceToken", "GcmRegistrationId", "FcmV1RegistrationId", "AdmRegistrationId",
    "BaiduUserId", "BaiduChannelId", "Endpoint", "P256DH", "Auth", "XiaomiRegistrationId",
    "SecondaryTileName", "BodyTemplate", "WnsHeaders", "MpnsHeaders", "Expiry", "TemplateName", "ApnsHeaders",
]  # fmt: skip


@given(registrations())
def test_elements_stand_in_the_order_of_the_contract(registration: Registration) -> None:
    import xml.etree.ElementTree as ET

    [description] = ET.fromstring(to_entry(registration))[0]
    names = [element.tag.rpartition("}")[2] for element in description]
    assert names == sorted(names, key=ORDER.index)
    assert "Tags" not in names or registration.tags


def test_windows_template_is_written_as_the_seed_shows_it() -> None:
    template = Template("<toast/>", {"X-WNS-Type": "wns/toast", "X-WNS-Tag": "t"})
    made = Registration(Platform.WNS, "https://push.example/?a=1&b", ["a", "b"], {}, template, "alert")
    assert to_entry(made).decode() == (
        '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
        "<WindowsTemplateRegistrationDescription "
        'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect" '
        'xmlns:i="http://www.w3.org/2001/XMLSchema-instance"><Tags>a,b</Tags>'
        "<ChannelUri>https://push.example/?a=1&amp;b</ChannelUri><BodyTemplate>&lt;toast/&gt;</BodyTemplate>"
        "<WnsHeaders><WnsHeader><Header>X-WNS-Tag</Header><Value>t</Value></WnsHeader>"
        "<WnsHeader><Header>X-WNS-Type</Header><Value>wns/toast</Value></WnsHeader></WnsHeaders>"
        "<TemplateName>alert</TemplateName></WindowsTemplateRegistrationDescription></content></entry>"
    )


SEED_REPLY = b"""<entry>
    <id>https://{tenant}.servicebus.windows.net/{NotificationHub}/registrations/{registrationId}</id>
    <title type="text"> /{NotificationHub}/registrations/{registrationId}</title>
    <updated>2012-08-17T17:32:00Z</updated>
    <metadata:etag>{weak Etag}</metadata:etag>
    <content type="application/xml">
    <WindowsRegistrationDescription xmlns:i="http://www.w3.org/2001/XMLSchema-instance" xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">
        <ETag>{ETag}</ETag>
        <ExpirationTime>2012-07-16T19:20+01:00</ExpirationTime>
        <RegistrationId>{RegistrationId}</RegistrationId>
            <Tags>myTag, myOtherTag</Tags>
            <ChannelUri>{ChannelUri}</ChannelUri>
        </WindowsRegistrationDescription>
    </content>
</entry>"""


def test_reply_is_read_as_the_documentation_prints_it() -> None:
    read = from_entry(SEED_REPLY)
    assert (read.platform, read.channel, read.tags) == (Platform.WNS, "{ChannelUri}", ("myTag", "myOtherTag"))
    assert (read.registration_id, read.etag) == ("{RegistrationId}", "{ETag}")
    assert read.expiration_time == datetime(2012, 7, 16, 18, 20, tzinfo=UTC)


def test_reply_is_read_as_the_service_sends_it() -> None:
    description = (
        '<AppleTemplateRegistrationDescription xmlns="x" xmlns:i="y"><ETag>2</ETag>'
        "<ExpirationTime>9999-12-31T23:59:59.999</ExpirationTime><RegistrationId>1-2-3</RegistrationId>"
        "<Tags>$InstallationId:{ab},Template Name</Tags><DeviceToken>ABCD</DeviceToken>"
        '<BodyTemplate><![CDATA[{"a":"]]]]><![CDATA[>"}]]></BodyTemplate><Expiry i:nil="true"/>'
        "<TemplateName>Template Name</TemplateName><ApnsHeaders/></AppleTemplateRegistrationDescription>"
    )
    root = "AppleTemplateRegistrationDescription"
    other_root = description.replace(f"<{root}", f'<RegistrationDescription i:type="{root}"')
    other_root = other_root.replace(f"</{root}", "</RegistrationDescription")
    feed = "".join(
        f'<entry xmlns:m="z" m:etag="W/&quot;2&quot;"><title type="text">t</title>'
        f'<content type="application/xml">{text}</content></entry>'
        for text in (description, other_root)
    )
    one, other = from_feed(f"<feed><title>Registrations</title>{feed}</feed>".encode())
    assert one == other
    assert (one.etag, one.registration_id, one.expiration_time) == ("2", "1-2-3", None)
    assert one.tags == ("$InstallationId:{ab}", "Template Name")
    assert one.template is not None
    assert (one.template.body, one.template.expiry, dict(one.template.headers)) == ('{"a":"]]>"}', None, {})
    assert from_feed(b"<feed xmlns='x'/>") == []


@pytest.mark.parametrize(
    ("text", "moment"),
    [
        ("9999-12-31T23:59:59.999", None),
        ("9999-12-31T23:59:59.999Z", None),
        ("9999-12-31T23:59:59.9999999Z", None),
        ("2012-07-16T19:20+01:00", datetime(2012, 7, 16, 18, 20, tzinfo=UTC)),
        ("2024-05-01T12:20+0000", datetime(2024, 5, 1, 12, 20, tzinfo=UTC)),
        ("2024-05-01T12:20:01.1234567Z", datetime(2024, 5, 1, 12, 20, 1, 123456, tzinfo=UTC)),
        ("2024-05-01T12:20:01.123", datetime(2024, 5, 1, 12, 20, 1, 123000, tzinfo=UTC)),
    ],
)
def test_times_are_read_in_every_shipped_form(text: str, moment: datetime | None) -> None:
    assert read_moment(text) == moment


@pytest.mark.parametrize(
    "document",
    [
        b"",
        b"<html/>",
        b"<entry/>",
        b"<entry><content/></entry>",
        b"<entry><content><FcmRegistrationDescription/></content></entry>",
        b"<entry><content><WindowsRegistrationDescription/></content></entry>",
        b"<entry><content><Windows/></content></entry>",
        b'<!DOCTYPE e [<!ENTITY a "b">]><entry/>',
        b"<a>" * 100_000,
        b'<?xml version="1.0" encoding="no-such"?><entry/>',
    ],
)
def test_what_is_no_registration_is_refused(document: bytes) -> None:
    with pytest.raises(NotARegistration):
        from_entry(document)


@given(st.binary() | st.text().map(lambda text: f"<entry><content>{text}</content></entry>".encode()))
def test_whatever_comes_is_a_registration_or_refused(document: bytes) -> None:
    for read in (from_entry, from_feed):
        try:
            read(document)
        except NotARegistration:
            pass


@pytest.mark.parametrize(
    ("arguments", "names"),
    [
        ({"tags": ["a,b"]}, "tags 'a,b'"),
        ({"template": Template("<toast/>")}, "X-WNS-Type is missing"),
        ({"template": Template("{}", {"X-WNS-Type": "wns/toast"})}, "body: must be XML"),
        ({"platform": Platform.MPNS, "template": Template("<toast/>")}, "X-WindowsPhone-Target is missing"),
        ({"platform": Platform.BAIDU, "channel": "12345"}, "USER-CHANNEL"),
        ({"template_name": "alert"}, "no template that it could name"),
        ({"secondary_tile_name": "a b"}, "secondary_tile_name 'a b'"),
    ],
)
def test_wrong_registration_is_refused_before_it_is_sent(arguments: dict[str, Any], names: str) -> None:
    with pytest.raises(ConfigurationError, match=re.escape(names)):
        Registration(**{"platform": Platform.WNS, "channel": "https://h/", **arguments})


def test_character_that_xml_cannot_carry_is_refused() -> None:
    template = Template("\x01", {"X-WNS-Type": "wns/raw"})
    with pytest.raises(ConfigurationError, match="XML cannot carry"):
        to_entry(Registration(Platform.WNS, "https://h/", template=template))


def description(tags: str, more: str = "") -> str:
    return (
        f"<entry><content><GcmRegistrationDescription><Tags>{tags}</Tags>{more}"
        "<GcmRegistrationId>h</GcmRegistrationId></GcmRegistrationDescription></content></entry>"
    )


def test_comma_within_the_hubs_own_tag_parts_nothing() -> None:
    read = from_entry(description("a,$InstallationId:{x,y},$UserId:{u},b").encode())
    assert read.tags == ("a", "$InstallationId:{x,y}", "$UserId:{u}", "b")


def test_row_of_an_unknown_kind_does_not_hide_the_others() -> None:
    unknown = description("a").replace("GcmRegistrationDescription", "PigeonRegistrationDescription")
    [row] = from_feed(f"<feed>{unknown}{description('a')}</feed>".encode())
    assert row.platform is Platform.GCM


def calls_to_refuse(read: Callable[[bytes], object], document: str) -> int:
    """How many calls it takes to refuse a document: what is counted is the same on every machine."""
    content, calls = document.encode(), 0

    def count(*_: object) -> None:
        nonlocal calls
        calls += 1

    sys.setprofile(count)
    try:
        with pytest.raises(NotARegistration):
            read(content)
    finally:
        sys.setprofile(None)
    return calls


@pytest.mark.slow
def test_hostile_documents_are_refused_in_good_time() -> None:
    """Work grows no faster than the document, and from the limit on no more."""

    def deep(size: int) -> int:
        return calls_to_refuse(from_entry, description("a", f"<PushVariables>{'[' * size}</PushVariables>"))

    def wide(size: int) -> int:
        return calls_to_refuse(from_feed, f"<feed>{'x<a/>' * size}</feed><")

    deep(100_000)  # what is imported at first use is not counted
    assert deep(100_000) <= deep(1000)
    few, more = wide(5_000), wide(20_000)
    assert more < 4.1 * few
    assert wide(500_000) < MAX_ELEMENTS / 5_000 * 1.1 * few
