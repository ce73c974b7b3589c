from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from nhagent.emulator import Emulator

from . import require_client, run_client

pytestmark = pytest.mark.slow

INSTALLATION = {
    "installationId": "3f0c7a52-0b0e-4f43-9d3a-6a6a0c1d2e3f",
    "platform": "wns",
    "pushChannel": "https://db5.notify.windows.com/?token=AwYAAAB%2f",
    "userId": "ann",
    "tags": ["kitchen"],
    "templates": {
        "alert": {
            "body": '<toast><visual><binding><text id="1">$(m)</text></binding></visual></toast>',
            "headers": {"X-WNS-Type": "wns/toast"},
            "tags": ["alerts"],
        }
    },
}
ID = INSTALLATION["installationId"]


@pytest.fixture(params=["http", "tls"])
def emulator(request: pytest.FixtureRequest) -> Iterator[Emulator]:
    require_client()
    with Emulator("my-hub", tls=request.param == "tls") as running:
        yield running


def ask(emulator: Emulator, command: str, **arguments: Any) -> dict[str, Any]:
    return run_client(command, emulator.listen, emulator.hub, ca=emulator.ca, **arguments)


def test_the_official_client_puts_patches_reads_and_deletes_an_installation(emulator: Emulator) -> None:
    put = ask(emulator, "put", installation=INSTALLATION)
    assert put["ok"], put
    assert len(put["trackingId"]) == len(put["correlationId"]) == 36

    patches = [
        {"op": "add", "path": "/tags", "value": "ground-floor"},
        {"op": "remove", "path": "/tags/kitchen"},
        {"op": "replace", "path": "/userId", "value": "bob"},
    ]
    patched = ask(emulator, "patch", installation_id=ID, patches=patches)
    assert patched["ok"], patched

    got = ask(emulator, "get", installation_id=ID)
    assert got["ok"], got
    assert got["installation"] == {
        **INSTALLATION,
        "userId": "bob",
        "tags": ["ground-floor"],
        "pushChannelExpired": False,
        "expirationTime": "9999-12-31T23:59:59.9999999Z",
    }

    assert ask(emulator, "delete", installation_id=ID)["ok"]
    gone = ask(emulator, "get", installation_id=ID)
    assert (gone["ok"], gone["statusCode"]) == (False, 404)
    assert "Installation not found" in gone["message"]
    assert [(entry.method, entry.status) for entry in emulator.log()] == [
        ("PUT", 200),
        ("PATCH", 200),
        ("GET", 200),
        ("DELETE", 204),
        ("GET", 404),
    ]


def test_the_official_client_is_told_why_it_is_refused(emulator: Emulator) -> None:
    refused = ask(emulator, "put", installation={**INSTALLATION, "tags": ["a b"]})
    assert (refused["ok"], refused["statusCode"]) == (False, 400)
    assert "An invalid tag(s) 'a b' was supplied" in refused["message"]
