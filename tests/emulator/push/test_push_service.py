"""The push service speaks to devices as autopush does, also to those that do what they must not."""

from __future__ import annotations

import socket
import time
from contextlib import closing
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pywebpush", reason="pywebpush is not installed")


from nhagent.emulator import Emulator

from .devices import CHANNEL, Device, control, post, subscribe, token


def test_hello_gives_a_name_that_is_kept_from_the_first_channel_on(hub: Emulator) -> None:
    with Device(hub) as device:
        first = device.hello()
        assert len(first) == 32
    with Device(hub) as device:
        second = device.hello(first)  # it had no channel, and is not known
        assert second != first
        device.register(hub.vapid_public_key)
    with Device(hub) as device:
        assert device.hello(second) == second


def test_every_register_gives_another_address_of_the_same_channel(hub: Emulator, device: Device) -> None:
    first = subscribe(hub, device)[1]
    second = device.register(hub.vapid_public_key + "=")["pushEndpoint"]
    assert first != second
    assert first.startswith(f"{hub.endpoint}/wpush/v2/")
    for endpoint in (first, second):
        assert post(hub, endpoint).status == 201
        assert device.hear()["channelID"] == CHANNEL


def test_channel_without_a_key_is_of_the_first_version_and_anybody_may_send(
    hub: Emulator, device: Device
) -> None:
    device.hello()
    endpoint = device.register(None)["pushEndpoint"]
    assert "/wpush/v1/" in endpoint
    assert post(hub, endpoint, Authorization=None).status == 201
    assert device.hear()["messageType"] == "notification"
    assert device.register("not a key")["status"] == 400


@pytest.mark.parametrize(
    ("message", "code"),
    [
        ("not json", 1011),
        ("[]", 1011),
        ({"messageType": "unknown"}, 1011),
        ({"messageType": "register", "channelID": CHANNEL.upper().replace("1", "A")}, 1011),
        ({"messageType": "register", "channelID": CHANNEL.replace("-", "")}, 1011),
        ({"messageType": "register"}, 1011),
        ({"messageType": "unregister", "channelID": 5}, 1011),
        ({"messageType": "ack", "updates": "all"}, 1011),
        ({"messageType": "hello", "use_webpush": True}, 1011),
    ],
    ids=str,
)
def test_what_a_device_must_not_say_ends_its_connection(message: Any, code: int, device: Device) -> None:
    device.hello()
    assert device.asks(message) == code


@pytest.mark.parametrize("message", [{"messageType": "register", "channelID": CHANNEL}, {}], ids=str)
def test_who_does_not_say_hello_first_is_not_listened_to(message: Any, device: Device) -> None:
    assert device.asks(message) == 1011


def test_device_that_says_nothing_is_turned_away(hub: Emulator) -> None:
    hub.push_service.hello_seconds = 0.05
    with Device(hub) as device:
        assert device.hear() == 1011


def test_second_connection_of_a_device_ends_the_first(hub: Emulator, device: Device) -> None:
    subscribe(hub, device)
    [uaid] = hub.push_service.state()
    with Device(hub) as second:
        assert second.hello(uaid) == uaid
        assert device.hear() == 1011
        assert second.asks({}) == {}


def test_pings_that_come_too_often_are_punished(hub: Emulator, device: Device) -> None:
    device.hello()
    assert device.asks({}) == {}
    assert device.asks({}) == 1011


def test_device_that_does_not_answer_pings_is_gone(hub: Emulator, device: Device) -> None:
    device.hello()
    hub.push_service.ping_seconds = hub.push_service.pong_seconds = 0.05
    device.say({"messageType": "nack", "version": "x", "code": 301})  # it looks at the time again
    assert device.socket.recv_frame().opcode == 9  # and is not answered
    assert device.hear() == 1011


