"""Files that others name: only regular ones are read, never more than a cap, and nothing is waited for."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import pytest

from nhagent import Agent, HubClient
from nhagent.channels import simple
from nhagent.commands.doctor.units import Unit
from nhagent.device import machine, vault
from nhagent.emulator import Emulator
from nhagent.errors import ChannelError, ConfigurationError, CredentialError, HubUnavailable, StateUnwritable
from nhagent.filesystem import Disk, read_whole
from nhagent.regular_files import FileTooLarge, NotARegularFile, look_of, read_regular, read_start
from tests.device_under_test import Device
from tests.events import HANG_SECONDS, comes_back, happens

if sys.platform == "win32":
    pytest.skip("Windows has no such files among the others", allow_module_level=True)


def place_socket(path: Path) -> None:
    with socket.socket(socket.AF_UNIX) as door, contextlib.chdir(path.parent):  # a socket's name is short
        door.bind(path.name)


def place_link_to_fifo(path: Path) -> None:
    os.mkfifo(path.with_name("beneath"))
    path.symlink_to("beneath")


IRREGULAR: dict[str, Callable[[Path], object]] = {
    "fifo": os.mkfifo,
    "link to a fifo": place_link_to_fifo,
    "zeros": lambda path: path.symlink_to("/dev/zero"),
    "terminal": lambda path: path.symlink_to("/dev/ptmx"),
    "socket": place_socket,
    "folder": lambda path: path.mkdir(),
}
"""What has a name and is not a regular file, or leads to something that is not."""


@pytest.fixture(params=IRREGULAR)
def irregular(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    path = tmp_path / "irregular"
    IRREGULAR[request.param](path)
    return path


def test_irregular_file_is_refused_by_every_reader(irregular: Path) -> None:
    for read in (read_regular, read_start, partial(read_whole, Disk())):
        with pytest.raises(NotARegularFile):
            comes_back(partial(read, str(irregular), 10))


def test_size_is_capped_to_the_byte(tmp_path: Path) -> None:
    path = tmp_path / "file"
    path.write_bytes(b"0123456789")
    assert read_regular(str(path), 10) == b"0123456789"
    with pytest.raises(FileTooLarge, match="larger than 9 bytes"):
        read_regular(str(path), 9)
    assert read_start(str(path), 9) == b"012345678"
    assert read_start(str(path), 0) == b""


def test_huge_file_is_read_no_further_than_its_cap(tmp_path: Path) -> None:
    with (tmp_path / "huge").open("wb") as file:
        file.truncate(1 << 40)
    with pytest.raises(FileTooLarge):
        read_regular(str(tmp_path / "huge"), 1 << 20)
    assert len(read_start(str(tmp_path / "huge"), 1 << 20)) == 1 << 20


def test_links_that_lead_nowhere_or_in_a_circle_are_errors(tmp_path: Path) -> None:
    (tmp_path / "nowhere").symlink_to("absent")
    (tmp_path / "circle").symlink_to("circle")
    with pytest.raises(FileNotFoundError):
        read_regular(str(tmp_path / "nowhere"), 10)
    with pytest.raises(OSError, match="Too many levels"):
        read_regular(str(tmp_path / "circle"), 10)


def test_file_whose_size_is_not_told_is_read_whole() -> None:
    if sys.platform == "linux":
        assert read_regular("/proc/self/stat", 10_000).startswith(str(os.getpid()).encode())


@pytest.mark.skipif(not os.access("/proc/kmsg", os.R_OK), reason="needs a kernel's log that root may read")
def test_file_that_says_it_is_regular_and_waits_for_more_is_refused() -> None:
    """A kernel's log ends never: once all of it is read, a reader would wait for its next line."""
    with pytest.raises((NotARegularFile, FileTooLarge, PermissionError)):
        comes_back(lambda: read_regular("/proc/kmsg", 1 << 26))


def test_irregular_channel_secret_and_unit_file_are_told(irregular: Path) -> None:
    with pytest.raises(ChannelError, match="is not a regular file"):
        comes_back(simple.from_file(irregular))
    unit = Unit("nhagent.service", False, "active", "success", "0", None, (str(irregular),))
    assert comes_back(lambda: unit.credential_file) is None


def test_irregular_machine_id_names_no_machine(tmp_path: Path) -> None:
    (tmp_path / "etc").mkdir()
    os.mkfifo(tmp_path / "etc" / "machine-id")
    assert comes_back(lambda: machine.name_of_machine(str(tmp_path))) is None


