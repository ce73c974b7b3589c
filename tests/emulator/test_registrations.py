from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from nhagent.emulator import Emulator

from .caller import Caller
from .describing import (
    ATOM,
    VERSION,
    created,
    description_of,
    native,
    on,
    post,
    template,
    texts_of,
    windows,
)
from .test_refusals import detail

ID = re.compile(r"\d{1,19}-\d{1,19}-[1-8]")
ENTRY = "application/atom+xml; type=entry; charset=utf-8"
CONTENT_TYPES = [
    "application/atom+xml;type=entry;charset=utf-8",
    "application/atom+xml",
    "application/xml",
    "text/plain",
]


def address(emulator: Emulator, rest: str) -> str:
    return f"https://{emulator.endpoint.partition('://')[2]}/my-hub/{rest}?{VERSION}"


@pytest.mark.parametrize(
    "route", ["registrationids", "registrationids/", "registrationIDs", "REGISTRATIONIDS"]
)
def test_a_new_id_comes_in_the_location(emulator: Emulator, hub: Caller, route: str) -> None:
    replies = [hub.send("POST", f"/my-hub/{route}?{VERSION}") for _ in range(2)]
    ids = [reply.headers["Location"].partition("?")[0].rpartition("/")[2] for reply in replies]
    for reply, registration_id in zip(replies, ids, strict=True):
        assert (reply.status, reply.body, reply.headers["Content-Length"]) == (201, b"", "0")
        assert reply.headers["Location"] == address(emulator, f"registrationids/{registration_id}")
        assert ID.fullmatch(registration_id)
        assert all(int(part) < 1 << 63 for part in registration_id.split("-"))
        # Nothing is stored under it yet.
        assert on(hub, "GET", registration_id).status == 404
    assert ids[0] != ids[1]


def test_create_answers_200_with_the_entry_and_its_address(emulator: Emulator, hub: Caller) -> None:
    reply = post(hub, windows("https://c/", "a"))
    registration_id = str(texts_of(reply, "RegistrationId")[0])
    assert ID.fullmatch(registration_id)
    url = address(emulator, f"registrations/{registration_id}")
    assert (reply.status, reply.headers["Content-Type"], reply.headers["ETag"]) == (200, ENTRY, 'W/"1"')
    assert reply.headers["Content-Location"] == url
    assert reply.headers["Location"] is None
    expected = (
        r'<entry a:etag="W/&quot;1&quot;" xmlns="http://www.w3.org/2005/Atom"'
        r' xmlns:a="http://schemas.microsoft.com/ado/2007/08/dataservices/metadata">'
        f"<id>{re.escape(url)}</id>"
        f'<title type="text">{registration_id}</title>'
        r"<published>(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ)</published><updated>\1</updated>"
        f'<link rel="self" href="{re.escape(url)}"/>'
        r'<content type="application/xml"><WindowsRegistrationDescription'
        r' xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"'
        r' xmlns:i="http://www.w3.org/2001/XMLSchema-instance">'
        r"<ETag>1</ETag><ExpirationTime>9999-12-31T23:59:59.999</ExpirationTime>"
        f"<RegistrationId>{registration_id}</RegistrationId><Tags>a</Tags>"
        r"<ChannelUri>https://c/</ChannelUri></WindowsRegistrationDescription></content></entry>"
    )
    assert re.fullmatch(expected, reply.text)


def test_create_makes_a_new_one_each_time(backend: Caller) -> None:
    ids = [created(backend, windows("https://c")) for _ in range(2)]
    assert ids[0] != ids[1]


def test_put_creates_then_updates_and_counts(emulator: Emulator, hub: Caller) -> None:
    first = on(hub, "PUT", "123-234-1", windows("https://one", "a"))
    second = on(hub, "PUT", "123-234-1", template())
    assert [(reply.status, reply.headers["ETag"]) for reply in (first, second)] == [
        (200, 'W/"1"'),
        (200, 'W/"2"'),
    ]
    assert second.headers["Content-Location"] is None
    got = on(hub, "GET", "123-234-1")
    assert (got.status, got.headers["ETag"], got.headers["Content-Type"]) == (200, 'W/"2"', ENTRY)
    # The only difference between the reply to a write and the reply to a read.
    assert description_of(got) == description_of(second).replace(".999<", ".999Z<")
    assert [facts["kind"] for facts in emulator.contents()["registrations"]] == ["WindowsTemplate"]


