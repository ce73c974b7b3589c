"""The command line: ``python -m tests.benchmarks [--python PATH] [--only NAME]… [--rounds N]``."""

from __future__ import annotations

import argparse
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path

from tests.benchmarks import machine, plain_environment
from tests.benchmarks.emulator_speed import emulator
from tests.benchmarks.growth import crowd, growth
from tests.benchmarks.memory import memory
from tests.benchmarks.rows import rows
from tests.benchmarks.settings import Settings
from tests.benchmarks.starts import first, rotated, unchanged
from tests.benchmarks.traffic import traffic
from tests.benchmarks.where import where

GROUPS: Mapping[str, Callable[[Settings], None]] = {
    group.__name__: group
    for group in (unchanged, rotated, first, traffic, memory, rows, growth, crowd, emulator, where)
}
"""The benchmarks by name, in the order in which they run."""


def main() -> None:
    """Run the benchmarks that are asked for."""
    given = _arguments()
    with tempfile.TemporaryDirectory() as folder:
        try:
            python = _measured(given.python, Path(folder))
        except plain_environment.NotPlain as error:
            sys.exit(str(error))
        print("\n".join(machine.describe(python)))
        settings = Settings(python, given.rounds, given.requests)
        for name in given.only or GROUPS:
            print(f"\n== {name}: {(GROUPS[name].__doc__ or '').splitlines()[0]} ({machine.load()})")
            GROUPS[name](settings)


def _measured(python: str | None, folder: Path) -> str:
    """Return the interpreter to measure: that which is named, or that of an environment made for it."""
    if python is None:
        return plain_environment.make(folder)
    # Not resolved: the interpreter of a virtual environment is a link, and is known by where that lies.
    return plain_environment.check(str(Path(shutil.which(python) or python).absolute()))


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m tests.benchmarks", description="Speed, as ratios measured side by side."
    )
    parser.add_argument(
        "--python",
        help="interpreter of an environment with the wheel, plainly installed; left out: one is made",
    )
    parser.add_argument(
        "--only",
        action="append",
        choices=GROUPS,
        metavar="NAME",
        help=f"one of {', '.join(GROUPS)}; may be repeated",
    )
    parser.add_argument(
        "--rounds", type=_at_least_one, default=Settings.rounds, help="runs of each contestant"
    )
    parser.add_argument(
        "--requests",
        type=_at_least_one,
        default=Settings.requests,
        help="requests that the emulator is sent at once",
    )
    return parser.parse_args()


def _at_least_one(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a number from 1")
    return number


if __name__ == "__main__":
    main()
