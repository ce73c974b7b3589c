"""Whatever a hub's replies become on their way, every start ends in a report or an error of the tree."""

from __future__ import annotations

import copy
import itertools
import os
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any, Final

import pytest

from nhagent import HubClient, Installation, Platform
from nhagent.emulator.sas import FULL_RULE, LISTEN_RULE
from nhagent.errors import HubError, NhagentError
from tests.serving import serving
from tests.work import work_of

from .mutator import Mutator, TrueReply
from .worlds import Device, DirectLine, FakeTransport, answering, plant, through

# Read when this is imported: the settings of the machine are no part of any test.
COUNT: Final = int(os.environ.get("NHAGENT_MUTATIONS", "150"))
SOCKET_COUNT: Final = int(os.environ.get("NHAGENT_SOCKET_MUTATIONS", "100"))
FIRST: Final = int(os.environ.get("NHAGENT_FIRST_MUTATION", "0"))
"""The seed of the first mutation: what a failure names, with a count of 1, shows it again."""

ADDRESS: Final = "http://127.0.0.1:1/"
TIMEOUT: Final = 30.0
HANG_SECONDS: Final = 600
PER_WORLD: Final = 250
"""Mutations that share one hub: a list of what it holds grows no longer."""
TRACED: Final = 20
"""Of so many starts, the work of one is counted."""
READ_AGAIN: Final = 4
"""Of so many starts, the replies of one are read once more, and the work is counted."""
MOST_REQUESTS: Final = 6
"""How many times the requests of the same flow at a true hub: tries, and rows and pages of a spliced list."""
FEW_REQUESTS: Final = 12
MOST_WORK: Final = 10

Act = Callable[[Any], Any]
FLOWS: Final[dict[str, Act]] = {
    "first": lambda agent: agent.start(timeout=TIMEOUT),
    "refresh": lambda agent: agent.refresh(force=True, timeout=TIMEOUT),
    "rotated": lambda agent: agent.start(timeout=TIMEOUT),
    "verify": lambda agent: agent.verify(),
    "unregister": lambda agent: agent.unregister(timeout=TIMEOUT),
}
STYLES: Final = ("installation", "registration")
GOOD: Final = {"registered", "updated", "unchanged", "recreated"}


def same(reply: Any) -> Any:
    return reply


