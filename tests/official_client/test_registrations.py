"""The official client registers, updates, lists and deletes, every type that it knows, at the emulator."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nhagent.emulator import Emulator

from . import require_client, run_requests

pytestmark = pytest.mark.slow

Json = dict[str, Any]

NEVER = "9999-12-31T23:59:59.999Z"
NATIVES: list[Json] = [
    {"kind": "Adm", "admRegistrationId": "amzn1.adm-registration.v2.1"},
    {"kind": "Apple", "deviceToken": "00fc13adff785122b4ad28809a3420982341241421348097878e577c991de8f0"},
    {"kind": "Baidu", "baiduUserId": "user", "baiduChannelId": "channel"},
    {"kind": "Browser", "endpoint": "https://b.example/?a=1&b=%2F", "p256dh": "B-key_1", "auth": "secret"},
    {"kind": "FcmV1", "fcmV1RegistrationId": "fcm:APA91b_é"},
    {"kind": "Gcm", "gcmRegistrationId": "gcm:APA91b"},
    {"kind": "Mpns", "channelUri": "https://mpns.example/throttled/1"},
    {"kind": "Windows", "channelUri": "https://db5.notify.windows.com/?token=AwYAAAB%2f&x=a+b"},
    {"kind": "Xiaomi", "xiaomiRegistrationId": "mi/1=="},
]
BODY = '{"m":"$(m)","t":"]]> é & <more>"}'
XML_BODY = '<t a="$(m)">]]&gt; é &amp; more</t>'
FURTHER: dict[str, Json] = {
    "Apple": {"apnsHeaders": {"apns-priority": "5", "apns-expiration": "$(when)"}},
    "Mpns": {"mpnsHeaders": {"X-NotificationClass": "2", "X-WindowsPhone-Target": "toast"}},
    "Windows": {"wnsHeaders": {"X-WNS-Type": "wns/toast", "X-WNS-TTL": "60"}},
}
TEMPLATES: list[Json] = [
    {
        **native,
        "kind": native["kind"] + "Template",
        "bodyTemplate": XML_BODY if "channelUri" in native else BODY,
        "templateName": "alert",
        **FURTHER.get(native["kind"], {}),
    }
    for native in NATIVES
]
# The client writes these in an order that the service does not take.
REFUSED_IN_STRICT_MODE = {"Baidu", "BaiduTemplate", "MpnsTemplate", "WindowsTemplate"}
# Its listRegistrationsByChannel knows a channel of each of these.
CHANNELS: dict[str, Json] = {
    native["kind"]: {**native, "kind": native["kind"].lower()}
    for native in NATIVES
    if native["kind"] not in {"Mpns", "Xiaomi"}
}


@pytest.fixture(params=["http", "tls"])
def strict(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    require_client()
    with Emulator("my-hub", tls=request.param == "tls") as running:
        yield running


def ask(emulator: Emulator, *requests: Json) -> list[Json]:
    return run_requests(requests, emulator.full, emulator.hub, ca=emulator.ca)


def tagged(description: Json) -> Json:
    return {**description, "tags": ["kitchen", "model:t-1"], "pushVariables": {"name": "Ännchen"}}


def test_every_type_is_created_read_updated_listed_and_deleted(strict: Emulator) -> None:
    sent = [each for each in NATIVES + TEMPLATES if each["kind"] not in REFUSED_IN_STRICT_MODE]
    refused = [each for each in NATIVES + TEMPLATES if each["kind"] in REFUSED_IN_STRICT_MODE]
    # Without its name a template has nothing before its headers.
    sent += [{**each, "templateName": None} for each in refused if "channelUri" in each]
    keys = [f"1-2-{place}" for place in range(len(sent))]
    identified = [{**tagged(each), "registrationId": key} for each, key in zip(sent, keys, strict=True)]
    answers = ask(
        strict,
        *({"command": "createOrUpdateRegistration", "registration": each} for each in identified),
        *({"command": "getRegistration", "registrationId": key} for key in keys),
        *({"command": "updateRegistration", "registration": {**each, "etag": "1"}} for each in identified),
        *({"command": "updateRegistration", "registration": {**each, "etag": "1"}} for each in identified),
        {"command": "listRegistrations", "top": 5},
        {"command": "listRegistrationsByTag", "tag": "KITCHEN", "top": 4},
        *({"command": "deleteRegistration", "registrationId": key, "etag": "1"} for key in keys),
        *({"command": "deleteRegistration", "registrationId": key, "etag": "2"} for key in keys),
        *({"command": "createRegistration", "registration": each} for each in refused),
    )
    count = len(sent)
    rounds = [answers[start : start + count] for start in (0, count, 2 * count, 3 * count)]
    expected = [
        {name: value for name, value in each.items() if value is not None} | {"etag": "1"}
        for each in identified
    ]
    for answered, etag, zone in ((rounds[0], "1", ""), (rounds[1], "1", "Z"), (rounds[2], "2", "")):
        assert [answer["ok"] for answer in answered] == [True] * count, answered
        found = [answer["registration"] for answer in answered]
        # JavaScript takes a time without a zone for local time.
        times = {each.pop("expirationTime") for each in found}
        assert times == {NEVER} or not zone
        assert found == [{**each, "etag": etag} for each in expected]
    assert {answer["statusCode"] for answer in rounds[3]} == {412}

    everything, by_tag, *rest = answers[4 * count :]
    for answer, top in ((everything, 5), (by_tag, 4)):
        assert [each["registrationId"] for each in answer["registrations"]] == keys
        assert answer["pages"] == [top] * (count // top) + ([count % top] if count % top else [])
    assert {answer["statusCode"] for answer in rest[:count]} == {412}
    assert [answer["ok"] for answer in rest[count : 2 * count]] == [True] * count
    for answer in rest[2 * count :]:
        assert answer["statusCode"] == 400
        assert "is not expected. Expecting element" in answer["message"]
    assert strict.contents()["registrations"] == []


def test_every_type_is_taken_in_lenient_mode_and_found_by_its_channel() -> None:
    require_client()
    sent = [tagged(each) for each in NATIVES + TEMPLATES]
    with Emulator("my-hub", lenient=True) as emulator:
        answers = ask(
            emulator,
            *({"command": "createRegistration", "registration": each} for each in sent),
            *(
                {
                    "command": "listRegistrationsByChannel",
                    "channel": channel,
                    "connectionString": emulator.listen,
                }
                for channel in CHANNELS.values()
            ),
        )
        stored = emulator.contents()["registrations"]
    made, lists = answers[: len(sent)], answers[len(sent) :]
    assert [answer["ok"] for answer in made] == [True] * len(sent), made
    for answer, description in zip(made, sent, strict=True):
        found = answer["registration"]
        assert found == {
            **description,
            **{name: found[name] for name in ("registrationId", "expirationTime")},
            "etag": "1",
        }
    assert [facts["kind"] for facts in stored] == [each["kind"] for each in sent]
    assert {facts["bodyTemplate"] for facts in stored if "bodyTemplate" in facts} == {BODY, XML_BODY}
    for kind, answer in zip(CHANNELS, lists, strict=True):
        assert answer["ok"], answer
        assert [each["kind"] for each in answer["registrations"]] == [kind, f"{kind}Template"]


def test_an_id_is_taken_and_used_and_an_installation_is_seen(strict: Emulator) -> None:
    windows = next(each for each in NATIVES if each["kind"] == "Windows")
    installation = {
        "installationId": "i-1",
        "platform": "wns",
        "pushChannel": windows["channelUri"],
        "tags": ["a"],
    }
    channel = CHANNELS["Windows"]
    by_tag = "$InstallationId:{i-1}"
    taken, again, *_ = ask(strict, {"command": "createRegistrationId"}, {"command": "createRegistrationId"})
    assert taken["ok"], taken
    registration_id = taken["registrationId"]
    assert registration_id != again["registrationId"]
    strict.forget(registration=again["registrationId"], gone=True)
    used, gone, _, listed, tagged_ones, forbidden, removed, missing = ask(
        strict,
        {
            "command": "createOrUpdateRegistration",
            "registration": {**windows, "registrationId": registration_id},
        },
        {
            "command": "createOrUpdateRegistration",
            "registration": {**windows, "registrationId": again["registrationId"]},
        },
        {"command": "put", "installation": installation},
        {
            "command": "listRegistrationsByChannel",
            "channel": channel,
            "top": 1,
            "connectionString": strict.listen,
        },
        {"command": "listRegistrationsByTag", "tag": by_tag},
        {"command": "listRegistrations", "connectionString": strict.listen},
        {"command": "deleteRegistration", "registrationId": registration_id},
        {"command": "getRegistration", "registrationId": registration_id},
    )
    assert used["registration"]["registrationId"] == registration_id
    assert gone["statusCode"] == 410
    assert listed["pages"] == [1, 1]
    assert [each.get("tags") for each in listed["registrations"]] == [None, [by_tag, "a"]]
    assert tagged_ones["registrations"] == listed["registrations"][1:]
    assert forbidden["statusCode"] == 403
    assert removed["ok"]
    assert missing["statusCode"] == 404