@pytest.mark.parametrize("if_match", ["*", "2", '"2"', 'W/"2"', '"*"', '"1", "2"'])
def test_every_form_of_if_match_matches(hub: Caller, if_match: str) -> None:
    for _ in range(2):
        on(hub, "PUT", "1-2-3", windows("https://c"))
    assert on(hub, "PUT", "1-2-3", windows("https://d"), if_match).headers["ETag"] == 'W/"3"'
    assert on(hub, "DELETE", "1-2-3", if_match=if_match.replace("2", "3")).status == 200


@pytest.mark.parametrize("if_match", ["1", '"3"', 'W/"x"', "", "two", "W/*x", '"2'])
def test_another_or_malformed_etag_is_412_and_changes_nothing(hub: Caller, if_match: str) -> None:
    for _ in range(2):
        on(hub, "PUT", "1-2-3", windows("https://c"))
    before = description_of(on(hub, "GET", "1-2-3"))
    for reply in (
        on(hub, "PUT", "1-2-3", windows("https://d"), if_match),
        on(hub, "DELETE", "1-2-3", if_match=if_match),
    ):
        assert (reply.status, detail(reply)) == (412, "ETag header missing or invalid")
    assert description_of(on(hub, "GET", "1-2-3")) == before


def test_an_update_of_a_missing_registration_is_404_and_creates_nothing(
    emulator: Emulator, hub: Caller
) -> None:
    reply = on(hub, "PUT", "1-2-3", windows("https://c"), "*")
    assert (reply.status, detail(reply)) == (404, "")
    assert emulator.contents()["registrations"] == []


def test_delete_answers_200_without_a_body_and_then_404(hub: Caller) -> None:
    on(hub, "PUT", "1-2-3", windows("https://c"))
    reply = on(hub, "DELETE", "1-2-3", if_match="*")
    assert (reply.status, reply.body, reply.headers["Content-Length"], reply.headers["Content-Type"]) == (
        200,
        b"",
        "0",
        None,
    )
    assert on(hub, "DELETE", "1-2-3", if_match="*").status == 404
    assert on(hub, "GET", "1-2-3").status == 404
    # The id is free again, and its count begins anew.
    assert on(hub, "PUT", "1-2-3", windows("https://c")).headers["ETag"] == 'W/"1"'


def test_delete_without_if_match_is_refused_unless_lenient(hub: Caller, lenient_hub: Caller) -> None:
    for caller, status in ((hub, 412), (lenient_hub, 200)):
        on(caller, "PUT", "1-2-3", windows("https://c"))
        assert on(caller, "DELETE", "1-2-3").status == status


@pytest.mark.parametrize(
    "registration_id", ["x", "1-2", "1-2-3-4", "a-b-c", "1%202-3-4", "12345678901234567890-1-1"]
)
def test_an_id_of_another_form_is_refused_unless_lenient(
    hub: Caller, lenient_hub: Caller, registration_id: str
) -> None:
    for caller, status in ((hub, 400), (lenient_hub, 200)):
        assert on(caller, "PUT", registration_id, windows("https://c")).status == status


@pytest.mark.parametrize("content_type", CONTENT_TYPES)
def test_the_content_type_of_a_request_does_not_matter(hub: Caller, content_type: str) -> None:
    body = '<?xml version="1.0" encoding="utf-8"?>' + native("Gcm")
    headers = {"Content-Type": content_type}
    assert hub.send("POST", f"/MY-HUB/Registrations/?{VERSION}", body, headers=headers).status == 200


def test_a_method_that_an_address_does_not_have_is_405(hub: Caller) -> None:
    assert hub.send("GET", f"/my-hub/registrationids?{VERSION}").status == 405
    assert hub.send("PATCH", f"/my-hub/registrations/1-2-3?{VERSION}").status == 405


def test_a_forgotten_registration_is_404_and_its_id_can_be_used(emulator: Emulator, hub: Caller) -> None:
    on(hub, "PUT", "1-2-3", windows("https://c"))
    emulator.forget(registration="1-2-3")
    assert on(hub, "GET", "1-2-3").status == 404
    assert on(hub, "PUT", "1-2-3", windows("https://c"), "*").status == 404
    assert on(hub, "PUT", "1-2-3", windows("https://c")).headers["ETag"] == 'W/"1"'
    with pytest.raises(KeyError):
        emulator.forget(registration="7-7-7")
    with pytest.raises(TypeError):
        emulator.forget()  # type: ignore[call-overload]


