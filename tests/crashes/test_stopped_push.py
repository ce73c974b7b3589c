"""A device with a push channel of its own, stopped at any operation of its disk, comes back with all of it.

No message is lost that the push service was told had come, none comes again that was recorded as done, and
there is no subscription that nobody knows. ``NHAGENT_STOPS`` of 10,000 and more stop at every operation.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from threading import Event
from typing import Any

import pytest

from nhagent import Agent, Outcome
from nhagent.channels import Message, WebPushChannel
from nhagent.channels.encryption import new_pair
from nhagent.device.key_ring import hide_key_ring
from nhagent.emulator import Emulator
from tests.events import HANG_SECONDS, happens

from .volatile_disk import PowerCut, VolatileDisk

# Where the plug is pulled while another thread registers a new channel, that thread has nobody to tell.
pytestmark = [
    pytest.mark.slow,
    pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning"),
]

EVERY = 1 if int(os.environ.get("NHAGENT_STOPS", "0")) >= 10_000 else 3
FOLDER = "/var/lib/nhagent"
TEXTS = [f"message {number}" for number in range(3)]
SECOND_PAIR = new_pair()


@pytest.fixture(autouse=True)
def _no_key_ring() -> Iterator[None]:
    """The machine's own has no part in this."""
    bring_back = hide_key_ring()
    yield
    bring_back()


class Until(Event):
    """Tells to stop once something is so."""

    def __init__(self, holds: Callable[[], object]) -> None:
        super().__init__()
        self._holds = holds
        self._gives_up = time.monotonic() + HANG_SECONDS

    def is_set(self) -> bool:
        return bool(self._holds()) or time.monotonic() > self._gives_up


@dataclass
class World:
    """One device, its disk and its hub."""

    hub: Emulator
    disk: VolatileDisk = field(default_factory=VolatileDisk)
    vapid: str = ""
    taken: list[str] = field(default_factory=list)

    def agent(self) -> tuple[Agent, WebPushChannel]:
        channel = WebPushChannel(self.vapid or self.hub.vapid_public_key, server=self.hub.push)
        agent = Agent(
            app="sensor",
            hub=self.hub.hub,
            channel=channel,
            tags=["attic"],
            connection_string=self.hub.listen,
            state_dir=FOLDER,
            sleep=lambda _: time.sleep(0.001),
            random=lambda: 0.0,
            machine=lambda: "first",
            disk=self.disk,
            first_run_list=False,
        )
        return agent, channel

    def is_cut(self) -> bool:
        fuse = self.disk.fuse
        return fuse.at is not None and len(fuse.seen) > fuse.at

    def receive(self, agent: Agent, channel: WebPushChannel, number: int) -> None:
        """Receive until so many messages were taken in all, or the plug was pulled."""

        def take(message: Message) -> None:
            assert message.text is not None
            self.taken.append(message.text)

        stop = Until(lambda: len(set(self.taken)) >= number or self.is_cut())
        channel.receive(take, stop)

    def endpoints(self) -> list[str]:
        return [held["pushChannel"]["endpoint"] for held in self.hub.contents()["installations"]]

    def subscriptions(self) -> list[str]:
        return [name for user in self.hub.push_service.state().values() for name in user["channels"]]

    def kept(self, name: str) -> dict[str, Any]:
        content = self.disk.files()[f"{FOLDER}/sensor/{self.hub.hub}/{name}"]
        return dict(json.loads(content)["kept"])

    def push(self) -> None:
        [held] = self.hub.contents()["installations"]
        for text in TEXTS:
            assert self.hub.send_push(held["installationId"], text).status == 201


def _nothing(_: World) -> None:
    """It begins from nothing."""


def _registered(world: World) -> None:
    assert world.agent()[0].start(timeout=0).error is None


def _with_messages(world: World) -> None:
    _registered(world)
    world.push()


def _forgotten(world: World) -> None:
    _registered(world)
    world.hub.push_service.drop()


def _start(world: World) -> None:
    world.agent()[0].start(timeout=0)