@contextmanager
def stopped_when_it_hangs() -> Iterator[None]:
    """A hang ends as a failure: no test waits for it, and nothing else is measured by it."""
    if sys.platform == "win32":  # which has no such signal
        yield
        return

    def stop(*_: object) -> None:
        raise AssertionError("it hangs")

    before = signal.signal(signal.SIGALRM, stop)
    signal.alarm(HANG_SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


class World:
    """A hub, and clients of it without a network."""

    def __init__(self) -> None:
        self.line = DirectLine()
        self.clients = {
            rule: HubClient(self.line.key(rule, ADDRESS), "my-hub") for rule in (LISTEN_RULE, FULL_RULE)
        }
        self._number = 0

    def close(self) -> None:
        self.line.close()
        for client in self.clients.values():
            client.close()

    def transport(self, change: Callable[[TrueReply], TrueReply] = same) -> FakeTransport:
        return FakeTransport(self.line, TrueReply, change)

    def connect(self, transport: FakeTransport) -> Callable[[Any], None]:
        return through(transport, self.clients[LISTEN_RULE])

    def client(self, transport: Any) -> HubClient:
        client = copy.copy(self.clients[FULL_RULE])
        exchange: Any = copy.copy(client._exchange)
        client._exchange = exchange
        exchange._transports, exchange._idle = [transport], [transport]
        return client

    def device(self, style: str, flow: str) -> Device:
        """A device where the flow begins."""
        self._number += 1
        channel, tile = (f"https://push.example/{self._number}/{name}" for name in ("main", "tile"))
        device = Device(style, self.line.key(LISTEN_RULE, ADDRESS), channel, tile)
        if flow == "first":
            plant(self.client(self.transport()), channel)
            return device
        device.session = self.connect(self.transport())
        assert device.agent().start().outcome == "registered"
        if flow == "rotated":
            device.channel += "/rotated"
        return device


@dataclass
class Usual:
    """What a flow takes at a true hub: requests, bytes received, work."""

    requests: int
    size: int
    work: int


class Judge:
    """Knows what is usual, and judges what a mutation has led to."""

    def __init__(self) -> None:
        self.replies: list[TrueReply] = []
        self.usual: dict[tuple[str, str], Usual] = {}
        self._reading: dict[str, tuple[int, int]] = {}
        world = World()
        try:
            for _ in range(2):  # what is imported or remembered at first use is not counted
                for style in STYLES:
                    for flow in FLOWS:
                        self._learn(world, style, flow)
        finally:
            world.close()

    def _learn(self, world: World, style: str, flow: str) -> None:
        device, transport = world.device(style, flow), world.transport()
        device.session = world.connect(transport)
        work = work_of(lambda: FLOWS[flow](device.agent()))
        self.usual[style, flow] = Usual(len(transport.asked), transport.received, work)
        self.replies += transport.seen
        for asked, reply in zip(transport.asked, transport.seen, strict=True):
            self._reading[kind_of(asked)] = (self.reading(world, asked, reply), reply.size)

    def reading(self, world: World, asked: str, reply: TrueReply) -> int:
        """The work of reading a reply."""
        transport = world.transport(lambda _: reply)
        client = world.client(transport)
        return work_of(lambda: read(client, asked))

    def check_reading(self, world: World, transport: FakeTransport) -> None:
        for asked, reply in zip(transport.asked[:6], transport.seen, strict=False):
            work, size = self._reading[kind_of(asked)]
            most = max(work for work, _ in self._reading.values())
            done = self.reading(world, asked, reply)
            allowed = MOST_WORK * work * max(1.0, reply.size / size) + most
            assert done <= allowed, f"{done} to read {reply.size} bytes, {work} for {size}"


def kind_of(asked: str) -> str:
    method, path = asked.split(" ")
    parts = path.split("/")
    return f"{method} {parts[2]}{' one' if len(parts) > 3 else ''}"


def read(client: HubClient, asked: str) -> None:
    """Read the reply to a request once more, in an operation of the client."""
    method, path = asked.split(" ")
    parts = path.split("/")
    record = parts[3] if len(parts) > 3 else ""
    with suppress(NhagentError):
        match kind_of(asked):
            case "GET registrations":
                next(iter(client.registrations()), None)
            case "POST registrationids":
                client.create_registration_id()
            case "GET installations one" | "PUT installations one" | "PATCH installations one":
                if method == "GET":
                    client.get_installation(record)
                elif method == "PUT":
                    client.put_installation(Installation(record, Platform.WNS, "https://push.example/1"))
                else:
                    client.patch_installation(record, [{"op": "remove", "path": "/userId"}])
            case "DELETE installations one":
                client.delete_installation(record)
            case "DELETE registrations one":
                client.delete_registration(record)
            case "GET registrations one" | "PUT registrations one":
                client.get_registration(record)
            case _:
                raise AssertionError(asked)


@pytest.fixture(scope="module")
def judge() -> Judge:
    return Judge()


def ended(act: Callable[[], Any]) -> Any:
    """A report, or an error of the tree; whatever else is raised goes through."""
    try:
        return act()
    except NhagentError as error:
        str(error), repr(error)
        if isinstance(error, HubError):
            assert error.retry_after is None or error.retry_after >= 0
        return error


def check_start(judge: Judge, world: World, seed: int) -> int:
    """Let one device start at a hub whose replies are changed; gives how many were."""
    style, flow = STYLES[seed % 2], list(FLOWS)[seed // 2 % len(FLOWS)]
    mutator = Mutator(seed, judge.replies)
    try:
        device, transport = world.device(style, flow), world.transport(mutator.changed)
        device.session = world.connect(transport)
        before = device.slept
        usual = judge.usual[style, flow]
        if seed // 10 % TRACED:
            ended(lambda: FLOWS[flow](device.agent()))
        else:
            work = work_of(lambda: ended(lambda: FLOWS[flow](device.agent())))
            times = max(1.0, len(transport.asked) / usual.requests)
            times *= max(1.0, transport.received / usual.size)
            assert work <= MOST_WORK * usual.work * times, f"{work}, of {usual.work} for {usual.size} bytes"
        assert device.slept - before <= TIMEOUT
        most = MOST_REQUESTS * usual.requests + FEW_REQUESTS
        assert len(transport.asked) <= most, f"{len(transport.asked)} requests"
        if seed // 10 % READ_AGAIN == 0:
            judge.check_reading(world, transport)
        device.session = world.connect(world.transport())
        check_true_start(device, flow)
    except BaseException:
        told(seed, style, flow, mutator)
        raise
    return mutator.count


def told(seed: int, style: str, flow: str, mutator: Mutator) -> None:
    print(f"NHAGENT_FIRST_MUTATION={seed}: {style}, {flow}", *mutator.done, sep="\n  ", file=sys.stderr)


def check_true_start(device: Device, flow: str) -> None:
    """What a hub has said never makes every later start fail."""
    device.offset += timedelta(days=2)
    report = device.agent().start(timeout=TIMEOUT)
    if flow == "unregister":
        assert report.outcome == "disabled"
    else:
        assert report.outcome in GOOD, (report, report.error)
    again = device.agent().start(timeout=TIMEOUT)
    assert (again.outcome, again.requests) == ("disabled" if flow == "unregister" else "unchanged", 0)


def seeds_until(count: int) -> Iterator[tuple[int, Callable[[int], None]]]:
    """Give one seed after another until so many replies were changed, as the caller counts them."""
    changed = [0]
    for seed in itertools.count(FIRST):
        if changed[0] >= count:
            return
        yield seed, lambda more: changed.append(changed.pop() + more)


@pytest.mark.slow
def test_changed_replies_end_every_start_in_a_report_or_an_error_of_the_tree(judge: Judge) -> None:
    world = World()
    try:
        for seed, count in seeds_until(COUNT):
            if (seed - FIRST) % PER_WORLD == 0:
                world.close()
                world = World()
            with stopped_when_it_hangs():
                count(check_start(judge, world, seed))
    finally:
        world.close()


class Wire:
    """A server whose replies a mutator changes, and the device that asks it.

    Attributes:
        mutator: changes the replies; None: they stay true.
    """

    def __init__(self, judge: Judge) -> None:
        self.line = DirectLine()
        self._judge = judge
        self.mutator: Mutator | None = None
        self.asked = 0

    def change(self, reply: TrueReply) -> TrueReply:
        self.asked += 1
        return reply if self.mutator is None else self.mutator.changed(reply)

    def check_start(self, address: str, seed: int) -> int:
        style, flow = STYLES[seed % 2], list(FLOWS)[seed // 2 % len(FLOWS)]
        channel, tile = (f"https://push.example/{seed}/{name}" for name in ("main", "tile"))
        device = Device(style, self.line.key(LISTEN_RULE, address), channel, tile)
        if flow == "first":
            with HubClient(self.line.key(FULL_RULE, address), "my-hub") as client:
                plant(client, channel)
        else:
            assert device.agent().start().outcome == "registered"
        device.channel += "/rotated" if flow == "rotated" else ""
        return self._check_changed(device, flow, seed)

    def _check_changed(self, device: Device, flow: str, seed: int) -> int:
        usual = self._judge.usual[device.style, flow]
        mutator = self.mutator = Mutator(seed, self._judge.replies)
        try:
            before, self.asked = device.slept, 0
            ended(lambda: FLOWS[flow](device.agent()))
            assert device.slept - before <= TIMEOUT
            assert self.asked <= MOST_REQUESTS * usual.requests + FEW_REQUESTS
            self.mutator = None
            check_true_start(device, flow)
        except BaseException:
            told(seed, device.style, flow, mutator)
            raise
        finally:
            self.mutator = None
        return mutator.count


@pytest.mark.slow
def test_changed_replies_on_the_wire_end_every_start_so_too(judge: Judge) -> None:
    wire = Wire(judge)
    with serving(answering(wire.line, wire.change, TrueReply)) as address:
        for seed, count in seeds_until(SOCKET_COUNT):
            with stopped_when_it_hangs():
                count(wire.check_start(address, seed))
    wire.line.close()
