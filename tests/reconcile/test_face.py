"""What an app sees of an agent: plans, reports, who uses the device, its first tags, tokens of others."""

from __future__ import annotations

import copy
import hmac
import json
import pickle
from base64 import b64encode
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote_plus

import pytest

import nhagent
from nhagent import KEEP, SecondaryTile
from nhagent.channels import from_file
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.hub.connection import ConnectionString
from tests.device_under_test import PLAIN, Device, first_run

ALICE: dict[str, Any] = {"user_id": "alice", "tags": ["of-alice"], "push_variables": {"name": "Alice"}}
OPEN: dict[str, Any] = {"tags": None, "push_variables": None}


def declared(device: Device) -> dict[str, Any]:
    document: dict[str, Any] = json.loads(device.files["state.json"].read_text())["declaration"]
    return document


# Who uses the device.


def test_user_who_is_left_out_stays_and_none_is_nobody(device: Device) -> None:
    device.start(**ALICE)
    assert device.start(**OPEN).outcome == "unchanged"
    assert device.start(**OPEN, user_id=KEEP).outcome == "unchanged"
    assert device.held()[0]["userId"] == "alice"
    assert device.start(**OPEN, user_id=None).outcome == "updated"
    assert not device.held()[0].get("userId")
    assert not declared(device)["userId"]


@pytest.mark.parametrize("way", ["start", "update"])
def test_user_who_signs_out_and_leaves_tags_behind_is_told(
    device: Device, caplog: pytest.LogCaptureFixture, way: str
) -> None:
    device.start(**ALICE)
    caplog.clear()
    if way == "start":
        device.start(**OPEN, user_id="bob")
    else:
        device.agent(**OPEN).update(user_id="bob")
    assert "tags and push variables of the former user remain" in caplog.text
    assert "alice" not in caplog.text
    caplog.clear()
    device.agent(**OPEN).update(user_id=None, tags=[], push_variables={})
    device.start(**OPEN, user_id="carol")
    assert "former user" not in caplog.text


# First tags.


def test_initial_tags_count_until_something_is_stored(device: Device) -> None:
    mine: dict[str, Any] = {"tags": None, "initial_tags": ["first"]}
    device.start(**mine)
    assert device.held()[0]["tags"] == ["first"]
    agent = device.agent(**mine)
    agent.add_tags("second")
    agent.remove_tags("first")
    assert device.start(**mine).outcome == "unchanged"
    assert device.start(tags=None, initial_tags=["other"]).requests == 0
    assert device.held()[0]["tags"] == ["second"]


def test_tags_that_are_added_before_the_first_start_join_the_initial_ones(device: Device) -> None:
    device.agent(tags=None, initial_tags=["first"]).add_tags("second")
    assert device.held()[0]["tags"] == ["first", "second"]


def test_device_that_lost_its_disk_takes_the_hubs_tags_before_its_initial_ones(device: Device) -> None:
    mine: dict[str, Any] = {"tags": None, "initial_tags": ["first"]}
    first_run(device, **mine)
    device.agent(**mine).add_tags("second")
    for path in device.files.values():
        path.unlink()
    first_run(device, **mine)
    assert sorted(device.held()[0]["tags"]) == ["first", "second"]


def test_tags_and_initial_tags_at_once_are_refused(device: Device) -> None:
    with pytest.raises(ConfigurationError, match="initial_tags: there are tags beside them"):
        device.agent(tags=["a"], initial_tags=["b"])
    with pytest.raises(ConfigurationError, match="owns_tags=False"):
        device.agent(**PLAIN, tags=None, initial_tags=["b"], owns_tags=False)


