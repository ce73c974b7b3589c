"""What root runs for a configuration, and where plug-ins may come from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import Any

import pytest

from nhagent.channels import simple
from nhagent.commands.config import read_agent
from nhagent.errors import ChannelError, ConfigurationError
from tests.device_under_test import Device

if sys.platform == "win32":
    pytest.skip("Windows has other owners", allow_module_level=True)

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="needs root, and files of somebody else")
SOMEBODY = 64000
CHANNELS = {"command": 'command = ["PROGRAM", "x"]', "plugin": 'plugin = "package.module:channel"'}


@pytest.fixture(autouse=True)
def _state(device: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Where an agent that is read from a file keeps its state: after ``device``, which takes that away."""
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path / "state"))


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A folder that only root may write, with a program in it."""
    folder = tmp_path / "folder"
    folder.mkdir(0o755)
    program = folder / "give-channel"
    program.write_text("#!/bin/sh\necho https://push.example/1\n")
    program.chmod(0o755)
    return folder


def configure(folder: Path, device: Device, channel: str) -> str:
    path = folder / "config.toml"
    path.write_text(
        f'app = "a"\n[hub]\nname = "{device.hub.hub}"\n[device]\nplatform = "wns"\n[channel]\n'
        + channel.replace("PROGRAM", str(folder / "give-channel"))
    )
    path.chmod(0o644)
    return str(path)


def of_somebody(path: Path) -> None:
    os.chown(path, SOMEBODY, SOMEBODY)


def of_a_group(path: Path) -> None:
    os.chown(path, 0, SOMEBODY)
    path.chmod(0o775)


LOOSE: dict[str, Any] = {
    "configuration of another user": lambda folder: of_somebody(folder / "config.toml"),
    "configuration that others may write": lambda folder: (folder / "config.toml").chmod(0o666),
    "folder of another user": of_somebody,
    "folder that others may write": lambda folder: folder.chmod(0o777),
    "group that is not root's": lambda folder: of_a_group(folder),
}


@as_root
@pytest.mark.parametrize("channel", CHANNELS)
@pytest.mark.parametrize("kind", LOOSE)
def test_root_runs_nothing_for_a_configuration_that_others_may_write(
    folder: Path, device: Device, kind: str, channel: str
) -> None:
    path = configure(folder, device, CHANNELS[channel])
    read_agent(path)
    LOOSE[kind](folder)
    with pytest.raises(ConfigurationError, match="so that root does not run it") as refused:
        read_agent(path)
    assert "run nhagent as another user" in refused.value.hint


@as_root
def test_root_runs_no_program_that_others_may_write(folder: Path, device: Device, tmp_path: Path) -> None:
    path = configure(folder, device, CHANNELS["command"])
    of_somebody(folder / "give-channel")
    with pytest.raises(ConfigurationError, match=f"belongs to user {SOMEBODY}"):
        read_agent(path)
    theirs = tmp_path / "theirs"
    (folder / "give-channel").rename(theirs)
    (folder / "give-channel").symlink_to(theirs)
    with pytest.raises(ConfigurationError, match="theirs' belongs to user"):
        read_agent(path)


@as_root
def test_folder_that_is_sticky_counts_as_safe_and_a_file_source_needs_no_trust(
    folder: Path, device: Device
) -> None:
    folder.chmod(0o1777)
    read_agent(configure(folder, device, CHANNELS["command"]))
    folder.chmod(0o777)
    read_agent(configure(folder, device, 'file = "channel"'))


@as_root
def test_root_loads_no_plug_in_that_others_may_write(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (folder / "plug_of_others.py").write_text("def channel(): return 'https://push.example/1'\n")
    monkeypatch.syspath_prepend(str(folder))
    assert simple.from_plugin("plug_of_others:channel")() == "https://push.example/1"
    of_somebody(folder / "plug_of_others.py")
    with pytest.raises(ChannelError, match="so that root does not run it"):
        simple.from_plugin("plug_of_others:channel")()


@pytest.mark.parametrize("form", ["module", "package"])
def test_plug_in_of_the_working_folder_is_not_loaded(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, form: str
) -> None:
    name = f"plug_in_working_{form}"
    if form == "package":
        (tmp_path / name).mkdir()
        path = tmp_path / name / "__init__.py"
    else:
        path = tmp_path / f"{name}.py"
    path.write_text("raise SystemExit('it was loaded')\n")
    monkeypatch.chdir(tmp_path)
    for entry in ("", str(tmp_path)):
        with monkeypatch.context() as patch:
            patch.setattr(sys, "path", [entry, *sys.path])
            with pytest.raises(ChannelError, match="is in the working folder"):
                simple.from_plugin(f"{name}:channel")()
