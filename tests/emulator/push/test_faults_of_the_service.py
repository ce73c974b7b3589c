"""The push service goes wrong as it is told to, and its devices lose nothing by it."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pywebpush", reason="pywebpush is not installed")

import websocket

from nhagent import HubClient, Installation, Platform
from nhagent.emulator import Emulator

from .devices import CHANNEL, Device, Keys, control, post, subscribe, token


@pytest.mark.parametrize("code", [1000, 1001, 1008, 1011, 1012, 1013, 4774])
def test_connection_closes_with_any_code(code: int, hub: Emulator, device: Device) -> None:
    device.hello()
    assert control(hub, "push-service/close", {"code": code})[0] == 200
    assert device.hear() == code


@pytest.mark.parametrize("code", [1006, None])
def test_connection_is_cut_without_a_code(code: int | None, hub: Emulator, device: Device) -> None:
    device.hello()
    hub.push_service.close(code)
    assert device.hear() is None


@pytest.mark.parametrize("code", [999, 1004, 1005, 1015, 5000])
def test_code_that_is_never_sent_is_refused(code: int, hub: Emulator, device: Device) -> None:
    device.hello()
    assert control(hub, "push-service/close", {"code": code})[0] == 400
    with pytest.raises(ValueError, match="not a close code"):
        hub.push_service.close(code)
    assert device.asks({}) == {}


def test_one_device_is_closed_and_the_other_is_not(hub: Emulator, device: Device) -> None:
    uaid, _ = subscribe(hub, device)
    with Device(hub) as other:
        subscribe(hub, other)
        hub.push_service.close(1012, uaid)
        assert device.hear() == 1012
        assert other.asks({}) == {}


def test_one_device_is_dropped_and_the_other_is_not(hub: Emulator, device: Device) -> None:
    uaid, endpoint = subscribe(hub, device)
    with Device(hub) as other:
        _, elsewhere = subscribe(hub, other)
        assert control(hub, "push-service/drop", {"uaid": uaid})[0] == 200
        assert device.hear() == 1000
        assert post(hub, endpoint).status == 410
        assert post(hub, elsewhere).status == 201
        assert other.hear()["channelID"] == CHANNEL


@pytest.mark.parametrize(
    ("frame", "code"),
    [
        (b"\x83\x80\0\0\0\0", 1002),  # an opcode that is reserved
        (b"\x81\x01x", 1002),  # not masked
        (b"\x81\x82\0\0\0\0\xc3\x28", 1007),  # text that is not UTF-8
        (b"\x82\x81\0\0\0\0x", 1003),  # not text
        (b"\x81\xff" + (70_000).to_bytes(8, "big") + bytes(4) + b"x" * 70_000, 1009),
    ],
    ids=["opcode", "unmasked", "not utf-8", "binary", "too long"],
)
def test_device_is_told_what_was_wrong_with_its_frames(
    frame: bytes, code: int, hub: Emulator, device: Device
) -> None:
    device.hello()
    device.socket.sock.sendall(frame)
    assert device.hear() == code


def test_close_of_a_device_is_answered_with_its_code(hub: Emulator, device: Device) -> None:
    device.hello()
    device.socket.send_close(1001)
    assert device.hear() == 1001


def test_messages_arrive_on_the_newer_connection_when_the_older_one_was_lost(
    hub: Emulator, device: Device
) -> None:
    """The device's network went away: it has read nothing, and the service does not know yet."""
    uaid, endpoint = subscribe(hub, device)
    version = post(hub, endpoint).headers["Location"].rpartition("/m/")[2]
    with Device(hub) as newer:
        assert newer.hello(uaid) == uaid
        assert newer.hear()["version"] == version
        newer.ack({"channelID": CHANNEL, "version": version})
        assert newer.asks({}) == {}
        assert hub.push_state()["users"][uaid]["stored"] == []


@pytest.mark.slow
def test_device_that_acknowledges_nothing_is_dropped_when_too_much_waits(
    hub: Emulator, device: Device
) -> None:
    uaid, endpoint = subscribe(hub, device)
    post(hub, endpoint)
    with Device(hub) as newer:
        newer.hello(uaid)
        newer.hear()  # and is not acknowledged: what follows waits
        signed = token(hub)
        statuses = [post(hub, endpoint, Authorization=signed).status for _ in range(151)]
        assert statuses[:150] == [201] * 150
        assert newer.hear() == 1000
    assert post(hub, endpoint).status == 410
    assert hub.push_state()["users"] == {}


