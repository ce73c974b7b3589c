"""A device without a platform of its own gets a push channel, keeps it, renews it and gives it back."""

from __future__ import annotations

import json
import logging
import stat
import subprocess
import sys
from pathlib import Path
from threading import Barrier, Thread
from typing import Any

import pytest

from nhagent import Agent, BrowserChannel, Outcome
from nhagent.channels import WebPushChannel
from nhagent.channels.encryption import new_pair
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from tests.channels.push.conftest import HeadlessDevice
from tests.events import happens

PRIVATE = "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94"
"""The private key in RFC 8291's example."""


def test_first_start_subscribes_and_the_next_sends_nothing_to_anybody(headless: HeadlessDevice) -> None:
    first = headless.agent().start()
    assert (first.outcome, first.in_sync) == (Outcome.REGISTERED, True)
    assert headless.held["platform"] == "browser"
    endpoint = headless.held["pushChannel"]["endpoint"]
    assert endpoint.startswith(headless.hub.endpoint + "/wpush/v2/")
    said = [entry["messageType"] for entry in headless.hub.push_service.log()]
    assert said == ["hello", "register"]
    again = headless.agent().start()
    assert (again.outcome, again.requests) == (Outcome.UNCHANGED, 0)
    assert len(headless.hub.push_service.log()) == 2


