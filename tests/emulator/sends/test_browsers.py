from __future__ import annotations

from collections.abc import Iterator

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Caller
from tests.emulator.push.devices import CHANNEL, Device, Keys

from .sending import notify

pytest.importorskip("wsproto", reason="wsproto is not installed")


@pytest.fixture
def device(emulator: Emulator) -> Iterator[Device]:
    with Device(emulator) as device:
        device.hello()
        yield device


def registered(emulator: Emulator, backend: Caller, device: Device, **members: object) -> Keys:
    endpoint = str(device.register(emulator.vapid_public_key)["pushEndpoint"])
    keys = Keys()
    channel = {"endpoint": endpoint, **keys.info(endpoint)["keys"]}
    installation = {"installationId": "b", "platform": "browser", "pushChannel": channel, **members}
    assert backend.put(installation).status == 200
    return keys


def test_a_browser_of_the_own_push_service_gets_the_message_encrypted(
    emulator: Emulator, backend: Caller, device: Device
) -> None:
    templates = {"t": {"body": '{"title":"$(title)"}'}}
    keys = registered(emulator, backend, device, tags=["kitchen"], templates=templates)
    assert notify(backend, "browser", '{"a":"b"}', "kitchen").status == 201
    assert keys.read(device.hear()) == b'{"a":"b"}'
    assert notify(backend, "template", {"title": "Hello"}, "kitchen").status == 201
    assert keys.read(device.hear()) == b'{"title":"Hello"}'
    delivery = emulator.deliveries()[-1]
    emulator._parts().changes.wait_for(lambda: emulator.deliveries()[-1].matched[0].outcome, 60)
    assert emulator.deliveries()[-1].matched[0].outcome == "delivered: 201"
    assert delivery.matched[0].platform == "browser"


def test_a_direct_send_to_the_own_push_service_arrives_too(
    emulator: Emulator, backend: Caller, device: Device
) -> None:
    endpoint = str(device.register(emulator.vapid_public_key)["pushEndpoint"])
    keys = Keys()
    info = keys.info(endpoint)["keys"]
    headers = {
        "ServiceBusNotification-DeviceHandle": endpoint,
        "P256DH": info["p256dh"],
        "Auth": info["auth"],
    }
    assert notify(backend, "browser", "direct", headers=headers, query="&direct").status == 201
    assert keys.read(device.hear()) == b"direct"


def test_a_subscription_that_was_given_back_is_marked_as_expired(
    emulator: Emulator, backend: Caller, device: Device
) -> None:
    registered(emulator, backend, device)
    device.asks({"messageType": "unregister", "channelID": CHANNEL, "code": 200})
    reply = notify(backend, "browser", "to nobody", query="&test")
    assert "<Failure>1</Failure>" in reply.text
    assert emulator.contents()["installations"][0]["pushChannelExpired"] is True
    assert notify(backend, "browser", "to nobody").status == 201
    assert emulator.deliveries()[-1].matched == ()
    assert emulator.deliveries()[-1].why[0].reason == "Its channel has expired."


def test_a_test_send_waits_for_the_push_service(emulator: Emulator, backend: Caller, device: Device) -> None:
    keys = registered(emulator, backend, device)
    reply = notify(backend, "browser", "x", query="&test")
    assert "<Success>1</Success><Failure>0</Failure>" in reply.text
    assert keys.read(device.hear()) == b"x"
