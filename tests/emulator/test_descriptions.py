from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nhagent.emulator.atom.descriptions import KINDS, Description, Registration
from nhagent.emulator.atom.reader import read_description
from nhagent.emulator.atom.writer import write_entry
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.validation.description import validate_description

from .caller import Caller
from .describing import (
    APNS_HEADERS,
    BODY,
    CONTRACT,
    HANDLES,
    INSTANCE,
    MPNS_HEADERS,
    NAME,
    TEMPLATES,
    WNS_HEADERS,
    XML_BODY,
    created,
    described,
    description_of,
    native,
    on,
    post,
    template,
    without_own,
    wrapped,
)
from .test_refusals import TAG_TEXT, detail

BASE = '<Tags>a,b</Tags><PushVariables>{"name":"Ännchen"}</PushVariables>'


def read_back(hub: Caller, body: str | bytes) -> str:
    """What the hub holds after a write, without the elements that it adds."""
    return without_own(description_of(on(hub, "GET", created(hub, body))))


@pytest.mark.parametrize("platform", HANDLES)
def test_every_type_is_read_back_in_the_contracts_order(hub: Caller, platform: str) -> None:
    assert read_back(hub, native(platform, BASE)) == BASE + HANDLES[platform]
    assert read_back(hub, template(platform, BASE)) == BASE + HANDLES[platform] + TEMPLATES[platform]


@pytest.mark.parametrize("kind", ["Windows", "WindowsTemplate", "Mpns", "MpnsTemplate"])
def test_a_secondary_tile_is_kept(hub: Caller, kind: str) -> None:
    platform = kind.removesuffix("Template")
    elements = HANDLES[platform] + "<SecondaryTileName>weather</SecondaryTileName>"
    elements += TEMPLATES[platform] if kind != platform else ""
    assert read_back(hub, described(kind, elements)) == elements


def test_an_apple_template_shows_what_it_does_not_have(hub: Caller) -> None:
    elements = HANDLES["Apple"] + BODY
    assert read_back(hub, described("AppleTemplate", elements)) == (
        f'{elements}<Expiry i:nil="true"/><ApnsHeaders/>'
    )


def test_the_base_types_root_with_nil_elements_is_dotnets_way(hub: Caller) -> None:
    nil = 'i:nil="true"'
    body = wrapped(
        f'<RegistrationDescription i:type="AppleTemplateRegistrationDescription" xmlns:i="{INSTANCE}"'
        f' xmlns="{CONTRACT}"><ETag {nil}/><RegistrationId {nil}/>{HANDLES["Apple"]}{BODY}'
        f"<Expiry {nil}/><TemplateName {nil}/></RegistrationDescription>"
    )
    assert read_back(hub, body) == f"{HANDLES['Apple']}{BODY}<Expiry {nil}/><ApnsHeaders/>"
    prefixed = body.replace('i:type="', f'xmlns:d="{CONTRACT}" i:type="d:')
    assert post(hub, prefixed).status == 200
    assert post(hub, body.replace("AppleTemplate", "Fcm")).status == 400
    assert post(hub, body.replace("i:type", "type")).status == 400


def test_what_the_hub_knows_better_is_ignored(hub: Caller) -> None:
    own = (
        "<ETag>7</ETag><ExpirationTime>2001-01-01T00:00:00Z</ExpirationTime>"
        "<RegistrationId>9-9-9</RegistrationId>"
    )
    registration_id = created(hub, native("Gcm", own))
    assert registration_id != "9-9-9"
    assert description_of(on(hub, "GET", registration_id)) == (
        "<ETag>1</ETag><ExpirationTime>9999-12-31T23:59:59.999Z</ExpirationTime>"
        f"<RegistrationId>{registration_id}</RegistrationId>{HANDLES['Gcm']}"
    )


@pytest.mark.parametrize(
    "body",
    [
        "<BodyTemplate>&lt;t&gt;$(m)&lt;/t&gt;</BodyTemplate>",
        "<BodyTemplate><![CDATA[<t>]]>$(m)<!-- comment --><![CDATA[</t>]]></BodyTemplate>",
        "<BodyTemplate>&#60;t&#x3E;$(m)<![CDATA[</t>]]></BodyTemplate>",
    ],
)
def test_a_body_may_be_text_or_cdata(hub: Caller, body: str) -> None:
    handle = HANDLES["Windows"]
    sent = described("WindowsTemplate", handle + body + WNS_HEADERS)
    assert read_back(hub, sent) == handle + XML_BODY + WNS_HEADERS


