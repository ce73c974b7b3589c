"""Where the time of an unchanged start goes: by what is imported, and by what is called."""

from __future__ import annotations

import json
import re
import statistics
import subprocess
from collections import defaultdict
from collections.abc import Callable, Mapping, Sequence
from functools import partial

from nhagent.emulator import Emulator
from tests.benchmarks.contestants import INSTALLATION, UNCHANGED, ours
from tests.benchmarks.processes import run_script
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import print_notes
from tests.benchmarks.trials import field_of

_SHOWN = 15
_NAME_WIDTH = 52
_BARE = "(what bare Python imports)"
_IMPORT = re.compile(r"import time:\s*(\d+) \|\s*\d+ \|\s*(\S+)")
Spent = Mapping[str, float]
"""Milliseconds by name."""


def where(settings: Settings) -> None:
    """Where the time of an unchanged start goes: what it imports, and what it calls."""
    with field_of(Emulator("h", tls=True)) as field:
        library = ours(settings.python)
        trial = field.trial(library, UNCHANGED, INSTALLATION, field.registered(library, INSTALLATION))
        variables = trial.environment
        bare = _imports((settings.python, "-P", "-c", "pass"), variables)
        profiled = run_script(settings.python, "profiled", *trial.command[4:])
        imports = _median(settings.half_rounds, partial(_imports, trial.command, variables))
        calls = _median(settings.half_rounds, partial(_calls, profiled, variables))
        field.check(trial)
    _print("imports by package, without those of others", _by_package(imports, bare))
    _print("imports by module, without those of others", _without(imports, bare))
    _print("calls by module, without those of others", calls)
    print_notes([f"-X importtime and cProfile make a start longer; the {_SHOWN} largest are shown"])


def _imports(command: Sequence[str], environment: Mapping[str, str]) -> Spent:
    """Return what each module's import took, without the imports that it makes."""
    python, *rest = command
    done = subprocess.run(
        [python, "-X", "importtime", *rest], env=environment, check=True, capture_output=True, text=True
    )
    found = filter(None, map(_IMPORT.match, done.stderr.splitlines()))
    return {match[2]: int(match[1]) / 1000 for match in found}


def _calls(command: Sequence[str], environment: Mapping[str, str]) -> Spent:
    """Return what was spent in each module's functions, without the functions that they call."""
    told = json.loads(subprocess.check_output(command, env=environment, text=True))
    return {name: seconds * 1000 for name, seconds in told.items()}


def _median(rounds: int, measure: Callable[[], Spent]) -> Spent:
    """Measure again and again, once more before, and return the median of each name."""
    measure()
    found = [measure() for _ in range(rounds)]
    return {name: statistics.median(each.get(name, 0.0) for each in found) for name in found[0]}


def _without(imports: Spent, bare: Spent) -> Spent:
    return {name: spent for name, spent in imports.items() if name not in bare}


def _by_package(imports: Spent, bare: Spent) -> Spent:
    """Add up by package; those of nhagent, one level down."""
    sums: dict[str, float] = defaultdict(float)
    for name, spent in imports.items():
        parts = name.split(".")
        own = ".".join(parts[: 2 if parts[0] == "nhagent" else 1])
        sums[_BARE if name in bare else own] += spent
    return sums


def _print(title: str, spent: Spent) -> None:
    total = sum(spent.values())
    print(f"\n-- {title}: {total:.1f} ms")
    for name, own in sorted(spent.items(), key=lambda item: -item[1])[:_SHOWN]:
        print(f"{name:<{_NAME_WIDTH}}{own:8.2f} ms {own / total:6.1%}")
