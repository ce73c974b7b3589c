"""The manual page and the completions are those of the parser as it is."""

from __future__ import annotations

import importlib.util
import shutil
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

from nhagent.version import __version__
from tests.docs.test_complete import COMMANDS
from tests.events import HANG_SECONDS

DOCS = Path(__file__).parents[2] / "docs"
GENERATED = DOCS / "generated"


@pytest.fixture
def generate(monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    monkeypatch.setenv("COLUMNS", "80")
    specification = importlib.util.spec_from_file_location("generate", DOCS / "generate.py")
    assert specification is not None
    assert specification.loader is not None
    module = importlib.util.module_from_spec(specification)
    specification.loader.exec_module(module)
    return module


@pytest.mark.skipif(
    sys.version_info[:2] != (3, 11), reason="argparse writes help another way in each version"
)
def test_files_are_what_the_parser_makes_now(generate: ModuleType) -> None:
    files = generate.generated()
    assert {path.name for path in GENERATED.iterdir()} == files.keys()
    for name, text in files.items():
        assert (GENERATED / name).read_text("utf-8") == text, f"{name} is old: python docs/generate.py"


def test_every_command_is_in_each_file() -> None:
    for path in GENERATED.iterdir():
        text = path.read_text("utf-8")
        for name in COMMANDS:
            assert name.split()[-1] in text, (path.name, name)


def test_manual_page_is_of_this_version() -> None:
    assert f'"nhagent {__version__}"' in (GENERATED / "nhagent.1").read_text("utf-8")


@pytest.mark.skipif(shutil.which("man") is None, reason="man is not installed")
def test_manual_page_is_read_without_a_warning() -> None:
    read = ["man", "--warnings=w", "-l", str(GENERATED / "nhagent.1")]
    ended = subprocess.run(read, capture_output=True, text=True, timeout=HANG_SECONDS, check=True)
    assert ended.stderr == ""
    assert "keep a device known" in ended.stdout


@pytest.mark.skipif(shutil.which("bash") is None, reason="bash is not installed")
def test_bash_completes_commands_and_options() -> None:
    script = f"""
        source {GENERATED / "nhagent.bash"}
        complete_for() {{
            COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1)); COMPREPLY=()
            _shtab_nhagent
            echo "${{COMPREPLY[*]}}"
        }}
        complete_for nhagent regi
        complete_for nhagent hub de
        complete_for nhagent register --tim
    """
    ended = subprocess.run(
        ["bash", "-c", script], capture_output=True, text=True, timeout=HANG_SECONDS, check=True
    )
    assert [sorted(line.split()) for line in ended.stdout.splitlines()] == [
        ["register"], ["dedupe", "delete"], ["--timeout"],
    ]  # fmt: skip
