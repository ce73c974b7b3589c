"""What the documents for those who change nhagent say is so: modules, rows, names, links, sessions."""

from __future__ import annotations

import re
from importlib import import_module
from pathlib import Path

import pytest

from .test_house import FLOOR, FLOORS, MODULES, name_of

ROOT = Path(__file__).parents[1]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text("utf-8")
CONTRIBUTING = (ROOT / "CONTRIBUTING.md").read_text("utf-8")
DECISIONS = ROOT / "docs/decisions"
DOCUMENTS = [
    path
    for place in ("*.md", "docs/**/*.md", "systemd/*.md", "examples/**/*.md")
    for path in ROOT.glob(place)
]
PRESENT = {name_of(path) for path in MODULES}


def section(title: str) -> str:
    """What stands below a heading of the architecture, up to the next of the same level."""
    return ARCHITECTURE.split(f"\n## {title}\n", 1)[1].split("\n## ", 1)[0]


def first_cells(table: str) -> list[str]:
    return re.findall(r"^\| `(\w[\w.]*)` \|", table, re.MULTILINE)


def test_every_module_has_its_line_in_the_architecture() -> None:
    told: list[str] = []
    for block in section("What each module does").split("\n### ")[1:]:
        package = block.split("\n", 1)[0].strip("`")
        prefix = "" if package == "nhagent" else f"{package}."
        told += [f"{prefix}{name}" for name in first_cells(block)]
    packages = {name for name in PRESENT if any(other.startswith(f"{name}.") for other in PRESENT)}
    assert len(told) == len(set(told))
    assert set(told) - packages == PRESENT - packages


def test_rows_of_the_architecture_are_those_that_the_house_is_tested_by() -> None:
    rows = re.findall(r"^\| (\d) \| (.*?) \|", section("Who may import whom"), re.MULTILINE)
    tops = {name.split(".")[0] for name in PRESENT}
    told = {int(number): set(re.findall(r"`(\w+)`", names)) for number, names in rows}
    assert told == {height: set(names) & tops for height, names in enumerate(FLOORS, start=1)}


def names_in(text: str) -> set[str]:
    """Dotted names that begin with a module or package of nhagent, as in ``retry.backoff.delay``."""
    return set(re.findall(rf"(?<![\w./])(?:{'|'.join(sorted(FLOOR))}|emulator)(?:\.\w+)+", text))


def resolve(name: str) -> object:
    parts = name.split(".")
    for length in range(len(parts), 0, -1):
        try:
            found: object = import_module(".".join(["nhagent", *parts[:length]]))
        except ModuleNotFoundError:
            continue
        for part in parts[length:]:
            found = getattr(found, part)
        return found
    raise AttributeError(name)


@pytest.mark.parametrize("name", sorted(names_in(ARCHITECTURE.replace(section("What each module does"), ""))))
def test_names_in_the_architecture_exist(name: str) -> None:
    assert resolve(name) is not None


def test_sessions_that_the_guide_names_are_those_of_nox() -> None:
    source = (ROOT / "noxfile.py").read_text("utf-8")
    named = re.findall(r'^@nox\.session\(name="(\w+)"\)$', source, re.MULTILINE)
    plain = re.findall(r"^@nox\.session\ndef (\w+)", source, re.MULTILINE)
    assert set(re.findall(r"`nox -s (\w+)`", CONTRIBUTING)) == {*named, *plain}


def test_every_decision_is_in_the_index_and_has_the_same_parts() -> None:
    pages = {path.name: path.read_text("utf-8") for path in DECISIONS.glob("[0-9]*.md")}
    index = (DECISIONS / "README.md").read_text("utf-8")
    assert set(re.findall(r"\]\((\d[^)]*)\)", index)) == pages.keys()
    for name, text in pages.items():
        assert re.match(r"\d{4}-[a-z0-9-]+\.md", name)
        assert text.startswith(f"# {int(name[:4])}. ")
        for part in ("Matter", "Decision", "Reason"):
            assert f"\n## {part}\n" in text, f"{name} has no {part}"
        assert ("not built yet" in text) == (f"]({name}) (not built yet)" in index)


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_into_the_repository_lead_somewhere(path: Path) -> None:
    link = r"\]\(https://github.com/nhagent/nhagent/(?:blob|tree)/main/([^)#]+)"
    for target in re.findall(link, path.read_text("utf-8")):
        assert (ROOT / target).exists(), target


@pytest.mark.parametrize("path", DOCUMENTS, ids=lambda path: path.relative_to(ROOT).as_posix())
def test_links_lead_somewhere(path: Path) -> None:
    for target in re.findall(r"\]\(((?!https?://)[^)]+)\)", path.read_text("utf-8")):
        file, _, anchor = target.partition("#")
        found = path.parent / file if file else path
        assert found.exists(), target
        if anchor:
            headings = re.findall(r"^#+ (.*)$", found.read_text("utf-8"), re.MULTILINE)
            assert anchor in {
                re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings
            }
