"""ETags: sent as the hub made them, however they were quoted on the way to us."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nhagent import HubClient, Platform, Registration, errors
from nhagent.emulator import Emulator
from nhagent.hub.checked import etag_from


@pytest.fixture
def client(notification_hub: Emulator) -> Iterator[HubClient]:
    with HubClient(notification_hub.listen, notification_hub.hub) as client:
        yield client


QUOTINGS = ["2", '"2"', 'W/"2"', 'w/"2"', "W/2", "'2'", "W/&quot;2&quot;", "%222%22", 'W/\\"2\\"', ' W/"2" ']


@pytest.mark.parametrize("etag", QUOTINGS)
def test_etag_is_sent_as_the_hub_made_it_however_it_was_quoted(
    client: HubClient, notification_hub: Emulator, etag: str
) -> None:
    key = client.create_registration_id()
    row = Registration(Platform.GCM, "handle")
    for _ in range(2):
        client.put_registration(key, row)
    assert client.update_registration(key, row, etag).etag == "3"
    with pytest.raises(errors.ConcurrencyConflict):
        client.delete_registration(key, etag)
    client.delete_registration(key, etag.replace("2", "3", 1) if "%" not in etag else "%223%22")
    assert list(client.registrations_by_channel("handle")) == []
    assert etag_from(etag) == "2"


@pytest.mark.parametrize("etag", ["*", '"*"', 'W/"*"', " * "])
def test_star_matches_whatever_the_record_is_however_it_was_quoted(client: HubClient, etag: str) -> None:
    key = client.create_registration_id()
    row = Registration(Platform.GCM, "handle")
    client.put_registration(key, row)
    assert client.update_registration(key, row, etag).etag == "2"
    client.delete_registration(key, etag)
    assert list(client.registrations_by_channel("handle")) == []
    assert etag_from(etag) is None, "what a hub gives as an ETag must not match everything"


@pytest.mark.parametrize("etag", ["", " ", '""', 'W/""', 'a"b', "é", "a\r\nb", "x" * 200, 2])
def test_what_is_no_etag_is_refused_before_anything_is_sent(
    client: HubClient, notification_hub: Emulator, etag: Any
) -> None:
    with pytest.raises(errors.ConfigurationError, match="not an ETag"):
        client.update_registration("an-id", Registration(Platform.GCM, "handle"), etag)
    assert notification_hub.log() == []


@pytest.mark.parametrize(
    "body",
    [
        "<Error><Code>412</Code><Detail>ETag header missing or invalid</Detail></Error>",
        '{"error": {"code": "412", "message": "ETag header missing or invalid"}}',
        "The ETag header is invalid or missing",
    ],
)
def test_etag_that_the_hub_does_not_take_is_not_told_as_somebody_elses_change(
    client: HubClient, notification_hub: Emulator, body: str
) -> None:
    notification_hub.fail("DELETE", status=412, body=body)
    with pytest.raises(errors.ConcurrencyConflict) as caught:
        client.delete_registration("an-id", "2")
    assert "somebody else" not in str(caught.value)
    assert "finds the ETag that was sent for registration an-id missing or invalid (412)" in caught.value.fact
    assert caught.value.hint == 'give the ETag that the record has now, or "*"'
