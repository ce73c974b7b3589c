"""What a hub says is checked before it becomes ours; what fails is left out, and later starts still work."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import HubClient, Platform, Registration
from nhagent.errors import ConfigurationError, HubUnavailable
from nhagent.hub.atom import to_entry
from nhagent.hub.checked import continuation_from, etag_from, is_registration_id, registration_id_from
from nhagent.hub.times import read_http_date
from tests.device_under_test import PLAIN, Device, first_run
from tests.serving import saying, serving

OPEN: dict[str, Any] = {"tags": None, "templates": None, "secondary_tiles": None}
XML = {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}}
TILE = {"pushChannel": "https://push.example/tile/1"}


@pytest.mark.parametrize(
    ("odd", "kept"),
    [
        ({"templates": {"my alert": XML, "good": XML}}, {"templates": ["good"]}),
        ({"templates": {"good": XML, "json": {"body": "{}"}}}, {"templates": ["good"]}),
        ({"tags": [f"tag{number}" for number in range(61)]}, {"tags": 60}),
        ({"tags": ["kitchen", "with blank", "x" * 130, "$odd"]}, {"tags": 1}),
        ({"pushVariables": {"odd name": "1", "name": "Ann"}}, {"pushVariables": ["name"]}),
        ({"userId": "not allowed!"}, {}),
        ({"secondaryTiles": {"odd id": TILE, "good": TILE}}, {"secondaryTiles": ["good"]}),
        ({"secondaryTiles": {"one": TILE, "two": TILE}}, {"secondaryTiles": ["one"]}),
        ({"secondaryTiles": {"same": {"pushChannel": "https://push.example/1"}}}, {}),
        ({"platform": "gcm", "templates": {"json": {"body": "{}"}}}, {}),
    ],
)
def test_device_that_lost_its_disk_takes_over_what_passes_and_its_starts_go_on(
    device: Device, caplog: pytest.LogCaptureFixture, odd: dict[str, Any], kept: dict[str, Any]
) -> None:
    first = first_run(device, **PLAIN)
    for path in device.files.values():
        path.unlink()
    document = {
        "installationId": first.installation_id,
        "platform": "wns",
        "pushChannel": device.channel,
        **odd,
    }
    device.hub.fail(
        "GET /installations",
        status=200,
        body=json.dumps(document),
        headers={"Content-Type": "application/json"},
    )
    report = first_run(device, **OPEN)
    assert (report.error, report.installation_id) == (None, first.installation_id)
    [held] = device.held()
    for name, part in kept.items():
        assert (len(held[name]) == part) if isinstance(part, int) else (sorted(held[name]) == part)
    assert all(name in kept for name in ("templates", "pushVariables", "secondaryTiles") if held.get(name))
    assert first_run(device, **OPEN).outcome == "unchanged"
    assert caplog.text.count("WARNING") >= 1


def test_installation_that_answers_in_anothers_place_is_not_believed(device: Device) -> None:
    first = first_run(device, **PLAIN)
    other = {"installationId": "somebody-else", "platform": "wns", "pushChannel": "https://push.example/9"}
    for changes in ({}, {"installationId": first.installation_id}):
        device.hub.fail(
            "GET /installations",
            status=200,
            body=json.dumps({**other, **changes}),
            headers={"Content-Type": "application/json"},
        )
    with pytest.raises(HubUnavailable, match="another installation"):
        device.agent(**PLAIN).verify()
    for path in device.files.values():
        path.unlink()
    report = first_run(device, **OPEN)
    assert (report.error, report.installation_id) == (None, first.installation_id)
    assert device.held()[0]["pushChannel"] == device.channel


def test_registration_that_answers_in_anothers_place_is_not_believed(
    device: Device, backend: HubClient
) -> None:
    registration = backend.create_registration(Registration(Platform.WNS, device.channel))
    entry = to_entry(registration).replace(
        b"<ChannelUri>", b"<RegistrationId>another</RegistrationId><ChannelUri>"
    )
    device.hub.fail(
        "GET /registrations",
        status=200,
        body=entry.decode(),
        headers={"Content-Type": "application/atom+xml"},
    )
    with pytest.raises(HubUnavailable, match="another registration"):
        backend.get_registration(str(registration.registration_id))


@pytest.mark.parametrize(
    "head",
    [
        b"HTTP/1.1 200 OK\r\nContent-Length: 5\r\nContent-Length: 7\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: 5, 7\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nContent-Length: x\r\n\r\nhello",
        b"HTTP/1.1 200 OK\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nLocation: http://[bad\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nLocation: https://x/registrationids/%0D%0A\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 201 Created\r\nDate: Fri, 31 Dec 9999 23:59:59 GMT\r\nContent-Length: 0\r\n\r\n",
    ],
)
def test_head_that_makes_no_reply_is_a_fault_that_may_pass(head: bytes) -> None:
    key = "Endpoint=sb://x/;SharedAccessKeyName=Listen;SharedAccessKey=QQ=="
    with (
        serving(saying(head)) as address,
        HubClient(key, "hub", endpoint=address) as client,
        pytest.raises(HubUnavailable),
    ):
        client.create_registration_id()


def test_date_of_no_time_is_ignored() -> None:
    assert read_http_date("Fri, 31 Dec 9999 23:59:59 GMT") is None
    assert read_http_date("Mon, 01 Jan 1601 00:00:00 GMT") is None
    assert read_http_date("Thu, 26 Nov 2026 02:00:00 GMT") is not None


def test_list_whose_tokens_repeat_ends(device: Device, backend: HubClient) -> None:
    feed = '<feed xmlns="http://www.w3.org/2005/Atom"></feed>'
    for token in ("a", "b", "a", "c"):
        device.hub.fail(
            "GET",
            status=200,
            body=feed,
            headers={"Content-Type": "application/atom+xml", "x-ms-continuationtoken": token},
        )
    device.seen()
    with pytest.raises(HubUnavailable, match="never ends"):
        list(backend.registrations())
    assert device.seen() == ["GET", "GET", "GET"]


def test_list_of_ever_fresh_tokens_ends_with_the_time_that_it_has(device: Device, backend: HubClient) -> None:
    feed = '<feed xmlns="http://www.w3.org/2005/Atom"></feed>'
    for number in range(5):
        device.hub.fail(
            "GET",
            status=200,
            body=feed,
            headers={"Content-Type": "application/atom+xml", "x-ms-continuationtoken": f"{number}"},
        )
    backend._exchange.allow(60)
    pages = backend.registrations()
    device.seen()
    backend._exchange.allow(-1)  # its time is over
    with pytest.raises(HubUnavailable, match="longer than there is time"):
        list(pages)
    assert device.seen() == []


@pytest.mark.parametrize(
    ("given_etag", "taken"),
    [
        ('W/"2"', "2"),
        ('"2"', "2"),
        ("2", "2"),
        ("", None),
        (None, None),
        ("a\r\nb", None),
        ("é", None),
        ("x" * 200, None),
    ],
)
def test_etag_is_taken_only_where_it_can_be_sent_back(given_etag: str | None, taken: str | None) -> None:
    assert etag_from(given_etag) == taken


def test_etag_that_cannot_be_sent_is_refused_before_anything_is(device: Device, backend: HubClient) -> None:
    device.seen()
    with pytest.raises(ConfigurationError):
        backend.delete_registration("an-id", "a\r\nb")
    with pytest.raises(ConfigurationError):
        backend.update_registration("an-id", Registration(Platform.WNS, "https://push.example/1"), "é")
    assert device.seen() == []


@given(st.text(max_size=60))
def test_location_of_any_text_gives_an_id_or_none(text: str) -> None:
    taken = registration_id_from(text)
    assert taken is None or is_registration_id(taken)


@given(st.text(max_size=60))
def test_token_of_any_text_can_be_sent_or_is_refused(text: str) -> None:
    try:
        taken = continuation_from(text)
    except ValueError:
        return
    assert taken is None or (taken.isascii() and taken.isprintable() and " " not in taken)


def test_more_rows_than_fit_are_deleted_start_by_start(device: Device, backend: HubClient) -> None:
    from nhagent.registrars import first_run as lists

    assert lists.is_whole({"": []})
    row = backend.create_registration(Registration(Platform.WNS, device.channel, ["stale"]))
    assert not lists.is_whole({"": [row] * lists.MAX_ROWS})
    many = dict.fromkeys(["", *map(str, range(9))], [row] * (lists.MAX_ROWS // 10))
    assert not lists.is_whole(many), "rows of all channels have to fit into one file"


def test_rows_that_are_left_out_do_not_make_a_list_look_whole(device: Device, backend: HubClient) -> None:
    """Those of another channel come first, as a proxy may send them; of ours not one more than asked for."""
    from nhagent.registrars.first_run import ChannelLists

    ours = [
        backend.create_registration(Registration(Platform.WNS, device.channel, [f"stale-{number}"]))
        for number in range(4)
    ]
    theirs = backend.create_registration(Registration(Platform.WNS, "https://push.example/x", ["stale"]))

    class Listing:
        can_list = True

        def registrations_by_channel(self, _: object, **__: object) -> list[object]:
            return [theirs, *ours]

    hub: Any = Listing()
    assert ChannelLists(hub, by_uri=False).of_channel(Platform.WNS, device.channel, 3) == ours[:3]
