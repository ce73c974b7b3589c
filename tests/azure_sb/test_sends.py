"""What azure-sb sends is what devices of the emulator would receive."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nhagent.emulator import Emulator

from . import Call, call, require_client
from .flows import GCM, LAYOUT_CALLS, MPNS, PHONE_CALLS, PHONE_TEMPLATE, SENDS, TOKEN, WNS
from .layouts import LAYOUTS

pytestmark = pytest.mark.slow

DEVICES: list[dict[str, Any]] = [
    {"platform": "wns", "pushChannel": WNS},
    {"platform": "mpns", "pushChannel": MPNS},
    {"platform": "apns", "pushChannel": TOKEN},
    {"platform": "gcm", "pushChannel": GCM, "templates": {"t": {"body": '{"data":{"m":"$(m)"}}'}}},
]
REGISTER = [
    Call("createOrUpdateInstallation", [{"installationId": each["platform"], "tags": ["kitchen"], **each}])
    for each in DEVICES
]


@pytest.fixture(params=["http", "tls"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    require_client()
    with Emulator("my-hub", tls=request.param == "tls") as running:
        yield running


def test_every_send_reaches_the_devices_of_its_format(emulator: Emulator) -> None:
    answers = call(emulator, [*REGISTER, *SENDS])
    assert all(each["ok"] for each in answers), answers
    assert {each["value"]["statusCode"] for each in answers[len(REGISTER) :]} == {201}
    found = [
        (
            sent.format,
            sent.target,
            sent.expression,
            [(match.installation, match.body) for match in sent.matched],
        )
        for sent in emulator.deliveries()
    ]
    hello = [("gcm", '{"data":{"m":"hello"}}')]
    assert found == [
        ("template", "tags", "kitchen", hello),
        ("template", "tags", "kitchen || hall", hello),
        ("template", "broadcast", None, hello),
        ("windows", "tags", "kitchen && !hall", [("wns", "<toast/>")]),
        ("windows", "broadcast", None, [("wns", '<badge value="7" version="1"/>')]),
        ("windows", "tags", "kitchen", [("wns", "raw é")]),
        ("apple", "tags", "kitchen", [("apns", '{"aps":{"alert":"hi"}}')]),
        ("gcm", "tags", "kitchen", [("gcm", '{"data":{"m":"hi"}}')]),
        ("windowsphone", "tags", "kitchen", [("mpns", PHONE_TEMPLATE)]),
    ]


def test_what_push_services_are_told_beside_it_arrives(emulator: Emulator) -> None:
    call(emulator, [*REGISTER, *SENDS])
    headers = [sent.matched[0].headers for sent in emulator.deliveries()]
    assert headers[3].items() >= {"X-WNS-Type": "wns/toast", "X-WNS-TTL": "60"}.items()
    assert [headers[place]["X-WNS-Type"] for place in (4, 5)] == ["wns/badge", "wns/raw"]
    assert headers[5]["Content-Type"] == "application/octet-stream"
    assert headers[6].items() >= {"apns-priority": "5", "apns-expiration": "1893553445"}.items()
    assert headers[8].items() >= {"X-WindowsPhone-Target": "toast", "X-NotificationClass": "2"}.items()


def test_every_layout_of_windows_is_sent() -> None:
    require_client()
    with Emulator("my-hub", tls=True) as emulator:
        call(emulator, REGISTER)
        answers = call(emulator, LAYOUT_CALLS)
        deliveries = emulator.deliveries()
    assert len(deliveries) == len(LAYOUTS)
    for place, (layout, sent) in enumerate(zip(LAYOUTS, deliveries, strict=True)):
        # The template's own body is what is sent: an expression is one in templates only.
        made = answers[5 * place]["value"]
        assert made.count(" & é") + made.count(" &amp; é") == layout.texts
        (match,) = sent.matched
        assert (match.installation, match.body, match.headers["X-WNS-Type"]) == ("wns", made, layout.wns_type)


def test_what_windows_phone_shows_is_sent() -> None:
    require_client()
    with Emulator("my-hub", tls=True) as emulator:
        call(emulator, REGISTER)
        answers = call(emulator, PHONE_CALLS)
        deliveries = emulator.deliveries()
    made = [answers[place]["value"] for place in range(0, 20, 5)]
    assert [sent.sent_body for sent in deliveries] == made
    assert [
        (sent.matched[0].headers.get("X-WindowsPhone-Target"), sent.matched[0].headers["X-NotificationClass"])
        for sent in deliveries
    ] == [("toast", "2"), ("token", "1"), ("token", "1"), (None, "3")]
    assert all(sent.matched[0].installation == "mpns" for sent in deliveries)
