"""What the README shows is what works: its code runs, its configuration is read, its names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent.commands.cli import main
from nhagent.commands.config import read_agent
from nhagent.emulator import Emulator

README = (Path(__file__).parent.parent / "README.md").read_text()


def blocks(language: str) -> list[str]:
    return re.findall(rf"^```{language}\n(.*?)^```$", README, re.DOTALL | re.MULTILINE)


def test_code_for_an_app_is_short_and_runs_with_the_three_values_filled_in(
    notification_hub: Emulator, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    code = blocks("python")[0]
    assert len([line for line in code.splitlines() if line.strip()]) <= 22
    filled, count = re.subn(r'^HUB = ".*"$', f'HUB = "{notification_hub.hub}"', code, flags=re.MULTILINE)
    assert count == 1
    filled, count = re.subn(
        r'^LISTEN = ".*"$', f'LISTEN = "{notification_hub.listen}"', filled, flags=re.MULTILINE
    )
    assert count == 1
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path))
    for outcome in ("registered", "unchanged"):
        result = subprocess.run([sys.executable, "-c", filled], capture_output=True, text=True, check=True)
        assert result.stdout.startswith(f"{outcome} ")
        assert result.stdout.endswith(" None\n")
    [held] = notification_hub.contents()["installations"]
    assert (held["platform"], held["pushChannel"]) == ("fcmv1", "dQw4:APA91b-good_1x")


def test_configuration_is_read(
    write_config: Callable[[str], str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))
    [config] = blocks("toml")
    assert read_agent(write_config(config)).status().hub == "my-hub"


def test_commands_and_variables_that_it_names_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    for name in set(re.findall(r"`nhagent ([a-z]+)", README)) | {"plan", "status", "unregister", "enable"}:
        assert f"    {name}" in known
    sources = "".join(path.read_text() for path in Path(__file__).parent.parent.rglob("nhagent/**/*.py"))
    for name in re.findall(r"\$(NHAGENT_\w+)", README):
        assert name in sources


def test_keys_that_its_table_names_are_the_keys_that_are_read() -> None:
    from nhagent.commands import channel_tables, config

    rows = dict(re.findall(r"^\| `\[(\w+)[^`]*` \| (.*) \|$", README, re.MULTILINE))
    known = {
        "hub": config._HUB,
        "device": config._DEVICE,
        "channel": channel_tables.CHANNEL,
        "receive": channel_tables.RECEIVE,
        "templates": config._TEMPLATE,
        "tiles": config._TILE,
        "refresh": config._REFRESH,
    }
    assert rows.keys() == known.keys()
    for table, keys in known.items():
        for key in keys:
            assert f"`{key}`" in rows[table] or f".{key}." in rows[table]


def test_links_lead_somewhere() -> None:
    for target in re.findall(r"\]\(((?!https://)[^)]+)\)", README):
        assert (Path(__file__).parent.parent / target).exists()
