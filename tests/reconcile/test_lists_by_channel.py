"""The list of a first run: by which field the hub is asked, and what happens where it refuses that one."""

from __future__ import annotations

import json
from typing import Any
from urllib.parse import unquote

import pytest

from nhagent import BrowserChannel, HubClient
from nhagent.errors import InvalidRequest
from nhagent.hub.channel_filter import by_own_field, by_uri
from nhagent.models import Platform
from tests.device_under_test import Device
from tests.subscriptions import AUTH, KEYS, P256DH

from .test_what_is_no_handle import GOOD, STYLES, of

ENDPOINT = GOOD["browser"]["endpoint"]
SUBSCRIPTION = json.dumps({"endpoint": ENDPOINT, **KEYS}, separators=(",", ":"))
FILTERS = {
    "wns": f"ChannelUri eq '{GOOD['wns']}'",
    "mpns": f"ChannelUri eq '{GOOD['mpns']}'",
    "apns": f"DeviceToken eq '{GOOD['apns']}'",
    "fcmv1": f"FcmV1RegistrationId eq '{GOOD['fcmv1']}'",
    "gcm": f"GcmRegistrationId eq '{GOOD['gcm']}'",
    "adm": f"AdmRegistrationId eq '{GOOD['adm']}'",
    "xiaomi": f"XiaomiRegistrationId eq '{GOOD['xiaomi']}'",
    "baidu": f"BaiduUserId-BaiduChannelId eq '{GOOD['baidu']}'",
    "browser": f"Endpoint eq '{ENDPOINT}' and P256DH eq '{P256DH}' and Auth eq '{AUTH}'",
}
OTHER = {platform: f"ChannelUri eq '{GOOD[platform]}'" for platform in FILTERS} | {
    "browser": f"ChannelUri eq '{SUBSCRIPTION}'"
}
TWO_FORMS = [platform for platform in FILTERS if FILTERS[platform] != OTHER[platform]]


def filters(device: Device) -> list[str]:
    """What lists by channel have asked for since the log was last emptied."""
    asked = [entry.query for entry in device.hub.log() if "filter=" in entry.query]
    device.hub.clear_log()
    return [unquote(query.partition("filter=")[2].partition("&")[0]) for query in asked]


def refuse_own_fields(device: Device, times: int) -> None:
    """The next lists are refused, as a service does that does not know the field."""
    device.hub.fail("GET", status=400, times=times)


@pytest.mark.parametrize("platform", FILTERS)
@pytest.mark.parametrize("style", STYLES)
def test_a_first_run_asks_for_the_field_of_its_platform(device: Device, platform: str, style: str) -> None:
    device.channel = GOOD[platform].lower() if platform == "apns" else GOOD[platform]
    assert device.start(**of(platform, style=style, first_run_list=True)).outcome == "registered"
    assert filters(device) == [FILTERS[platform]]


@pytest.mark.parametrize("platform", FILTERS)
def test_a_device_that_lost_its_disk_is_found_by_the_field_of_its_platform(
    device: Device, backend: HubClient, platform: str
) -> None:
    mine = of(platform, first_run_list=True)
    device.channel = GOOD[platform]
    first = device.start(**mine)
    for path in device.files.values():
        path.unlink()
    assert device.start(**mine).installation_id == first.installation_id
    assert len(list(backend.registrations())) == 1


@pytest.mark.parametrize("platform", TWO_FORMS)
@pytest.mark.parametrize("style", STYLES)
def test_the_other_form_is_tried_once_where_the_hub_refuses_the_first(
    device: Device, platform: str, style: str
) -> None:
    mine = of(platform, style=style, first_run_list=True)
    device.channel = GOOD[platform]
    refuse_own_fields(device, 1)
    assert device.start(**mine).outcome == "registered"
    assert filters(device) == [FILTERS[platform], OTHER[platform]]
    assert json.loads(device.files["state.json"].read_text())["lists_by_uri"] is True
    device.agent(**mine).unregister()
    assert set(filters(device)) <= {OTHER[platform]}, "the refused one is not tried again"
    device.agent(**mine).enable()
    device.start(**mine)
    assert set(filters(device)) <= {OTHER[platform]}


@pytest.mark.parametrize("platform", ["wns", "fcmv1", "browser"])
def test_a_hub_that_refuses_every_list_is_asked_no_third_time(device: Device, platform: str) -> None:
    mine = of(platform, first_run_list=True)
    device.channel = GOOD[platform]
    refuse_own_fields(device, 9)
    with pytest.raises(InvalidRequest):
        device.start(**mine)
    assert filters(device) == list(dict.fromkeys([FILTERS[platform], OTHER[platform]]))
    assert device.held() == []


@pytest.mark.parametrize("status", [401, 403, 404, 429, 503])
def test_only_a_list_that_is_refused_as_such_is_asked_for_in_the_other_form(
    device: Device, status: int
) -> None:
    device.channel = GOOD["fcmv1"]
    device.hub.fail("GET", status=status, times=1)
    try:
        device.agent(**of("fcmv1", first_run_list=True)).start(timeout=0)
    except Exception as error:
        assert not isinstance(error, InvalidRequest)
    assert set(filters(device)) == {FILTERS["fcmv1"]}


def test_a_client_that_does_not_say_the_platform_asks_for_the_field_of_every_one(
    device: Device, backend: HubClient
) -> None:
    handles: list[Any] = [GOOD["gcm"], "o'brien", BrowserChannel.parse(GOOD["browser"])]
    for handle in handles:
        assert list(backend.registrations_by_channel(handle)) == []
    assert list(backend.registrations_by_channel(GOOD["apns"].lower(), platform="apns")) == []
    assert filters(device) == [
        OTHER["gcm"],
        "ChannelUri eq 'o''brien'",
        FILTERS["browser"],
        FILTERS["apns"],
    ]


def test_addresses_are_asked_for_as_the_service_keeps_them() -> None:
    for form in (by_own_field, by_uri):
        assert form("https://Some.url", Platform.WNS) == "ChannelUri eq 'https://some.url/'"