def test_tags_added_where_the_app_gives_its_tags_are_warned_of_at_the_call(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    device.agent().add_tags("attic")
    assert "its next start removes" in caplog.text
    caplog.clear()
    device.agent(tags=None).add_tags("cellar")
    assert "its next start removes" not in caplog.text


# Plans and reports.


def test_plan_iterates_over_steps_and_tells_of_channels(device: Device) -> None:
    tile = {"weather": SecondaryTile(channel=lambda: None)}
    plan = device.agent(secondary_tiles=tile).plan()
    assert ([step.method for step in plan], len(plan), bool(plan), plan.disabled) == (["PUT"], 1, True, False)
    assert plan.channel_errors["tiles.weather"].pending
    assert "tiles.weather" in str(plan)
    device.start()
    device.channel = OSError("away")
    failing = device.agent().plan()
    assert (bool(failing), failing.channel_errors["channel"].pending) == (False, False)
    assert "nothing to do" not in str(failing)
    assert failing.to_dict()["channel_errors"]["channel"] == str(failing.channel_errors["channel"])
    device.channel = "https://push.example/2"
    device.agent().unregister()
    off = device.agent().plan()
    assert (off.disabled, str(off)) == (True, 'unregistered by request; "nhagent enable" lifts it')


def test_report_says_whose_it_is_and_whether_all_is_well(device: Device) -> None:
    report = device.start()
    assert (report.app, report.hub, report.in_sync) == ("thermostat", device.hub.hub, True)
    assert set(report.channels) == {"channel", "tiles.weather"}
    assert all(mark.startswith("#") for mark in report.channels.values())
    device.tile_channel = OSError("away")
    failing = device.start()
    assert (failing.outcome, failing.in_sync) == ("unchanged", False)
    assert isinstance(failing.channel_errors["tiles.weather"], ChannelError)
    document = json.loads(json.dumps(failing.to_dict()))
    assert (document["in_sync"], document["outcome"], document["error"]) == (False, "unchanged", None)
    assert "away" in document["channel_errors"]["tiles.weather"]


def test_what_an_agent_gives_back_can_be_copied_pickled_and_hashed(device: Device) -> None:
    agent = device.agent()
    device.hub.fail("PUT", status=503)
    waiting = agent.start(timeout=0)
    values = [agent.plan(), waiting, agent.start(), agent.status(), agent.verify(), *agent.plan()]
    for value in values:
        for twin in (copy.copy(value), copy.deepcopy(value), pickle.loads(pickle.dumps(value))):
            assert repr(twin) == repr(value)
        assert isinstance(hash(value), int)


def test_enabling_registers_at_once_and_says_so(device: Device) -> None:
    agent = device.agent()
    agent.start()
    agent.unregister()
    assert device.held() == []
    assert agent.enable().outcome == "registered"
    assert len(device.held()) == 1
    assert agent.enable().outcome == "unchanged"


def test_agent_as_a_context_manager_ends_its_background(device: Device) -> None:
    with device.agent(**PLAIN) as agent:
        assert agent.poke() is False
        background = agent.keep_fresh()
        background.start()
        assert agent.poke() is True
    assert not background.is_at_work
    assert agent.poke() is False


def test_submodules_are_there_when_they_are_named() -> None:
    assert nhagent.errors.NhagentError is nhagent.NhagentError
    channels: Any = nhagent.channels
    assert channels.from_file is from_file
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        nhagent.nothing  # noqa: B018


# Platforms of sources.


class Named:
    """A source that names its platform."""

    platform = "wns"

    def __call__(self) -> str:
        return "https://push.example/1"


def test_platform_is_the_sources_own_where_the_app_gives_none(device: Device) -> None:
    assert device.start(platform=None, channel=Named()).outcome == "registered"
    assert device.held()[0]["platform"] == "wns"
    assert device.start(platform="wns", channel=Named()).outcome == "unchanged"
    with pytest.raises(ConfigurationError, match="the channel's source is of platform 'wns'"):
        device.agent(platform="gcm", channel=Named())
    with pytest.raises(ConfigurationError, match="platform: is missing"):
        device.agent(platform=None)


# Tokens of others.


def signed(device: Device, moment: datetime, lifetime: timedelta) -> str:
    connection = ConnectionString.parse(device.hub.listen)
    audience = quote_plus(f"{device.hub.endpoint}/{device.hub.hub}".lower())
    end = round((moment + lifetime).timestamp())
    digest = hmac.new(connection.key.reveal().encode(), f"{audience}\n{end}".encode(), "sha256").digest()
    return (
        f"SharedAccessSignature sr={audience}&sig={quote_plus(b64encode(digest))}&se={end}"
        f"&skn={connection.key_name}"
    )


def test_token_is_asked_for_with_the_id_and_again_five_minutes_before_its_end(device: Device) -> None:
    asked: list[str] = []

    def token(installation_id: str) -> str:
        asked.append(installation_id)
        return signed(device, datetime.now(UTC) + device.offset, timedelta(minutes=30))

    mine: dict[str, Any] = {"connection_string": None, "token": token, "endpoint": device.hub.endpoint}
    agent = device.agent(**mine, first_run_list=True)
    report = agent.start()
    assert report.outcome == "registered"
    assert asked == [report.installation_id]
    device.hub.set_clock((device.offset + timedelta(minutes=24)).total_seconds())
    device.offset += timedelta(minutes=24)
    agent.refresh(force=True)
    assert len(asked) == 1
    device.offset += timedelta(minutes=2)
    device.hub.set_clock(device.offset.total_seconds())
    agent.refresh(force=True)
    assert asked == [report.installation_id] * 2


def test_token_stands_alone_and_needs_an_endpoint(device: Device) -> None:
    with pytest.raises(ConfigurationError, match="token: there is a connection string beside it"):
        device.agent(token=lambda _: "")
    with pytest.raises(ConfigurationError, match="endpoint: needed"):
        device.agent(connection_string=None, token=lambda _: "")
    not_callable: Any = "SharedAccessSignature sr=x&sig=c2VjcmV0&se=1&skn=a"
    with pytest.raises(ConfigurationError, match="token") as refused:
        device.agent(connection_string=None, token=not_callable, endpoint=device.hub.endpoint)
    assert "c2VjcmV0" not in str(refused.value)
