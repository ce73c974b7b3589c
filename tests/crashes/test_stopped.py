"""Every flow, stopped at any operation of its disk or of its hub, comes back as itself, once.

``NHAGENT_STOPS`` says how many times (10,000 are the goal, CI makes a tenth); a seed that fails is named, and
``python -m tests.crashes.test_stopped SEED`` makes it again.
"""

from __future__ import annotations

import errno
import functools
import os
import sys

import pytest

from nhagent.errors import NhagentError
from tests.backend_double import hub_for

from .flows import FLOWS, STYLES, Flow, World, mended, scenario, stopped

pytestmark = pytest.mark.slow

STOPS = int(os.environ.get("NHAGENT_STOPS", "1100" if os.environ.get("NHAGENT_CI") == "1" else "220"))
CHUNK = 110


@functools.cache
def operations(flow: Flow, style: str) -> tuple[str, ...]:
    """All that a flow does, undisturbed."""
    with hub_for(style) as hub:
        world = World(hub, style)
        flow.before(world)
        return tuple(stopped(world, flow, None))


def stop_and_mend(seed: int) -> None:
    flow, style, luck = scenario(seed)
    at = luck.randrange(len(operations(flow, style)))
    with hub_for(style) as hub:
        world = World(hub, style)
        flow.before(world)
        done = stopped(world, flow, at)
        assert world.disk is not None
        world.disk = world.disk.after_power_cut(luck)
        try:
            mended(world, flow)
        except BaseException as error:
            error.add_note(f"seed {seed}: {flow.name}, {style}, stopped at {at}: {done[-1]}")
            raise


@pytest.mark.parametrize("first", range(0, STOPS, CHUNK))
def test_device_whose_plug_is_pulled_anywhere_comes_back_as_itself_once(first: int) -> None:
    for seed in range(first, min(first + CHUNK, STOPS)):
        stop_and_mend(seed)


def fail_and_mend(flow: Flow, style: str, at: int) -> None:
    """One operation of the disk fails, all others work; then the disk is well again."""
    with hub_for(style) as hub:
        world = World(hub, style)
        flow.before(world)
        done: list[str] = []
        try:
            done = stopped(world, flow, at, OSError(errno.ENOSPC, "No space left on device"))
        except NhagentError as error:
            assert error.retryable, error
        try:
            mended(world, flow)
        except BaseException as error:
            error.add_note(f"{flow.name}, {style}, operation {at} failed: {done[-3:]}")
            raise


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_device_whose_disk_refuses_one_operation_is_mended_by_the_next_start(flow: Flow, style: str) -> None:
    kinds: dict[str, list[int]] = {}
    for number, operation in enumerate(operations(flow, style)):
        if not operation.startswith("clock"):
            kinds.setdefault(operation, []).append(number)
    every = 1 if STOPS >= 10_000 else 7
    for numbers in kinds.values():
        for at in {*numbers[::every], numbers[-1]}:
            fail_and_mend(flow, style, at)


if __name__ == "__main__":
    stop_and_mend(int(sys.argv[1]))
