from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from urllib.parse import quote, quote_plus, unquote

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from nhagent.emulator import Emulator
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.hub.filters import read_filter
from nhagent.emulator.hub.paging import continuation_token, read_continuation

from .caller import Caller
from .describing import (
    ATOM,
    HANDLES,
    VERSION,
    created,
    described,
    filtered,
    ids_of,
    native,
    on,
    template,
    texts_of,
    windows,
)
from .test_refusals import detail

FEED = "application/atom+xml; type=feed; charset=utf-8"

CHANNELS = {
    "Windows": "https://wns/?a=1&b=2",
    "Mpns": "https://mpns/1",
    "Apple": "AB12",
    "Gcm": "gcm:1",
    "FcmV1": "fcm:1",
    "Adm": "amzn1.1",
    "Baidu": "user-channel",
    "Browser": '{"endpoint":"https://b/1","p256dh":"key","auth":"secret"}',
    "Xiaomi": "mi/1",
}


@pytest.fixture
def known(hub: Caller) -> dict[str, list[str]]:
    """The ids of a native and a template registration of each platform."""
    return {name: [created(hub, native(name)), created(hub, template(name))] for name in HANDLES}


@pytest.mark.parametrize("platform", CHANNELS)
def test_channel_uri_finds_the_handle_of_any_platform(
    hub: Caller, known: dict[str, list[str]], platform: str
) -> None:
    text = f"ChannelUri eq '{CHANNELS[platform]}'"
    for query in (quote(text), quote_plus(text), quote_plus(text.replace(CHANNELS[platform], "none"))):
        reply = hub.send("GET", f"/my-hub/registrations/?{VERSION}&%24filter={query}")
        assert (reply.status, reply.headers["Content-Type"], reply.headers["ETag"]) == (200, FEED, None)
        assert ids_of(reply) == (known[platform] if "none" not in query else [])


@pytest.mark.parametrize(
    ("query", "platform"),
    [
        # Android; its registrations come before the version.
        ("GcmRegistrationId+eq+%27gcm%3A1%27", "Gcm"),
        ("FcmV1RegistrationId+eq+%27fcm%3A1%27", "FcmV1"),
        ("AdmRegistrationId+eq+%27amzn1.1%27", "Adm"),
        ("BaiduUserId-BaiduChannelId+eq+%27user-channel%27", "Baidu"),
        # iOS, and the documentation; JavaScript writes capitals.
        ("deviceToken+eq+'AB12'", "Apple"),
        # JavaScript codes some values twice.
        (quote(f"ChannelUri eq '{quote('https://wns/?a=1&b=2', safe='')}'"), "Windows"),
        (quote("Endpoint eq 'https%3A%2F%2Fb%2F1' and P256DH eq 'key' and Auth eq 'secret'"), "Browser"),
        # What nobody ships, but means the same.
        ("baiduuserid-BAIDUCHANNELID+EQ+'user-channel'", "Baidu"),
        ("auth+eq+'secret'+and+endpoint+eq+'https://b/1'+and+p256dh+eq+'key'", "Browser"),
        ("XiaomiRegistrationId+eq+'mi%2F1'", "Xiaomi"),
    ],
)
def test_every_shipped_filter_finds_its_platform(
    hub: Caller, known: dict[str, list[str]], query: str, platform: str
) -> None:
    reply = hub.send("GET", f"/my-hub/Registrations/?$filter={query}&{VERSION}")
    assert ids_of(reply) == known[platform]


def test_a_platforms_field_finds_no_other_platform_and_no_other_case(hub: Caller) -> None:
    gcm = created(hub, native("Gcm"))
    created(hub, described("Adm", "<AdmRegistrationId>gcm:1</AdmRegistrationId>"))
    assert ids_of(filtered(hub, "GcmRegistrationId eq 'gcm:1'")) == [gcm]
    for text in ("GcmRegistrationId eq 'GCM:1'", "ChannelUri eq 'GCM:1'", "DeviceToken eq 'gcm:1'"):
        assert ids_of(filtered(hub, text)) == []
    created(hub, described("Gcm", "<GcmRegistrationId>GCM:1</GcmRegistrationId>"))
    assert ids_of(filtered(hub, "GcmRegistrationId eq 'gcm:1'")) == [gcm]