@pytest.mark.parametrize("text", ["a]]>b", "]]>", "]]]]>>", "a\r\nb\rc\n", "\t& < > \" ' é €", "x" * 8000])
def test_what_is_hard_for_xml_comes_back_as_it_was(lenient_hub: Caller, text: str) -> None:
    coded = text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")
    body = described(
        "GcmTemplate", f"<GcmRegistrationId>{coded}</GcmRegistrationId><BodyTemplate>{coded}</BodyTemplate>"
    )
    root = ET.fromstring(on(lenient_hub, "GET", created(lenient_hub, body.encode())).body)
    for name in ("GcmRegistrationId", "BodyTemplate"):
        assert root.findtext(f".//{{{CONTRACT}}}{name}") == text


def test_headers_are_sorted_by_name_in_any_case(hub: Caller) -> None:
    header = "<WnsHeader><Header>{}</Header><Value>v</Value></WnsHeader>"
    names = ["x-wns-type", "A", "b"]
    sent = "".join(map(header.format, names))
    shown = "".join(map(header.format, ["A", "b", "x-wns-type"]))
    elements = f"{HANDLES['Windows']}{XML_BODY}<WnsHeaders>{{}}</WnsHeaders>"
    assert read_back(hub, described("WindowsTemplate", elements.format(sent))) == elements.format(shown)


OUT_OF_ORDER = [
    ("Browser", "<Endpoint>e</Endpoint>|<Auth>a</Auth><P256DH>p</P256DH>", "Element", "Auth", "P256DH"),
    (
        "Baidu",
        "|<BaiduChannelId>c</BaiduChannelId><BaiduUserId>u</BaiduUserId>",
        "Element",
        "BaiduChannelId",
        "ETag | ExpirationTime | RegistrationId | Tags | PushVariables | BaiduUserId",
    ),
    (
        "WindowsTemplate",
        f"{HANDLES['Windows']}{XML_BODY}|{NAME}{WNS_HEADERS}",
        "Element",
        "TemplateName",
        "WnsHeaders",
    ),
    (
        "MpnsTemplate",
        f"{HANDLES['Mpns']}{XML_BODY}|{NAME}{MPNS_HEADERS}",
        "Element",
        "TemplateName",
        "MpnsHeaders",
    ),
]


@pytest.mark.parametrize(("kind", "elements", "what", "found", "expected"), OUT_OF_ORDER)
def test_a_required_element_out_of_its_place_is_refused_in_the_services_words(
    hub: Caller, lenient_hub: Caller, kind: str, elements: str, what: str, found: str, expected: str
) -> None:
    body = described(kind, elements.replace("|", ""))
    # The service counts from 1, to the element's name.
    position = described(kind, elements).index("|") + 2
    reply = post(hub, body)
    assert reply.status == 400
    assert detail(reply) == (
        f"Failed to parse RegistrationDescription Error in line 1 position {position}. '{what}' '{found}' "
        f"from namespace '{CONTRACT}' is not expected. Expecting element '{expected}'."
    )
    assert post(lenient_hub, body).status == 200


@pytest.mark.parametrize(
    ("kind", "elements", "found", "expected"),
    [
        ("Windows", "", "WindowsRegistrationDescription", "PushVariables | ChannelUri"),
        ("GcmTemplate", HANDLES["Gcm"] + NAME.replace("TemplateName", "Templatename"), "Gcm", "BodyTemplate"),
        ("Browser", "<Endpoint>e</Endpoint>", "BrowserRegistrationDescription", "'P256DH'"),
    ],
)
def test_a_required_element_that_never_comes_is_missed_at_the_end(
    hub: Caller, lenient_hub: Caller, kind: str, elements: str, found: str, expected: str
) -> None:
    reply = post(hub, described(kind, elements))
    assert reply.status == 400
    assert f"'EndElement' '{found}" in detail(reply)
    assert expected in detail(reply)
    assert post(lenient_hub, described(kind, elements)).status == 400


OPTIONAL_LATE = [
    ("Windows", HANDLES["Windows"] + "<Tags>a</Tags>", HANDLES["Windows"]),
    (
        "AppleTemplate",
        f"{HANDLES['Apple']}{BODY}{NAME}<Expiry>0</Expiry>{APNS_HEADERS}",
        f'{HANDLES["Apple"]}{BODY}<Expiry i:nil="true"/>{NAME}{APNS_HEADERS}',
    ),
    (
        "AppleTemplate",
        f"{HANDLES['Apple']}{BODY}<Expiry>0</Expiry><Priority>5</Priority>{NAME}",
        f"{HANDLES['Apple']}{BODY}<Expiry>0</Expiry><Priority>5</Priority><ApnsHeaders/>",
    ),
    (
        "Gcm",
        f'<PushVariables>{{"a":"b"}}</PushVariables><Tags>a</Tags>{HANDLES["Gcm"]}',
        f'<PushVariables>{{"a":"b"}}</PushVariables>{HANDLES["Gcm"]}',
    ),
    ("Gcm", f"<tags>a</tags><Nonsense/><Tags xmlns='urn:x'>a</Tags>{HANDLES['Gcm']}", HANDLES["Gcm"]),
]


