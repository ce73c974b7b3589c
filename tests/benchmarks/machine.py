"""Say on what machine the figures were measured, and how busy it was."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime

from tests.benchmarks.processes import clean_environment


def describe(python: str) -> list[str]:
    """Return the lines of the header.

    Args:
        python: the interpreter that is measured.
    """
    ask = "import nhagent.version as v, platform as p; print(v.__version__, p.python_version())"
    asked = [python, "-P", "-c", ask]
    version, measured = subprocess.check_output(asked, env=clean_environment(), text=True).split()
    return [
        f"nhagent {version} on Python {measured}, plainly installed",
        f"{_cpu_model()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        f"{datetime.now(UTC):%Y-%m-%d %H:%M} UTC, {load()}",
    ]


def load() -> str:
    """Return the load average of the last minute, five and fifteen, in words."""
    if sys.platform == "win32":
        return "load average not known"
    return "load average " + " ".join(f"{value:.2f}" for value in os.getloadavg())


def _cpu_model() -> str:
    try:
        with open("/proc/cpuinfo") as file:
            for line in file:
                if line.startswith("model name"):
                    return line.partition(":")[2].strip()
    except OSError:
        pass
    return platform.machine()
