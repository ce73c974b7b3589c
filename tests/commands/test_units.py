"""``nhagent units``: whole files, no link followed, nothing edited touched."""

from __future__ import annotations

import json
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from nhagent.commands.units import Shelf, program_for, shipped
from nhagent.errors import ConfigurationError
from tests.events import HANG_SECONDS

if sys.platform == "win32":
    pytest.skip("systemd is Linux's", allow_module_level=True)

ROOT = Path(__file__).parents[2]


def state_of(shelf: Shelf) -> dict[str, str]:
    return {unit.name: unit.state for unit in shelf.look()}


@pytest.fixture
def shelf(tmp_path: Path) -> Shelf:
    return Shelf({"a.service": "ExecStart=/usr/bin/nhagent run\n"}, tmp_path / "units", "/opt/nhagent")


def test_installed_unit_is_whole_and_runs_this_command(shelf: Shelf, tmp_path: Path) -> None:
    assert state_of(shelf) == {"a.service": "missing"}
    shelf.install("a.service")
    assert state_of(shelf) == {"a.service": "installed"}
    [file] = (tmp_path / "units").iterdir()
    assert file.read_text().startswith("ExecStart=/opt/nhagent run\n# Installed by nhagent ")
    assert stat.S_IMODE(file.stat().st_mode) == 0o644


def test_unit_of_another_version_is_replaced(shelf: Shelf, tmp_path: Path) -> None:
    shelf.install("a.service")
    newer = Shelf({"a.service": "ExecStart=/usr/bin/nhagent run --new\n"}, tmp_path / "units", "/opt/nhagent")
    assert state_of(newer) == {"a.service": "older"}
    newer.install("a.service")
    assert state_of(newer) == {"a.service": "installed"}


@pytest.mark.parametrize("edited", ["X{}", "{}\n[Service]\n", "nothing of ours"])
def test_edited_unit_is_known_as_such(shelf: Shelf, tmp_path: Path, edited: str) -> None:
    shelf.install("a.service")
    file = tmp_path / "units" / "a.service"
    file.write_text(edited.format(file.read_text()))
    assert state_of(shelf) == {"a.service": "edited"}