def test_a_browser_is_told_from_another_by_its_keys(hub: Caller) -> None:
    ids = [created(hub, native("Browser").replace("secret", auth)) for auth in ("a", "b")]
    text = "Endpoint eq 'https://b/1' and P256DH eq 'key' and Auth eq '{}'"
    assert [ids_of(filtered(hub, text.format(auth))) for auth in "abc"] == [ids[:1], ids[1:], []]


BROWSER = {"endpoint": "https://b/1", "p256dh": "key", "auth": "secret"}


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (f"ChannelUri eq '{json.dumps(BROWSER)}'", True),
        (f"ChannelUri eq '{json.dumps(dict(reversed(BROWSER.items())), separators=(',', ':'))}'", True),
        (f"ChannelUri eq '{quote(json.dumps(BROWSER), safe='')}'", True),
        ("ChannelUri eq '" + json.dumps({**BROWSER, "auth": "other"}) + "'", False),
        ("ChannelUri eq '" + json.dumps({**BROWSER, "endpoint": "https://b/2"}) + "'", False),
        ("Endpoint eq 'https://b/1' and P256DH eq 'key' and Auth eq 'secret'", True),
        ("Endpoint eq 'https://b/1' and P256DH eq 'key' and Auth eq 'other'", False),
    ],
)
def test_a_browser_is_found_by_its_whole_subscription(
    hub: Caller, lenient_hub: Caller, text: str, found: bool
) -> None:
    for caller in (hub, lenient_hub):
        ids = [created(caller, native("Browser")), created(caller, template("Browser"))]
        caller.put({"installationId": "i", "platform": "browser", "pushChannel": BROWSER})
        shown = ids_of(filtered(caller, text))
        assert shown[:2] == (ids if found else [])
        assert len(shown) == (3 if found else 0)


@pytest.mark.parametrize("text", ["https://b/1", json.dumps({"endpoint": "https://b/1"}), "{}"])
def test_an_endpoint_alone_finds_no_browser(hub: Caller, text: str) -> None:
    created(hub, native("Browser"))
    assert ids_of(filtered(hub, f"ChannelUri eq '{text}'")) == []


def test_a_lenient_hub_finds_a_browser_by_its_endpoint(lenient_hub: Caller) -> None:
    registration_id = created(lenient_hub, native("Browser"))
    assert ids_of(filtered(lenient_hub, "ChannelUri eq 'https://b/1'")) == [registration_id]


def test_apples_tokens_are_matched_in_capitals_and_by_a_lenient_hub_in_any_case(
    hub: Caller, lenient_hub: Caller
) -> None:
    for caller in (hub, lenient_hub):
        ids = [created(caller, native("Apple").replace("AB12", token)) for token in ("AB12", "ab12")]
        for field in ("DeviceToken", "ChannelUri", "deviceToken"):
            assert ids_of(filtered(caller, f"{field} eq 'AB12'")) == ids
            for token in ("ab12", "Ab12"):
                assert ids_of(filtered(caller, f"{field} eq '{token}'")) == (
                    ids if caller is lenient_hub else []
                )


