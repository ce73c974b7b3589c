"""The rows of ``python -m tests.benchmarks``: what is measured, in which units, and against what."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests import official_client, python_clients
from tests.benchmarks.contestants import javascript, unofficial

from .tables import read_table

VARYING = "where"
"""The group whose rows are the modules of some Python; only its headings are compared."""
CONTESTANTS = ((javascript(), official_client.why_missing), (unofficial(), python_clients.why_missing))


def rows_in(printed: str) -> dict[str, list[str]]:
    """What each group prints, without its figures and notes."""
    rows: dict[str, list[str]] = {}
    for line in printed.splitlines():
        if line.startswith("== "):
            group = line.split()[1].rstrip(":")
            rows[group] = []
        elif rows and line and not line.startswith("note: "):
            # Figures stand two spaces or more after a row's name; titles of columns have none before them.
            shown = " ".join(line.split()) if line.startswith(" ") else re.split(r" {2,}|: \d", line)[0]
            if group != VARYING or line.startswith("-- "):
                rows[group].append(shown)
    return rows


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")
def test_rows_of_the_benchmarks() -> None:
    command = [sys.executable, "-m", "tests.benchmarks", "--rounds", "1", "--requests", "20"]
    ended = subprocess.run(
        command, cwd=Path(__file__).parents[2], capture_output=True, text=True, timeout=600, check=False
    )
    assert ended.returncode == 0, ended.stderr
    missing = {
        contestant.name
        for contestant, why_missing in CONTESTANTS
        if why_missing() is not None and os.environ.get("NHAGENT_CI") != "1"
    }
    expected = {
        group: [row for row in rows if row not in missing]
        for group, rows in read_table("benchmark_rows.json")["rows"].items()
    }
    assert rows_in(ended.stdout) == expected