def test_what_is_kept_is_for_its_owner_alone_and_no_secret_shows(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    agent = headless.agent()
    report = agent.start()
    path = headless.path("channel.json")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    kept = json.loads(path.read_text())["kept"]
    [uaid] = kept["secrets"]["uaids"].values()
    [private] = kept["secrets"]["private"].values()
    assert [uaid] == list(headless.hub.push_service.state())
    endpoint = kept["current"]["endpoint"]
    shown = f"{caplog.text} {report!r} {agent!r} {agent.status()!r} {headless.channel()!r}"
    for secret in (uaid, private, endpoint, kept["current"]["auth"]):
        assert secret not in shown


@pytest.mark.parametrize("tls", [False, True], ids=["ws", "wss"])
def test_standing_alone_it_keeps_its_state_under_its_app(tls: bool, tmp_path: Path) -> None:
    with Emulator(tls=tls) as hub:
        alone: dict[str, Any] = {"server": hub.push, "ca_bundle": hub.ca, "state_dir": tmp_path}
        channel = WebPushChannel(hub.vapid_public_key, app="sensor", **alone)
        first = channel()
        assert isinstance(first, BrowserChannel)
        assert WebPushChannel(hub.vapid_public_key, app="sensor", **alone)() == first
        assert WebPushChannel(hub.vapid_public_key, app="other", **alone)() != first
        channel.forget()
        assert channel() != first


@pytest.mark.slow
def test_without_an_agent_or_a_place_for_its_state_it_says_so(headless: HeadlessDevice) -> None:
    with pytest.raises(ConfigurationError, match="belongs to no agent"):
        headless.channel()()
    channel = headless.channel()
    headless.agent(channel=channel)
    with pytest.raises(ConfigurationError, match="belongs to an agent already"):
        headless.agent(channel=channel)


def test_while_the_push_service_is_away_the_device_waits_for_its_first_channel(
    headless: HeadlessDevice,
) -> None:
    headless.server = "ws://127.0.0.1:9/"
    report = headless.agent().start(timeout=0)
    assert report.outcome is Outcome.WAITING
    error = report.channel_errors["channel"]
    assert error.pending
    assert "127.0.0.1:9: Connection refused" in str(error)
    assert headless.hub.log() == []


def test_a_plan_subscribes_to_nothing(headless: HeadlessDevice) -> None:
    plan = headless.agent().plan()
    assert plan.channel_errors["channel"].pending
    assert headless.hub.push_service.log() == []
    assert not headless.folder.exists()


def test_another_vapid_key_makes_another_channel_and_the_old_one_is_given_back_when_the_hub_has_it(
    headless: HeadlessDevice,
) -> None:
    headless.agent().start()
    [first] = headless.subscriptions
    headless.vapid = new_pair()[1]
    headless.hub.fail("PUT", status=503, times=2)
    headless.hub.fail("PATCH", status=503, times=2)
    assert headless.agent(sleep=lambda _: None).start(timeout=0).outcome is Outcome.WAITING
    assert len(headless.subscriptions) == 2
    headless.hub.clear_faults()
    report = headless.agent(sleep=lambda _: None).start()
    assert report.outcome is Outcome.UPDATED
    [second] = headless.subscriptions
    assert second != first
    kept = json.loads(headless.path("channel.json").read_text())["kept"]
    assert kept["leftovers"] == []
    assert list(kept["secrets"]["private"]) == [second]


def test_unregistered_device_gives_its_subscription_back_after_its_record(headless: HeadlessDevice) -> None:
    headless.agent().start()
    assert headless.agent().unregister().outcome is Outcome.DISABLED
    assert headless.subscriptions == []
    methods = [entry.method for entry in headless.hub.log()]
    assert methods[-2:] == ["DELETE", "GET"] or methods[-1] == "DELETE"
    assert headless.hub.push_service.log()[-1]["messageType"] == "unregister"
    headless.agent().enable()
    assert headless.held["pushChannel"]["endpoint"]
    assert len(headless.subscriptions) == 1


def test_what_could_not_be_given_back_is_given_back_at_a_later_start(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture
) -> None:
    headless.agent().start()
    headless.hub.push_service.refuses = 503
    assert headless.agent().unregister().outcome is Outcome.DISABLED
    assert "was not told that its subscription is not wanted any more" in caplog.text
    assert len(headless.subscriptions) == 1
    headless.hub.push_service.refuses = None
    assert headless.agent().start().outcome is Outcome.DISABLED
    assert headless.subscriptions == []
    said = len(headless.hub.push_service.log())
    assert headless.agent().start().outcome is Outcome.DISABLED
    assert len(headless.hub.push_service.log()) == said


def test_copied_disk_gets_a_subscription_of_its_own_and_leaves_the_other_alone(
    headless: HeadlessDevice,
) -> None:
    headless.agent().start()
    [theirs] = headless.hub.push_service.state()
    headless.machine = "second"
    report = headless.agent().start()
    assert report.outcome is Outcome.REGISTERED
    state = headless.hub.push_service.state()
    assert len(state) == 2
    assert len(state[theirs]["channels"]) == 1
    endpoints = {held["pushChannel"]["endpoint"] for held in headless.hub.contents()["installations"]}
    assert len(endpoints) == 2


def test_damaged_file_is_kept_aside_and_the_device_subscribes_again(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture
) -> None:
    headless.agent().start()
    path = headless.path("channel.json")
    path.write_bytes(path.read_bytes().replace(b"endpoint", b"endpoInt", 1))
    assert headless.agent().start().outcome is Outcome.UPDATED
    assert "channel.json was corrupt and is kept as channel." in caplog.text
    assert len(headless.subscriptions) == 2  # who it was is lost with the file


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"vapid_public_key": "x"}, "is not a public key"),
        ({"vapid_public_key": PRIVATE}, "looks like the private key"),
        ({"vapid_public_key": None}, "is not a public key"),
        ({"server": "https://push.example/"}, "is not a push service's address"),
        ({"server": "ws://push.example/"}, "ws:// is for loopback alone"),
        ({"server": "wss://user:pass@push.example/"}, "is not a push service's address"),
        ({"server": "wss://push.example/?a=b"}, "is not a push service's address"),
        ({"server": "wss://push.example:0/"}, "is not a push service's address"),
        ({"server": "wss://[push/"}, "is not a push service's address"),
        ({"server": "wss://push.example/\r\nX: y"}, "is not a push service's address"),
        ({"server": 5}, "server 5: is not a push service"),
    ],
)
def test_wrong_settings_are_refused_at_once(given: dict[str, object], words: str) -> None:
    settings = {"vapid_public_key": new_pair()[1], **given}
    with pytest.raises(ConfigurationError, match=words):
        WebPushChannel(**settings)  # type: ignore[arg-type]


def test_padded_vapid_key_is_the_same_key(headless: HeadlessDevice) -> None:
    headless.agent().start()
    headless.vapid = headless.hub.vapid_public_key + "="
    assert headless.agent().start().outcome is Outcome.UNCHANGED
    assert len(headless.subscriptions) == 1


