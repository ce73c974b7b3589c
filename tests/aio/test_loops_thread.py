"""Nothing of the agent's work runs in the thread of the loop: calls are counted there, one by one."""

from __future__ import annotations

import asyncio
import sys
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from types import FrameType
from typing import Any

import nhagent
from nhagent import SecondaryTile, channels
from tests.device_under_test import TOAST, Device

from .device import async_agent, happens_here, played

PACKAGE = Path(nhagent.__file__).parent
FILES = {"open", "stat", "lstat", "fstat", "fsync", "replace", "rename", "unlink", "mkdir", "listdir"}
FILES |= {"scandir", "read", "write", "flock", "lockf", "chmod", "access", "readlink"}
SOCKETS = {"socket", "connect", "connect_ex", "send", "sendall", "recv", "recv_into", "accept", "getaddrinfo"}
LOCKS = {"acquire", "wait", "join", "sleep", "lock"}
FACE = {"aio.py", "bridge.py", "interruption.py", "secret.py", "errors.py", "values.py"}
"""What may run there: the face of the agent, and its way to the threads."""
ALLOWED = {
    "Thread.start",  # waits until the thread has begun, as any executor does
    "Thread.is_alive",  # looks, and does not wait
}


@dataclass
class Counted:
    """What was called in a thread on behalf of nhagent."""

    blocking: Counter[str] = field(default_factory=Counter)
    modules: Counter[str] = field(default_factory=Counter)

    def see(self, frame: FrameType, event: str, what: Any) -> None:
        if event == "call" and self._is_ours(frame):
            self.modules[Path(frame.f_code.co_filename).name] += 1
        if event == "c_call" and what.__name__ in FILES | SOCKETS | LOCKS:
            callers = list(self._callers(frame))
            allowed = any(caller.f_code.co_qualname in ALLOWED for caller in callers)
            # A method of a string is neither a file's nor a lock's.
            if any(map(self._is_ours, callers)) and not allowed and not isinstance(what.__self__, str):
                self.blocking[what.__name__] += 1

    @staticmethod
    def _callers(frame: FrameType | None) -> Iterator[FrameType]:
        while frame is not None:
            yield frame
            frame = frame.f_back

    @staticmethod
    def _is_ours(frame: FrameType) -> bool:
        path = Path(frame.f_code.co_filename)
        return path.is_relative_to(PACKAGE) and "emulator" not in path.parts


@contextmanager
def counting() -> Iterator[Counted]:
    """Count calls in this thread."""
    counted = Counted()
    sys.setprofile(counted.see)
    try:
        yield counted
    finally:
        sys.setprofile(None)


def test_no_file_socket_or_lock_is_waited_for_in_the_loops_thread(device: Device) -> None:
    path = device.folder / "channel"
    device.folder.mkdir(exist_ok=True)
    path.write_text("https://push.example/1")

    async def tile() -> str:
        return "https://push.example/tile"

    async def play() -> Counted:
        source = channels.from_file(str(path))  # is imported when it is used
        first = {"weather": SecondaryTile(tile, templates={"alert": TOAST})}
        other = {"weather": SecondaryTile(tile)}
        with counting() as counted:
            async with async_agent(
                device,
                channel=source,
                secondary_tiles=first,
                ca_bundle=device.hub.ca,
                first_run_list=True,
                on_registered=lambda _: None,
                on_error=lambda _: None,
            ) as agent:
                await agent.plan()
                await agent.start()
                await agent.update(user_id="ann", secondary_tiles=other)
                await agent.add_tags("a")
                await agent.remove_tags("a")
                await agent.refresh(force=True)
                await agent.verify()
                await agent.status()
                async with agent.keep_fresh():
                    await agent.poke()
                device.hub.fail("PUT", delay=600.0)
                call = asyncio.ensure_future(agent.refresh(force=True))
                await happens_here(lambda: device.hub.log()[-1].method == "PUT")
                call.cancel()
                await asyncio.wait([call])
                device.hub.clear_faults()
                await agent.unregister()
                await agent.enable()
        return counted

    counted = played(play)
    assert counted.blocking == Counter()
    assert set(counted.modules) <= FACE, "the work is done elsewhere"
    assert counted.modules["aio.py"] > 20, "the counting counts"


def test_counting_sees_what_would_block(device: Device) -> None:
    """The same work without the threads: it is all seen."""
    agent = device.agent()
    with counting() as counted:
        agent.start()
    seen = set(counted.blocking)
    assert seen & FILES and seen & SOCKETS and seen & LOCKS, counted.blocking
    assert "reconciler.py" in counted.modules
