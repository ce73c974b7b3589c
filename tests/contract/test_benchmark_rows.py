"""The rows of ``python -m tests.benchmarks``: what is measured, in which units, and against what."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from .tables import read_table

FEW = "from tests import benchmarks; benchmarks.ROUNDS = 1; benchmarks.REQUESTS = 20; benchmarks.main()"
FIGURE = re.compile(r"(?<= )\d+(\.\d+)?(?= )")


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="the benchmarks read /proc")
def test_rows_of_the_benchmarks() -> None:
    ended = subprocess.run(
        [sys.executable, "-c", FEW], cwd=Path(__file__).parents[2], capture_output=True, text=True,
        timeout=300, check=False,
    )  # fmt: skip
    assert ended.returncode == 0, ended.stderr
    rows = [
        " ".join(FIGURE.sub("N", line).split()) for line in ended.stdout.splitlines() if FIGURE.search(line)
    ]
    assert rows == read_table("benchmark_rows.json")["rows"]
