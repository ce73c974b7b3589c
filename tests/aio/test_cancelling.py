"""A call that is cancelled sends and writes nothing afterwards, wherever it was."""

from __future__ import annotations

import asyncio
import random
import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from typing import Any

import keyring
import pytest

from nhagent import AsyncAgent
from nhagent.device.store import Store
from nhagent.errors import ConfigurationError
from tests.device_under_test import Device
from tests.events import HANG_SECONDS, HELD_SECONDS
from tests.read_only_ring import ReadOnlyRing

from .device import async_agent, happens_here, played, threads_of_nhagent, written


@dataclass
class Place:
    """Where a call waits until the test lets it go on."""

    device: Device
    reached: threading.Event = field(default_factory=threading.Event)
    go_on: threading.Event = field(default_factory=threading.Event)
    stack: ExitStack = field(default_factory=ExitStack)
    is_at_the_hub: bool = True

    def block(self, *_: object) -> str:
        self.reached.set()
        self.go_on.wait(HELD_SECONDS)
        return "https://push.example/late"

    async def never(self, *_: object) -> str:
        self.reached.set()
        await asyncio.Event().wait()
        return ""

    async def reached_here(self) -> bool:
        return await happens_here(
            lambda: self.reached.is_set() or (self.is_at_the_hub and self.device.hub.log())
        )


def in_an_exchange(place: Place) -> dict[str, Any]:
    place.device.hub.fail("PUT", delay=HELD_SECONDS)
    return {}


def in_a_list(place: Place) -> dict[str, Any]:
    place.device.hub.fail("GET", delay=HELD_SECONDS)
    return {"first_run_list": True}


def in_a_dripping_reply(place: Place) -> dict[str, Any]:
    place.device.hub.fail("PUT", drip=HELD_SECONDS)
    return {}


def between_two_attempts(place: Place) -> dict[str, Any]:
    place.device.hub.fail("PUT", status=503, times=99)
    return {}


def in_the_wait_that_a_hub_asked_for(place: Place) -> dict[str, Any]:
    place.device.hub.fail("PUT", status=429, times=99, headers={"Retry-After": "60"})
    return {}


def in_a_plain_source(place: Place) -> dict[str, Any]:
    return {"channel": place.block}


def in_a_coroutine_source(place: Place) -> dict[str, Any]:
    return {"channel": place.never}


def in_a_plain_source_of_tokens(place: Place) -> dict[str, Any]:
    return {"connection_string": None, "token": place.block, "endpoint": place.device.hub.endpoint}


def in_a_coroutine_source_of_tokens(place: Place) -> dict[str, Any]:
    return {"connection_string": place.never, "endpoint": place.device.hub.endpoint}


def in_a_callback(place: Place) -> dict[str, Any]:
    place.is_at_the_hub = False
    return {"on_registered": place.never}


def at_the_lock_of_another_process(place: Place) -> dict[str, Any]:
    async def channel() -> str:
        place.reached.set()
        return "https://push.example/1"

    store = Store(str(place.device.folder / "thermostat" / place.device.hub.hub))
    place.stack.enter_context(store.lock(0))
    return {"channel": channel}


def in_a_key_ring(place: Place) -> dict[str, Any]:
    before = keyring.get_keyring()
    keyring.set_keyring(ReadOnlyRing(place.block))
    place.stack.callback(keyring.set_keyring, before)
    return {"connection_string": None}


PLACES: list[Callable[[Place], dict[str, Any]]] = [
    in_an_exchange,
    in_a_list,
    in_a_dripping_reply,
    between_two_attempts,
    in_the_wait_that_a_hub_asked_for,
    in_a_plain_source,
    in_a_coroutine_source,
    in_a_plain_source_of_tokens,
    in_a_coroutine_source_of_tokens,
    in_a_callback,
    at_the_lock_of_another_process,
    in_a_key_ring,
]


@contextmanager
def place_of(
    device: Device, make: Callable[[Place], dict[str, Any]]
) -> Iterator[tuple[Place, dict[str, Any]]]:
    place = Place(device)
    with place.stack:
        try:
            yield place, make(place)
        finally:
            place.go_on.set()
            device.hub.clear_faults()


@pytest.mark.slow
@pytest.mark.parametrize("how", ["cancel", "wait_for", "twice", "leave"])
@pytest.mark.parametrize("make", PLACES, ids=lambda make: make.__name__)
def test_cancelled_call_does_nothing_any_more(
    device: Device, make: Callable[[Place], dict[str, Any]], how: str
) -> None:
    async def play() -> None:
        with place_of(device, make) as (place, settings):
            async with async_agent(device, **settings) as agent:
                call = asyncio.ensure_future(agent.start(timeout=HANG_SECONDS))
                assert await place.reached_here()
                if how == "leave":
                    await agent.__aexit__(None, None, None)
                    with pytest.raises(asyncio.CancelledError):
                        await call
                elif how == "wait_for":
                    with pytest.raises(TimeoutError):
                        await asyncio.wait_for(call, 0.01)
                else:
                    call.cancel()
                    await asyncio.sleep(0)
                    if how == "twice":
                        call.cancel()
                    with pytest.raises(asyncio.CancelledError):
                        await call
                seen, on_disk = len(device.hub.log()), written(device)
            place.go_on.set()
            device.hub.clear_faults()
            ends = await happens_here(lambda: threads_of_nhagent(threading.enumerate()) == [])
            assert ends, "whatever was left behind ends when it is let go"
            assert (len(device.hub.log()), written(device)) == (seen, on_disk)

    played(play)
    report = device.start(channel="https://push.example/1", secondary_tiles={}, templates={})
    assert report.in_sync or str(report.error).startswith("Throttled"), report
    assert len(device.held()) == report.in_sync