def test_a_gone_id_answers_410_to_put_and_404_to_others(emulator: Emulator, hub: Caller) -> None:
    on(hub, "PUT", "1-2-3", windows("https://c"))
    assert hub.control("POST", "/forget", {"registration": "1-2-3", "gone": True}).status == 200
    # Handed out, and gone before its first use.
    emulator.forget(registration="4-5-6", gone=True)
    for registration_id in ("1-2-3", "4-5-6"):
        for if_match in (None, "*"):
            assert on(hub, "PUT", registration_id, windows("https://c"), if_match).status == 410
        assert on(hub, "GET", registration_id).status == 404
        assert on(hub, "DELETE", registration_id, if_match="*").status == 404
    assert emulator.contents()["registrations"] == []


def test_the_contents_tell_what_clients_registered(emulator: Emulator, hub: Caller) -> None:
    base = '<Tags>a,b</Tags><PushVariables>{"n": "Ann"}</PushVariables>'
    for place, body in enumerate([template("Apple", base), native("Browser"), template("Baidu")]):
        on(hub, "PUT", f"1-2-{place}", body)
    never = "9999-12-31T23:59:59.9999999Z"
    expected = [
        {
            "registrationId": "1-2-0",
            "etag": "1",
            "kind": "AppleTemplate",
            "platform": "apns",
            "channel": "AB12",
            "tags": ["a", "b"],
            "templateName": "alert",
            "bodyTemplate": '{"m":"$(m)"}',
            "headers": {"apns-priority": "5"},
            "expiry": "$(when)",
            "priority": "5",
            "pushVariables": {"n": "Ann"},
            "expirationTime": never,
        },
        {
            "registrationId": "1-2-1",
            "etag": "1",
            "kind": "Browser",
            "platform": "browser",
            "channel": {"endpoint": "https://b/1", "p256dh": "key", "auth": "secret"},
            "expirationTime": never,
        },
        {
            "registrationId": "1-2-2",
            "etag": "1",
            "kind": "BaiduTemplate",
            "platform": "baidu",
            "channel": "user-channel",
            "templateName": "alert",
            "bodyTemplate": '{"m":"$(m)"}',
            "messageType": "1",
            "expirationTime": never,
        },
    ]
    assert emulator.contents()["registrations"] == expected
    assert hub.control("GET", "/hubs/my-hub").json["registrations"] == expected


def test_above_the_quota_new_devices_get_403_in_words_of_quota() -> None:
    with (
        Emulator("my-hub", max_devices=2) as emulator,
        Caller(emulator.endpoint, emulator.listen, "my-hub") as hub,
    ):
        on(hub, "PUT", "1-1-1", windows("https://1"))
        on(hub, "PUT", "1-1-2", windows("https://2"))
        tile = {"installationId": "i", "platform": "gcm", "pushChannel": "3"}
        for reply in (post(hub, windows("https://3")), on(hub, "PUT", "1-1-3", native("Gcm")), hub.put(tile)):
            assert (reply.status, reply.headers["Retry-After"]) == (403, None)
            assert "quota of active devices" in detail(reply)
        # A device is a channel: another template of a known one, and a channel that changes, are welcome.
        assert post(hub, windows("https://2")).status == 200
        assert on(hub, "PUT", "1-1-1", windows("https://4")).status == 200
        assert len(emulator.contents()["registrations"]) == 3
        assert emulator.contents()["installations"] == []
    with pytest.raises(ValueError, match="0 devices or more"):
        Emulator(max_devices=-1)


def test_of_writers_with_one_etag_exactly_one_wins(emulator: Emulator, hub: Caller) -> None:
    on(hub, "PUT", "1-2-3", windows("https://c"))
    together = threading.Barrier(8)

    def write(number: int) -> int:
        with Caller(emulator.endpoint, emulator.listen, "my-hub") as caller:
            together.wait()
            return on(caller, "PUT", "1-2-3", windows(f"https://{number}"), '"1"').status

    with ThreadPoolExecutor(8) as pool:
        assert sorted(pool.map(write, range(8))) == [200] + [412] * 7
    assert on(hub, "GET", "1-2-3").headers["ETag"] == 'W/"2"'


def test_the_replys_time_is_the_hubs_clocks(emulator: Emulator, hub: Caller) -> None:
    on(hub, "PUT", "1-2-3", windows("https://c"))
    emulator.set_clock(-86400 * 365 * 20)
    with Caller(emulator.endpoint, emulator.listen, "my-hub") as caller:
        text = on(caller, "GET", "1-2-3").text
    assert re.search(r"<published>200\d-", text)
    assert ATOM in text