@pytest.mark.parametrize(
    "text",
    [
        "BaiduChannelId eq channel' and BaiduUserId eq 'user'",
        "baiduuserid EQ 'user' AND BAIDUCHANNELID eq 'channel'",
    ],
)
def test_baidus_two_fields_are_one_to_the_service(hub: Caller, lenient_hub: Caller, text: str) -> None:
    for caller in (hub, lenient_hub):
        registration_id = created(caller, native("Baidu"))
        for one in ("BaiduUserId-BaiduChannelId", "ChannelUri"):
            assert ids_of(filtered(caller, f"{one} eq 'user-channel'")) == [registration_id]
        for lone in ("BaiduChannelId eq 'channel'", "BaiduUserId eq 'user'"):
            assert filtered(caller, lone).status == 400
    reply = filtered(hub, text)
    assert (reply.status, detail(reply)) == (400, "The $filter query parameter is invalid or not supported.")
    assert ids_of(filtered(lenient_hub, text)) == [registration_id]


@pytest.mark.parametrize("name", ["$skip", "%24skip", "$Skip"])
@pytest.mark.parametrize("value", ["1", "100", "-1", "x", ""])
def test_skip_is_ignored(backend: Caller, name: str, value: str) -> None:
    ids = [created(backend, windows("https://c/", "a")) for _ in range(3)]
    for target in (
        f"/my-hub/registrations?{VERSION}&$top=2",
        f"/my-hub/registrations?{VERSION}&$top=2&$filter=ChannelUri+eq+'https://c/'",
        f"/my-hub/tags/a/registrations?{VERSION}&$top=2",
    ):
        reply = backend.send("GET", f"{target}&{name}={value}")
        assert ids_of(reply) == ids[:2]
        assert reply.headers["x-ms-continuationtoken"]


@pytest.mark.parametrize("handle", ["it's", "a'b''c", "100%25", "a+b c", "é", "x and y eq 'z'", "'" * 5])
def test_a_handle_with_quotes_and_codes_is_found(hub: Caller, handle: str) -> None:
    registration_id = created(hub, described("Gcm", f"<GcmRegistrationId>{handle}</GcmRegistrationId>"))
    doubled = handle.replace("'", "''")
    assert ids_of(filtered(hub, f"GcmRegistrationId eq '{doubled}'")) == [registration_id]


@pytest.mark.parametrize(
    "text",
    [
        "",
        "x",
        "ChannelUri",
        "ChannelUri eq",
        "ChannelUri eq c",
        "ChannelUri eq c'",
        "ChannelUri eq 'c",
        "ChannelUri eq 'it's'",
        "ChannelUri eq 'c' ",
        "ChannelUri ne 'c'",
        "ChannelUri eq 'c' or ChannelUri eq 'd'",
        "ChannelUri eq 'c' and ChannelUri eq 'd'",
        "ChannelUri eq 'c' and Auth eq 'd'",
        "ChannelUri eq 'c'and",
        "Tags eq 'a'",
        "RegistrationId eq '1-2-3'",
        "BaiduUserId eq 'u'",
        "BaiduUserId eq u' and BaiduChannelId eq 'c'",
        "Endpoint eq 'e' and Auth eq 'a'",
        "FcmRegistrationId eq 'x'",
    ],
)
def test_any_other_filter_is_400(hub: Caller, text: str) -> None:
    reply = filtered(hub, text)
    if text.endswith(" "):
        # Blanks around the clause do no harm.
        assert reply.status == 200
        return
    assert (reply.status, detail(reply)) == (400, "The $filter query parameter is invalid or not supported.")


@given(
    st.text()
    | st.lists(
        st.sampled_from(
            ["ChannelUri", "BaiduUserId", "baiduchannelid", " eq ", "'", "''", " and ", "x", "%27", " "]
        )
    ).map("".join),
    st.booleans(),
)
@example("'" * 50_000, True)
@example("ChannelUri eq '" + "''" * 25_000, True)
@example("ChannelUri eq" + " " * 50_000, True)
@example("ChannelUri eq 'c' and " * 2_000, True)
@example("ChannelUri eq '" + "[" * 50_000 + "'", False)
def test_any_text_is_a_filter_or_refused(text: str, lenient: bool) -> None:
    try:
        channel = read_filter(text, lenient=lenient)
    except Refused as refused:
        assert refused.status == 400
    else:
        assert channel.handles
        assert channel.platforms


