"""Every fault of the wire, for every request of every flow: ``pytest --fault-matrix`` prints the table.

However a request goes wrong, the start ends in truth: with what was to be done, or with the error that stood
in the way; what is on disk makes sense, and the next start leaves one record of each name.
"""

from __future__ import annotations

import functools
from collections import Counter
from concurrent.futures import ThreadPoolExecutor
from contextlib import AbstractContextManager, nullcontext
from threading import Lock
from typing import Any

import pytest

from nhagent.errors import HubError, NhagentError
from tests.backend_double import hub_for
from tests.crashes.flows import FLOWS, STYLES, Flow, World, mended

pytestmark = pytest.mark.slow

# A 410 that is not true leaves a record behind that nobody can know of; a true one is a flow of its own.
FAULTS: dict[str, dict[str, Any]] = {
    "reset before": {"reset": "before"},
    "reset after": {"reset": "after"},
    "no reply": {"cut_after": 0},
    "half a head": {"cut_after": 60},
    "half a body": {"cut_after": 420},
    "chunk garbage": {"chunked": "garbage"},
    "100 MB": {"status": 200, "size": 100_000_000},
    "wrong kind": {"status": 200, "headers": {"Content-Type": "text/plain"}, "body": "hello"},
    "captive portal": {
        "status": 200,
        "headers": {"Content-Type": "text/html"},
        "body": "<!DOCTYPE html><html><body>Sign in</body></html>",
    },
    "redirect": {"status": 302, "headers": {"Location": "https://portal.example/"}},
    "401": {"status": 401},
    "403": {"status": 403},
    "404": {"status": 404},
    "429": {"status": 429},
    "429 with a time": {"status": 429, "headers": {"Retry-After": "20"}},
    "503": {"status": 503},
}
SLOW: dict[str, dict[str, Any]] = {  # what only the deadline of an exchange ends, or what is costly to make
    "drips for ever": {"drip": 0.2},
    "endless chunks": {"chunked": "endless"},
    "held back": {"delay": 60.0},
    "gzip bomb": {"status": 200, "encoding": "gzip", "size": 1_000_000_000},
}
TRUTHFUL = {"registered", "updated", "unchanged", "recreated", "disabled"}


@functools.cache
def requests_of(flow: Flow, style: str) -> int:
    with hub_for(style) as hub:
        world = World(hub, style)
        flow.before(world)
        hub.clear_log()
        flow.change(world)
        flow.act(world)
        return len(hub.log())


def outcome_of(
    flow: Flow, style: str, at: int, fault: dict[str, Any], alone: AbstractContextManager[Any] | None = None
) -> str:
    """How a flow ends one of whose requests goes wrong; the start after it must mend all.

    Args:
        alone: held while nothing goes wrong, for others to be at it meanwhile; None: there are none.
    """
    alone = alone or nullcontext()
    with hub_for(style) as hub:
        world = World(hub, style)
        with alone:
            flow.before(world)
            flow.change(world)
        hub.clear_log()
        if at:
            hub.fail("*", times=at, delay=0.000_001)
        hub.fail("*", **fault)
        before = len(hub.log())
        try:
            report = flow.act(world)
            outcome = str(report.outcome)
            if report.outcome == "waiting":
                assert isinstance(report.error, HubError), report.error
                outcome = f"waiting: {type(report.error).__name__}"
            else:
                assert report.error is None
        except NhagentError as error:
            assert isinstance(error, HubError), error
            outcome = type(error).__name__
        assert len(hub.log()) > before + at, "the fault did not strike"
        hub.clear_faults()
        world.days += 0.2  # what the hub asked to wait is over
        with alone:
            mended(world, flow)
        return outcome


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("flow", FLOWS, ids=lambda flow: flow.name)
def test_flow_ends_in_truth_however_one_of_its_requests_goes_wrong(
    flow: Flow, style: str, fault_table: dict[tuple[str, str], Counter[str]]
) -> None:
    for name, fault in FAULTS.items():
        for at in range(requests_of(flow, style)):
            try:
                outcome = outcome_of(flow, style, at, fault)
            except BaseException as error:
                error.add_note(f"{flow.name}, {style}: {name} at request {at}")
                raise
            fault_table.setdefault((f"{flow.name}, {style}", name), Counter())[outcome] += 1
            if outcome in TRUTHFUL and flow.off:
                assert outcome == "disabled"


@pytest.mark.parametrize("name", SLOW)
def test_flow_ends_in_truth_within_its_time_however_slowly_a_request_goes_wrong(
    name: str, fault_table: dict[tuple[str, str], Counter[str]]
) -> None:
    cells = [
        (flow, style, number % requests_of(flow, style))
        for number, (flow, style) in enumerate((flow, style) for style in STYLES for flow in FLOWS)
    ]
    # Those that only a deadline ends all wait at once; those that are costly take turns.
    at_once = {"held back": len(cells), "drips for ever": len(cells), "endless chunks": 8, "gzip bomb": 2}
    alone = Lock()
    with ThreadPoolExecutor(at_once[name]) as together:
        outcomes = [together.submit(outcome_of, *cell, SLOW[name], alone) for cell in cells]
        for (flow, style, _), ended in zip(cells, outcomes, strict=True):
            outcome = ended.result()
            assert outcome not in TRUTHFUL, "it can only have been given up"
            fault_table.setdefault((f"{flow.name}, {style}", name), Counter())[outcome] += 1
