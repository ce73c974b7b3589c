"""Disks that take no more, and folders that belong to others."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest

from nhagent import Template
from nhagent.errors import StateUnwritable
from nhagent.filesystem import Disk
from nhagent.places import Folder
from tests.device_under_test import PLAIN, Device, register


class FullDisk(Disk):
    """A disk that takes no more; what is on it can be read."""

    is_full = True

    def create(self, folder: Folder, name: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device", name)
        return super().create(folder, name)


@pytest.mark.skipif(
    sys.platform != "linux", reason="/proc stands for file systems that make no folder durable"
)
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_device_on_a_shared_folder_that_makes_no_names_durable_registers_and_rotates(
    device: Device, style: str
) -> None:
    class SharedFolder(Disk):
        def sync_folder(self, folder: Folder) -> None:
            proc = self.open_folder("/proc")
            try:
                super().sync_folder(proc)
            finally:
                self.close_folder(proc)

    first = device.start(style=style, disk=SharedFolder())
    assert (first.outcome, first.error) == ("registered", None)
    device.channel = "https://push.example/2"
    report = device.start(style=style, disk=SharedFolder())
    assert (report.outcome, report.installation_id) == ("updated", first.installation_id)
    assert device.start(style=style).requests == 0, "what was learnt is on disk"


@pytest.mark.parametrize("code", [errno.ENOLCK, errno.ENOSYS, errno.EOPNOTSUPP])
def test_share_without_locks_is_told_and_nothing_is_sent(device: Device, code: int) -> None:
    class Share(Disk):
        @staticmethod
        def lock(file: int) -> None:
            raise OSError(code, os.strerror(code))

    report = device.agent(disk=Share()).start(timeout=0)
    assert isinstance(report.error, StateUnwritable)
    assert os.strerror(code) in report.error.fact
    assert "no locks" in report.error.hint
    assert device.seen() == []


def test_first_start_on_a_full_disk_sends_nothing_and_waits(device: Device) -> None:
    report = device.agent(disk=FullDisk(), first_run_list=True).start(timeout=0)
    assert (report.outcome, type(report.error)) == ("waiting", StateUnwritable)
    assert device.seen() == []


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_device_whose_disk_is_full_goes_on_from_memory_and_warns_once(
    device: Device, style: str, caplog: pytest.LogCaptureFixture
) -> None:
    first = device.start(style=style)
    before = {name: path.read_text() for name, path in device.files.items()}
    device.seen()
    disk = FullDisk()
    agent = device.agent(style=style, disk=disk)
    device.channel = "https://push.example/2"
    assert agent.start().outcome == "updated"
    assert agent.start().outcome == "unchanged"
    device.channel = "https://push.example/3"
    report = agent.start()
    assert (report.outcome, report.installation_id) == ("updated", first.installation_id)
    assert caplog.text.count("goes on from memory") == 1
    assert before == {name: path.read_text() for name, path in device.files.items()}
    disk.is_full = False
    assert agent.start().requests == 0
    device.seen()
    assert device.start(style=style).requests == 0, "what was learnt is on disk as soon as there is room"


def test_device_on_a_full_disk_writes_the_whole_since_its_memory_may_be_old(device: Device) -> None:
    device.start(**PLAIN)
    for tags in (["a", "b"], ["a", "c"]):  # two processes, neither of which can tell the other
        device.seen()
        device.start(**PLAIN, tags=tags, disk=FullDisk())
        assert device.seen() == ["PUT"]
        assert device.held()[0]["tags"] == tags


def test_registration_id_that_cannot_be_kept_is_not_put_to_use(device: Device) -> None:
    register(device, templates={})
    device.seen()
    extra = {"badge": Template(body="<badge value='$(n)'/>", headers={"X-WNS-Type": "wns/badge"})}
    report = device.agent(style="registration", templates=extra, disk=FullDisk()).start(timeout=0)
    assert isinstance(report.error, StateUnwritable)
    assert "PUT" not in device.seen()
    assert len(device.hub.contents()["registrations"]) == 2


def test_wish_that_cannot_be_kept_is_refused(device: Device) -> None:
    device.start()
    device.seen()
    agent = device.agent(disk=FullDisk())
    with pytest.raises(StateUnwritable):
        agent.unregister()
    with pytest.raises(StateUnwritable):
        agent.add_tags("x")
    assert device.seen() == []


@pytest.mark.skipif(sys.platform == "win32", reason="Windows has other read-only folders")
@pytest.mark.parametrize("code", [errno.EROFS, errno.ENOSPC, errno.EDQUOT])
def test_device_whose_lock_file_can_no_longer_be_made_goes_on_without_one(device: Device, code: int) -> None:
    class ReadOnly(FullDisk):
        def open_lock(self, folder: Folder, name: str) -> int:
            raise OSError(code, os.strerror(code), name)

    device.start()
    device.channel = "https://push.example/2"
    assert device.agent(disk=ReadOnly()).start(timeout=0).outcome == "updated"
    assert len(device.held()) == 1


def test_reason_why_a_lock_file_cannot_be_made_is_told_as_it_is(tmp_path: Path) -> None:
    """A process without a descriptor left stands for a disk that takes no more."""
    if sys.platform == "win32":
        pytest.skip("Windows sets no such limit")
    import resource

    disk = Disk()
    folder = disk.open_folder(str(tmp_path))
    free = os.open(os.devnull, os.O_RDONLY)
    os.close(free)
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (free, hard))
    try:
        with pytest.raises(OSError) as caught:
            disk.open_lock(folder, "lock")
    finally:
        resource.setrlimit(resource.RLIMIT_NOFILE, (soft, hard))
        disk.close_folder(folder)
    assert caught.value.errno == errno.EMFILE


as_root = pytest.mark.skipif(
    sys.platform == "win32" or os.geteuid() != 0, reason="needs root, to become somebody else"
)


@as_root
def test_what_root_writes_into_a_services_folder_is_the_services(device: Device) -> None:
    if sys.platform != "win32":
        device.folder.mkdir(0o700)
        os.chown(device.folder, 64000, 64001)
        device.start()
        device.channel = "https://push.example/2"
        assert device.start().outcome == "updated"
        device.agent().unregister()
        device.agent().enable()
        device.files["state.json"].write_text("{ torn")
        device.start()
        made = [path for path in device.folder.rglob("*") if path.is_dir() or path.name == "lock"]
        aside = list(device.folder.rglob("state.2*.json"))
        assert (len(made), len(aside), "identity.json" in device.files) == (3, 1, True)
        facts = {path: path.stat() for path in device.folder.rglob("*")}
        assert {(fact.st_uid, fact.st_gid) for fact in facts.values()} == {(64000, 64001)}
        assert {fact.st_mode & 0o777 for path, fact in facts.items() if path.is_file()} == {0o600}


@as_root
def test_service_cannot_make_root_give_a_file_away_that_it_links_to(device: Device, tmp_path: Path) -> None:
    if sys.platform != "win32":
        theirs = [tmp_path / "shadow", tmp_path / "passwd"]
        device.start()
        memory = device.files["state.json"].parent
        for path in [device.folder, *device.folder.rglob("*")]:
            os.chown(path, 64000, 64000)
        for path in theirs:
            path.write_text("root's own")
        (memory / "lock").unlink()
        os.link(theirs[0], memory / "state.json.new")
        os.link(theirs[1], memory / "lock")
        device.channel = "https://push.example/2"
        report = device.agent().start(timeout=0)
        assert "not the file of the user whose folder it is in" in str(report.error)
        (memory / "lock").unlink()
        assert device.start().outcome == "updated"
        assert [(path.read_text(), path.stat().st_uid) for path in theirs] == [("root's own", 0)] * 2


@as_root
def test_files_of_another_user_are_neither_read_nor_replaced(device: Device) -> None:
    device.start()
    device.seen()
    program = (
        "import os, sys, nhagent.agent, nhagent.hub.client, nhagent.registrars.installation\n"
        "from nhagent import Agent; os.setuid(65534)  # which may not be allowed to read this Python\n"
        "agent = Agent(app='thermostat', hub=sys.argv[1], platform='wns', channel='https://c/1',"
        " connection_string=sys.argv[2], state_dir=sys.argv[3])\n"
        "report = agent.start(timeout=0); print(report.outcome, type(report.error).__name__)"
    )
    for path in [device.folder, *device.folder.parents]:
        if str(path).startswith("/tmp/"):
            path.chmod(0o755)
    listen = device.hub.listen
    arguments = [device.hub.hub, listen, str(device.folder)]
    result = subprocess.run(
        [sys.executable, "-c", program, *arguments], capture_output=True, text=True, check=False
    )
    assert result.stdout == "waiting StateUnwritable\n", result.stderr
    assert device.seen() == []