def test_irregular_vault_is_told(irregular: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    irregular.rename(irregular.with_name("vault.json"))
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(irregular.parent))
    with pytest.raises(Exception, match="vault file") as caught:
        comes_back(lambda: vault.Vault().get_password("nhagent", "user"))
    assert isinstance(caught.value.__cause__, CredentialError)


@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("name", ["identity.json", "state.json"])
@pytest.mark.parametrize("kind", [*IRREGULAR, "circle"])
def test_irregular_state_file_is_set_aside_and_the_device_is_itself(
    device: Device, kind: str, name: str, style: str
) -> None:
    device.start(style=style, first_run_list=True)
    before = {row["registrationId"] for row in device.hub.contents()["registrations"]}
    path = device.files[name]
    path.unlink()
    if kind == "circle":
        path.symlink_to(path.name)
    else:
        IRREGULAR[kind](path)
    assert name in comes_back(device.agent(style=style).status).unreadable
    report = comes_back(lambda: device.start(style=style, first_run_list=True))
    assert report.error is None
    assert json.loads(path.read_text())
    asides = [found for found in path.parent.iterdir() if found.name.startswith(f"{path.stem}.2")]
    assert len(asides) == 1
    assert not path.is_symlink()
    assert device.agent(style=style).status().unreadable == ()
    if style == "registration":
        assert {row["registrationId"] for row in device.hub.contents()["registrations"]} == before


@pytest.mark.parametrize("kind", IRREGULAR)
def test_irregular_lock_is_told_and_not_waited_for(device: Device, kind: str) -> None:
    device.start()
    lock = device.files["lock"]
    lock.unlink()
    IRREGULAR[kind](lock)
    device.channel = "https://push.example/2"
    report = comes_back(lambda: device.agent().start(timeout=0))
    assert isinstance(report.error, StateUnwritable)


def test_ca_bundle_that_becomes_a_fifo_is_refused_and_not_waited_for(
    tls_notification_hub: Emulator, tmp_path: Path
) -> None:
    hub, bundle = tls_notification_hub, tmp_path / "ca.pem"
    assert hub.ca is not None
    bundle.write_bytes(Path(hub.ca).read_bytes())
    agent = Agent(
        app="a", hub=hub.hub, platform="gcm", channel="handle", connection_string=hub.listen,
        ca_bundle=str(bundle), state_dir=str(tmp_path / "state"),
    )  # fmt: skip
    bundle.unlink()
    os.mkfifo(bundle)
    with pytest.raises(ConfigurationError, match="is not a regular file; give that of a PEM file"):
        comes_back(lambda: agent.start(timeout=0))
    assert hub.log() == []


@pytest.mark.parametrize("variable", ["REQUESTS_CA_BUNDLE", "CURL_CA_BUNDLE"])
def test_bundle_of_the_environment_that_is_a_fifo_is_not_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str
) -> None:
    os.mkfifo(tmp_path / "fifo")
    monkeypatch.delenv("REQUESTS_CA_BUNDLE", raising=False)  # it counts before the other one
    monkeypatch.setenv(variable, str(tmp_path / "fifo"))
    listen = "Endpoint=sb://nowhere.example;SharedAccessKeyName=a;SharedAccessKey=b"
    with HubClient(listen, "hub") as client, pytest.raises(HubUnavailable, match="not a regular file"):
        comes_back(lambda: client.get_installation("device"))


@pytest.mark.parametrize("kind", ["fifo", "zeros", "folder"])
@pytest.mark.parametrize(("command", "code"), [("register", 78), ("status", 78), ("doctor", 1), ("run", 78)])
def test_irregular_configuration_ends_a_command_with_a_sentence(
    tmp_path: Path, command: str, code: int, kind: str
) -> None:
    """The doctor's own code says that something is red."""
    IRREGULAR[kind](tmp_path / "config.toml")
    done = subprocess.run(
        [sys.executable, "-m", "nhagent", command, "--config", tmp_path / "config.toml"],
        capture_output=True, text=True, timeout=HANG_SECONDS, check=False,
    )  # fmt: skip
    assert done.returncode == code
    assert "config.toml: is not a regular file" in done.stdout + done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize("time_set", [True, False])
def test_file_that_is_written_to_looks_changed_whatever_time_it_is_given(
    tmp_path: Path, time_set: bool
) -> None:
    path = tmp_path / "channel"
    path.write_text("1")
    before, facts = look_of(str(path)), path.stat()
    assert look_of(str(path)) == before

    def looks_changed() -> bool:
        path.write_text("2")
        if time_set:
            os.utime(path, ns=(facts.st_atime_ns, facts.st_mtime_ns))
        return look_of(str(path)) != before

    assert happens(looks_changed), "as soon as the file system's clock has moved on"
    path.unlink()
    assert look_of(str(path)) is None
