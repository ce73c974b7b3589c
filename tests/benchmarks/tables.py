"""Print medians with their quartiles, as ratios to a baseline."""

from __future__ import annotations

import statistics
from collections.abc import Iterable, Mapping, Sequence

from tests.benchmarks.processes import Cost

NAME_WIDTH = 38
COLUMN_WIDTH = 28


def quartiles(values: Sequence[float]) -> tuple[float, float, float]:
    """Return lower quartile, median and upper quartile; of one value, that value."""
    if len(values) == 1:
        return values[0], values[0], values[0]
    low, middle, high = statistics.quantiles(values, n=4, method="inclusive")
    return low, middle, high


def print_costs(
    rows: Mapping[str, Sequence[Cost]], baseline: str, title: str = "", last: Mapping[str, str] | None = None
) -> None:
    """Print what processes cost.

    Args:
        rows: the costs of each contestant's runs.
        baseline: the contestant that the ratios are to.
        title: of a last column.
        last: the text of each row in it; None: the table has no such column.
    """
    _print_titles("CPU ms", "wall ms", "peak MB", after=title)
    base = [quartiles(column)[1] for column in zip(*rows[baseline], strict=True)]
    for name, costs in rows.items():
        columns = zip(zip(*costs, strict=True), base, strict=True)
        cells = "".join(_cell(column, of) for column, of in columns)
        print(f"{name:<{NAME_WIDTH}}{cells}  {(last or {}).get(name, '')}".rstrip())
    print(f"(ratios to: {baseline})")


def print_figures(unit: str, rows: Mapping[str, Sequence[float]], baseline: str) -> None:
    """Print one figure of each row.

    Args:
        unit: of the figures.
        rows: what was measured, again and again.
        baseline: the row that the ratios are to.
    """
    _print_titles(unit)
    base = quartiles(rows[baseline])[1]
    for name, values in rows.items():
        print(f"{name:<{NAME_WIDTH}}{_cell(values, base)}")
    print(f"(ratios to: {baseline})")


def print_notes(notes: Iterable[str]) -> None:
    """Print what has to be known to read a table, each once."""
    for note in dict.fromkeys(notes):
        print(f"note: {note}")


def _print_titles(*units: str, after: str = "") -> None:
    columns = "".join(f"{f'{unit} [quartiles] ratio':>{COLUMN_WIDTH}}" for unit in units)
    print(f"{'':<{NAME_WIDTH}}{columns}  {after}".rstrip())


def _cell(values: Sequence[float], base: float) -> str:
    low, middle, high = map(_shown, quartiles(values))
    return f"{middle:>8} {f'[{low}-{high}]':<12}{quartiles(values)[1] / base:6.2f}x"


def _shown(value: float) -> str:
    """Show three digits, as many as such a measurement is good for."""
    digits = next((digits for digits, least in ((0, 99.95), (1, 9.995), (2, 0.9995)) if value >= least), 3)
    return f"{value:.{digits}f}"
