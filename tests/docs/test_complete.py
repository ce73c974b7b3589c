"""Nothing is documented nowhere: commands, settings, errors, faults, metrics, names all have their place."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

import nhagent
import nhagent.channels
from nhagent import errors
from nhagent.channels.encryption import new_pair
from nhagent.commands import config, exit_codes
from nhagent.commands.doctor import CHECKS
from nhagent.commands.metrics import METRICS
from nhagent.commands.parser import make_parser
from nhagent.commands.usage import Parser
from nhagent.emulator.faults import Fault

KEY = new_pair()[1]
DOCS = Path(__file__).parents[2] / "docs"


def text_of(name: str) -> str:
    return (DOCS / name).read_text("utf-8")


def headings(name: str) -> list[str]:
    return re.findall(r"^#+ (.*)$", text_of(name), re.MULTILINE)


def section(name: str, heading: str) -> str:
    """What stands below a heading, up to the next one."""
    found = re.search(rf"^#+ {re.escape(heading)}\n(.*?)(?=^#|\Z)", text_of(name), re.MULTILINE | re.DOTALL)
    assert found is not None, f"{name} has no heading {heading}"
    return found[1]


def commands(parser: Parser) -> dict[str, Parser]:
    """The commands of the command line, and those of its commands."""
    found: dict[str, Parser] = {}
    for action in parser._actions:
        if action.choices and isinstance(action.choices, dict):
            for name, command in action.choices.items():
                found[name] = command
                found |= {f"{name} {inner}": deeper for inner, deeper in commands(command).items()}
    return found


COMMANDS = commands(make_parser().whole())


@pytest.mark.parametrize("name", [name for name in COMMANDS if " " not in name])
def test_every_command_has_a_heading(name: str) -> None:
    assert f"`{name}`" in headings("reference/command.md")


@pytest.mark.parametrize("name", COMMANDS)
def test_every_option_is_named_where_its_command_is(name: str) -> None:
    common = {"-h", "--help", "--config", "--json", "-v", "--verbose", "-q", "--quiet", "--service"}
    page = "emulator.md" if name.startswith("emulator") else "reference/command.md"
    for action in COMMANDS[name]._actions:
        for option in set(action.option_strings) - common:
            place = (
                text_of(page) if page == "emulator.md" else section(page, f"`{name.split(maxsplit=1)[0]}`")
            )
            is_named = f"`{option}" in place or f" {option}" in place
            assert is_named, f"{page} does not name {option} of {name}"


@pytest.mark.parametrize("table", config._TABLES)
def test_every_setting_is_in_its_table(table: str) -> None:
    if "." in table and not table.endswith((".NAME", ".ID")):
        place = section("reference/configuration.md", "`[channel]`")
        assert all(f"`{key}`" in place or f"{key} =" in place for key in config._TABLES[table])
        return
    if not table:
        told = " ".join(headings("reference/configuration.md"))
        assert all(f"`{key}`" in told or f"`[{key}" in told for key in config._TOP)
        return
    place = section("reference/configuration.md", f"`[{table}]`")
    for key in config._TABLES[table]:
        assert f"`{key}`" in place or f"`{key} =" in place, f"[{table}] {key}"


@pytest.mark.parametrize(
    "name",
    [name for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, Exception)],
)
def test_every_error_has_a_heading(name: str) -> None:
    assert f"`{name}`" in headings("reference/errors.md")


def test_every_exit_code_has_its_row() -> None:
    codes = {value for name, value in vars(exit_codes).items() if name.isupper() and type(value) is int}
    rows = set(re.findall(r"^\| (\d+) \|", section("reference/exit-codes.md", "Exit codes"), re.MULTILINE))
    assert rows == {str(code) for code in codes | {2}}


def test_every_metric_has_its_row() -> None:
    rows = set(re.findall(r"^\| `(nhagent_\w+)", text_of("howto/monitoring.md"), re.MULTILINE))
    assert rows == METRICS.keys()


def test_every_check_of_doctor_has_a_heading() -> None:
    told = headings("troubleshooting.md")
    for name, _ in CHECKS:
        assert name in told
    for name in ("key", "templates", "push service", "channel", "Units"):
        assert name in told


def test_every_fault_of_the_emulator_has_its_row() -> None:
    place = section("emulator.md", "Make things go wrong")
    for name in Fault.__dataclass_fields__:
        if not name.startswith("_"):
            assert f"`{name}`" in place, name


def test_every_public_name_is_in_the_reference() -> None:
    page = text_of("reference/python.md")
    for name in nhagent.__all__:
        assert f"nhagent.{name}\n" in page or name == "NhagentError", name
    assert "automodule:: nhagent.channels" in page


def test_every_environment_variable_is_told() -> None:
    sources = "".join(path.read_text("utf-8") for path in (DOCS.parent / "nhagent").rglob("*.py"))
    told = "".join(path.read_text("utf-8") for path in DOCS.rglob("*.md"))
    for name in set(re.findall(r'"(NHAGENT_[A-Z_]+)"', sources)):
        assert name in told, name


def test_configurations_on_every_page_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole ones as they are, parts below the head of one."""
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
    count = 0
    for page in DOCS.rglob("*.md"):
        text = page.read_text("utf-8")
        for block in re.findall(r"^```toml\n(.*?)^```$", text, re.DOTALL | re.MULTILINE):
            path = tmp_path / "config.toml"
            path.write_text(whole(block))
            config.read_agent(str(path))
            count += 1
    assert count == 5


def whole(block: str) -> str:
    """A configuration of which a page shows a part."""
    text = re.sub(r'"/usr(/local)?/bin/[\w-]+"', '"/bin/true"', block)
    if not text.startswith("app"):
        text = 'app = "a"\n[hub]\nname = "my-hub"\n' + text
    if "[device]" not in text:
        text += '[device]\nplatform = "browser"\n'
    return text if "[channel]" in text else text + f'[channel]\nwebpush = {{ vapid_public_key = "{KEY}" }}\n'