@pytest.mark.slow
def test_device_whose_push_service_has_forgotten_it_has_another_channel_at_once(
    headless: HeadlessDevice, caplog: pytest.LogCaptureFixture
) -> None:
    """Without keep_fresh: whoever receives registers what is new."""
    channel = headless.channel()
    agent = headless.agent(channel=channel)
    agent.start()
    first = headless.held["pushChannel"]["endpoint"]
    headless.hub.push_service.drop()
    with headless.receiving(channel.receive) as received:
        assert happens(lambda: headless.held["pushChannel"]["endpoint"] != first)
        assert headless.push("to the new one") == 201
        assert happens(lambda: received.texts == ["to the new one"])
    assert "has forgotten this device" in caplog.text
    assert agent.start().requests == 0


def test_unchanged_start_imports_nothing_of_what_speaks_and_decrypts(headless: HeadlessDevice) -> None:
    headless.agent().start()
    program = f"""
import sys
from nhagent import Agent
from nhagent.channels import WebPushChannel
channel = WebPushChannel({headless.hub.vapid_public_key!r}, server={headless.hub.push!r})
agent = Agent(app="sensor", hub={headless.hub.hub!r}, channel=channel, tags=["attic"],
              machine=lambda: "first", connection_string={headless.hub.listen!r},
              state_dir={str(headless.folder)!r})
assert agent.start().requests == 0
costly = {{"websocket", "cryptography", "keyring", "requests", "ssl", "http.client"}}
print(sorted(costly & sys.modules.keys()))
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_without_websocket_client_a_sentence_names_the_extra(headless: HeadlessDevice) -> None:
    program = f"""
import sys
sys.modules["websocket"] = None
from nhagent import Agent
from nhagent.channels import WebPushChannel
channel = WebPushChannel({headless.hub.vapid_public_key!r}, server={headless.hub.push!r})
agent = Agent(app="sensor", hub={headless.hub.hub!r}, channel=channel,
              connection_string={headless.hub.listen!r}, state_dir={str(headless.folder)!r})
print(agent.start(timeout=0).channel_errors["channel"])
try:
    agent.receive(print)
except Exception as error:
    print(type(error).__name__, error)
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    first, second = done.stdout.splitlines()
    assert 'run "pip install nhagent[webpush]"' in first
    assert second.startswith("ConfigurationError web push: websocket-client is not installed")


def test_source_that_receives_nothing_is_said_to(headless: HeadlessDevice) -> None:
    agent = Agent(
        app="sensor",
        hub="hub",
        platform="wns",
        channel="https://push.example/1",
        connection_string=headless.hub.listen,
        state_dir=headless.folder,
    )
    with pytest.raises(ConfigurationError, match="its source receives nothing"):
        agent.receive(print)


def test_second_process_of_the_device_is_told_who_is_connected(headless: HeadlessDevice) -> None:
    headless.agent().start()
    with headless.receiving(headless.agent().receive):
        program = f"""
from nhagent.channels import WebPushChannel
from nhagent import Agent
channel = WebPushChannel({headless.hub.vapid_public_key!r}, server={headless.hub.push!r})
agent = Agent(app="sensor", hub={headless.hub.hub!r}, channel=channel, tags=["attic"],
              machine=lambda: "first", connection_string={headless.hub.listen!r},
              state_dir={str(headless.folder)!r})
assert agent.start().requests == 0
try:
    agent.receive(print)
except Exception as error:
    print(type(error).__name__, error)
"""
        done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert done.stdout.startswith("StateLocked")
    assert "another process of this app is connected to the push service" in done.stdout


def test_threads_that_begin_at_once_share_one_way_to_the_push_service(headless: HeadlessDevice) -> None:
    channel = headless.channel(app="sensor", state_dir=headless.folder)
    together = Barrier(8)
    found: list[object] = []

    def open_it() -> None:
        together.wait()
        found.append(channel._opened())

    threads = [Thread(target=open_it) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(map(id, found))) == 1


def test_device_that_goes_to_another_push_service_gives_back_what_the_former_knows(
    headless: HeadlessDevice,
) -> None:
    headless.agent().start()
    with Emulator() as another:
        moved = headless.channel(server=another.push, vapid_public_key=another.vapid_public_key)
        headless.agent(channel=moved).start()
        assert headless.held["pushChannel"]["endpoint"].startswith(another.endpoint)
        assert len(another.push_service.state()) == 1
        assert headless.subscriptions == []