def _renew(world: World) -> None:
    world.vapid = SECOND_PAIR[1]
    world.agent()[0].start(timeout=0)


def _receive(world: World) -> None:
    agent, channel = world.agent()
    agent.start(timeout=0)
    world.receive(agent, channel, len(TEXTS))


def _receive_after_loss(world: World) -> None:
    _agent, channel = world.agent()
    before = world.endpoints()
    stop = Until(lambda: world.is_cut() or world.endpoints() != before)
    channel.receive(lambda _: None, stop)


def _unregister(world: World) -> None:
    world.agent()[0].unregister(timeout=0)


FLOWS: dict[str, tuple[Callable[[World], None], Callable[[World], None]]] = {
    "subscribing": (_nothing, _start),
    "renewing": (_registered, _renew),
    "receiving": (_with_messages, _receive),
    "renewing after a loss": (_forgotten, _receive_after_loss),
    "giving back": (_registered, _unregister),
}


def stopped(world: World, act: Callable[[World], None], at: int | None) -> list[str]:
    """Carry a flow out up to an operation; what was done until then."""
    world.disk.fuse.seen.clear()
    world.disk.fuse.at = at
    try:
        act(world)
    except PowerCut:
        pass
    seen = list(world.disk.fuse.seen)
    world.disk.fuse.at = None
    return seen


def operations(name: str) -> int:
    before, act = FLOWS[name]
    with Emulator("hub") as hub:
        world = World(hub)
        before(world)
        return len(stopped(world, act, None))


def recorded_as_done(world: World) -> set[str]:
    """What was taken and is not waiting any more, by what is on disk."""
    try:
        waiting = [message["data"] for message in world.kept("messages.json")["waiting"]]
    except (KeyError, ValueError):
        return set()
    from base64 import b64decode

    return set(world.taken) - {b64decode(data).decode() for data in waiting}


def mended(world: World, name: str) -> None:
    """One start and one connection must set all right."""
    agent, channel = world.agent()
    if name == "giving back":
        assert agent.unregister().outcome is Outcome.DISABLED
        assert world.endpoints() == []
        assert world.subscriptions() == []
        return
    report = agent.start()
    assert report.error is None, report
    acknowledged = {message for message in world.taken if message in recorded_as_done(world)}
    if name == "receiving":
        before = len(world.taken)
        world.receive(agent, channel, len(TEXTS))
        again = world.taken[before:]
        assert sorted(set(world.taken)) == TEXTS, "a message is lost"
        assert not acknowledged & set(again), "one came again that was recorded as done"
        assert again == sorted(again), "they came out of order"
    else:
        stop = Until(lambda: any(user["connected"] for user in world.hub.push_service.state().values()))
        channel.receive(lambda _: None, stop)
        assert happens(lambda: agent.start().requests == 0)
    [endpoint] = world.endpoints()
    current = world.kept("channel.json")["current"]
    assert endpoint == current["endpoint"], "the hub holds another subscription"
    assert world.kept("channel.json")["leftovers"] == []
    assert world.subscriptions() == [current["channel_id"]], "there is a subscription that nobody knows"


@pytest.mark.parametrize("part", range(4))
@pytest.mark.parametrize("name", FLOWS)
def test_device_whose_plug_is_pulled_anywhere_comes_back_with_its_channel_and_messages(
    name: str, part: int
) -> None:
    before, act = FLOWS[name]
    for at in range(part * EVERY, operations(name), 4 * EVERY):
        luck = random.Random(at)
        with Emulator("hub") as hub:
            world = World(hub)
            before(world)
            done = stopped(world, act, at)
            for _ in range(200):  # whoever was connected is not any more
                if not any(user["connected"] for user in hub.push_service.state().values()):
                    break
                time.sleep(0.01)
            world.disk = world.disk.after_power_cut(luck)
            try:
                mended(world, name)
            except BaseException as error:
                error.add_note(f"{name}, stopped at {at}: {done[-4:]}")
                raise
