"""An installation shows itself as the registrations that it stands for."""

from __future__ import annotations

import json
import xml.etree.ElementTree as ET
from typing import Any

import pytest

from nhagent.emulator import Emulator

from .caller import Caller, toast, wns
from .describing import ATOM, VERSION, description_of, filtered, ids_of, on, texts_of, windows
from .test_refusals import detail

CHANNEL = "https://x.notify.windows.com/?t=1"


def kinds_of(reply: Any) -> list[str]:
    contents = ET.fromstring(reply.body).iter(f"{{{ATOM}}}content")
    return [content[0].tag.rpartition("}")[2].removesuffix("RegistrationDescription") for content in contents]


def ids_on(hub: Caller, channel: str = CHANNEL) -> list[str]:
    return ids_of(filtered(hub, f"ChannelUri eq '{channel}'"))


def test_an_installation_is_one_native_and_one_template_registration_for_each_template(hub: Caller) -> None:
    hub.put(
        wns(
            userId="ann",
            tags=["a"],
            pushVariables={"n": "Ann"},
            templates={"alert": toast(tags=["b", "A"]), "Plain": toast()},
            expirationTime="2040-01-02T03:04Z",
        )
    )
    reply = filtered(hub, f"ChannelUri eq '{CHANNEL}'")
    assert kinds_of(reply) == ["Windows", "WindowsTemplate", "WindowsTemplate"]
    own = "$InstallationId:{i},$UserId:{ann},a"
    assert texts_of(reply, "Tags") == [own, f"{own},b", f"{own},Plain"]
    assert texts_of(reply, "TemplateName") == [None, "alert", "Plain"]
    assert texts_of(reply, "PushVariables") == ['{"n":"Ann"}'] * 3
    assert texts_of(reply, "ExpirationTime") == ["2040-01-02T03:04:00.0000000Z"] * 3
    assert texts_of(reply, "ETag") == ["1"] * 3
    native = on(hub, "GET", ids_of(reply)[0])
    assert native.headers["ETag"] == 'W/"1"'
    assert "<ExpirationTime>2040-01-02T03:04:00.0000000Z</ExpirationTime>" in description_of(native)
    assert "<Header>X-WNS-Type</Header><Value>wns/toast</Value>" in reply.text


def test_a_tile_shows_itself_on_its_own_channel(hub: Caller) -> None:
    tile = {"pushChannel": "https://tile/", "tags": ["t"], "templates": {"front": toast(tags=["f"])}}
    hub.put(wns(tags=["device"], secondaryTiles={"weather": tile}))
    assert len(ids_on(hub)) == 1
    reply = filtered(hub, "ChannelUri eq 'https://tile/'")
    assert kinds_of(reply) == ["Windows", "WindowsTemplate"]
    assert texts_of(reply, "SecondaryTileName") == ["weather"] * 2
    assert texts_of(reply, "Tags") == ["$InstallationId:{i},t", "$InstallationId:{i},t,f"]


@pytest.mark.parametrize(
    ("platform", "channel", "elements"),
    [
        ("apns", "AB12", "<DeviceToken>AB12</DeviceToken>"),
        ("fcmv1", "f", "<FcmV1RegistrationId>f</FcmV1RegistrationId>"),
        ("gcm", "g", "<GcmRegistrationId>g</GcmRegistrationId>"),
        ("adm", "a", "<AdmRegistrationId>a</AdmRegistrationId>"),
        ("mpns", "https://m/", "<ChannelUri>https://m/</ChannelUri>"),
        ("xiaomi", "x", "<XiaomiRegistrationId>x</XiaomiRegistrationId>"),
        ("baidu", "u-c-d", "<BaiduUserId>u</BaiduUserId><BaiduChannelId>c-d</BaiduChannelId>"),
        (
            "browser",
            {"endpoint": "e", "p256dh": "p", "auth": "a"},
            "<Endpoint>e</Endpoint><P256DH>p</P256DH><Auth>a</Auth>",
        ),
    ],
)
def test_every_platform_shows_itself(hub: Caller, platform: str, channel: Any, elements: str) -> None:
    headers = {"X-NotificationClass": "5"} if platform == "mpns" else {"apns-priority": "5"}
    template = {"body": '{"a":"]]>"}', "expiry": "0", "headers": headers}
    document = {"platform": platform, "pushChannel": channel, "templates": {"t": template}}
    assert hub.installation("PUT", "i", document).status == 200
    shown = json.dumps(channel) if isinstance(channel, dict) else channel
    native, templated = (description_of(on(hub, "GET", found)) for found in ids_on(hub, shown))
    assert native.endswith(f"<Tags>$InstallationId:{{i}}</Tags>{elements}")
    assert f'{elements}<BodyTemplate><![CDATA[{{"a":"]]]]><![CDATA[>"}}]]></BodyTemplate>' in templated
    assert ("<Expiry>0</Expiry>" in templated) is (platform == "apns")
    assert ("<Value>5</Value>" in templated) is (platform in ("apns", "mpns"))


