"""Run contestants in turn, so that the machine's moods are shared."""

from __future__ import annotations

from collections.abc import Callable

from tests.benchmarks.processes import Cost, cost_of, with_scripts
from tests.benchmarks.trials import Field, Trial

BARE = "bare Python, -c pass"
Ready = Callable[[], Trial]
"""Makes the next run of a contestant ready."""
Entries = dict[str, tuple[Field | None, Ready]]
"""Contestants by name: where each runs, None where it needs no hub, and what makes a run of it ready."""


def bare_python(python: str) -> Ready:
    """Return the run of an interpreter that does nothing.

    Args:
        python: the interpreter that is measured.
    """
    trial = Trial((python, "-P", "-c", "pass"), with_scripts())
    return lambda: trial


def race(entries: Entries, rounds: int) -> dict[str, list[Cost]]:
    """Run each contestant as often, in turn, once more before for what is compiled or read at first.

    Args:
        entries: the contestants.
        rounds: how often each is measured.

    Raises:
        AssertionError: one did not do what it shall.
    """
    costs: dict[str, list[Cost]] = {name: [] for name in entries}
    for number in range(rounds + 1):
        for name, (field, ready) in entries.items():
            trial = ready()
            cost = cost_of(trial.command, trial.environment)
            if field is not None:
                field.check(trial)
            if number:
                costs[name].append(cost)
    return costs