def test_unit_that_was_copied_by_hand_is_no_edited_one(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    (tmp_path / "units" / "a.service").write_text("ExecStart=/usr/bin/nhagent run\n")
    assert state_of(shelf) == {"a.service": "installed"}


def test_link_and_folder_are_no_units(shelf: Shelf, tmp_path: Path) -> None:
    (tmp_path / "units").mkdir()
    place = tmp_path / "units" / "a.service"
    place.symlink_to(tmp_path / "precious")
    assert state_of(shelf) == {"a.service": "link"}
    place.unlink()
    place.mkdir()
    assert state_of(shelf) == {"a.service": "link"}


def test_units_that_are_shipped_are_those_of_the_repository() -> None:
    for user, folder in ((False, ROOT / "systemd"), (True, ROOT / "systemd/user")):
        files = {path.name for path in folder.iterdir() if path.suffix in {".service", ".timer", ".target"}}
        assert shipped(user=user).keys() == files


@pytest.mark.parametrize("place", ["/home/alice/nhagent", "/root/venv/bin/nhagent", "/tmp/nhagent"])
def test_command_that_services_cannot_see_is_refused(place: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"/opt/nhagent") as refused:
        program_for(user=False, called=_command(tmp_path), python=place)
    assert "services" in str(refused.value) or "service" in str(refused.value)
    assert program_for(user=True, called=_command(tmp_path), python=place) == _command(tmp_path)


def test_folder_that_others_cannot_enter_is_refused(tmp_path: Path) -> None:
    if not str(tmp_path).startswith(("/tmp", "/var/tmp")):
        pytest.skip("the temporary folder is elsewhere")
    with pytest.raises(ConfigurationError, match="hidden from services"):
        program_for(user=False, called=_command(tmp_path), python="/usr/bin/env")


def _command(folder: Path) -> str:
    path = folder / "nhagent"
    path.write_text("#!/bin/sh\n")
    path.chmod(0o755)
    return str(path)


class Home:
    """A user with a systemctl that writes down what it is told."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.units = folder / "settings/systemd/user"
        (folder / "settings/nhagent").mkdir(parents=True)
        (folder / "settings/nhagent/config.toml").touch()
        (folder / "bin").mkdir()
        (folder / "bin/systemctl").write_text(
            f'#!/bin/sh\necho "$@" >> {folder}/told\n[ ! -e {folder}/fail ]\n'
        )
        (folder / "bin/systemctl").chmod(0o755)
        program = folder / "bin/nhagent"
        program.write_text(f'#!/bin/sh\nexec {sys.executable} -m nhagent "$@"\n')
        program.chmod(0o755)

    def run(self, *arguments: str) -> tuple[int, str]:
        path = f"{self.folder}/bin:{os.environ['PATH']}"
        environment = {"PATH": path, "HOME": str(self.folder), "XDG_CONFIG_HOME": f"{self.folder}/settings"}
        ended = subprocess.run(
            [sys.executable, "-m", "nhagent", "units", *arguments],
            env={**environment, "PYTHONPATH": str(ROOT)},
            capture_output=True,
            text=True,
            timeout=HANG_SECONDS,
            check=False,
        )
        return ended.returncode, ended.stdout + ended.stderr

    def told(self) -> list[str]:
        path = self.folder / "told"
        return path.read_text().splitlines() if path.exists() else []


@pytest.fixture
def home(tmp_path: Path) -> Home:
    return Home(tmp_path)


def test_user_installs_lists_and_removes(home: Home) -> None:
    code, printed = home.run("--user", "--json")
    assert code == 0
    assert {unit["state"] for unit in json.loads(printed)["units"]} == {"missing"}
    assert home.run("--user", "--install")[0] == 0
    assert home.told() == ["--user daemon-reload", "--user enable --now --no-block nhagent.service"]
    text = (home.units / "nhagent.service").read_text()
    assert f"ExecStart={home.folder}/bin/nhagent run --config %E/nhagent/config.toml\n" in text
    _, printed = home.run("--user", "--json")
    assert {unit["state"] for unit in json.loads(printed)["units"]} == {"installed"}
    assert home.run("--user", "--remove")[0] == 0
    assert list(home.units.iterdir()) == []
    assert home.told()[2:] == [
        "--user disable --now nhagent-refresh.timer nhagent.service", "--user daemon-reload",
    ]  # fmt: skip


def test_what_was_edited_stays(home: Home) -> None:
    home.run("--user", "--install")
    edited = home.units / "nhagent.service"
    edited.write_text(edited.read_text() + "# mine\n")
    before = edited.read_text()
    for option in ("--install", "--remove"):
        code, printed = home.run("--user", option)
        assert code == 0
        assert f"{edited}: was edited, and was left alone" in printed
    assert edited.read_text() == before
    assert [path.name for path in home.units.iterdir()] == ["nhagent.service"]


def test_link_is_not_followed(home: Home) -> None:
    home.units.mkdir(parents=True)
    precious = home.folder / "precious"
    precious.write_text("precious")
    (home.units / "nhagent.service").symlink_to(precious)
    for option in ("--install", "--remove"):
        assert "is not a regular file, and was left alone" in home.run("--user", option)[1]
    assert precious.read_text() == "precious"
    assert (home.units / "nhagent.service").is_symlink()


def test_systemctl_that_fails_is_told(home: Home) -> None:
    (home.folder / "fail").touch()
    code, printed = home.run("--user", "--install")
    assert code == 78
    assert "systemctl --user daemon-reload: failed with status 1; run it by hand" in printed


def test_daemon_without_a_configuration_is_not_started(home: Home) -> None:
    (home.folder / "settings/nhagent/config.toml").unlink()
    code, printed = home.run("--user", "--install")
    assert code == 0
    assert home.told() == ["--user daemon-reload"]
    assert "nhagent.service: not started: " in printed
    assert "config.toml is not there, nhagent init writes it" in printed


def test_both_at_once_is_wrong_usage(home: Home) -> None:
    assert home.run("--install", "--remove")[0] == 2