def test_a_feed_has_the_services_form(emulator: Emulator, backend: Caller) -> None:
    for number in range(3):
        on(backend, "PUT", f"1-1-{number}", windows(f"https://{number}", "a"))
    reply = backend.send("GET", f"/my-hub/tags/a/registrations?{VERSION}&$top=2")
    base = f"https://{emulator.endpoint.partition('://')[2]}/my-hub/tags/a/registrations"
    url = f"{base}?{VERSION}&amp;$top=2"
    token = reply.headers["x-ms-continuationtoken"]
    assert re.fullmatch(
        '<feed xmlns="http://www.w3.org/2005/Atom"><title type="text">Registrations</title>'
        rf"<id>{re.escape(url)}</id><updated>[-:TZ0-9]{{20}}</updated>"
        f'<link rel="self" href="{re.escape(url)}"/><link rel="next" href="'
        f'{re.escape(base)}\\?{VERSION}&amp;%24top=2&amp;continuationtoken={token.replace("%", "%25")}"/>'
        "(<entry.*</entry>){1}</feed>",
        reply.text,
    )
    entries = reply.text.split("<entry")[1:]
    for number, text in enumerate(entries):
        address = f"{base}/1-1-{number}?{VERSION}&amp;$top=2"
        assert text.startswith(
            ' a:etag="W/&quot;1&quot;" xmlns:a="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
            f'<id>{address}</id><title type="text">1-1-{number}</title>'
        )
        assert f'<link rel="self" href="{address}"/>' in text
        assert "<ExpirationTime>9999-12-31T23:59:59.999Z</ExpirationTime>" in text


def pages(hub: Caller, target: str, again: str) -> list[list[str]]:
    """All pages of a list; `again` says how the token goes back."""
    found = []
    suffix = ""
    while True:
        reply = hub.send("GET", target + suffix)
        found.append(ids_of(reply))
        token = reply.headers["x-ms-continuationtoken"]
        if token is None:
            return found
        assert "%3D%3D" in token
        suffix = "&" + again.format(once=token, twice=quote(token), plain=unquote(token))


@pytest.mark.parametrize("route", ["registrations", "tags/a/registrations", "registrations?filter"])
@pytest.mark.parametrize(
    "again",
    [
        "continuationtoken={once}",
        "ContinuationToken={once}",
        "continuationtoken={twice}",
        "CONTINUATIONTOKEN={plain}",
    ],
)
def test_all_pages_together_are_everything_once_in_order(backend: Caller, route: str, again: str) -> None:
    ids = [created(backend, windows("https://c/", "a")) for _ in range(7)]
    created(backend, windows("https://d/", "b"))
    if route == "registrations":
        ids.append(ids_of(filtered(backend, "ChannelUri eq 'https://d/'"))[0])
    path = route.partition("?")[0]
    condition = "&$filter=ChannelUri+eq+'https://c/'" if "filter" in route else ""
    for top, name in ((3, "$top"), (7, "%24top"), (1, "$Top")):
        found = pages(backend, f"/my-hub/{path}?{VERSION}{condition}&{name}={top}", again)
        assert [found_id for page in found for found_id in page] == ids
        assert {len(page) for page in found[:-1]} <= {top}
        assert 1 <= len(found[-1]) <= top


def test_a_page_holds_a_hundred_by_default_and_at_most(backend: Caller) -> None:
    ids = [created(backend, windows("https://c/")) for _ in range(101)]
    for query in ("", "&$top=100", "&$top=1000"):
        assert [
            len(page)
            for page in pages(backend, f"/my-hub/registrations?{VERSION}{query}", "continuationtoken={once}")
        ] == [100, 1]
    reply = backend.send("GET", f"/my-hub/registrations?{VERSION}&$filter=ChannelUri+eq+'https://c/'")
    assert ids_of(reply) == ids[:100]


