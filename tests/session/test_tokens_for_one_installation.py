"""A device that holds no key: its backend makes a SAS token for its installation, and for nothing else."""

from __future__ import annotations

import logging
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from nhagent import Agent, ConnectionString, HubClient, Platform, Registration
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, Unauthorized
from nhagent.models import Installation
from nhagent.sas import SasToken, token_for_installation

NOW = datetime(2026, 5, 1, 12, 0, 0, 900_000, UTC)


class Minting:
    """What a backend does when a device asks it for a token."""

    def __init__(self, hub: Emulator, lifetime: timedelta = timedelta(hours=1)) -> None:
        self.hub, self.lifetime = hub, lifetime
        self.asked: list[str] = []

    def __call__(self, installation_id: str) -> str:
        self.asked.append(installation_id)
        return token_for_installation(self.hub.listen, self.hub.hub, installation_id, self.lifetime).value


def agent(hub: Emulator, folder: Path, token: Any, **changes: Any) -> Agent:
    settings: dict[str, Any] = {
        "app": "thermostat",
        "hub": hub.hub,
        "platform": "gcm",
        "channel": "handle",
        "token": token,
        "endpoint": hub.endpoint,
        "state_dir": folder,
    }
    return Agent(**{**settings, **changes})


def test_a_token_covers_one_installation_and_says_when_it_ends() -> None:
    text = "Endpoint=sb://ns.example/;SharedAccessKeyName=Listen;SharedAccessKey=YWJj"
    token = token_for_installation(text, "My-Hub", "a device", timedelta(minutes=10), now=NOW)
    assert token.value.startswith(
        "SharedAccessSignature sr=https%3A%2F%2Fns.example%2Fmy-hub%2Finstallations%2Fa%2520device&sig="
    )
    assert f"&se={int(token.expires_at.timestamp())}&skn=Listen" in token.value
    assert token.expires_at == datetime(2026, 5, 1, 12, 10, tzinfo=UTC)
    assert token == token_for_installation(
        ConnectionString.parse(text), "My-Hub", "a device", timedelta(minutes=10), now=NOW
    )
    assert "sig=" not in repr(token)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"lifetime": timedelta(0)}, "lifetime"),
        ({"lifetime": timedelta(days=31)}, "lifetime"),
        ({"lifetime": 3600}, "lifetime"),
        ({"installation_id": ""}, "installation"),
        ({"installation_id": ".."}, "installation"),
        ({"hub": "a b"}, "is not a hub name"),
        ({"connection_string": None}, "connection_string: is NoneType"),
        ({"connection_string": "nonsense"}, "connection string"),
        ({"now": datetime(2026, 1, 1)}, "now: has no time zone"),  # noqa: DTZ001 - that is the point
    ],
)
def test_what_makes_no_token_is_refused(change: dict[str, Any], words: str) -> None:
    arguments: dict[str, Any] = {
        "connection_string": "Endpoint=sb://ns.example/;SharedAccessKeyName=Listen;SharedAccessKey=YWJj",
        "hub": "hub",
        "installation_id": "device",
        **change,
    }
    with pytest.raises(ConfigurationError) as caught:
        token_for_installation(**arguments)
    assert words in str(caught.value)


def test_a_connection_string_of_another_hub_is_refused() -> None:
    text = "Endpoint=sb://x/;SharedAccessKeyName=a;SharedAccessKey=YWJj;EntityPath=other"
    with pytest.raises(ConfigurationError, match="is for hub"):
        token_for_installation(text, "hub", "device")


def test_the_token_is_good_for_that_installation_alone() -> None:
    with Emulator("hub") as hub:
        token = token_for_installation(hub.full, "hub", "mine")
        assert isinstance(token, SasToken)
        with HubClient(lambda: token.value, "hub", endpoint=hub.endpoint) as client:
            client.put_installation(Installation("mine", Platform.GCM, "handle"))
            assert client.get_installation("mine").push_channel == "handle"
            assert not client.can_list
            for attempt in (
                lambda: client.put_installation(Installation("other", Platform.GCM, "handle")),
                lambda: client.get_installation("mine-too"),
                lambda: list(client.registrations()),
                lambda: client.create_registration(Registration(Platform.GCM, "handle")),
            ):
                with pytest.raises(Unauthorized):
                    attempt()


def test_a_first_run_lists_nothing_and_says_so(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO, "nhagent")
    with Emulator("hub") as hub:
        minting = Minting(hub)
        report = agent(hub, tmp_path, minting).start()
        assert report.outcome == "registered"
        assert [(entry.method, entry.status) for entry in hub.log()] == [("PUT", 200)]
        assert "the hub is not asked what else it holds for the push channel" in caplog.text
        assert set(minting.asked) == {report.installation_id}
        assert len(minting.asked) == 1
        hub.clear_log()
        assert agent(hub, tmp_path, minting).start().outcome == "unchanged"
        assert (hub.log(), len(minting.asked)) == ([], 1)


def test_a_device_with_such_a_token_verifies_rotates_and_unregisters(tmp_path: Path) -> None:
    with Emulator("hub") as hub:
        minting = Minting(hub)
        agent(hub, tmp_path, minting).start()
        assert agent(hub, tmp_path, minting).verify().in_sync
        assert agent(hub, tmp_path, minting, channel="another").start().outcome == "updated"
        hub.clear_log()
        assert agent(hub, tmp_path, minting).unregister().outcome == "disabled"
        assert [(entry.method, entry.status) for entry in hub.log()] == [("DELETE", 204)]
        assert hub.contents()["installations"] == []
        assert agent(hub, tmp_path, minting).verify().in_sync


def test_a_token_of_the_whole_hub_lists(tmp_path: Path) -> None:
    with Emulator("hub") as hub:
        connection = ConnectionString.parse(hub.listen)
        for resource in (hub.endpoint, f"{hub.endpoint}/HUB", f"{hub.endpoint}/hub/"):
            token = connection.token(resource, datetime.now(UTC))
            with HubClient(lambda: token, "hub", endpoint=hub.endpoint) as client:  # noqa: B023
                assert client.can_list
                assert list(client.registrations_by_channel("handle", platform="gcm")) == []


def test_a_token_is_asked_for_again_five_minutes_before_its_end(tmp_path: Path) -> None:
    with Emulator("hub") as hub:
        minting = Minting(hub, timedelta(minutes=20))
        offset = [0.0]

        def clock() -> datetime:
            return datetime.now(UTC) + timedelta(seconds=offset[0])

        channel = ["first"]
        device = agent(hub, tmp_path, minting, clock=clock, channel=lambda: channel[0])
        device.start()
        for seconds, asked in ((0.0, 1), (14 * 60, 1), (15 * 60 + 1, 2)):
            offset[0] = seconds
            hub.set_clock(0)
            channel[0] = f"handle-{seconds}"
            assert device.start().outcome == "updated"
            assert len(minting.asked) == asked, seconds
