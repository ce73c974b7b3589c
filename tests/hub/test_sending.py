"""A backend sends through `HubClient`, and says whom it means."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import HubClient
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, Forbidden, HubError, HubUnavailable, InvalidRequest
from nhagent.hub.outcomes import NotAnOutcome, read_outcome

TOAST = "<toast><visual/></toast>"


@pytest.fixture
def hub() -> Iterator[Emulator]:
    with Emulator("hub") as running:
        devices: list[dict[str, Any]] = [
            {
                "installationId": "one",
                "platform": "wns",
                "pushChannel": "https://push.example/1",
                "tags": ["kitchen"],
            },
            {
                "installationId": "two",
                "platform": "fcmv1",
                "pushChannel": "handle-2",
                "tags": ["hall"],
                "templates": {"t": {"body": '{"m":"$(m)"}'}},
            },
        ]
        running.restore({"installations": devices})
        yield running


@pytest.fixture
def client(hub: Emulator) -> Iterator[HubClient]:
    with HubClient(hub.full, hub.hub) as client:
        yield client


def test_a_native_notification_goes_to_a_tag_expression(hub: Emulator, client: HubClient) -> None:
    sent = client.send("wns", TOAST, tags="kitchen && !hall", headers={"X-WNS-TTL": "60"})
    [delivery] = hub.deliveries()
    assert sent == delivery.id
    assert (delivery.format, delivery.expression) == ("windows", "kitchen && !hall")
    [match] = delivery.matched
    assert (match.installation, match.body) == ("one", TOAST)
    assert match.headers.items() >= {"X-WNS-Type": "wns/toast", "X-WNS-TTL": "60"}.items()


@pytest.mark.parametrize(
    ("body", "kind"),
    [
        ("<toast/>", "wns/toast"),
        ("  <tile a='b'/>", "wns/tile"),
        ("<?xml version='1.0'?>\n<badge value='1'/>", "wns/badge"),
    ],
)
def test_the_type_of_a_windows_notification_is_seen_by_its_body(
    hub: Emulator, client: HubClient, body: str, kind: str
) -> None:
    client.send("windows", body, broadcast=True)
    assert hub.deliveries()[0].headers["x-wns-type"] == kind


@pytest.mark.parametrize("name", ["X-WNS-Type", "x-wns-type"])
def test_a_raw_notification_is_bytes(hub: Emulator, client: HubClient, name: str) -> None:
    client.send("wns", b"\x01\x02", tags="kitchen", headers={name: "wns/raw"})
    assert hub._parts().log.exchanges()[0].headers["Content-Type"] == "application/octet-stream"
    with pytest.raises(ConfigurationError, match="X-WNS-Type is missing"):
        client.send("wns", b"\x01", tags="kitchen")


def test_a_template_is_sent_its_properties(hub: Emulator, client: HubClient) -> None:
    client.send("template", {"m": 'é " <'}, tags=["kitchen", "hall"])
    client.send("template", '{"m": "text"}', broadcast=True)
    by_tags, to_all = hub.deliveries()
    assert (by_tags.expression, to_all.expression) == ("kitchen || hall", None)
    assert [match.body for match in by_tags.matched] == ['{"m":"é \\" <"}']
    assert [match.body for match in to_all.matched] == ['{"m":"text"}']


def test_one_installation_can_be_meant(hub: Emulator, client: HubClient) -> None:
    client.send("template", {"m": "x"}, installation="two")
    [delivery] = hub.deliveries()
    assert delivery.expression == "$InstallationId:{two}"
    assert [match.installation for match in delivery.matched] == ["two"]


@pytest.mark.parametrize(
    "meant",
    [
        {},
        {"tags": "a", "broadcast": True},
        {"tags": "a", "installation": "i"},
        {"tags": ""},
        {"tags": "  "},
        {"tags": []},
        {"tags": "a\r\nX: y"},
        {"tags": "ä"},
        {"tags": ["a b"]},
        {"broadcast": False},
        {"broadcast": 1},
        {"installation": ""},
        {"installation": "../x"},
    ],
)
def test_nobody_broadcasts_by_accident(hub: Emulator, client: HubClient, meant: dict[str, Any]) -> None:
    if meant == {"installation": "../x"}:
        client.send("template", {"m": "x"}, **meant)
        assert hub.deliveries()[0].matched == ()
        return
    with pytest.raises(ConfigurationError):
        client.send("template", {"m": "x"}, **meant)
    assert hub.log() == []


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"format": "pigeon"}, "format 'pigeon': unknown"),
        ({"format": None}, "format None: unknown"),
        ({"body": {"m": 5}}, "a template's properties are texts"),
        ({"body": "[]"}, "a template is sent an object of texts"),
        ({"body": "nothing"}, "a template is sent an object of texts"),
        ({"body": {"m": "x" * 70_000}}, "more than the service takes"),
        ({"format": "gcm", "body": {"m": float("nan")}}, "cannot be written as JSON"),
        ({"format": "gcm", "body": {"m": {1, 2}}}, "cannot be written as JSON"),
        ({"format": "gcm", "body": 5}, "is int that cannot be sent"),
        ({"format": "gcm", "body": "\ud800"}, "cannot be sent"),
        ({"headers": {"Authorization": "x"}}, "is not one for a push service"),
        ({"headers": {"ServiceBusNotification-Tags": "x"}}, "is not one for a push service"),
        ({"headers": {"X-WNS-Type": "a\r\nb"}}, "has a value that cannot be sent"),
        ({"headers": {"X-WNS-Ty pe": "a"}}, "is not one for a push service"),
        ({"headers": {"apns-topic": " "}}, "has a value that cannot be sent"),
        ({"headers": {"apns-topic": "x" * 3000}}, "too long"),
    ],
)
def test_what_cannot_be_sent_is_refused_before_anything_is(
    hub: Emulator, client: HubClient, arguments: dict[str, Any], words: str
) -> None:
    given: dict[str, Any] = {"format": "template", "body": {"m": "x"}, "broadcast": True, **arguments}
    with pytest.raises(ConfigurationError) as caught:
        client.send(given.pop("format"), given.pop("body"), **given)
    assert words in str(caught.value)
    assert hub.log() == []


def test_a_test_send_tells_what_came_of_each_message(hub: Emulator, client: HubClient) -> None:
    outcome = client.send_test("template", {"m": "x"}, broadcast=True)
    assert (outcome.success, outcome.failure) == (1, 0)
    [result] = outcome.results
    assert result.platform.lower() == "fcmv1"
    assert result.registration_id == hub.deliveries()[0].matched[0].registration
    assert "handle-2" not in repr(outcome)
    assert client.send_test("template", {"m": "x"}, tags="nobody").results == ()


def test_a_send_is_scheduled_and_cancelled(hub: Emulator, client: HubClient) -> None:
    later = datetime.now(UTC) + timedelta(hours=1)
    first = client.schedule_send("template", {"m": "1"}, at=later, broadcast=True)
    second = client.schedule_send("template", {"m": "2"}, at=later, tags="hall")
    assert first is not None and second is not None
    client.cancel_scheduled(first)
    hub.set_clock(7200)
    assert hub.wait_for_delivery(timeout=30).id == second
    with pytest.raises(ConfigurationError, match="no aware datetime"):
        client.schedule_send("template", {"m": "1"}, at=datetime(2026, 1, 1), broadcast=True)  # noqa: DTZ001
    for wrong in ("", "a/b", "a b", "..", "x" * 600):
        with pytest.raises(ConfigurationError, match="notification id"):
            client.cancel_scheduled(wrong)


def test_a_listen_key_may_not_send_and_the_error_says_so(hub: Emulator) -> None:
    with HubClient(hub.listen, hub.hub) as device, pytest.raises(Forbidden, match="needs the Send right"):
        device.send("template", {"m": "x"}, broadcast=True)


def test_a_hubs_refusal_is_told_in_its_words_and_without_the_body(hub: Emulator, client: HubClient) -> None:
    with pytest.raises(InvalidRequest, match="a tag is missing") as caught:
        client.send("template", {"m": "secret-words"}, tags="kitchen &&")
    assert "secret-words" not in f"{caught.value!r} {caught.value.detail}"


@pytest.mark.parametrize(
    "location", ["https://x/hub/messages/a%20b", "https://[x", "", "https://x/hub/messages/"]
)
def test_an_id_that_is_none_is_left_out(hub: Emulator, client: HubClient, location: str) -> None:
    hub.fail("POST", status=201, headers={"Location": location} if location else {})
    assert client.send("template", {"m": "x"}, broadcast=True) is None


def test_an_outcome_that_is_none_is_an_error(hub: Emulator, client: HubClient) -> None:
    hub.fail("POST", status=201, headers={"Content-Type": "application/xml"}, body="<Other/>")
    with pytest.raises(HubUnavailable, match="no NotificationOutcome"):
        client.send_test("template", {"m": "x"}, broadcast=True)


@given(st.binary(max_size=200))
def test_any_document_is_an_outcome_or_is_refused(document: bytes) -> None:
    try:
        read_outcome(document)
    except NotAnOutcome:
        pass


@given(st.text(max_size=30), st.text(max_size=30))
def test_any_tags_and_any_header_are_sent_or_refused(tags: str, value: str) -> None:
    with Emulator("hub") as emulator, HubClient(emulator.full, "hub") as client:
        try:
            client.send("template", {"m": value}, tags=tags, headers={"X-WNS-Tag": value})
        except (ConfigurationError, InvalidRequest):
            pass
        except HubError as error:
            raise AssertionError(tags, value) from error
