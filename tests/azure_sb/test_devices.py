"""azure-sb registers, updates, lists and deletes at the emulator, by each of its methods."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nhagent.emulator import Emulator

from . import call, methods, require_client
from .flows import EVERY_CALL, GCM, HUB, LAYOUT_CALLS, MPNS, PHONE_CALLS, PLATFORMS, TOKEN, WNS
from .layouts import LAYOUTS

pytestmark = pytest.mark.slow

Json = dict[str, Any]

HANDLES = {
    "wns": {"ChannelUri": WNS},
    "mpns": {"ChannelUri": MPNS},
    "apns": {"DeviceToken": TOKEN},
    "gcm": {"GcmRegistrationId": GCM},
}
KINDS = {"wns": "Windows", "mpns": "Mpns", "apns": "Apple", "gcm": "Gcm"}


@pytest.fixture(params=["http", "tls"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    require_client()
    with Emulator("my-hub", tls=request.param == "tls") as running:
        yield running


@pytest.fixture
def over_tls() -> Iterator[Emulator]:
    require_client()
    with Emulator("my-hub", tls=True) as running:
        yield running


def kind(value: Json) -> str:
    return str(value["_"]["ContentRootElement"])


def test_every_public_method_of_azure_sb_is_called(over_tls: Emulator) -> None:
    assert {each.method for each in EVERY_CALL} == methods(over_tls)


@pytest.mark.parametrize("platform", PLATFORMS)
def test_azure_sb_registers_natives_and_templates(emulator: Emulator, platform: str) -> None:
    answers = call(emulator, PLATFORMS[platform])
    assert all(each["ok"] for each in answers), answers
    made, native, placed, template, written_over, updated, listed, limited = (
        each["value"] for each in answers
    )
    assert (kind(native), native["Tags"], native["ETag"]) == (
        f"{KINDS[platform]}RegistrationDescription", "kitchen,model:t-1", "1",
    )  # fmt: skip
    assert (placed["RegistrationId"], placed["Tags"], placed["ETag"]) == (made, "hall", "1")
    steps = (template, written_over, updated)
    assert [(kind(each), each["ETag"]) for each in steps] == [
        (f"{KINDS[platform]}TemplateRegistrationDescription", etag) for etag in "123"
    ]
    assert {each["RegistrationId"] for each in steps} == {template["RegistrationId"]}
    everything = [native, placed, updated]
    assert {each["RegistrationId"]: each["ETag"] for each in listed} == {
        each["RegistrationId"]: each["ETag"] for each in everything
    }
    assert all(each.items() >= HANDLES[platform].items() for each in (*everything, *listed))
    assert len(limited) == 1


def test_what_azure_sb_gives_with_a_template_arrives(over_tls: Emulator) -> None:
    apple = call(over_tls, PLATFORMS["apns"])
    assert (apple[3]["value"]["BodyTemplate"], apple[3]["value"]["Expiry"]) == (
        '{"aps":{"alert":"$(m)"}}',
        "$(e)",
    )
    assert apple[5]["value"]["ApnsHeaders"] == {"ApnsHeader": {"Header": "apns-priority", "Value": "5"}}
    windows = call(over_tls, PLATFORMS["wns"])
    assert [windows[place]["value"]["BodyTemplate"] for place in (3, 4, 5)] == [
        "$(m)", "{$(m) + '!'}", "$(n)",
    ]  # fmt: skip
    assert windows[5]["value"]["WnsHeaders"] == {"WnsHeader": {"Header": "X-WNS-Type", "Value": "wns/raw"}}


def test_azure_sb_reads_updates_lists_and_deletes(emulator: Emulator) -> None:
    answers = call(emulator, HUB)
    created, got, updated, replaced, every, first, tagged, nobody, stale, deleted, gone = answers[:11]
    body = '{"data":{"m":"{$(m) + \' ]] <é>\'}"}}'
    for each, etag in ((created, "1"), (got, "1"), (updated, "2"), (replaced, "3")):
        assert each["ok"], each
        assert (each["value"]["BodyTemplate"], each["value"]["ETag"]) == (body, etag)
    key = created["value"]["RegistrationId"]
    for found in (every, first, tagged):
        assert [each["RegistrationId"] for each in found["value"]] == [key]
    assert nobody["value"] == []
    assert [each["statusCode"] for each in (stale, gone)] == [412, 404]
    assert deleted["value"] == {"statusCode": 200}
    put, patched, read, removed, missing = answers[11:]
    assert [each["value"]["statusCode"] for each in (put, patched, removed)] == [200, 200, 204]
    assert (read["value"]["tags"], read["value"]["pushChannel"]) == (["kitchen", "hall"], GCM)
    assert missing["statusCode"] == 404
    assert "Installation not found" in missing["message"]


def test_every_layout_of_windows_is_registered_as_a_template(over_tls: Emulator) -> None:
    answers = call(over_tls, LAYOUT_CALLS)
    for place, layout in enumerate(LAYOUTS):
        made, created, replaced, updated, sent = answers[5 * place : 5 * place + 5]
        assert [each["ok"] for each in (created, replaced, updated, sent)] == [True] * 4, layout
        for each in (created, updated):
            value = each["value"]
            assert value["BodyTemplate"] == made["value"]
            assert value["WnsHeaders"]["WnsHeader"] == {"Header": "X-WNS-Type", "Value": layout.wns_type}
            assert value["Tags"] == layout.name
        assert updated["value"]["ETag"] == str(int(replaced["value"]["ETag"]) + 1)
        assert "n 0 &amp; é" in replaced["value"]["BodyTemplate"] or layout.texts == 0


def test_what_windows_phone_shows_is_registered_as_templates(over_tls: Emulator) -> None:
    answers = call(over_tls, PHONE_CALLS)
    toast, tile, flip, raw = (answers[place : place + 5] for place in range(0, 20, 5))
    for made, *registered, sent in (toast, tile, flip):
        assert all(each["ok"] for each in (*registered, sent)), registered
        assert {each["value"]["BodyTemplate"] for each in registered} == {made["value"]}
    # It registers raw notifications with a blank target, which the service does not take: header values of a
    # template are not blank.
    assert [each["statusCode"] for each in raw[1:4]] == [400, 400, 400]
    assert "X-WindowsPhone-Target" in raw[1]["message"]
    assert raw[4]["ok"]


def test_azure_sb_is_told_why_it_is_refused(over_tls: Emulator) -> None:
    from . import Call

    tags, token, expression = call(
        over_tls,
        [
            Call("gcm.createNativeRegistration", [GCM, ["a b"]]),
            Call("apns.createNativeRegistration", ["xyz", ["a"]]),
            Call("gcm.send", ["a &&", "{}"]),
        ],
    )
    assert (tags["statusCode"], token["statusCode"], expression["statusCode"]) == (400, 400, 400)
    assert "An invalid tag(s) 'a b' was supplied" in tags["message"]
    assert "not a hexadecimal digit" in token["message"]
    assert "a tag is missing at its end" in expression["message"]