def test_silent_service_answers_no_hello(hub: Emulator) -> None:
    hub.push_service.hello_seconds = 0.01
    assert control(hub, "push-service/behave", {"silent": True})[0] == 200
    with Device(hub) as device:
        device.say({"messageType": "hello", "use_webpush": True})
        device.socket.ping(b"still there?")
        assert device.socket.recv_frame().data == b"still there?"  # and neither answer nor end came before
    assert hub.push_service.log() == []


def test_deaf_service_answers_nothing_until_it_hears_again(hub: Emulator, device: Device) -> None:
    uaid, endpoint = subscribe(hub, device)
    assert control(hub, "push-service/behave", {"deaf": True})[0] == 200
    assert post(hub, endpoint).status == 201
    device.say({"messageType": "nack", "version": "x", "code": 301})
    said = [entry["messageType"] for entry in hub.push_service.log()]
    assert control(hub, "push-service/behave", {"deaf": False})[0] == 200
    assert device.hear()["channelID"] == CHANNEL
    assert hub.push_service.wait_for(lambda service: len(service.log()) == 3)
    assert said == ["hello", "register"]
    assert hub.push_state()["connections"] == [uaid]


def test_delivery_comes_twice_in_the_same_version(hub: Emulator, device: Device) -> None:
    _, endpoint = subscribe(hub, device)
    assert control(hub, "push-service/behave", {"twice": True})[0] == 200
    post(hub, endpoint)
    assert device.hear() == device.hear()


def test_delayed_answers_come_in_order_and_a_close_does_not_wait_for_them(
    hub: Emulator, device: Device
) -> None:
    _, endpoint = subscribe(hub, device)
    hub.push_service.delay_seconds = 0.05
    versions = [post(hub, endpoint).headers["Location"].rpartition("/m/")[2] for _ in range(3)]
    assert [device.hear()["version"] for _ in range(3)] == versions
    hub.push_service.delay_seconds = 86_400
    post(hub, endpoint)
    hub.push_service.close(1012)
    said = [device.hear(), None]  # what was held back is sent at once, or not at all
    assert 1012 in (said[0], device.hear() if isinstance(said[0], dict) else 1012)


@pytest.mark.parametrize(
    "wrong",
    [{"silent": 1}, {"delay": -1}, {"delay": True}, {"ping_every": "5"}, {"twice": None}, {"other": 1}],
    ids=str,
)
def test_behaviour_that_there_is_none_of_changes_nothing(wrong: dict[str, Any], hub: Emulator) -> None:
    assert control(hub, "push-service/behave", {"deaf": True, **wrong})[0] == 400
    assert not hub.push_service.is_deaf


def test_state_and_log_show_what_tests_need(hub: Emulator, device: Device) -> None:
    uaid, endpoint = subscribe(hub, device)
    with Device(hub):
        assert hub.push_service.wait_for(lambda service: len(service.connections()) == 2)
        assert set(control(hub, "push-service", None)[1]["connections"]) == {uaid, None}
    device.socket.close()
    assert hub.push_service.wait_for(lambda service: service.connections() == [])
    post(hub, endpoint)
    state = control(hub, "push-service", None)[1]
    assert state == hub.push_state()
    assert state["posts"] == 1
    assert state["users"][uaid]["channels"] == {CHANNEL: hub.vapid_public_key}
    assert len(state["users"][uaid]["stored"]) == 1
    log = control(hub, "push-service/log", None)[1]
    assert [entry["messageType"] for entry in log] == ["hello", "register"]
    assert log[1]["uaid"] == uaid


def test_service_that_was_used_is_there_when_the_emulator_begins_again() -> None:
    emulator = Emulator()
    with emulator:
        url = emulator.push
    with emulator, Device(emulator) as device:
        assert emulator.push == url
        device.hello()
    with emulator:  # nobody has asked for it: devices come back by themselves
        again: Any = websocket.create_connection(url, timeout=60, suppress_origin=True)
        again.shutdown()


