"""The wheel, and an environment that holds it as a device does: plainly installed, with compiled bytecode.

``python -m tests.wheel FOLDER`` builds the wheel into a folder.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import venv
from pathlib import Path

ROOT = Path(__file__).parents[1]
SOURCES = (
    *("nhagent", "setup.cfg", "pyproject.toml", "README.md", "LICENSE"),
    *("docs/generated", "systemd", "examples"),
)


def build(folder: Path) -> Path:
    """Build the wheel from a copy of the sources: what an earlier build left among them stays out of it.

    Args:
        folder: where the wheel is put.
    """
    with tempfile.TemporaryDirectory() as temporary:
        for name in SOURCES:
            source, copy = ROOT / name, Path(temporary, name)
            copy.parent.mkdir(exist_ok=True)
            if source.is_dir():
                shutil.copytree(source, copy, ignore=shutil.ignore_patterns("__pycache__"))
            else:
                shutil.copy(source, copy)
        _pip(sys.executable, "wheel", "--no-deps", "--wheel-dir", str(folder), temporary)
    [wheel] = folder.glob("nhagent-*.whl")
    return wheel


def environment(folder: Path) -> str:
    """Make a virtual environment with the wheel and what it and Web Push depend on; give its interpreter."""
    wheel = build(folder)
    place = folder / "environment"
    venv.create(place, with_pip=True)
    python = str(place / ("Scripts/python.exe" if sys.platform == "win32" else "bin/python"))
    _pip(python, "install", "--compile", f"{wheel}[webpush]")
    return python


def _pip(python: str, *arguments: str) -> None:
    command = [python, "-m", "pip", "--quiet", "--disable-pip-version-check", *arguments]
    subprocess.run(command, check=True, stdout=sys.stderr)


if __name__ == "__main__":
    build(Path(sys.argv[1]))
