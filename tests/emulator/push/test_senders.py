"""The push service speaks to senders as autopush does: whom it serves, and what it says to the others."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

pytest.importorskip("pywebpush", reason="pywebpush is not installed")

from pywebpush import WebPushException, webpush

from nhagent import HubClient, Installation, Platform
from nhagent.emulator import Emulator

from .devices import CHANNEL, Answer, Device, Keys, control, post, subscribe, to_text, token

Change = Callable[[Emulator], dict[str, str | None]]


@pytest.mark.parametrize(
    ("change", "status", "errno"),
    [
        (lambda _: {"TTL": None}, 400, 111),
        (lambda _: {"TTL": "-1"}, 400, 111),
        (lambda _: {"Authorization": None}, 401, 109),
        (lambda _: {"Authorization": "vapid t=a.b.c,k=x"}, 401, 109),
        (lambda hub: {"Authorization": token(hub, aud="https://push.example")}, 401, 109),
        (lambda hub: {"Authorization": token(hub, exp=int(time.time()) - 1)}, 401, 109),
        (lambda hub: {"Authorization": token(hub, exp=int(time.time()) + 90_000)}, 401, 109),
        (lambda hub: {"Authorization": token(hub)[:-20]}, 401, 109),
        (lambda hub: {"Authorization": token(hub).replace("t=ey", "t=fy")}, 401, 109),
        (lambda _: {"Content_Encoding": "identity"}, 400, 110),
        (lambda _: {"Content_Encoding": "aesgcm"}, 400, 110),
    ],
)
def test_sender_that_does_not_keep_to_the_rules_is_refused(
    change: Change, status: int, errno: int, hub: Emulator, device: Device
) -> None:
    endpoint = subscribe(hub, device)[1]
    answer = post(hub, endpoint, b"body", **change(hub))
    assert (answer.status, answer.document["errno"]) == (status, errno)
    assert device.asks({}) == {}  # and the device hears nothing of it


def test_sender_with_another_key_is_refused(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    with Emulator() as another:
        assert another.push
        authorization = token(another, aud=hub.endpoint)
    answer = post(hub, endpoint, Authorization=authorization)
    assert (answer.status, answer.document["errno"]) == (401, 109)


def test_body_longer_than_the_service_takes_is_refused(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    assert post(hub, endpoint, b"x" * 5630).status == 201
    assert post(hub, endpoint, b"x" * 5631).status == 413


def test_address_that_was_never_given_out_is_unknown(hub: Emulator, device: Device) -> None:
    endpoint = subscribe(hub, device)[1]
    for wrong in (endpoint[:-3] + "abc", endpoint.replace("/v2/", "/v1/"), hub.endpoint + "/wpush/v2/"):
        answer: Answer = post(hub, wrong)
        assert (answer.status, answer.document["errno"]) == (404, 102)


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
@pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm"])
def test_what_pywebpush_sends_arrives(encoding: str, tls: bool) -> None:
    with Emulator(tls=tls) as hub, Device(hub) as device:
        endpoint, keys = subscribe(hub, device)[1], Keys()
        import requests

        with closing(requests.Session()) as session:
            session.trust_env, session.verify = False, hub.ca or True
            webpush(
                keys.info(endpoint),
                data="sent by pywebpush",
                vapid_private_key=hub.vapid_private_key,
                vapid_claims={"sub": "mailto:a@b.example"},
                content_encoding=encoding,
                ttl=60,
                requests_session=session,
            )
        assert keys.read(device.hear()) == b"sent by pywebpush"


def test_installation_is_sent_to_as_a_hub_does(hub: Emulator, device: Device) -> None:

    endpoint, keys = subscribe(hub, device)[1], Keys()
    channel = {"endpoint": endpoint, **keys.info(endpoint)["keys"]}
    with HubClient(hub.full, hub.hub) as client:
        client.put_installation(Installation("browser-1", Platform.BROWSER, channel))
        client.put_installation(Installation("wns-1", Platform.WNS, "https://push.example/1"))
        elsewhere = {**channel, "endpoint": "https://push.example/wpush/v2/x"}
        client.put_installation(Installation("other-1", Platform.BROWSER, elsewhere))
    assert hub.send_push("browser-1", "as the hub does").status == 201
    assert keys.read(device.hear()) == b"as the hub does"
    for name, status in (("browser-1", 200), ("wns-1", 400), ("other-1", 400), ("nobody", 404)):
        assert control(hub, "push", {"installation": name, "body": "by control"})[0] == status
    assert keys.read(device.hear()) == b"by control"
    with pytest.raises(ValueError, match="not a subscription of the emulator's"):
        hub.send_push("other-1", "x")


def test_gone_subscription_is_told_to_the_sender(hub: Emulator, device: Device) -> None:
    endpoint, keys = subscribe(hub, device)[1], Keys()
    hub.push_service.drop()
    with pytest.raises(WebPushException, match="410"):
        webpush(
            keys.info(endpoint),
            data="too late",
            vapid_private_key=hub.vapid_private_key,
            vapid_claims={"sub": "mailto:a@b.example"},
        )


def test_signed_post_to_a_channel_without_a_key_is_taken(hub: Emulator, device: Device) -> None:
    device.hello()
    endpoint = device.register(None)["pushEndpoint"]
    assert post(hub, endpoint).status == 201
    assert post(hub, endpoint, Authorization=token(hub, aud="https://push.example")).status == 401


def test_token_in_the_older_form_is_taken(hub: Emulator, device: Device) -> None:
    _, endpoint = subscribe(hub, device)
    signed = token(hub).removeprefix("vapid t=").partition(",")[0]
    for scheme in ("WebPush", "Bearer"):
        key = f"p256ecdsa={hub.vapid_public_key}"
        assert post(hub, endpoint, Authorization=f"{scheme} {signed}", Crypto_Key=key).status == 201
        answer = post(hub, endpoint, Authorization=f"{scheme} {signed}", Crypto_Key=None)
        assert (answer.status, answer.document["errno"]) == (401, 109)


def test_token_that_nests_without_end_is_refused(hub: Emulator, device: Device) -> None:
    _, endpoint = subscribe(hub, device)
    nested = to_text(b"[" * 20_000)
    answer = post(hub, endpoint, Authorization=f"vapid t={nested}.{nested}.x,k={hub.vapid_public_key}")
    assert (answer.status, answer.document["errno"]) == (401, 109)


def test_life_of_a_message_is_at_most_thirty_days(hub: Emulator, device: Device) -> None:
    _, endpoint = subscribe(hub, device)
    assert post(hub, endpoint, TTL="9999999999").headers["TTL"] == str(30 * 86400)
    assert post(hub, endpoint, TTL="7").headers["TTL"] == "7"


def test_message_without_life_reaches_a_device_that_is_there_and_never_comes_again(
    hub: Emulator, device: Device
) -> None:
    uaid, endpoint = subscribe(hub, device)
    assert post(hub, endpoint, TTL="0").status == 201
    assert device.hear()["channelID"] == CHANNEL
    device.socket.close()
    assert hub.push_service.wait_for(lambda service: not service.state()[uaid]["connected"])
    with Device(hub) as again:
        again.hello(uaid)
        assert again.asks({}) == {}


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.dictionaries(
        st.sampled_from(["TTL", "Authorization", "Crypto-Key", "Encryption", "Content-Encoding", "Topic"]),
        st.text(st.characters(min_codepoint=33, max_codepoint=126), max_size=60)
        | st.sampled_from(
            ["60", "aesgcm", "aes128gcm", "vapid t=e30.e30.e30,k=BA", "WebPush a.b", "salt=;dh="]
        ),
    ),
    st.binary(max_size=100),
)
def test_posts_of_any_kind_are_answered_in_words(hub: Emulator, headers: dict[str, str], body: bytes) -> None:
    endpoint = hub.push_service.endpoint("0" * 32, CHANNEL, hub.vapid_public_key)
    answer = post(hub, endpoint, body, **dict(headers))
    assert answer.status in {400, 401, 410}
    assert answer.document["code"] == answer.status
    assert answer.document["message"]
