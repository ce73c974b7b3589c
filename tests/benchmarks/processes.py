"""Run one process and measure it: CPU, wall time, peak memory."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

SCRIPTS = Path(__file__).parent / "scripts"
TRUST_VARIABLES = frozenset(
    {"CURL_CA_BUNDLE", "NODE_EXTRA_CA_CERTS", "REQUESTS_CA_BUNDLE", "SSL_CERT_DIR", "SSL_CERT_FILE"}
)
"""Variables that would make a contestant trust other authorities than it is told to."""

# A process of its own starts and measures the one in question: who forks passes on its own peak of memory.
_MEASURE = """
import os, sys, time
began = time.perf_counter()
process = os.posix_spawnp(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(process, 0)
wall = time.perf_counter() - began
print(os.waitstatus_to_exitcode(status), used.ru_utime + used.ru_stime, wall, used.ru_maxrss, file=sys.stderr)
"""


class Cost(NamedTuple):
    """What one process cost.

    Attributes:
        cpu: milliseconds of it and of its children, in user and kernel mode.
        wall: milliseconds from its start to its end.
        memory: peak resident megabytes.
    """

    cpu: float
    wall: float
    memory: float


def clean_environment(**more: str) -> dict[str, str]:
    """Return this process's variables without those that change what is measured.

    Args:
        more: further variables.
    """
    # A proxy of the machine's must not stand between a contestant and loopback, and an installed package has
    # its bytecode.
    kept = {
        name: value
        for name, value in os.environ.items()
        if not name.lower().endswith("_proxy")
        and not name.startswith(("NHAGENT_", "NODE_", "PYTHON"))
        and name not in TRUST_VARIABLES
    }
    return {**kept, **more}


def with_scripts(**more: str) -> dict[str, str]:
    """Return the variables of a Python process that imports one of our scripts; see `clean_environment`."""
    return clean_environment(PYTHONPATH=str(SCRIPTS), **more)


def run_script(python: str, script: str, *arguments: str) -> tuple[str, ...]:
    """Return the command that runs the ``main`` of one of our scripts.

    Args:
        python: the interpreter; ``-P`` keeps the sources in the working folder out of its way.
        script: the module's name, perhaps with what its ``main`` is called with: ``by_hand:requests``.
        arguments: the script's own.
    """
    module, _, given = script.partition(":")
    called = f"main({given!r})" if given else "main()"
    return python, "-P", "-c", f"from {module} import main; {called}", *arguments


def cost_of(command: Sequence[str], environment: Mapping[str, str]) -> Cost:
    """Run a process, and return what it cost.

    Args:
        command: program and arguments.
        environment: its variables.

    Raises:
        AssertionError: it did not end well; the text is what it wrote to stderr.
    """
    measured = subprocess.run(
        [sys.executable, "-S", "-c", _MEASURE, *command],
        env=environment,
        check=True,
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    status, cpu, wall, kilobytes = measured.stderr.splitlines()[-1].split()
    assert status == "0", f"{' '.join(command[:5])} ended with {status}: {measured.stderr}"
    return Cost(float(cpu) * 1000, float(wall) * 1000, int(kilobytes) / 1024)
