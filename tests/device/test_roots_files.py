"""Root beside a service: nothing of root's is given away, whatever the service plants or swaps meanwhile.

$NHAGENT_RACES sets how many commands of root's are raced.
"""

from __future__ import annotations

import contextlib
import ctypes
import os
import shutil
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from nhagent.channels import simple
from nhagent.errors import ChannelError, ConfigurationError, CredentialError, NhagentError, StateUnwritable
from nhagent.filesystem import Disk, read_whole
from nhagent.places import ForeignFile
from nhagent.regular_files import read_regular
from tests.device_under_test import Device

if sys.platform == "win32" or os.geteuid() != 0:
    pytest.skip("needs root, and a user beside it", allow_module_level=True)

SERVICE = 64000
SECRET = "root's own secret"
RACES = int(os.environ.get("NHAGENT_RACES", "60"))
ATTEMPTS: tuple[Callable[[Any], Any], ...] = (
    lambda agent: agent.start(timeout=0),
    lambda agent: agent.status(),
    lambda agent: agent.add_tags("attic"),
    lambda agent: agent.refresh(force=True),
    lambda agent: agent.unregister(timeout=0),
    lambda agent: agent.enable(timeout=0),
)
"""What an administrator may do with a device."""


@pytest.fixture
def service(device: Device) -> Device:
    """A device whose folder is a service's: its files were made by root, and handed over."""
    device.start()
    for path in [device.folder, *device.folder.rglob("*")]:
        os.chown(path, SERVICE, SERVICE)
    for path in device.folder.parents:
        if path.is_relative_to("/tmp") and path != Path("/tmp"):
            path.chmod(path.stat().st_mode | 0o011)
    return device


@pytest.fixture
def treasure(tmp_path: Path) -> Path:
    """A folder that only root may look into, with a file that only root may read."""
    folder = tmp_path / "root's"
    folder.mkdir(0o700)
    (folder / "shadow").write_text(SECRET)
    (folder / "shadow").chmod(0o600)
    return folder


def facts_of(treasure: Path) -> list[tuple[str, int, int, bytes]]:
    return [
        (path.name, path.lstat().st_uid, path.lstat().st_mode, path.read_bytes())
        for path in sorted(treasure.iterdir())
    ]


def everything_below(folder: Path) -> Iterator[tuple[Path, os.stat_result]]:
    for path in folder.rglob("*"):
        with contextlib.suppress(FileNotFoundError):
            yield path, path.lstat()


def is_given_away(folder: Path) -> list[Path]:
    """What the service may read by now and holds what only root knows."""
    return [
        path
        for path, facts in everything_below(folder)
        if stat.S_ISREG(facts.st_mode) and facts.st_nlink == 1 and SECRET.encode() in path.read_bytes()
    ]


PLANTS: dict[str, Callable[[Path, Path], object]] = {
    "link to a file": lambda path, treasure: path.symlink_to(treasure / "shadow"),
    "other name of a file": lambda path, treasure: path.hardlink_to(treasure / "shadow"),
    "link to a folder": lambda path, treasure: path.symlink_to(treasure),
    "fifo": lambda path, _: os.mkfifo(path),
    "link to a name that is free": lambda path, treasure: path.symlink_to(treasure / "made"),
}


@pytest.mark.parametrize(
    "name", ["identity.json", "state.json", "state.json.new", "identity.json.new", "lock"]
)
@pytest.mark.parametrize("kind", PLANTS)
def test_what_a_service_plants_gives_nothing_of_roots_away(
    service: Device, treasure: Path, kind: str, name: str
) -> None:
    before, memory = facts_of(treasure), service.files["state.json"].parent
    for number, act in enumerate(ATTEMPTS, 10):
        (memory / name).unlink(missing_ok=True)
        PLANTS[kind](memory / name, treasure)
        os.chown(
            memory / name, SERVICE, SERVICE, follow_symlinks=False
        ) if kind != "other name of a file" else None
        service.channel = f"https://push.example/{number}"
        with contextlib.suppress(NhagentError):
            act(service.agent())
        assert facts_of(treasure) == before
        assert is_given_away(service.folder) == []
        for path, facts in everything_below(service.folder):
            assert facts.st_uid == SERVICE or path.samefile(treasure / "shadow"), path


@pytest.mark.parametrize("level", ["app", "hub"])
@pytest.mark.parametrize("owner", [0, SERVICE], ids=["root's link", "the service's link"])
def test_folder_that_is_a_link_is_refused_at_every_level(
    service: Device, treasure: Path, level: str, owner: int
) -> None:
    before = facts_of(treasure)
    hub = service.files["state.json"].parent
    folder = {"app": hub.parent, "hub": hub}[level]
    shutil.rmtree(folder)
    folder.symlink_to(treasure)
    os.chown(folder, owner, owner, follow_symlinks=False)
    for act in ATTEMPTS:
        try:
            error = act(service.agent()).error
        except StateUnwritable as refused:
            error = refused
        assert isinstance(error, StateUnwritable)
        assert "symbolic link" in error.fact
    assert facts_of(treasure) == before