def test_devices_are_told_that_the_emulator_goes_away(hub: Emulator, device: Device) -> None:
    device.hello()
    hub.close()
    assert device.hear() == 1001


def test_order_to_push_begins_no_push_service() -> None:
    keys = Keys()
    with Emulator() as hub:
        channel = {"endpoint": f"{hub.endpoint}/wpush/v2/x", **keys.info("")["keys"]}
        with HubClient(hub.full, hub.hub) as client:
            client.put_installation(Installation("i", Platform.BROWSER, channel))
        assert control(hub, "push", {"installation": "i", "body": "x"})[0] == 404
        assert control(hub, "push-service", None)[0] == 404


def test_without_wsproto_a_device_is_told_what_to_install(tmp_path: Path) -> None:
    program = """
import socket, sys
sys.modules["wsproto"] = None
from urllib.parse import urlsplit
from nhagent.emulator import Emulator
with Emulator() as hub:
    url = urlsplit(hub.push)
    with socket.create_connection((url.hostname, url.port), timeout=60) as raw:
        head = [
            f"GET {url.path} HTTP/1.1",
            f"Host: {url.netloc}",
            "Upgrade: websocket",
            "Connection: Upgrade",
            "Sec-WebSocket-Version: 13",
            "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==",
        ]
        raw.sendall("".join(f"{line}\\r\\n" for line in [*head, ""]).encode())
        raw.shutdown(socket.SHUT_WR)
        while data := raw.recv(4096):
            print(data.decode())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("HTTP/1.1 501 ")
    assert "pip install nhagent[emulator]" in done.stdout
    assert done.stderr == ""


@pytest.mark.slow
def test_more_connections_are_held_than_select_has_numbers_for(hub: Emulator) -> None:
    """Each takes three descriptors here, and the device's own, of which select knows 1,024."""
    resource = pytest.importorskip("resource", reason="the system has no limits of this kind")
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    if hard != resource.RLIM_INFINITY and hard < 2048:
        pytest.skip("the system gives this process too few descriptors")
    resource.setrlimit(resource.RLIMIT_NOFILE, (max(soft, 2048), hard))
    devices = [Device(hub) for _ in range(280)]
    try:
        assert devices[-1].socket.sock.fileno() > 1024
        for device in devices:
            device.hello()
    finally:
        hub.push_service.close(1001)
        for device in devices:
            device.socket.shutdown()
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))


WORDS = ["messageType", "channelID", "key", "uaid", "use_webpush", "updates", "version", "code", "status"]
SAID = ["hello", "register", "unregister", "ack", "nack", "ping", "broadcast_subscribe", "notification"]
VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats()
    | st.text(max_size=20)
    | st.sampled_from([*SAID, CHANNEL, "0" * 32, "B" * 87]),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(WORDS), inner, max_size=3),
    max_leaves=10,
)
MESSAGES = st.builds(
    lambda kind, rest: {**rest, "messageType": kind},
    st.sampled_from(SAID),
    st.dictionaries(st.sampled_from(WORDS), VALUES, max_size=5),
)


@pytest.mark.slow
@settings(max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.booleans(), st.lists(MESSAGES | VALUES, max_size=4))
def test_messages_of_any_kind_end_in_an_answer_or_a_close(
    hub: Emulator, says_hello: bool, messages: list[Any]
) -> None:
    with Device(hub) as device:
        if says_hello:
            device.hello()
        try:
            for message in messages:
                device.say(json.dumps(message))
            device.socket.send_close(1001)
        except OSError:  # it has been turned away already
            pass
        heard: Any = {}
        while isinstance(heard, dict):
            heard = device.hear()
        assert heard in {1001, 1011, None}
    with Device(hub) as device:
        device.hello()
    assert hub.push_service.wait_for(lambda service: service.connections() == [])


def test_bytes_that_are_no_upgrade_are_answered(hub: Emulator) -> None:
    url = urlsplit(hub.push)
    for head, status in (("", b"426"), ("Upgrade: websocket\r\nConnection: Upgrade\r\n", b"400")):
        with socket.create_connection((url.hostname or "", url.port or 0), timeout=60) as raw:
            raw.sendall(f"GET {url.path} HTTP/1.1\r\nHost: {url.netloc}\r\n{head}\r\n".encode())
            assert raw.recv(100).startswith(b"HTTP/1.1 " + status)
