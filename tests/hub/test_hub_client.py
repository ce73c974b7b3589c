"""HubClient's contract with a hub: the emulated one, and a real one for whoever has it.

Set NHAGENT_LIVE_LISTEN to a connection string with the Listen right and NHAGENT_LIVE_HUB to the hub's name,
and the same tests run against that hub. They write and delete installations of their own, of platform
NHAGENT_LIVE_PLATFORM (default gcm), with handles that no device has.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Iterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import pytest

from nhagent import HeldRegistration, HubClient, Installation, Platform, Registration, SecondaryTile, Template
from nhagent.emulator import Emulator
from nhagent.errors import (
    ConcurrencyConflict,
    Forbidden,
    HubUnavailable,
    InvalidRequest,
    RecordNotFound,
    Unauthorized,
)
from nhagent.models import altered

LIVE = ("NHAGENT_LIVE_LISTEN", "NHAGENT_LIVE_HUB")


@dataclass
class Hub:
    """A hub to hold the contract with."""

    listen: str
    name: str
    platform: Platform = Platform.GCM
    settles_in: float = 0.0
    """Seconds within which a write can be read back: the service accepts first and works later."""

    def client(self, **changes: Any) -> HubClient:
        return HubClient(**{"connection_string": self.listen, "hub": self.name, **changes})

    def eventually(self, client: HubClient, installation: Installation) -> Installation:
        deadline = time.monotonic() + self.settles_in
        while True:
            try:
                held = client.get_installation(installation.installation_id)
                if held.push_channel == installation.push_channel:
                    return held
            except RecordNotFound:
                if time.monotonic() >= deadline:
                    raise
            if time.monotonic() >= deadline:
                return held
            time.sleep(2)


@pytest.fixture(params=["emulated", "live"])
def hub(request: pytest.FixtureRequest, notification_hub: Emulator) -> Hub:
    if request.param == "emulated":
        return Hub(notification_hub.listen, notification_hub.hub)
    missing = [name for name in LIVE if not os.environ.get(name)]
    if missing:
        pytest.skip(f"no real hub: {' and '.join(missing)} not set")
    platform = Platform.parse(os.environ.get("NHAGENT_LIVE_PLATFORM", "gcm"))
    return Hub(os.environ[LIVE[0]], os.environ[LIVE[1]], platform, settles_in=30.0)


@pytest.fixture
def client(hub: Hub) -> Iterator[HubClient]:
    with hub.client() as client:
        yield client


@pytest.fixture
def installation(hub: Hub, client: HubClient) -> Iterator[Installation]:
    handle = "AB" * 32 if hub.platform is Platform.APNS else f"handle-{uuid4()}"
    made = Installation(
        str(uuid4()), hub.platform, handle, tags=["nhagent:contract", "a"], user_id="nhagent-contract"
    )
    yield made
    client.delete_installation(made.installation_id)


def test_put_is_read_back(hub: Hub, client: HubClient, installation: Installation) -> None:
    client.put_installation(installation)
    reply = client.last_reply
    assert reply is not None and reply.status == 200
    assert reply.server_time is not None
    held = hub.eventually(client, installation)
    assert held.installation_id.lower() == installation.installation_id
    assert (held.platform, held.push_channel) == (installation.platform, installation.push_channel)
    assert set(held.tags) == set(installation.tags)
    assert held.user_id == installation.user_id
    assert held.expiration_time is None


def test_put_replaces_the_whole(hub: Hub, client: HubClient, installation: Installation) -> None:
    client.put_installation(installation)
    hub.eventually(client, installation)
    changed = Installation(
        installation.installation_id, hub.platform, str(installation.push_channel)[:-2] + "ee"
    )
    client.put_installation(changed)
    held = hub.eventually(client, changed)
    assert (held.tags, held.user_id) == ((), None)


def test_patch_changes_what_it_names(hub: Hub, client: HubClient, installation: Installation) -> None:
    client.put_installation(installation)
    hub.eventually(client, installation)
    channel = str(installation.push_channel)[:-2] + "ee"
    client.patch_installation(
        installation.installation_id,
        [
            {"op": "replace", "path": "/pushChannel", "value": channel},
            {"op": "remove", "path": "/tags/a"},
            {"op": "add", "path": "/tags", "value": "b"},
        ],
    )
    held = hub.eventually(client, Installation(installation.installation_id, hub.platform, channel))
    assert set(held.tags) == {"nhagent:contract", "b"}
    assert held.push_channel == channel


def test_delete_is_done_whether_it_was_there_or_not(
    hub: Hub, client: HubClient, installation: Installation
) -> None:
    client.put_installation(installation)
    hub.eventually(client, installation)
    for installation_id in (installation.installation_id, str(uuid4())):
        client.delete_installation(installation_id)
        assert client.last_reply is not None and client.last_reply.status == 204


def test_unknown_installation_is_a_record_that_was_not_found(client: HubClient) -> None:
    with pytest.raises(RecordNotFound) as caught:
        client.get_installation(str(uuid4()))
    assert caught.value.status == 404
    assert caught.value.detail
    assert caught.value.tracking_id
    assert caught.value.tracking_id in str(caught.value)


def test_refused_installation_is_told_in_the_services_words(client: HubClient, hub: Hub) -> None:
    right = Installation(str(uuid4()), hub.platform, "h")
    wrong = altered(right, tags=("two words", "comma,comma"))
    with pytest.raises(InvalidRequest) as caught:
        client.put_installation(wrong)
    assert caught.value.status == 400
    assert "two words" in caught.value.detail
    assert " | ".join(caught.value.detail.splitlines()) in str(caught.value), "in one line"


def test_wrong_key_is_unauthorized(hub: Hub) -> None:
    head, _, key = hub.listen.rpartition("SharedAccessKey=")
    wrong = f"{head}SharedAccessKey={'A' * 43}="
    with hub.client(connection_string=wrong) as client, pytest.raises(Unauthorized) as caught:
        client.get_installation(str(uuid4()))
    assert caught.value.status == 401
    assert key not in str(caught.value)


def test_expired_token_is_unauthorized(hub: Hub) -> None:
    past = datetime.now(UTC) - timedelta(hours=2)
    with hub.client(clock=lambda: past) as client, pytest.raises(Unauthorized, match=r"clock is .* behind"):
        client.get_installation(str(uuid4()))


def test_every_property_of_a_wns_installation_is_read_back(notification_hub: Emulator) -> None:
    template = Template("<toast>$(m)</toast>", {"X-WNS-Type": "wns/toast"}, ["t"])
    made = Installation(
        "device",
        Platform.WNS,
        "https://push.example/1",
        tags=["kitchen"],
        user_id="ann",
        push_variables={"name": "Ann"},
        templates={"alert": template},
        secondary_tiles={"weather": SecondaryTile("https://push.example/tile", ["w"], {"front": template})},
        expiration_time=datetime(2030, 1, 2, 3, 4, 5, tzinfo=UTC),
    )
    with HubClient(notification_hub.listen, notification_hub.hub) as client:
        client.put_installation(made)
        held = client.get_installation("device")
    assert held == made


def test_requests_of_one_client_share_a_connection_and_are_counted(
    notification_hub: Emulator, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG, "urllib3.connectionpool")
    with HubClient(notification_hub.listen, notification_hub.hub) as client:
        for number in range(5):
            client.put_installation(Installation(f"device-{number}", Platform.GCM, f"handle-{number}"))
        assert client.requests_sent == 5
    assert caplog.text.count("Starting new HTTP connection") == 1


def test_strange_installation_id_is_encoded_and_never_another_path(notification_hub: Emulator) -> None:
    strange = "a b/../../other?x=1#%2F&ü"
    with HubClient(notification_hub.listen, notification_hub.hub) as client:
        client.put_installation(Installation(strange, Platform.GCM, "handle"))
        assert client.get_installation(strange).installation_id == strange
    assert {entry.path.count("/") for entry in notification_hub.log()} == {3}


def test_document_that_is_no_installation_is_no_reply_of_a_hub(notification_hub: Emulator) -> None:
    for body in ("[]", '{"platform": "gcm"}', "", "<a/>"):
        notification_hub.fail("GET", status=200, body=body)
        with (
            HubClient(notification_hub.listen, notification_hub.hub) as client,
            pytest.raises(HubUnavailable),
        ):
            client.get_installation("device")


def test_token_callable_is_asked_for_every_request(notification_hub: Emulator) -> None:
    from nhagent import ConnectionString

    key = ConnectionString.parse(notification_hub.listen)
    asked: list[str] = []

    def token() -> str:
        asked.append(key.token(f"{notification_hub.endpoint}/{notification_hub.hub}", datetime.now(UTC)))
        return asked[-1]

    with HubClient(token, notification_hub.hub, endpoint=notification_hub.endpoint) as client:
        client.put_installation(Installation("device", Platform.GCM, "handle"))
        client.delete_installation("device")
    assert len(asked) == 2


@pytest.fixture
def registration(hub: Hub) -> Registration:
    handle = "CD" * 32 if hub.platform is Platform.APNS else f"handle-{uuid4()}"
    return Registration(hub.platform, handle, tags=["nhagent:contract", "a"])


def test_registration_is_made_under_an_id_read_changed_listed_and_deleted(
    client: HubClient, registration: Registration
) -> None:
    key = client.create_registration_id()
    made = client.put_registration(key, registration)
    assert (made.registration_id, made.etag, made.installation_id) == (key, "1", None)
    read = client.get_registration(key)
    assert (read.channel, set(read.tags)) == (registration.channel, set(registration.tags))
    assert read.expiration_time is None

    changed = client.update_registration(key, replace(registration, tags=("b",)), "1")
    assert changed.etag == "2"
    with pytest.raises(ConcurrencyConflict) as caught:
        client.update_registration(key, registration, "1")
    assert caught.value.status == 412
    assert [row.registration_id for row in client.registrations_by_channel(registration.channel)] == [key]

    client.delete_registration(changed)
    with pytest.raises(RecordNotFound):
        client.delete_registration(key, "*")
    with pytest.raises(RecordNotFound):
        client.get_registration(key)
    assert list(client.registrations_by_channel(registration.channel)) == []


def test_every_create_makes_another_registration(client: HubClient, registration: Registration) -> None:
    made = [client.create_registration(registration) for _ in range(2)]
    try:
        listed = {row.registration_id for row in client.registrations_by_channel(registration.channel)}
        assert listed == {row.registration_id for row in made}
        assert len(listed) == 2
    finally:
        for row in made:
            client.delete_registration(row)


def test_modification_is_made_on_what_somebody_else_has_just_written(
    client: HubClient, registration: Registration
) -> None:
    made = client.create_registration(registration)
    key = made.registration_id
    interruptions = iter(["first", "second"])

    def change(held: HeldRegistration) -> Registration:
        tag = next(interruptions, None)
        if tag is not None:
            client.update_registration(key, replace(held, tags=(*held.tags, tag)))
        return replace(held, tags=(*held.tags, "mine"))

    try:
        changed = client.modify_registration(key, change)
        assert set(changed.tags) == {*registration.tags, "first", "second", "mine"}
    finally:
        client.delete_registration(key, "*")


def test_modification_that_never_comes_through_gives_up_after_five_tries(
    client: HubClient, registration: Registration, notification_hub: Emulator, hub: Hub
) -> None:
    if hub.settles_in:
        pytest.skip("a real hub plays no faults")
    made = client.create_registration(registration)
    notification_hub.fail("PUT", status=412, times=9)
    notification_hub.clear_log()
    with pytest.raises(ConcurrencyConflict):
        client.modify_registration(made.registration_id, lambda held: held)
    assert [entry.method for entry in notification_hub.log()] == ["GET", "PUT"] * 5


@pytest.mark.slow
def test_lists_are_read_page_by_page_and_no_further_than_asked(notification_hub: Emulator) -> None:
    with HubClient(notification_hub.full, notification_hub.hub) as client:
        for number in range(250):
            client.create_registration(Registration(Platform.GCM, "one-handle", [f"t{number % 2}"]))
        notification_hub.clear_log()
        listed = client.registrations_by_channel("one-handle")
        rows = iter(listed)
        assert next(rows).channel == "one-handle"
        assert len(notification_hub.log()) == 1
        assert len(list(rows)) == 249
        assert len(notification_hub.log()) == 3
        assert len(list(client.registrations())) == 250
        assert len(list(client.registrations_by_tag("t1"))) == 125
    with HubClient(notification_hub.listen, notification_hub.hub) as device, pytest.raises(Forbidden):
        list(device.registrations())


def test_list_that_never_ends_is_no_list_of_a_hub(notification_hub: Emulator) -> None:
    again = {"x-ms-continuationtoken": "again"}
    notification_hub.fail("GET", status=200, body="<feed/>", headers=again, times=9)
    with (
        HubClient(notification_hub.listen, notification_hub.hub) as client,
        pytest.raises(HubUnavailable, match="its list never ends"),
    ):
        list(client.registrations_by_channel("handle"))
    assert len(notification_hub.log()) == 2
