"""What the README shows is what works: its code runs, its configuration is read, its names exist."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from nhagent.commands.cli import main
from nhagent.emulator import Emulator

PAGES = "https://github.com/nhagent/nhagent"
PICTURES = "https://raw.githubusercontent.com/nhagent/nhagent"
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


def test_commands_and_variables_that_it_names_exist(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--help"])
    known = capsys.readouterr().out
    for name in set(re.findall(r"`nhagent ([a-z]+)", README)) | {"plan", "status", "unregister", "enable"}:
        assert f"    {name}" in known
    sources = "".join(path.read_text() for path in Path(__file__).parent.parent.rglob("nhagent/**/*.py"))
    for name in re.findall(r"\$(NHAGENT_\w+)", README):
        assert name in sources


def test_links_lead_to_files_of_the_repository() -> None:
    """They are absolute, so that they work on an index page too."""
    root = Path(__file__).parent.parent
    assert re.findall(r"\]\((?!https://)[^)]+\)", README) == []
    found = re.findall(rf"\]\({re.escape(PAGES)}/(?:blob|tree)/main/([^)#]+)", README)
    found += re.findall(rf"\]\({re.escape(PICTURES)}/main/([^)]+)", README)
    assert len(found) > 20
    for target in found:
        assert (root / target).exists(), target
