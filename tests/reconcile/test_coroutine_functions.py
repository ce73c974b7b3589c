"""A coroutine function where a plain callable is asked for is told when the agent is made."""

from __future__ import annotations

import asyncio
from functools import partial
from typing import Any

import pytest

from nhagent import SecondaryTile
from nhagent.errors import ConfigurationError
from tests.device_under_test import Device


async def fetch(*_: object) -> str:
    return "https://push.example/1"


async def fetch_each() -> Any:
    yield "https://push.example/1"


class Source:
    async def fetch(self) -> str:
        return "https://push.example/1"

    async def __call__(self) -> str:
        return "https://push.example/1"


ASYNC = [fetch, fetch_each, Source(), Source().fetch, partial(fetch), partial(partial(Source().fetch))]


@pytest.mark.parametrize("source", ASYNC, ids=lambda source: type(source).__name__)
def test_coroutine_function_as_channel_is_told_at_once(device: Device, source: Any) -> None:
    with pytest.raises(ConfigurationError, match="channel: is a coroutine function, which nothing awaits"):
        device.agent(channel=source)
    with pytest.raises(ConfigurationError, match=r"weather.*: is a coroutine function"):
        device.agent(secondary_tiles={"weather": SecondaryTile(channel=source)})
    with pytest.raises(ConfigurationError, match=r"weather.*: is a coroutine function"):
        device.agent().update(secondary_tiles={"weather": SecondaryTile(channel=source)})
    assert (device.seen(), device.files) == ([], {})


@pytest.mark.parametrize(
    "name", ["on_registered", "on_error", "clock", "sleep", "random", "machine", "connection_string"]
)
def test_coroutine_function_as_any_callable_is_told_by_its_name(device: Device, name: str) -> None:
    with pytest.raises(ConfigurationError, match=f"{name}: is a coroutine function"):
        device.agent(**{name: fetch, "endpoint": device.hub.endpoint})


def test_plain_callable_that_runs_a_coroutine_is_one(device: Device) -> None:
    class Plain:
        def __call__(self) -> str:
            return asyncio.run(fetch())

    for source in (Plain(), partial(asyncio.run, fetch()), lambda: asyncio.run(fetch())):
        assert device.start(channel=source).error is None
