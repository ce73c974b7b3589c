"""What nhagent writes the official client reads, and the other way round, for every type that both know."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from nhagent import Agent, BrowserChannel, HubClient, Platform, Registration, Template
from nhagent.emulator import Emulator
from tests.subscriptions import AUTH, P256DH

from . import require_client, run_requests

pytestmark = pytest.mark.slow

JSON_BODY = '{"text": "{$(m) + \' & <more> ]]> é\'}"}'
XML_BODY = "<t a='$(m)'>&amp; ]]&gt; é</t>"
WNS, MPNS = {"X-WNS-Type": "wns/toast"}, {"X-WindowsPhone-Target": "toast", "X-NotificationClass": "2"}
APNS = {"apns-priority": "5"}
BROWSER = BrowserChannel("https://b.example/?a=1&b=2", P256DH, AUTH)

# Platform, channel, template, and the official client's name for the kind with its fields of the channel.
TYPES: list[tuple[Platform, Any, Template, str, dict[str, str]]] = [
    (Platform.ADM, "amzn1.adm", Template(JSON_BODY), "Adm", {"admRegistrationId": "amzn1.adm"}),
    (Platform.APNS, "00FC13AD", Template(JSON_BODY, APNS), "Apple", {"deviceToken": "00FC13AD"}),
    (Platform.BAIDU, "user-channel", Template(JSON_BODY), "Baidu",
     {"baiduUserId": "user", "baiduChannelId": "channel"}),
    (Platform.BROWSER, BROWSER, Template(JSON_BODY), "Browser",
     {"endpoint": BROWSER.endpoint, "p256dh": BROWSER.p256dh, "auth": BROWSER.auth}),
    (Platform.FCMV1, "c:APA91b-1", Template(f'{{"message": {JSON_BODY}}}'), "FcmV1",
     {"fcmV1RegistrationId": "c:APA91b-1"}),
    (Platform.GCM, "gcm:1", Template(JSON_BODY), "Gcm", {"gcmRegistrationId": "gcm:1"}),
    (Platform.MPNS, "https://mpns.example/1", Template(XML_BODY, MPNS), "Mpns",
     {"channelUri": "https://mpns.example/1"}),
    (Platform.WNS, "https://wns.example/?t=A%2f&x=a+b", Template(XML_BODY, WNS), "Windows",
     {"channelUri": "https://wns.example/?t=A%2f&x=a+b"}),
    (Platform.XIAOMI, "mi/1==", Template(JSON_BODY), "Xiaomi", {"xiaomiRegistrationId": "mi/1=="}),
]  # fmt: skip
LISTABLE = [each for each in TYPES if each[3] not in {"Mpns", "Xiaomi", "FcmV1", "Baidu"}]
"""Of the others the official client has no list by channel, or miscodes a quote."""


def test_official_client_reads_and_lists_what_nhagent_wrote() -> None:
    require_client()
    with Emulator("my-hub") as emulator, HubClient(emulator.full, emulator.hub) as client:
        keys: dict[str, str] = {}
        for platform, channel, template, kind, _ in TYPES:
            native = Registration(platform, channel, ["a", "b:1"], {"n": "Ä"})
            named = replace(native, template=template, template_name="alert")
            for name, registration in ((kind, native), (f"{kind}Template", named)):
                keys[name] = str(client.create_registration(registration).registration_id)
        answers = run_requests(
            [
                *({"command": "getRegistration", "registrationId": key} for key in keys.values()),
                *(
                    {"command": "listRegistrationsByChannel", "channel": {"kind": kind.lower(), **fields}}
                    for *_, kind, fields in LISTABLE
                ),
            ],
            emulator.full,
            emulator.hub,
        )
    read = [answer["registration"] for answer in answers[: len(keys)]]
    by_kind = {kind: (template, fields) for _, _, template, kind, fields in TYPES}
    for (name, key), found in zip(keys.items(), read, strict=True):
        template, fields = by_kind[name.removesuffix("Template")]
        # The official client takes every Mpns template for a Windows one.
        assert found["kind"] == name or name == "MpnsTemplate"
        assert found["registrationId"] == key
        assert (found["tags"], found["pushVariables"]) == (["a", "b:1"], {"n": "Ä"})
        assert {field: found[field] for field in fields} == fields
        if name.endswith("Template"):
            assert (found["bodyTemplate"], found["templateName"]) == (template.body, "alert")
            headers = found.get("wnsHeaders") or found.get("mpnsHeaders") or found.get("apnsHeaders") or {}
            assert headers == dict(template.headers) or name == "MpnsTemplate"
    for (*_, kind, _fields), answer in zip(LISTABLE, answers[len(keys) :], strict=True):
        listed = {row["registrationId"] for row in answer["registrations"]}
        assert listed == {keys[kind], keys[f"{kind}Template"]}


@pytest.mark.parametrize(
    ("platform", "channel", "template", "kind", "fields"), TYPES, ids=[str(each[0]) for each in TYPES]
)
def test_nhagent_adopts_what_the_official_client_wrote(
    tmp_path: Path, platform: Platform, channel: Any, template: Template, kind: str, fields: dict[str, str]
) -> None:
    require_client()
    headers = {"Windows": "wnsHeaders", "Mpns": "mpnsHeaders", "Apple": "apnsHeaders"}.get(kind)
    native = {"kind": kind, **fields, "tags": ["stale"]}
    with_template = {
        **native,
        "kind": f"{kind}Template",
        "bodyTemplate": template.body,
        "templateName": "alert",
        **({} if headers is None else {headers: dict(template.headers)}),
    }
    # Lenient: the official client writes some elements in an order that the service does not take.
    with Emulator("my-hub", lenient=True) as emulator:
        made = run_requests(
            [{"command": "createRegistration", "registration": each} for each in [native, with_template] * 2],
            emulator.full,
            emulator.hub,
        )
        keys = [answer["registration"]["registrationId"] for answer in made]
        with HubClient(emulator.listen, emulator.hub) as client:
            listed = list(client.registrations_by_channel(channel))
        assert {row.registration_id for row in listed} == set(keys)
        for row in listed:
            assert (row.platform, row.channel, tuple(row.tags)) == (platform, channel, ("stale",))
            if row.template is not None:
                assert (row.template.body, dict(row.template.headers)) == (
                    template.body,
                    dict(template.headers),
                )
        report = Agent(
            app="device",
            hub=emulator.hub,
            platform=platform,
            channel=channel,
            tags=["fresh"],
            templates={"alert": template},
            style="registration",
            connection_string=emulator.listen,
            state_dir=tmp_path,
        ).start()
        assert (report.outcome, report.error) == ("updated", None)
        assert dict(report.registration_ids) == {
            "native": min(keys[0], keys[2]),
            "template:alert": min(keys[1], keys[3]),
        }
        left = emulator.contents()["registrations"]
        assert sorted((row["registrationId"], row["tags"]) for row in left) == sorted(
            (key, ["fresh"]) for key in report.registration_ids.values()
        )
