"""Every flow in a process of its own, killed with SIGKILL while the hub holds back a reply, or soon after.

``NHAGENT_KILLS`` says how many times (1,000 are the goal, CI makes a tenth); a seed that fails is named, and
``python -m tests.crashes.test_killed SEED`` makes it again.
"""

from __future__ import annotations

import functools
import json
import os
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import IO

import pytest

from tests.backend_double import hub_for
from tests.events import HANG_SECONDS, HELD_SECONDS, happens

from .flows import Flow, World, mended, scenario

pytestmark = pytest.mark.slow

KILLS = int(os.environ.get("NHAGENT_KILLS", "110" if os.environ.get("NHAGENT_CI") == "1" else "22"))
HELD_BACK = 0.04
"""Seconds that a reply is held back where the process may be killed after it."""

if sys.platform == "win32":
    pytest.skip("Windows has no fork and no SIGKILL", allow_module_level=True)


class Child:
    """The process that forks devices."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.crashes.child"],
            cwd=Path(__file__).parent.parent.parent,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._orders: IO[str] = self._process.stdin
        self._answers: IO[str] = self._process.stdout

    def live(self, world: World, flow: Flow) -> int:
        """A process that does what a flow says; its number."""
        order = {
            "flow": flow.name,
            "hub": world.hub.hub,
            "listen": world.hub.listen,
            "url": getattr(world.hub, "url", ""),
            "style": world.style,
            "state_dir": world.state_dir,
        }
        print(json.dumps(order), file=self._orders, flush=True)
        return int(self._answers.readline())

    def ended(self) -> int:
        """Wait for its end; how it ended."""
        return int(self._answers.readline())

    def close(self) -> None:
        self._orders.close()
        self._process.wait(HANG_SECONDS)
        self._answers.close()


@functools.cache
def requests(flow: Flow, style: str) -> int:
    """How many requests a flow makes, undisturbed."""
    with hub_for(style) as hub:
        world = World(hub, style)
        flow.before(world)
        hub.clear_log()
        flow.change(world)
        flow.act(world)
        return len(hub.log())


def kill_and_mend(child: Child, folder: str, seed: int) -> bool:
    """Whether the process was killed before it was done."""
    flow, style, luck = scenario(seed)
    at = luck.randrange(requests(flow, style))
    with hub_for(style) as hub:
        world = World(hub, style, disk=None, state_dir=os.path.join(folder, str(seed)))
        flow.before(world)
        hub.clear_log()
        if at:
            hub.fail("*", times=at, delay=0.000_001)
        # Two of three are killed while the hub holds the reply back, for certain: nothing else ends that.
        is_held = seed % 3 < 2
        hub.fail("*", delay=HELD_SECONDS if is_held else HELD_BACK)
        pid = child.live(world, flow)
        flow.change(world)
        assert happens(lambda: len(hub.log()) > at)
        if not is_held:
            time.sleep(luck.uniform(0, 1.5 * HELD_BACK))
        try:
            os.kill(pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        was_killed = child.ended() == signal.SIGKILL
        hub.clear_faults()
        try:
            mended(world, flow)
        except BaseException as error:
            error.add_note(f"seed {seed}: {flow.name}, {style}, killed at request {at}")
            raise
        return was_killed


@pytest.fixture
def child() -> Iterator[Child]:
    child = Child()
    yield child
    child.close()


def test_device_that_is_killed_while_it_speaks_to_its_hub_comes_back_as_itself_once(
    child: Child, tmp_path: Path
) -> None:
    killed = [kill_and_mend(child, str(tmp_path), seed) for seed in range(KILLS)]
    assert sum(killed) > len(killed) // 2, "most were done before they were killed: nothing is shown"


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as folder:
        again = Child()
        kill_and_mend(again, folder, int(sys.argv[1]))
        again.close()
