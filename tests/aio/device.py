"""The device of most tests, as a program on asyncio has it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from pathlib import Path
from threading import Thread
from typing import Any, TypeVar

from nhagent import AsyncAgent
from tests.device_under_test import Device
from tests.events import HANG_SECONDS

_T = TypeVar("_T")


def async_agent(device: Device, **changes: Any) -> AsyncAgent:
    """The agent as an app on asyncio makes it; its waits are real."""
    settings: dict[str, Any] = {
        "app": "thermostat",
        "hub": device.hub.hub,
        "platform": "wns",
        "channel": lambda: device._given(device.channel),
        "tags": ["kitchen"],
        "connection_string": device.hub.listen,
        "ca_bundle": device.hub.ca,
        "state_dir": device.folder,
        "random": lambda: 0.5,
        "first_run_list": False,
    }
    return AsyncAgent(**{**settings, **changes})


def played(play: Callable[[], Coroutine[Any, Any, _T]]) -> _T:
    """Run a loop to its end; what hangs is ended."""

    async def bounded() -> _T:
        return await asyncio.wait_for(play(), HANG_SECONDS)

    return asyncio.run(bounded())


async def happens_here(holds: Callable[[], Any]) -> bool:
    """Wait for an event without keeping the loop; False if it does not come at all."""
    for _ in range(int(HANG_SECONDS / 0.005)):
        if holds():
            return True
        await asyncio.sleep(0.005)
    return False


def written(device: Device) -> dict[Path, bytes]:
    """What the device has on disk."""
    return {path: path.read_bytes() for path in device.files.values()}


def threads_of_nhagent(threads: list[Thread]) -> list[str]:
    return [thread.name for thread in threads if thread.name.startswith("nhagent")]
