"""A user's program under two type checkers: what is right passes both, and each mistake is told by both."""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

import nhagent
from tests.events import HANG_SECONDS

HERE = Path(__file__).parent
SOURCES = ("program.py", "mistakes.py")
PYRIGHT = HERE / "node_modules" / "pyright" / "index.js"
ROOT = Path(nhagent.__file__).parent.parent


def said_by(checker: list[str], folder: Path) -> str:
    """What a type checker prints of the sources in a folder; it ends with 1 where it finds something."""
    done = subprocess.run(
        checker,
        cwd=folder,
        env={**os.environ, "MYPYPATH": str(ROOT)},
        capture_output=True,
        text=True,
        timeout=5 * HANG_SECONDS,
        check=False,
    )
    assert done.returncode in {0, 1}, done.stderr
    return done.stdout


def by_mypy(folder: Path) -> Mapping[str, set[int]]:
    """The lines in which mypy finds something, by file."""
    checker = [sys.executable, "-m", "mypy", "--strict", "--cache-dir", str(folder / "cache")]
    printed = said_by([*checker, *SOURCES], folder)
    told: dict[str, set[int]] = {name: set() for name in SOURCES}
    for name, line in re.findall(r"^([\w.]+):(\d+): error", printed, re.MULTILINE):
        told[name].add(int(line))
    return told


def by_pyright(folder: Path) -> Mapping[str, set[int]]:
    """The lines in which pyright finds something, by file."""
    node = shutil.which("node")
    if node is None or not PYRIGHT.exists():
        pytest.skip("no pyright: npm install --prefix tests/types")
    settings = {"typeCheckingMode": "strict", "include": list(SOURCES), "extraPaths": [str(ROOT)]}
    (folder / "pyrightconfig.json").write_text(json.dumps(settings))
    checker = [node, str(PYRIGHT), "-p", str(folder), "--pythonpath", sys.executable, "--outputjson"]
    told: dict[str, set[int]] = {name: set() for name in SOURCES}
    for found in json.loads(said_by(checker, folder))["generalDiagnostics"]:
        if found["severity"] == "error":
            told[Path(found["file"]).name].add(found["range"]["start"]["line"] + 1)
    return told


@pytest.mark.slow
@pytest.mark.parametrize("check", [by_mypy, by_pyright])
def test_program_is_right_and_each_mistake_is_told(check: object, tmp_path: Path) -> None:
    assert callable(check)
    for name in SOURCES:
        shutil.copy(HERE / name, tmp_path)
    told = check(tmp_path)
    lines = (HERE / "mistakes.py").read_text().splitlines()
    mistakes = {number for number, line in enumerate(lines, start=1) if line.endswith("# mistake")}
    assert len(mistakes) >= 25
    assert told["program.py"] == set()
    assert told["mistakes.py"] == mistakes


def test_program_has_its_fifty_lines() -> None:
    lines = [line for line in (HERE / "program.py").read_text().splitlines() if line.strip()]
    assert len(lines) >= 50