def test_registrations_keep_their_ids_while_their_template_lives(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns(templates={"a": toast(), "b": toast()}))
    native, first, second = ids_on(hub)
    hub.patch({"op": "replace", "path": "/pushChannel", "value": "https://new/"})
    assert ids_on(hub) == []
    assert ids_on(hub, "https://new/") == [native, first, second]
    assert on(hub, "GET", first).headers["ETag"] == 'W/"2"'
    hub.patch({"op": "remove", "path": "/templates/a"})
    hub.put(wns(templates={"b": toast(), "c": toast()}))
    assert ids_on(hub)[:2] == [native, second]
    assert len(ids_on(hub)) == 3
    assert on(hub, "GET", first).status == 404
    hub.delete()
    assert ids_on(hub) == []
    hub.put(wns())
    assert set(ids_on(hub)).isdisjoint({native, first, second})
    emulator.forget(installation="i")
    assert ids_on(hub) == []


def test_a_refused_installation_leaves_its_registrations_as_they_were(hub: Caller) -> None:
    hub.put(wns(tags=["a"]))
    before = filtered(hub, f"ChannelUri eq '{CHANNEL}'")
    assert hub.put(wns(tags=["a b"], pushChannel="https://new/")).status == 400
    assert texts_of(filtered(hub, f"ChannelUri eq '{CHANNEL}'"), "Tags") == texts_of(before, "Tags")


def test_an_installation_is_found_by_its_tags(hub: Caller, backend: Caller) -> None:
    hub.put(wns(userId="ann", tags=["Kitchen"], templates={"Template Name": toast()}))
    ids = ids_on(hub)
    for tag, found in [
        ("$InstallationId:{i}", ids),
        ("$installationid:%7BI%7D", ids),
        ("$UserId:{ann}", ids),
        ("kitchen", ids),
        ("Template%20Name", ids[1:]),
        ("$InstallationId:{j}", []),
    ]:
        assert ids_of(backend.send("GET", f"/my-hub/tags/{tag}/registrations?{VERSION}")) == found


def test_lists_hold_installations_and_registrations_in_the_order_of_their_making(backend: Caller) -> None:
    on(backend, "PUT", "1-1-1", windows(CHANNEL))
    backend.put(wns())
    on(backend, "PUT", "1-1-2", windows(CHANNEL))
    for ids in (ids_on(backend), ids_of(backend.send("GET", f"/my-hub/registrations?{VERSION}"))):
        assert [ids[0], ids[2]] == ["1-1-1", "1-1-2"]
        assert len(ids) == 3


def test_a_registration_of_an_installation_can_be_deleted_until_the_next_write(hub: Caller) -> None:
    hub.put(wns(templates={"a": toast()}))
    native, templated = ids_on(hub)
    assert on(hub, "DELETE", templated, if_match="*").status == 200
    assert ids_on(hub) == [native]
    assert "a" in hub.get().json["templates"]
    hub.put(wns(templates={"a": toast()}))
    assert ids_on(hub)[0] == native
    assert len(ids_on(hub)) == 2


def test_what_an_installation_made_cannot_be_written_back_as_it_is(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns(tags=["a"]))
    (native,) = ids_on(hub)
    reply = on(hub, "PUT", native, on(hub, "GET", native).text, "*")
    assert (reply.status, detail(reply)) == (400, "Tags can not start with $")
    # Without the hub's own tags it can, until the installation is written again.
    assert on(hub, "PUT", native, windows("https://other"), "*").headers["ETag"] == 'W/"2"'
    assert emulator.contents()["registrations"] == []
    hub.put(wns(tags=["a"]))
    assert ids_on(hub) == [native]


def test_what_json_holds_and_xml_cannot_does_not_break_a_feed(lenient_hub: Caller) -> None:
    strange = "a\x00\x1b]]>&<"
    lenient_hub.put(wns(pushVariables={"v": strange}, templates={"t": toast(body=strange)}))
    shown = strange.replace("\x00", "�").replace("\x1b", "�")
    reply = filtered(lenient_hub, f"ChannelUri eq '{CHANNEL}'")
    assert texts_of(reply, "BodyTemplate")[1] == shown
    # JSON escapes control characters by itself.
    assert json.loads(str(texts_of(reply, "PushVariables")[0])) == {"v": strange}