def test_pages_stay_whole_while_registrations_come_and_go(backend: Caller) -> None:
    ids = [created(backend, windows("https://c/")) for _ in range(4)]
    target = f"/my-hub/registrations?{VERSION}&$top=2"
    first = backend.send("GET", target)
    # The last of the first page and the last of all leave; a new one must not take a place that was passed.
    for registration_id in (ids[1], ids[3]):
        on(backend, "DELETE", registration_id, if_match="*")
    ids.append(created(backend, windows("https://c/")))
    rest = backend.send("GET", f"{target}&continuationtoken={first.headers['x-ms-continuationtoken']}")
    assert ids_of(rest) == [ids[2], ids[4]]


@pytest.mark.parametrize(
    "query",
    [
        *("$top=0", "$top=-1", "$top=x", "$top=", "$top=1&$top=2"),
        *("continuationtoken=x", "continuationtoken=", "continuationtoken=AAAA"),
    ],
)
def test_a_page_that_cannot_be_is_400(backend: Caller, query: str) -> None:
    assert backend.send("GET", f"/my-hub/registrations?{VERSION}&{query}").status == 400


@given(st.text())
def test_any_text_is_a_continuation_or_refused(text: str) -> None:
    try:
        assert read_continuation(text) >= 0
    except Refused as refused:
        assert refused.status == 400


@given(st.integers(1, 10**18 - 1))
def test_every_token_leads_back(place: int) -> None:
    token = continuation_token(place)
    assert token.endswith("%3D%3D")
    assert read_continuation(token) == place


def test_a_tag_is_found_in_any_case_and_coded_or_not(hub: Caller, backend: Caller) -> None:
    registration_id = created(hub, native("Gcm", "<Tags>Kitchen,a@b:c.d_e-f#g</Tags>"))
    for tag in ("kitchen", "KITCHEN", "%4Bitchen", "a@b:c.d_e-f%23g"):
        assert ids_of(backend.send("GET", f"/MY-HUB/Tags/{tag}/Registrations/?{VERSION}")) == [
            registration_id
        ]
    for tag in ("kitch", "a", "%20kitchen"):
        assert ids_of(backend.send("GET", f"/my-hub/tags/{tag}/registrations?{VERSION}")) == []
    # Tags that a write takes away are no longer found.
    on(hub, "PUT", registration_id, native("Gcm", "<Tags>attic</Tags>"))
    assert ids_of(backend.send("GET", f"/my-hub/tags/kitchen/registrations?{VERSION}")) == []
    on(hub, "DELETE", registration_id, if_match="*")
    assert ids_of(backend.send("GET", f"/my-hub/tags/attic/registrations?{VERSION}")) == []


def test_a_device_may_list_its_channel_and_nothing_else(hub: Caller, backend: Caller) -> None:
    for query in ("", "&$top=1", "&filter=ChannelUri+eq+'c'"):
        assert hub.send("GET", f"/my-hub/registrations?{VERSION}{query}").status == 403
        assert backend.send("GET", f"/my-hub/registrations?{VERSION}{query}").status == 200
    assert hub.send("GET", f"/my-hub/tags/a/registrations?{VERSION}").status == 403
    for name in ("$filter", "%24filter", "$FILTER"):
        assert hub.send("GET", f"/my-hub/registrations?{VERSION}&{name}=ChannelUri+eq+'c'").status == 200


def test_a_listed_entry_is_as_complete_as_a_single_one(hub: Caller) -> None:
    registration_id = created(hub, template("Apple"))
    reply = filtered(hub, "DeviceToken eq 'AB12'")
    assert texts_of(reply, "RegistrationId") == [registration_id]
    single = ET.fromstring(on(hub, "GET", registration_id).body).find(f"{{{ATOM}}}content")
    listed = ET.fromstring(reply.body).find(f"{{{ATOM}}}entry/{{{ATOM}}}content")
    assert single is not None
    assert listed is not None
    assert ET.tostring(listed) == ET.tostring(single)