def test_what_is_not_acknowledged_comes_again_and_what_is_does_not(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    [uaid] = hub.push_service.state()
    assert post(hub, endpoint).status == 201
    assert post(hub, endpoint).status == 201
    first, second = device.hear(), device.hear()
    device.ack(first)
    device.asks({})  # it has been read
    device.socket.close()
    with Device(hub) as again:
        assert again.hello(uaid) == uaid
        assert again.hear()["version"] == second["version"]
        again.ack(second)
        again.asks({})
    assert hub.push_service.state()[uaid]["stored"] == []


def test_messages_that_wait_come_in_batches_and_in_order(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    [uaid] = hub.push_service.state()
    device.socket.close()
    assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
    versions = [post(hub, endpoint).headers["Location"].rpartition("/m/")[2] for _ in range(23)]
    with Device(hub) as again:
        again.hello(uaid)
        heard = [again.hear() for _ in range(10)]
        assert post(hub, endpoint).status == 201  # waits for its turn
        assert again.asks({}) == {}
        again.ack(*heard)
        heard += [again.hear() for _ in range(10)]
        again.ack(*heard[10:])
        heard += [again.hear() for _ in range(4)]
    assert [each["version"] for each in heard[:23]] == versions


def test_what_nobody_takes_in_its_time_is_dropped(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    [uaid] = hub.push_service.state()
    device.socket.close()
    assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
    assert post(hub, endpoint, TTL="0").status == 201
    assert hub.push_service.state()[uaid]["stored"] == []
    post(hub, endpoint, TTL="60")
    hub.set_clock(61)
    with Device(hub) as again:
        again.hello(uaid)
        assert again.asks({}) == {}


def test_newer_message_of_a_topic_takes_the_place_of_the_older(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    [uaid] = hub.push_service.state()
    device.socket.close()
    assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
    for _ in range(3):
        assert post(hub, endpoint, Topic="weather").status == 201
    assert len(hub.push_service.state()[uaid]["stored"]) == 1
    assert post(hub, endpoint, Topic="no topic!").status == 400


def test_device_that_is_away_for_too_long_or_has_too_many_messages_is_forgotten(
    hub: Emulator, device: Device
) -> None:
    endpoint = subscribe(hub, device)[1]
    [uaid] = hub.push_service.state()
    device.socket.close()
    assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
    hub.set_clock(60 * 86400 + 1)
    with Device(hub) as again:
        assert again.hello(uaid) != uaid
        endpoint = again.register(hub.vapid_public_key)["pushEndpoint"]
    [uaid] = hub.push_service.state()
    assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
    answers = [
        post(hub, endpoint, Authorization=token(hub, exp=int(time.time()) + 60 * 86400 + 600))
        for _ in range(152)
    ]
    assert [answer.status for answer in answers[:151]] == [201] * 151
    assert (answers[151].status, answers[151].document["errno"]) == (410, 103)
    assert hub.push_service.state() == {}


def test_channel_that_was_given_back_takes_nothing(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    assert device.asks({"messageType": "unregister", "channelID": CHANNEL, "code": 200})["status"] == 200
    answer = post(hub, endpoint)
    assert (answer.status, answer.document["errno"]) == (410, 106)


def test_another_process_can_look_and_make_things_go_wrong(hub: Emulator, device: Device) -> None:
    subscribe(hub, device)
    status, seen = control(hub, "push-service", None)
    [uaid] = seen["users"]
    assert (status, seen["users"][uaid]["connected"]) == (200, True)
    assert control(hub, "push-service/close", {"code": 1012, "uaid": uaid})[0] == 200
    assert device.hear() == 1012
    assert control(hub, "push-service/refuse", {"status": 503})[0] == 200
    import websocket

    with pytest.raises(websocket.WebSocketBadStatusException, match="503"):
        Device(hub)
    assert control(hub, "push-service/refuse", {"status": None})[0] == 200
    with Device(hub) as again:
        assert again.hello(uaid) == uaid
        assert control(hub, "push-service/drop", {})[0] == 200
        assert again.hear() == 1000
    for route, wrong in (
        ("close", {"code": 1}),
        ("refuse", {"status": 200}),
        ("drop", {"uaid": 5}),
        ("x", {}),
    ):
        assert control(hub, f"push-service/{route}", wrong)[0] in {400, 404}


def test_there_is_no_push_service_until_it_is_used() -> None:
    with Emulator() as hub:
        assert control(hub, "push-service", None)[0] == 404
        port = urlsplit(hub.endpoint).port
        with closing(socket.create_connection(("127.0.0.1", port or 0), timeout=60)) as raw:
            raw.sendall(
                b"GET /_push HTTP/1.1\r\nHost: 127.0.0.1\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            )
            assert b"HTTP/1.1 4" in raw.recv(100)


def test_users_keys_and_messages_outlive_a_restart_with_their_data(tmp_path: Path) -> None:
    data = str(tmp_path / "hub.db")
    with Emulator(data=data) as hub, Device(hub) as device:
        endpoint, public = subscribe(hub, device)[1], hub.vapid_public_key
        [uaid] = hub.push_service.state()
        device.socket.close()
        assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
        assert post(hub, endpoint).status == 201
        port = urlsplit(hub.endpoint).port
    with Emulator(data=data, port=port or 0) as hub:
        assert hub.vapid_public_key == public
        assert hub.push
        with Device(hub) as device:
            assert device.hello(uaid) == uaid
            assert device.hear()["channelID"] == CHANNEL
            assert post(hub, endpoint).status == 201


def test_connection_of_a_page_is_refused(hub: Emulator) -> None:
    import websocket

    with pytest.raises(websocket.WebSocketBadStatusException, match="403"):
        websocket.create_connection(hub.push, origin="https://evil.example", timeout=60)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(st.binary(max_size=200), max_size=5))
def test_bytes_of_any_kind_end_in_an_answer_or_an_end(hub: Emulator, pieces: list[bytes]) -> None:
    with Device(hub) as device:
        raw = device.socket.sock
        raw.settimeout(60)
        try:
            for piece in pieces:
                raw.sendall(piece)
            raw.shutdown(socket.SHUT_WR)
            while raw.recv(4096):
                pass
        except OSError:
            pass
    with Device(hub) as device:
        device.hello()


@pytest.mark.usefixtures("device")
def test_emulator_closes_with_connections_open(hub: Emulator) -> None:
    hub.close()