@pytest.mark.parametrize(("kind", "elements", "kept"), OPTIONAL_LATE)
def test_an_optional_element_out_of_its_place_is_silently_lost(
    hub: Caller, lenient_hub: Caller, kind: str, elements: str, kept: str
) -> None:
    body = described(kind, elements)
    assert read_back(hub, body) == kept
    if "Nonsense" not in elements:
        assert len(read_back(lenient_hub, body)) >= len(elements)


@pytest.mark.parametrize(
    ("body", "words"),
    [
        ("", "not valid XML"),
        ("{}", "not valid XML"),
        (b"\xff\x00", "not valid XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><a/>', "not valid XML"),
        (b'<?xml version="1.0" encoding="utf-7"?><a/>', "not valid XML"),
        ("<a>" * 100_000, "nest too deeply"),
        ("<!DOCTYPE entry>" + native(), "DTD is prohibited"),
        ('<!DOCTYPE e [<!ENTITY x "x">]>' + native().replace("https", "&x;"), "DTD is prohibited"),
        (native().replace("https", "&x;"), "not valid XML"),
        ("<entry/>", "The specified resource description is invalid."),
        (wrapped(""), "The specified resource description is invalid."),
        (native().replace("entry", "feed"), "The specified resource description is invalid."),
        (native().replace("2005/Atom", "2005/Atomic"), "The specified resource description is invalid."),
        (native().replace("2010/10", "2010/11"), "The specified resource description is invalid."),
        (native("Gcm").replace("GcmRegistrationD", "FcmRegistrationD"), "The specified resource description"),
        (described("", HANDLES["Gcm"]), "The specified resource description is invalid."),
        (described("Gcm", "").replace("RegistrationDescription", ""), "The specified resource description"),
        (native("Gcm", "<Tags></Tags>"), TAG_TEXT.format("")),
        (native("Gcm", "<Tags>a,,b</Tags>"), TAG_TEXT.format("")),
        (native("Gcm", "<Tags>a b</Tags>"), TAG_TEXT.format("a b")),
        (native("Gcm", "<Tags>$InstallationId:{i},a</Tags>"), "Tags can not start with $"),
        (native("Gcm", f"<Tags>{'x' * 121}</Tags>"), "longer than 120"),
        (
            native("Gcm", f"<Tags>{','.join(f'{n:0100}' for n in range(80))}</Tags>"),
            "Max Allowed Size: '8000'",
        ),
        (native("Gcm", "<PushVariables>[]</PushVariables>"), "'PushVariables' is not a JSON object"),
        (native("Gcm", '<PushVariables>{"a":1}</PushVariables>'), "'PushVariables' is not a JSON object"),
        (
            native("Gcm", '<PushVariables>{"a":"\\ud800"}</PushVariables>'),
            "'PushVariables' is not a JSON object",
        ),
        (described("Gcm", "<GcmRegistrationId> </GcmRegistrationId>"), "'GcmRegistrationId' is required."),
        (described("Gcm", '<GcmRegistrationId i:nil="true"/>'), "'GcmRegistrationId' is required."),
        (described("Gcm", "<GcmRegistrationId><b/></GcmRegistrationId>"), "holds elements instead of text"),
        (described("GcmTemplate", HANDLES["Gcm"] + "<BodyTemplate/>"), "'BodyTemplate' is required."),
        (
            described("GcmTemplate", HANDLES["Gcm"] + BODY.replace('{"m":"$(m)"}', " ")),
            "'BodyTemplate' is required.",
        ),
        (template("Gcm").replace("alert", "x" * 201), "The template name is longer than 200"),
        (template("Windows").replace("X-WNS-Type", "X-WNS-Tag"), "Must contain WNS Header : 'X-WNS-Type'."),
        (template("Windows").replace("wns/toast", " "), "Must contain WNS Header : 'X-WNS-Type'."),
        (template("Windows").replace("WnsHeader>", "WNSHeader>"), "Must contain WNS Header : 'X-WNS-Type'."),
        (
            template("Windows").replace(WNS_HEADERS, "<WnsHeaders/>"),
            "Must contain WNS Header : 'X-WNS-Type'.",
        ),
        (
            template("Windows").replace("<Value>wns/toast</Value>", ""),
            "'WnsHeader' needs 'Header' and 'Value'",
        ),
        (template("Mpns").replace("<Value>2<", "<Value> <"), "Must contain Mpns Header"),
        (template("Baidu").replace(">1<", ">one<"), "cannot be parsed as 'Int32'"),
    ],
)
def test_what_no_registration_may_say_is_refused(hub: Caller, body: str | bytes, words: str) -> None:
    reply = post(hub, body)
    assert reply.status == 400
    assert words in detail(reply)


def test_a_tag_is_trimmed_and_kept_once(hub: Caller) -> None:
    assert read_back(hub, native("Gcm", "<Tags> myTag, myOtherTag ,MYTAG</Tags>")) == (
        f"<Tags>myTag,myOtherTag</Tags>{HANDLES['Gcm']}"
    )


def test_empty_elements_that_may_be_absent_are_absent(hub: Caller) -> None:
    elements = f"{HANDLES['Windows']}<SecondaryTileName/>{XML_BODY}{WNS_HEADERS}<TemplateName></TemplateName>"
    kept = f"{HANDLES['Windows']}{XML_BODY}{WNS_HEADERS}"
    assert read_back(hub, described("WindowsTemplate", "<PushVariables/>" + elements)) == kept


XML_TEXT = st.text(
    st.characters(codec="utf-8", exclude_categories=["Cs", "Cc"], exclude_characters="\ufffe\uffff")
    | st.sampled_from("\t\n\r]>&<'\""),
    max_size=30,
)
ELEMENTS = sorted({element.name for kind in KINDS.values() for element in kind.elements} | {"Nonsense"})


@st.composite
def descriptions(draw: st.DrawFn) -> str:
    """Nearly right descriptions: known elements in whatever order, with whatever text."""
    kind = draw(st.sampled_from(sorted(KINDS)))
    elements = draw(
        st.lists(st.sampled_from(ELEMENTS), max_size=12)
        | st.just([element.name for element in KINDS[kind].elements])
    )
    shapes = st.sampled_from(
        ["<{0}>{1}</{0}>", "<{0}><![CDATA[x{1}]]></{0}>", "<{0} i:nil='true'/>", "<{0}/>"]
    )
    texts = XML_TEXT.map(
        lambda text: text.replace("&", "&amp;").replace("<", "&lt;").replace("]]>", "]]&gt;")
    )
    parts = [
        draw(shapes).format(name, draw(texts | st.just(WNS_HEADERS) | st.just("{}"))) for name in elements
    ]
    return described(kind, "".join(parts))


def taken(body: bytes, *, lenient: bool) -> None:
    """Read, check and write; only a 400 may come of it."""
    try:
        description = read_description(body, lenient=lenient)
        validate_description(description, lenient=lenient)
    except Refused as refused:
        assert refused.status == 400
        return
    text = write_entry(
        Registration("1-2-3", 1, description, None, None), "https://x/?a&b", 0.0, written=False
    )
    # What the hub says of itself, it takes back, and it means the same. A lenient one holds what a strict one
    # refuses, such as a template of mpns without headers.
    again = read_description(text.encode(), lenient=lenient)
    assert again == description
    ET.fromstring(text)


@given(descriptions(), st.booleans())
@example(
    described(
        "MpnsTemplateRegistrationDescription",
        "<ChannelUri>https://push.example/1</ChannelUri><BodyTemplate>{}</BodyTemplate><MpnsHeaders/>",
    ),
    True,
)
def test_a_description_is_taken_and_given_back_or_refused(body: str, lenient: bool) -> None:
    taken(body.encode(), lenient=lenient)


@given(st.binary() | XML_TEXT.map(str.encode), st.booleans())
def test_whatever_comes_is_taken_or_refused(body: bytes, lenient: bool) -> None:
    taken(body, lenient=lenient)


@given(st.data())
def test_any_text_comes_back_from_a_template(data: st.DataObject) -> None:
    values: dict[str, Any] = {
        "Tags": ["a"],
        "PushVariables": {data.draw(XML_TEXT): data.draw(XML_TEXT)},
        "ChannelUri": "c" + data.draw(XML_TEXT),
        "BodyTemplate": "b" + data.draw(XML_TEXT),
        "WnsHeaders": {"X-WNS-Type": "t" + data.draw(XML_TEXT)},
        "TemplateName": "n" + data.draw(XML_TEXT),
    }
    registration = Registration("1-2-3", 1, Description(KINDS["WindowsTemplate"], values), None, None)
    text = write_entry(registration, "https://x", 0.0, written=True)
    assert read_description(text.encode()).values == values
