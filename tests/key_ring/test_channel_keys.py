"""The keys of a push channel lie in the key ring where there is one, and are not found without it."""

from __future__ import annotations

import json
from typing import Any

import pytest

from nhagent.emulator import Emulator

from .machine import Machine

pytestmark = pytest.mark.slow


@pytest.fixture
def device(machine: Machine, notification_hub: Emulator) -> Machine:
    """A headless device with a vault, whose connection string comes from the environment."""
    machine.has_vault(to_be_found=False)
    machine.environment["NHAGENT_CONNECTION_STRING"] = notification_hub.listen
    (machine.folder / "config.toml").write_text(
        f'app = "sensor"\n[hub]\nname = "{notification_hub.hub}"\n[device]\ntags = ["attic"]\n[channel]\n'
        f'webpush = {{ vapid_public_key = "{notification_hub.vapid_public_key}", '
        f'server = "{notification_hub.push}" }}\n'
    )
    return machine


def kept(machine: Machine) -> Any:
    [path] = machine.folder.rglob("channel.json")
    return json.loads(path.read_text())["kept"]


def receive_one(machine: Machine) -> str:
    """Receive one message in a process of its own, and give it."""
    program = """
import sys, threading
from nhagent.commands.setup import read_setup
stop = threading.Event()
def take(message):
    print(message.text, flush=True)
    stop.set()
read_setup(sys.argv[1]).agent.receive(take, stop)
"""
    ran = machine.python("-c", program, str(machine.folder / "config.toml"))
    assert ran.code == 0, ran.err
    return ran.out.strip()


def test_keys_are_in_the_vault_and_not_in_their_file(device: Machine, notification_hub: Emulator) -> None:
    assert device.run("register").code == 0
    assert kept(device)["secrets"] == "key ring"
    [uaid] = notification_hub.push_service.state()
    for path in device.folder.rglob("*"):
        assert not path.is_file() or uaid.encode() not in path.read_bytes()
    [held] = notification_hub.contents()["installations"]
    notification_hub.send_push(held["installationId"], "opened with the vault")
    assert receive_one(device) == "opened with the vault"


def test_unchanged_start_opens_no_key_ring(device: Machine) -> None:
    assert device.run("register").code == 0
    device.vault_file.write_text("damaged")
    ran = device.run("register", "--json")
    assert (ran.code, ran.document["outcome"]) == (0, "unchanged")


def test_lost_keys_mean_another_subscription_and_a_warning(
    device: Machine, notification_hub: Emulator
) -> None:
    assert device.run("register").code == 0
    [first] = notification_hub.contents()["installations"]
    device.vault_file.unlink()
    program = """
import sys, threading
from nhagent.commands.setup import read_setup
agent = read_setup(sys.argv[1]).agent
before = sys.argv[2]
class Stop(threading.Event):
    def is_set(self):
        status = agent.status()
        return status.channels.get("channel") != before and not status.in_doubt and not status.pending
agent.receive(print, Stop())
"""
    before = device.run("status", "--json").document["channels"]["channel"]
    ran = device.python("-c", program, str(device.folder / "config.toml"), before)
    assert ran.code == 0, ran.err
    [second] = notification_hub.contents()["installations"]
    assert second["installationId"] == first["installationId"]
    assert second["pushChannel"] != first["pushChannel"]


def test_subscription_that_was_given_back_leaves_no_key_behind(
    device: Machine, notification_hub: Emulator
) -> None:
    assert device.run("register").code == 0
    assert len(json.loads(device.vault_file.read_text())["entries"]) == 1
    assert device.run("unregister").code == 0
    assert notification_hub.push_service.state() == {} or not any(
        user["channels"] for user in notification_hub.push_service.state().values()
    )
    assert not json.loads(device.vault_file.read_text())["entries"]
