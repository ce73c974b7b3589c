"""What the agent for asyncio does, and where."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from typing import Any

import pytest

from nhagent import AsyncAgent, ConnectionString, Report, SecondaryTile, channels
from nhagent.errors import ConfigurationError, NhagentError, Unauthorized
from tests.device_under_test import TOAST, Device
from tests.retry.days import Days

from .device import async_agent, happens_here, played, threads_of_nhagent


def test_entering_sends_and_writes_nothing_and_leaving_ends_its_threads(device: Device) -> None:
    async def play() -> list[str]:
        agent = async_agent(device)
        async with agent:
            assert device.seen() == []
            assert device.files == {}
            assert (await agent.start()).outcome == "registered"
        return threads_of_nhagent(threading.enumerate())

    assert played(play) == []


def test_each_method_does_what_the_agents_does(device: Device) -> None:
    async def play() -> None:
        async with async_agent(device, tags=None, initial_tags=["kitchen"], first_run_list=True) as agent:
            assert [step.method for step in await agent.plan()] == ["PUT"]
            assert (await agent.status()).state == "NEW"
            assert (await agent.start()).outcome == "registered"
            assert (await agent.update(user_id="ann", templates={"alert": TOAST})).outcome == "updated"
            assert (await agent.add_tags("a", ["b"])).outcome == "updated"
            assert (await agent.remove_tags("kitchen")).outcome == "updated"
            [held] = device.held()
            assert (held["userId"], sorted(held["tags"])) == ("ann", ["a", "b"])
            assert (await agent.verify()).in_sync
            assert (await agent.refresh(force=True)).requests == 1
            assert (await agent.start(timeout=5)).outcome == "unchanged"
            assert agent.state_folder == (await agent.status()).state_dir
            assert not await agent.poke()
            assert (await agent.unregister()).outcome == "disabled"
            assert device.held() == []
            assert (await agent.enable()).in_sync
            assert len(device.held()) == 1

    played(play)


def test_coroutine_functions_and_callbacks_run_in_the_loop_and_plain_sources_do_not(device: Device) -> None:
    seen: dict[str, int] = {}
    news: list[Any] = []

    async def channel() -> str:
        await asyncio.sleep(0)
        seen["channel"] = threading.get_ident()
        return "https://push.example/1"

    def tile() -> str:
        seen["tile"] = threading.get_ident()
        return "https://push.example/tile"

    async def token(installation_id: str) -> str:
        seen["token"] = threading.get_ident()
        assert installation_id
        key = ConnectionString.parse(device.hub.listen)
        return key.token(f"{key.endpoint}/{device.hub.hub}", datetime.now(UTC))

    async def registered(report: Report) -> None:
        await asyncio.sleep(0)
        seen["registered"] = threading.get_ident()
        news.append(report.outcome)

    def failed(error: NhagentError) -> None:
        seen["failed"] = threading.get_ident()
        asyncio.get_running_loop()
        news.append(type(error))

    async def play() -> int:
        tiles = {"weather": SecondaryTile(tile, templates={"alert": TOAST})}
        async with async_agent(
            device,
            channel=channel,
            secondary_tiles=tiles,
            connection_string=None,
            token=token,
            endpoint=device.hub.endpoint,
            on_registered=registered,
            on_error=failed,
        ) as agent:
            assert (await agent.start()).outcome == "registered"
            assert news == ["registered"], "the callback is over before the call is"
            device.hub.fail("*", status=401, times=9)
            with pytest.raises(Unauthorized):
                await agent.update(tags=["other"])
            assert news[1:] == [Unauthorized]
        return threading.get_ident()

    loop = played(play)
    assert seen.pop("tile") != loop
    assert seen == dict.fromkeys(["channel", "token", "registered", "failed"], loop)


def test_callback_may_call_the_agent(device: Device) -> None:
    came_to: list[str] = []

    async def play() -> None:
        async def registered(report: Report) -> None:
            if report.outcome == "registered":
                came_to.append((await agent.add_tags("more")).outcome)

        async with async_agent(device, tags=None, on_registered=registered) as agent:
            assert (await agent.start()).outcome == "registered"

    played(play)
    assert came_to == ["updated"]
    assert device.held()[0]["tags"] == ["more"]


@pytest.mark.parametrize("kind", ["coroutine function", "partial", "awaitable of a plain one", "object"])
def test_source_of_each_asynchronous_kind_is_awaited(device: Device, kind: str) -> None:
    async def channel(path: str = "1") -> str:
        return f"https://push.example/{path}"

    class Source:
        platform = "wns"

        async def __call__(self) -> str:
            return "https://push.example/1"

    sources: dict[str, Any] = {
        "coroutine function": channel,
        "partial": partial(channel, "1"),
        "awaitable of a plain one": lambda: channel(),
        "object": Source(),
    }

    async def play() -> None:
        platform = None if kind == "object" else "wns"
        async with async_agent(device, channel=sources[kind], platform=platform) as agent:
            assert (await agent.start()).outcome == "registered"

    played(play)
    assert device.held()[0]["pushChannel"] == "https://push.example/1"


@pytest.mark.parametrize("failure", [OSError("no way"), asyncio.CancelledError()], ids=repr)
def test_coroutine_source_that_fails_leaves_the_old_channel_in_place(device: Device, failure: Any) -> None:
    broken = False

    async def channel() -> str:
        if broken:
            raise failure
        return "https://push.example/1"

    async def play() -> Report:
        nonlocal broken
        async with async_agent(device, channel=channel) as agent:
            assert (await agent.start()).outcome == "registered"
            broken = True
            return await agent.start()

    report = played(play)
    assert (report.outcome, report.requests) == ("unchanged", 0)
    assert "its source failed" in str(report.channel_errors["channel"])


@pytest.mark.slow
def test_source_that_never_answers_has_the_time_of_the_call_and_is_not_asked_again(device: Device) -> None:
    go_on, asked = threading.Event(), []

    async def never() -> str:
        asked.append("coroutine")
        await asyncio.Event().wait()
        return ""

    def blocked() -> str:
        asked.append("plain")
        go_on.wait()
        return ""

    async def play() -> None:
        tiles = {"weather": SecondaryTile(blocked)}
        async with async_agent(device, channel=never, secondary_tiles=tiles) as agent:
            for _ in range(2):
                report = await agent.start(timeout=0)
                assert report.outcome == "waiting"
                assert "gave no answer within" in str(report.channel_errors["channel"])
            assert "still gives no answer" in str(report.channel_errors["tiles.weather"])
        go_on.set()

    played(play)
    assert asked == ["coroutine", "plain", "coroutine"], "one thread is left behind, not two"
    assert device.seen() == []


def test_background_registers_follows_and_ends_at_once(device: Device) -> None:
    path = device.folder / "channel"
    device.folder.mkdir(exist_ok=True)
    path.write_text("https://push.example/1")
    reports: list[Report] = []

    async def play() -> None:
        source = channels.from_file(str(path))
        async with async_agent(device, channel=source, on_registered=reports.append) as agent:
            async with agent.keep_fresh():
                assert await happens_here(lambda: len(reports) == 1)
                path.write_text("https://push.example/2")
                assert await agent.poke()
                assert await happens_here(lambda: len(reports) == 2)
                with pytest.raises(ConfigurationError, match="keep_fresh"):
                    async with agent.keep_fresh():
                        pass
            assert not await agent.poke()
            assert await happens_here(lambda: threads_of_nhagent(threading.enumerate()) == [])
            async with agent.keep_fresh():
                assert await agent.poke()
        assert threads_of_nhagent(threading.enumerate()) == [], "leaving ends the background too"

    played(play)
    assert device.held()[0]["pushChannel"] == "https://push.example/2"


def test_source_that_runs_in_the_loop_is_asked_again_before_its_channel_ends(device: Device) -> None:
    days = Days(device.hub, 3600)

    class Source:
        expires_at: datetime | None = None
        number = 0

        async def __call__(self) -> str:
            if self.expires_at is None or self.expires_at - days.now <= timedelta(seconds=60):
                assert self.expires_at is None or days.now <= self.expires_at
                self.expires_at = days.now + timedelta(seconds=300)
                self.number += 1
            return f"https://push.example/{self.number}"

    async def play() -> int:
        source = Source()
        given = async_agent(device, channel=source, clock=days.clock, sleep=days.sleep)
        async with given as agent, agent.keep_fresh():
            assert await happens_here(days.ended.is_set)
            days.let_go()
        return source.number

    assert played(play) >= 3600 / 300
    assert device.held()[0]["pushChannel"] != "https://push.example/1"


def test_settings_are_checked_when_it_is_entered(device: Device) -> None:
    async def play() -> None:
        for wrong in ({"style": "both"}, {"tags": ["two words"]}, {"ca_bundle": "/nowhere"}):
            with pytest.raises(ConfigurationError):
                async with async_agent(device, **wrong):
                    pass
        agent = async_agent(device)
        for act in (agent.start, agent.status, agent.plan):
            with pytest.raises(ConfigurationError, match="not entered"):
                await act()
        async with agent:
            pass
        with pytest.raises(ConfigurationError, match="not entered"):
            await agent.start()
        with pytest.raises(ConfigurationError, match="entered before"):
            async with agent:
                pass

    played(play)
    assert device.files == {}


def test_agent_belongs_to_the_loop_in_which_it_was_entered(device: Device) -> None:
    async def play() -> None:
        async with async_agent(device) as agent:
            failures: list[Exception] = []

            def elsewhere() -> None:
                try:
                    asyncio.run(agent.start())
                except ConfigurationError as error:
                    failures.append(error)

            await asyncio.to_thread(elsewhere)
            assert "another loop" in str(failures[0])

    played(play)
    assert device.seen() == []


def test_what_was_given_is_not_shown(device: Device) -> None:
    agent = async_agent(device, channel="https://push.example/marked")
    for shown in (repr(agent), str(agent), repr(vars(agent))):
        assert "marked" not in shown
        assert "SharedAccessKey" not in shown
    assert isinstance(agent, AsyncAgent)


def test_loop_that_ends_without_leaving_leaves_nobody_waiting(device: Device) -> None:
    """A program that forgets to leave: whoever wants to call back finds the loop closed, and goes on."""
    asked = threading.Event()

    async def channel() -> str:
        asked.set()
        return device.channel  # type: ignore[no-any-return]

    async def play() -> Any:
        agent = async_agent(device, channel=channel, on_registered=lambda _: None)
        await agent.__aenter__()
        kept = agent.keep_fresh()
        await kept.__aenter__()
        assert await happens_here(lambda: device.held())
        asked.clear()
        return kept

    background = played(play)._background
    assert background.is_alive
    background.poke()
    assert not asked.is_set()
    background.stop()
    assert threads_of_nhagent(threading.enumerate()) == []