def test_cancelled_call_that_waits_for_another_leaves_that_alone(device: Device) -> None:
    async def play() -> None:
        with place_of(device, in_a_plain_source) as (place, settings):
            async with async_agent(device, **settings) as agent:
                first = asyncio.ensure_future(agent.start())
                assert await place.reached_here()
                others = [agent.verify(), agent.plan(), agent.update(tags=["b"]), agent.unregister()]
                waiting = [asyncio.ensure_future(other) for other in others]
                await asyncio.sleep(0.05)
                for call in waiting:
                    call.cancel()
                ends = await asyncio.gather(*waiting, return_exceptions=True)
                others_than = [end for end in ends if not isinstance(end, asyncio.CancelledError)]
                if others_than and isinstance(others_than[0], BaseException):
                    raise others_than[0]
                assert others_than == []
                assert not first.done()
                place.go_on.set()
                assert (await first).outcome == "registered"
                assert (await agent.status()).state == "IN_SYNC"

    played(play)
    assert device.held()[0]["tags"] == ["kitchen"], "what was cancelled was not declared"
    assert device.seen() == ["PUT"]


def test_next_call_after_a_cancelled_one_does_the_work_at_once(device: Device) -> None:
    async def play() -> None:
        async with async_agent(device) as agent:
            for _ in range(3):
                device.hub.fail("PUT", delay=HELD_SECONDS)
                call = asyncio.ensure_future(agent.start())
                assert await happens_here(device.hub.log)
                call.cancel()
                with pytest.raises(asyncio.CancelledError):
                    await call
                device.hub.clear_faults()
                device.hub.clear_log()
            report = await agent.start(timeout=0)
            assert (report.outcome, report.error) == ("registered", None)

    played(play)
    assert len(device.held()) == 1


def test_call_that_is_cancelled_before_it_begins_does_nothing(device: Device) -> None:
    async def play() -> None:
        async with async_agent(device) as agent:
            call = asyncio.ensure_future(agent.start())
            call.cancel()
            with pytest.raises(asyncio.CancelledError):
                await call

    played(play)
    assert (device.seen(), device.files) == ([], {})


@pytest.mark.parametrize("seed", range(12))
def test_calls_cancelled_at_any_moment_leave_one_record_and_one_identity(device: Device, seed: int) -> None:
    draw = random.Random(seed)

    async def cancelled(agent: AsyncAgent, turn: int) -> None:
        calls = [
            agent.start(),
            agent.update(tags=[f"turn{turn}"]),
            agent.refresh(force=True),
            agent.verify(),
        ]
        chosen = draw.randrange(len(calls))
        for number, other in enumerate(calls):
            if number != chosen:
                other.close()
        call = asyncio.ensure_future(calls[chosen])
        await asyncio.sleep(draw.random() * 0.03)
        call.cancel()
        with suppress(asyncio.CancelledError):
            await call
        seen, on_disk = len(device.hub.log()), written(device)
        await asyncio.sleep(0.002)
        assert written(device) == on_disk
        assert len(device.hub.log()) <= seen + 1, "the hub may still have been reading what was under way"

    async def play() -> tuple[str | None, str]:
        async with async_agent(device, tags=None) as agent:
            for turn in range(10):
                device.channel = f"https://push.example/{draw.randrange(3)}"
                await cancelled(agent, turn)
            status = await agent.status()
            report = await agent.start()
            assert report.in_sync
            return status.installation_id, str(report.installation_id)

    before, after = played(play)
    assert before in {None, after}
    assert [held["installationId"] for held in device.held()] == [after]


@pytest.mark.slow
def test_background_ends_at_once_wherever_it_is(device: Device) -> None:
    for make in PLACES:

        async def play(make: Callable[[Place], dict[str, Any]] = make) -> None:
            with place_of(device, make) as (place, settings):
                device.hub.clear_log()
                async with async_agent(device, app=make.__name__[:40], **settings) as agent:
                    async with agent.keep_fresh():
                        assert await place.reached_here()
                    assert await happens_here(
                        lambda: "nhagent" not in threads_of_nhagent(threading.enumerate())
                    )

        if make is not at_the_lock_of_another_process:
            played(play)


def test_error_of_a_call_is_raised_where_it_is_awaited(device: Device) -> None:
    async def play() -> None:
        async with async_agent(device) as agent:
            with pytest.raises(ConfigurationError):
                await agent.update(tags=["two words"])
            with pytest.raises(ConfigurationError):
                await agent.start(timeout=-1)

    played(play)
