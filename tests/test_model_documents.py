"""Models as JSON: what is written under the service's names is read back, and checked as if it were given."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import (
    BrowserChannel,
    HeldRegistration,
    HubClient,
    Installation,
    Platform,
    Registration,
    SecondaryTile,
    Template,
)
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.hub.installations import from_json, to_json
from tests.subscriptions import AUTH, P256DH

TOAST = Template("<toast/>", {"X-WNS-Type": "wns/toast"}, ["alerts"])
WNS = Installation(
    "device",
    "wns",
    "https://push.example/1",
    ["kitchen"],
    "ann",
    {"name": "Ann"},
    {"alert": TOAST},
    {"weather": SecondaryTile("https://push.example/tile", ["w"], {"alert": TOAST})},
    datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
)

words = st.text("abcXYZ019_", min_size=1, max_size=8)
templates = st.builds(
    Template, st.just('{"message": {}}'), tags=st.lists(words, max_size=3), expiry=st.none()
)
moments = st.datetimes(datetime(1971, 1, 1), datetime(9000, 1, 1), timezones=st.just(UTC))  # noqa: DTZ001
installations = st.builds(
    Installation,
    words,
    st.just("fcmv1"),
    st.from_regex(r"[A-Za-z0-9_-]{50}", fullmatch=True),
    st.lists(words, max_size=4),
    st.none() | words,
    st.dictionaries(words, st.text(max_size=5).filter(str.isprintable), max_size=2),
    st.dictionaries(words, templates, max_size=2),
    st.just({}),
    st.none() | moments.map(lambda moment: moment.replace(microsecond=0)),
)


@pytest.mark.slow
@given(installations)
def test_installation_as_json_is_what_a_put_sends_and_is_read_back(installation: Installation) -> None:
    document = json.loads(json.dumps(installation.to_dict()))
    assert document == json.loads(json.dumps(to_json(installation)))
    assert Installation.from_dict(document) == installation
    assert from_json(document) == installation


@pytest.mark.parametrize(
    "value",
    [
        WNS,
        TOAST,
        Template('{"aps": {}}', {"apns-priority": "5"}, expiry="$(when)"),
        Installation("a", "browser", BrowserChannel("https://push.example/1", P256DH, AUTH)),
        Registration("wns", "https://push.example/1", ["a"], {"n": "v"}, TOAST, "alert", "weather"),
        HeldRegistration(
            platform=Platform.GCM,
            channel="handle",
            registration_id="1-2",
            etag="7",
            expiration_time=datetime(2030, 1, 1, tzinfo=UTC),
        ),
        BrowserChannel("https://push.example/1", P256DH, AUTH),
        SecondaryTile("https://push.example/tile", ["w"], {"alert": TOAST}, True),
    ],
    ids=lambda value: type(value).__name__,
)
def test_model_is_read_back_from_its_json_in_any_case(value: Any) -> None:
    document = json.loads(json.dumps(value.to_dict()))
    assert type(value).from_dict(document) == value
    odd = {name.upper(): part for name, part in document.items()}
    assert type(value).from_dict({**odd, "somethingNewer": {"x": 1}, "tagsOfLater": None}) == value
    snaky = {"".join(f"_{c.lower()}" if c.isupper() else c for c in name): p for name, p in document.items()}
    assert type(value).from_dict(snaky) == value


def test_names_are_those_of_the_services_documents() -> None:
    assert WNS.to_dict() == {
        "installationId": "device",
        "platform": "wns",
        "pushChannel": "https://push.example/1",
        "tags": ["kitchen"],
        "userId": "ann",
        "pushVariables": {"name": "Ann"},
        "templates": {
            "alert": {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]}
        },
        "secondaryTiles": {
            "weather": {
                "pushChannel": "https://push.example/tile",
                "tags": ["w"],
                "templates": {
                    "alert": {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]}
                },
            }
        },
        "expirationTime": "2030-01-02T03:04:05Z",
    }
    assert type(WNS.to_dict()["platform"]) is str
    assert Installation("a", "gcm", "handle").to_dict().keys() == {
        "installationId",
        "platform",
        "pushChannel",
    }


def test_what_a_hub_holds_is_given_as_json_and_read_back(notification_hub: Emulator) -> None:
    with HubClient(notification_hub.full, notification_hub.hub) as client:
        client.put_installation(WNS)
        held = client.get_installation("device")
        assert Installation.from_dict(held.to_dict()) == held
        for row in client.registrations():
            assert row.installation_id == "device"
            document = row.to_dict()
            assert (document["registrationId"], document["etag"]) == (row.registration_id, row.etag)
            assert HeldRegistration.from_dict(document) == row


@pytest.mark.parametrize(
    ("kind", "document", "words"),
    [
        (Installation, [], "Installation: a list is not an object of JSON"),
        (
            Installation,
            {"platform": "wns", "pushChannel": "https://x/"},
            "Installation: installationId is missing",
        ),
        (Installation, {"installationId": "a", "platform": "wns"}, "Installation: pushChannel is missing"),
        (Installation, {**WNS.to_dict(), "platform": "fcm"}, "platform 'fcm': unknown"),
        (Installation, {**WNS.to_dict(), "tags": "kitchen"}, "tags 'kitchen': not a list"),
        (Installation, {**WNS.to_dict(), "templates": ["x"]}, "templates: not an object of JSON"),
        (
            Installation,
            {**WNS.to_dict(), "templates": {"t": "x"}},
            "Template: a str is not an object of JSON",
        ),
        (Installation, {**WNS.to_dict(), "templates": {"t": {}}}, "Template: body is missing"),
        (Installation, {**WNS.to_dict(), "expirationTime": "soon"}, "expiration_time 'soon': not a time"),
        (Installation, {**WNS.to_dict(), "expirationTime": 5}, "expiration_time 5: not a time"),
        (Installation, {**WNS.to_dict(), "pushVariables": ["x"]}, "push_variables"),
        (Registration, {"platform": "gcm", "pushChannel": "null"}, "channel"),
        (Registration, {"platform": "gcm", "pushChannel": {}}, "channel: dict"),
        (BrowserChannel, {"endpoint": "https://x/"}, "BrowserChannel: p256dh is missing"),
        (HeldRegistration, {"platform": "gcm", "pushChannel": "h", "tags": "a"}, "tags 'a': not a list"),
    ],
    ids=lambda value: value[:30] if isinstance(value, str) else "",
)
def test_json_that_breaks_a_rule_is_refused_as_the_constructor_does(
    kind: Any, document: Any, words: str
) -> None:
    with pytest.raises(ConfigurationError, match=words) as caught:
        kind.from_dict(document)
    assert caught.value.hint


def test_channel_source_has_no_form_in_json() -> None:
    with pytest.raises(ConfigurationError, match="channel: a channel source has no form in JSON"):
        SecondaryTile(lambda: "https://x/").to_dict()


def test_time_without_a_zone_is_utc() -> None:
    read = Installation.from_dict({**WNS.to_dict(), "expirationTime": "2030-01-02T03:04:05"})
    assert read.expiration_time == WNS.expiration_time
    east = Installation.from_dict({**WNS.to_dict(), "expirationTime": "2030-01-02T05:04:05+02:00"})
    assert east.expiration_time == WNS.expiration_time
    assert east.expiration_time is not None
    assert east.expiration_time.utcoffset() == timedelta(hours=2)
    assert east.to_dict() == WNS.to_dict()
    assert Platform.parse("wns") is east.platform
