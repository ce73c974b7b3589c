"""The unit files as systemd-analyze judges them, without running any."""

from __future__ import annotations

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.children import cannot

from .machine import PACKAGES, UNITS

OF_THE_SYSTEM = sorted(path.name for path in UNITS.glob("*.service"))
MOST_EXPOSURE = 20  # of a hundred


@pytest.fixture
def units(tmp_path: Path) -> Path:
    """Copies of the units of the system, and those of a user below them, whose program is there."""
    if sys.platform != "linux":
        pytest.skip("systemd is Linux's")
    if shutil.which("systemd-analyze") is None:
        cannot(f"systemd-analyze is not installed: apt-get install {PACKAGES}")
    (tmp_path / "user").mkdir()
    for path in UNITS.rglob("*.*"):
        if path.suffix in {".service", ".timer"}:
            text = path.read_text().replace("/usr/bin/nhagent", sys.executable)
            (tmp_path / path.relative_to(UNITS)).write_text(text)
    return tmp_path


def analyze(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["systemd-analyze", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("manager", ["system", "user"])
def test_nothing_is_wrong_with_the_units(units: Path, manager: str) -> None:
    folder = units if manager == "system" else units / "user"
    names = [str(path) for path in folder.glob("*.*")]
    assert len(names) >= 3
    # Unknown keys are told on stderr alone, with status 0.
    verified = analyze("verify", *names)
    assert (verified.returncode, verified.stdout, verified.stderr) == (0, "", "")


@pytest.mark.parametrize("name", OF_THE_SYSTEM)
def test_unit_of_the_system_is_open_to_next_to_nothing(units: Path, name: str) -> None:
    judged = analyze(
        "security", "--offline=true", "--no-pager", f"--threshold={MOST_EXPOSURE}", str(units / name)
    )
    assert judged.returncode == 0, judged.stdout + judged.stderr
