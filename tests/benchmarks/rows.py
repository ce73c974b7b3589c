"""Time that reading a hub's list and planning take, in one process."""

from __future__ import annotations

import json
import subprocess

from tests.benchmarks.processes import run_script, with_scripts
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import print_figures


def rows(settings: Settings) -> None:
    """Reading a list and planning, for 1,000 rows each, in one process of the measured environment."""
    command = run_script(settings.python, "rows_in_process", str(settings.rounds))
    found = json.loads(subprocess.check_output(command, env=with_scripts(), text=True))
    print_figures("ms", found, next(iter(found)))