def test_folder_of_roots_inside_the_services_is_not_written_to(service: Device, treasure: Path) -> None:
    """As where the service renames one of root's that it found in a folder of its own."""
    hub = service.files["state.json"].parent
    shutil.rmtree(hub)
    treasure.rename(hub)
    before = facts_of(hub)
    report = service.agent().start(timeout=0)
    assert "below a folder of another user" in str(report.error)
    assert facts_of(hub) == before


def test_state_folder_behind_a_link_that_root_placed_is_followed(service: Device, tmp_path: Path) -> None:
    """As systemd has one for a service with a dynamic user."""
    (tmp_path / "var").mkdir()
    (tmp_path / "var" / "nhagent").symlink_to(f"../{service.folder.name}")
    service.folder, folder = tmp_path / "var" / "nhagent", service.folder
    service.channel = "https://push.example/2"
    assert service.start().outcome == "updated"
    assert {facts.st_uid for _, facts in everything_below(folder)} == {SERVICE}


def test_rights_that_root_gave_up_are_back_afterwards(service: Device, treasure: Path) -> None:
    service.channel = "https://push.example/2"
    service.start()
    assert (treasure / "shadow").read_text() == SECRET
    with pytest.raises(FileNotFoundError):
        read_whole(Disk(), str(service.files["state.json"].with_name("nothing")), 10)
    (treasure / "made").write_text("")
    assert (treasure / "made").stat().st_uid == 0


@pytest.mark.parametrize("reader", ["channel file", "secret", "regular file", "configuration"])
def test_named_file_that_another_user_linked_to_roots_is_not_read(
    treasure: Path, tmp_path: Path, reader: str
) -> None:
    theirs = tmp_path / "theirs"
    theirs.mkdir()
    os.chown(theirs, SERVICE, SERVICE)
    readers: dict[str, Callable[[Path], object]] = {
        "channel file": lambda path: simple.from_file(path)(),
        "secret": lambda path: _secret(path),
        "regular file": lambda path: read_regular(str(path), 100),
        "configuration": lambda path: _configured(path),
    }
    for kind in ("link to a file", "other name of a file"):
        path = theirs / kind
        PLANTS[kind](path, treasure)
        with pytest.raises((ChannelError, CredentialError, ConfigurationError, ForeignFile)) as refused:
            readers[reader](path)
        assert SECRET not in str(refused.value)
    # A link above it counts as well, one of root's own does not, and what is the user's is read.
    (theirs / "up").symlink_to(treasure)
    with pytest.raises(ForeignFile):
        read_regular(str(theirs / "up" / "shadow"), 100)
    (tmp_path / "shortcut").symlink_to("root's/shadow")
    assert read_regular(str(tmp_path / "shortcut"), 100) == SECRET.encode()
    (theirs / "own").write_text("a handle")
    os.chown(theirs / "own", SERVICE, SERVICE)
    assert read_regular(str(theirs / "own"), 100) == b"a handle"


def _secret(path: Path) -> object:
    from nhagent.device.secret_file import read_secret

    return read_secret(str(path), "connection string file", private=True)


def _configured(path: Path) -> object:
    from nhagent.commands.setup import read_setup

    return read_setup(str(path))


def _swap_for_ever(memory: Path, treasure: Path) -> None:
    """What a service may do meanwhile: put links, FIFOs and folders where files and folders are, and back."""
    rename = ctypes.CDLL(None).renameat2
    folder = memory.parent
    aside = folder / "aside"
    aside.mkdir()
    swaps: list[tuple[Path, Path]] = []
    for number, name in enumerate(
        ("identity.json", "state.json", "state.json.new", "identity.json.new", "lock")
    ):
        other = aside / f"{number}"
        other.symlink_to(treasure / ("made" if name.endswith("new") else "shadow"))
        swaps.append((other, memory / name))
    (aside / "folder").symlink_to(treasure)
    swaps.append((aside / "folder", memory))
    here, exchange = -100, 2
    while True:
        for other, path in swaps:
            for _ in range(2):
                rename(here, os.fsencode(other), here, os.fsencode(path), exchange)
            with contextlib.suppress(OSError):
                (memory / "state.json.new").symlink_to(treasure / "made")


@pytest.mark.slow
def test_service_that_swaps_files_meanwhile_wins_nothing_of_roots(service: Device, treasure: Path) -> None:
    before, memory = facts_of(treasure), service.files["state.json"].parent
    attacker = os.fork()
    if not attacker:
        os.setgroups([])
        os.setgid(SERVICE)
        os.setuid(SERVICE)
        try:
            _swap_for_ever(memory, treasure)
        finally:
            os._exit(1)
    try:
        outcomes = set()
        for number in range(RACES):
            service.channel = f"https://push.example/{number}"
            try:
                ATTEMPTS[number % len(ATTEMPTS)](service.agent())
                outcomes.add("done")
            except NhagentError as error:
                outcomes.add(type(error).__name__)
            assert facts_of(treasure) == before, number
            time.sleep(0)
    finally:
        os.kill(attacker, signal.SIGKILL)
        _, status = os.waitpid(attacker, 0)
    assert os.WTERMSIG(status) == signal.SIGKILL, "the attacker went on to the end"
    assert len(outcomes) > 1, outcomes
    assert is_given_away(service.folder) == []
    assert {facts.st_uid for _, facts in everything_below(service.folder)} == {SERVICE}
