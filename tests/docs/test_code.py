"""The Python in the documentation runs, page by page, against a hub of its own; tests on a page pass."""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Iterator
from pathlib import Path

import pytest
from sybil import Sybil
from sybil.document import Document
from sybil.parsers.myst import PythonCodeBlockParser

from nhagent.emulator import Emulator
from tests.children import cannot

ROOT = Path(__file__).parents[2]
PAGES = sorted(
    path
    for path in (ROOT / "docs").rglob("*.md")  # README's is run by a test of its own
    if "```python" in path.read_text("utf-8")
)
SYBIL = Sybil(parsers=[PythonCodeBlockParser()])


@pytest.fixture
def hub(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[Emulator]:
    with Emulator("my-hub") as hub:
        monkeypatch.setenv("NHAGENT_CONNECTION_STRING", hub.listen)
        monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
        yield hub


@pytest.mark.parametrize("page", PAGES, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_code_runs(page: Path, hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    document = Document.parse(str(page), *SYBIL.parsers)
    document.namespace["notification_hub"] = hub
    examples = list(document.examples())
    assert examples
    told: set[str] = set()
    for example in examples:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            example.evaluate()
        for name, found in list(document.namespace.items()):
            if name.startswith("test_") and name not in told:
                told.add(name)
                hub.reset()
                hub.clear_log()
                monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / name))
                found(*[hub] * len(inspect.signature(found).parameters))


def test_every_page_with_code_was_found() -> None:
    if not PAGES:
        cannot("the documentation is not here")
    assert len(PAGES) >= 9
