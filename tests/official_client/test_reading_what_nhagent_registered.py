"""The official client, pointed at the ``nhagent emulator`` command, reads back what an agent registered."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import Agent, BrowserChannel, SecondaryTile, Template
from tests.events import HANG_SECONDS
from tests.subscriptions import AUTH, P256DH

from . import require_client, run_client

pytestmark = pytest.mark.slow

TOAST = Template(
    "<toast><text id='1'>{$(m) + ' &amp;'}</text></toast>", {"X-WNS-Type": "wns/toast"}, ["alerts"]
)
WNS: dict[str, Any] = {
    "platform": "wns",
    "channel": "https://push.example/?token=AwYAAAB%2f",
    "tags": ["kitchen", "model:t-1"],
    "user_id": "ann@example.com",
    "push_variables": {"name": "Ännchen"},
    "templates": {"alert": TOAST, "badge": Template("<badge/>", {"X-WNS-Type": "wns/badge"}, ["b"])},
    "secondary_tiles": {
        "weather": SecondaryTile("https://push.example/weather", ["w"], {"front": TOAST}),
        "traffic": SecondaryTile("https://push.example/traffic"),
    },
    "expires_after": timedelta(days=90),
}
WNS_READ = {
    "platform": "wns",
    "pushChannel": "https://push.example/?token=AwYAAAB%2f",
    "pushChannelExpired": False,
    "tags": ["kitchen", "model:t-1"],
    "userId": "ann@example.com",
    "pushVariables": {"name": "Ännchen"},
    "templates": {
        "alert": {"body": TOAST.body, "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]},
        "badge": {"body": "<badge/>", "headers": {"X-WNS-Type": "wns/badge"}, "tags": ["b"]},
    },
    "secondaryTiles": {
        "weather": {
            "pushChannel": "https://push.example/weather",
            "pushChannelExpired": False,
            "tags": ["w"],
            "templates": {
                "front": {"body": TOAST.body, "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]}
            },
        },
        "traffic": {"pushChannel": "https://push.example/traffic", "pushChannelExpired": False},
    },
}


@pytest.fixture(params=["http", "tls"])
def hub(request: pytest.FixtureRequest) -> Iterator[dict[str, Any]]:
    """What the command prints when it is ready."""
    require_client()
    arguments = ["emulator", "--json", "--hub", "my-hub", *(["--tls"] if request.param == "tls" else [])]
    with subprocess.Popen([sys.executable, "-m", "nhagent", *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        yield json.loads(process.stdout.readline())
        process.terminate()
        process.communicate(timeout=HANG_SECONDS)


def register(hub: dict[str, Any], folder: Path, **declared: Any) -> str:
    agent = Agent(
        app="device",
        hub=hub["hub"],
        connection_string=hub["listen"],
        ca_bundle=hub["ca"],
        state_dir=folder,
        **declared,
    )
    report = agent.start()
    assert report.error is None
    return str(report.installation_id)


def read(hub: dict[str, Any], installation_id: str) -> dict[str, Any]:
    got = run_client("get", hub["listen"], hub["hub"], installation_id=installation_id, ca=hub["ca"])
    assert got["ok"], got
    installation: dict[str, Any] = got["installation"]
    assert installation.pop("installationId") == installation_id
    return installation


def test_every_property_of_a_wns_device_is_read_back_after_each_change(
    hub: dict[str, Any], tmp_path: Path
) -> None:
    installation_id = register(hub, tmp_path, **WNS)
    installation = read(hub, installation_id)
    assert not installation.pop("expirationTime").startswith("9999")
    assert installation == WNS_READ

    rotated = {
        **WNS,
        "channel": "https://push.example/2",
        "tags": ["model:t-1", "attic"],
        "expires_after": None,
    }
    assert register(hub, tmp_path, **rotated) == installation_id
    installation = read(hub, installation_id)
    del installation["expirationTime"]
    assert installation == {
        **WNS_READ,
        "pushChannel": "https://push.example/2",
        "tags": ["model:t-1", "attic"],
    }


@pytest.mark.parametrize(
    ("declared", "expected"),
    [
        (
            {
                "platform": "apns",
                "channel": "ABCDEF0123456789",
                "templates": {
                    "t": Template('{"aps": {"alert": "$(m)"}}', {"apns-priority": "5"}, ["x"], "$(when)")
                },
            },
            {
                "platform": "apns",
                "pushChannel": "ABCDEF0123456789",
                "templates": {
                    "t": {
                        "body": '{"aps": {"alert": "$(m)"}}',
                        "headers": {"apns-priority": "5"},
                        "expiry": "$(when)",
                        "tags": ["x"],
                    }
                },
            },
        ),
        (
            {"platform": "browser", "channel": BrowserChannel("https://b.example/1", P256DH, AUTH)},
            {
                "platform": "browser",
                "pushChannel": {"endpoint": "https://b.example/1", "p256dh": P256DH, "auth": AUTH},
            },
        ),
        ({"platform": "fcmv1", "channel": "token:1"}, {"platform": "fcmv1", "pushChannel": "token:1"}),
    ],
    ids=["apns", "browser", "fcmv1"],
)
def test_devices_of_other_platforms_are_read_back(
    hub: dict[str, Any], tmp_path: Path, declared: dict[str, Any], expected: dict[str, Any]
) -> None:
    installation = read(hub, register(hub, tmp_path, **declared))
    del installation["expirationTime"]
    assert installation == {**expected, "pushChannelExpired": False}


def test_the_official_client_keeps_an_installation_of_its_own(hub: dict[str, Any]) -> None:
    def ask(command: str, **arguments: Any) -> dict[str, Any]:
        return run_client(command, hub["listen"], hub["hub"], ca=hub["ca"], **arguments)

    own = {"installationId": "own-1", "platform": "fcmv1", "pushChannel": "token:1", "tags": ["a"]}
    assert ask("put", installation=own)["ok"]
    patches = [{"op": "add", "path": "/tags", "value": "b"}, {"op": "remove", "path": "/tags/a"}]
    assert ask("patch", installation_id="own-1", patches=patches)["ok"]
    assert ask("get", installation_id="own-1")["installation"]["tags"] == ["b"]
    assert ask("delete", installation_id="own-1")["ok"]
    assert ask("get", installation_id="own-1")["statusCode"] == 404
