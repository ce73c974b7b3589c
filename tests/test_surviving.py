"""What happens to a device's memory: full and read-only disks, damaged files, copied disks, many at once."""

from __future__ import annotations

import errno
import json
import os
import shutil
import subprocess
import sys
import threading
from collections import Counter
from dataclasses import replace
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from nhagent import Agent, HubClient, Platform, Registration, Report, Template
from nhagent.device.disk import Disk
from nhagent.device.machine import derived_installation_id, fingerprint_of, name_of_machine
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError, NhagentError, StateUnwritable
from nhagent.report import StartState

from .conftest import PLAIN, Device, first_run, plant, register


class FullDisk(Disk):
    """A disk that takes no more; what is on it can be read."""

    is_full = True

    def create(self, path: str) -> int:
        if self.is_full:
            raise OSError(errno.ENOSPC, "No space left on device", path)
        return super().create(path)


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
def test_device_in_a_folder_that_is_read_only_goes_on_without_a_lock_file(device: Device) -> None:
    class ReadOnly(FullDisk):
        def open_lock(self, path: str) -> int:
            raise OSError(errno.EROFS, "Read-only file system", path)

    device.start()
    device.channel = "https://push.example/2"
    assert device.agent(disk=ReadOnly()).start(timeout=0).outcome == "updated"
    assert len(device.held()) == 1


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
        assert device.start().outcome == "updated"
        assert [(path.read_text(), path.stat().st_uid) for path in theirs] == [("root's own", 0)] * 2


@as_root
def test_files_of_another_user_are_neither_read_nor_replaced(device: Device) -> None:
    device.start()
    device.seen()
    program = (
        "import os, sys, nhagent.agent, nhagent.hub.client, nhagent.registrars.installation\n"
        "from nhagent import Agent; os.setuid(65534)  # which may not be allowed to read this Python\n"
        "agent = Agent(app='thermostat', hub=sys.argv[1], platform='wns', channel='c',"
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


# What may happen to a file: torn, flipped, emptied, from the future, or gone.


def _torn(content: bytes, place: int) -> bytes:
    return content[: place % len(content)]


def _flipped(content: bytes, place: int) -> bytes:
    at = place % len(content)
    return content[:at] + bytes([content[at] ^ (1 << place % 8)]) + content[at + 1 :]


def _zeroed(content: bytes, place: int) -> bytes:
    at = place % len(content)
    return content[:at] + b"\0" * (len(content) - at)


def _future(content: bytes, place: int) -> bytes:
    return json.dumps({**json.loads(content), "schema": 2 + place % 5, "later": {"kept": place}}).encode()


DAMAGES = [_torn, _flipped, _zeroed, _future, None]


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow])
@given(
    name=st.sampled_from(["identity.json", "state.json"]),
    damage=st.sampled_from(DAMAGES),
    place=st.integers(0, 100_000),
)
def test_damaged_file_loses_nothing_that_the_hub_still_knows(
    device: Device, style: str, name: str, damage: Any, place: int
) -> None:
    device.offset = timedelta()
    for path in device.files.values():  # what the last example left must not be damaged once more
        path.unlink()
    device.start(style=style, first_run_list=True)
    known = device.hub.contents()
    identity = json.loads(device.files["identity.json"].read_text())["installation_id"]
    content = device.files[name].read_bytes()
    if damage is None:
        device.files[name].unlink()
    else:
        device.files[name].write_bytes(damage(content, place))
    damaged = device.files[name].read_bytes() if damage is not None else b""
    try:
        device.offset = timedelta(days=2)  # whatever it believes now, a refresh is due
        device.start(style=style, first_run_list=True)
        device.offset = timedelta()
        device.start(style=style, first_run_list=True)
    except ConfigurationError:
        pytest.fail(f"{name} {damaged!r}")
    held = device.hub.contents()
    assert _names(held) == _names(known), damaged
    if damage is not _flipped or name == "identity.json":  # else one can make another id of a record
        if style == "installation":
            assert json.loads(device.files["identity.json"].read_text())["installation_id"] == identity
        else:
            assert _ids(held) == _ids(known)
    if damage in {_torn, _zeroed} and damaged.strip(b"\0 \n") != content.strip():
        asides = [path for path in device.files if path.startswith(name.partition(".")[0] + ".2")]
        assert damaged in [device.files[path].read_bytes() for path in asides] or _is_whole(damaged)
    if damage is _future and name == "state.json":
        assert json.loads(device.files[name].read_text())["later"] == {"kept": place}


def _is_whole(content: bytes) -> bool:
    try:
        return isinstance(json.loads(content), dict)
    except ValueError:
        return False


def _ids(contents: dict[str, Any]) -> set[str]:
    return {row["registrationId"] for row in contents["registrations"]}


def _names(contents: dict[str, Any]) -> Counter[str]:
    return Counter(
        f"{row.get('secondaryTileName')}/{row.get('templateName')}/{bool(row.get('installationId'))}"
        for row in contents["registrations"]
    ) + Counter("installation" for _ in contents["installations"])


# Copied disks.

OTHER: dict[str, Any] = {"machine": lambda: "the other board"}


def test_copied_disk_waits_on_the_channel_of_the_machine_it_was_copied_from(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    first = device.start(machine=lambda: "the first board")
    device.seen()
    agent = device.agent(**OTHER, first_run_list=True)
    assert agent.status().state is StartState.CLONED
    report = agent.start(timeout=0)
    assert report.outcome == "waiting"
    assert "that of the machine from which this disk was copied" in str(report.error)
    assert "written on another machine" in caplog.text
    assert device.seen() == []
    assert agent.status().state is StartState.CLONED
    assert [held["installationId"] for held in device.held()] == [first.installation_id]


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_copied_disk_becomes_a_device_of_its_own_on_its_own_channel(device: Device, style: str) -> None:
    mine: dict[str, Any] = {"style": style, "tags": None, "first_run_list": True}
    first = device.start(**mine, machine=lambda: "the first board")
    device.agent(**mine, machine=lambda: "the first board").add_tags("living-room")
    before = device.hub.contents()
    device.channel, device.tile_channel = "https://push.example/mine", "https://push.example/tile/mine"
    report = device.start(**mine, **OTHER)
    assert report.outcome == "registered"
    assert report.installation_id != first.installation_id
    held = device.hub.contents()
    for kind in ("installations", "registrations"):
        assert all(record in held[kind] for record in before[kind]), "the other machine's are left alone"
        assert len(held[kind]) == 2 * len(before[kind])
    assert any(name.startswith("identity.2") for name in device.files), "what it was is kept aside"
    assert device.start(**mine, **OTHER).requests == 0
    assert "living-room" in device.files["state.json"].read_text(), "the user's own words are inherited"
    device.channel = "https://push.example/1"
    assert device.agent(**mine, **OTHER).start(timeout=0).channel_errors["channel"].startswith("channel:")


def test_copied_disk_of_a_device_that_was_leaving_deletes_nothing(device: Device) -> None:
    device.start(machine=lambda: "the first board")
    device.hub.fail("DELETE", status=503, times=9)
    device.agent(machine=lambda: "the first board").unregister(timeout=0)
    device.hub.clear_faults()
    device.seen()
    report = device.start(**OTHER)
    assert (report.outcome, device.seen()) == ("disabled", [])
    assert len(device.held()) == 1


@pytest.mark.parametrize("style", ["installation", "registration"])
@pytest.mark.parametrize("lost", ["damaged", "removed"])
def test_copied_disk_with_a_lost_state_takes_nothing_over(device: Device, style: str, lost: str) -> None:
    mine: dict[str, Any] = {"style": style, "first_run_list": True}
    device.start(**mine, machine=lambda: "the first board")
    before = device.hub.contents()
    state = device.files["state.json"]
    state.unlink() if lost == "removed" else state.write_text("{")
    for _ in range(2):
        device.start(**mine, **OTHER)
        held = device.hub.contents()
        for kind in ("installations", "registrations"):
            assert all(record in held[kind] for record in before[kind]), "the other machine's are left alone"
    device.agent(style=style, **OTHER).unregister()
    assert all(record in device.hub.contents()["installations"] for record in before["installations"])


def test_copied_disk_knows_the_other_machines_channels_at_another_namespace_too(
    device: Device, tls_notification_hub: Emulator, another_namespace: dict[str, Any]
) -> None:
    there = {**another_namespace, "first_run_list": True}
    hub, first = device.hub.hub, {"machine": lambda: "the first board"}
    assert hub == tls_notification_hub.hub
    device.start(**first)
    folder = device.folder
    device.folder = shutil.copytree(folder, folder.with_name("copy"))
    device.channel = "https://push.example/mine"
    assert set(device.start(**OTHER).channel_errors) == {"tiles.weather"}
    device.folder, device.channel = folder, "https://push.example/1"
    device.start(**first, **there)
    [before] = tls_notification_hub.contents()["installations"]
    device.folder, device.channel = folder.with_name("copy"), "https://push.example/mine"
    assert set(device.start(**OTHER, **there).channel_errors) == {"tiles.weather"}
    held = tls_notification_hub.contents()["installations"]
    assert before in held
    assert len(held) == 2


@pytest.mark.parametrize("unknown", [None, "serial 1", "machine-id 0123"])
def test_unknown_or_equal_machine_changes_nothing(device: Device, unknown: str | None) -> None:
    device.start(machine=lambda: "serial 1")
    before = device.files["identity.json"].read_text()
    report = device.start(machine=lambda: unknown)
    assert (report.outcome, report.requests) == ("unchanged", 0)
    assert device.files["identity.json"].read_text() == before


def test_machine_that_becomes_known_is_written_down_with_the_next_write(device: Device) -> None:
    device.start(machine=lambda: None)
    assert device.start(**OTHER).requests == 0
    assert json.loads(device.files["identity.json"].read_text())["machine"] is None
    device.channel = "https://push.example/2"
    device.start(**OTHER)
    assert json.loads(device.files["identity.json"].read_text())["machine"] is not None
    assert device.agent(machine=lambda: "a third").status().state is StartState.CLONED


def test_serial_number_and_machine_id_do_not_get_to_disk(device: Device) -> None:
    device.start(machine=lambda: "serial 100000001234abcd")
    for path in device.files.values():
        assert "1234abcd" not in path.read_text()


def test_installation_id_of_the_machine_outlives_its_storage(device: Device, tmp_path: Path) -> None:
    mine: dict[str, Any] = {"installation_id": "machine", **OTHER}
    first = device.start(**mine)
    device.folder = tmp_path / "elsewhere"
    assert device.start(**mine).installation_id == first.installation_id
    assert len(device.held()) == 1
    device.folder = tmp_path / "and elsewhere"
    assert device.start(installation_id="machine", machine=lambda: "m").installation_id != (
        first.installation_id
    )
    with pytest.raises(ConfigurationError, match="systemd-machine-id-setup"):
        device.agent(installation_id="machine", machine=lambda: None)


def test_derived_id_depends_on_machine_app_and_hub() -> None:
    ids = {
        derived_installation_id(machine, app, hub)
        for machine in ("a", "b")
        for app in ("x", "y")
        for hub in ("h", "i")
    }
    assert len(ids) == 8
    assert derived_installation_id("a", "x", "Hub") == derived_installation_id("a", "x", "hub")
    assert fingerprint_of(None, "x", "h") is None
    assert fingerprint_of("a", "x", "h") not in ids


def test_machine_is_told_by_its_board_and_else_by_its_machine_id(tmp_path: Path) -> None:
    root = str(tmp_path)
    etc, tree = tmp_path / "etc", tmp_path / "proc" / "device-tree"
    etc.mkdir()
    tree.mkdir(parents=True)
    (tmp_path / "run").mkdir()
    if sys.platform != "win32":
        assert name_of_machine(root) is None
        for no_id in ("uninitialized\n", "", "0123"):
            (etc / "machine-id").write_text(no_id)
            assert name_of_machine(root) is None
        (etc / "machine-id").write_text("0123456789abcdef0123456789abcdef\n")
        assert name_of_machine(root) == "machine-id 0123456789abcdef0123456789abcdef"
        for no_serial in ("0000000000000000\0", "\0", "Default string\0", "0123456789ABCDEF\0"):
            (tree / "serial-number").write_text(no_serial)
            assert str(name_of_machine(root)).startswith("machine-id")
        (tree / "serial-number").write_text("10000000ffffabcd\0")
        assert name_of_machine(root) == "serial 10000000ffffabcd"


# Many at once.

START = """
import sys
from nhagent import Agent
hub, listen, folder, style, gate = sys.argv[1:]
agent = Agent(app="thermostat", hub=hub, platform="gcm", channel="handle", tags=["t"],
              connection_string=listen, state_dir=folder, style=style)
print("ready", flush=True)
sys.stdin.readline()
report = agent.start()
print(report.outcome, report.installation_id, report.error)
"""


@pytest.mark.slow
@pytest.mark.parametrize("style", ["installation", "registration"])
def test_sixteen_processes_at_once_make_one_record_with_one_write(device: Device, style: str) -> None:
    arguments = [device.hub.hub, device.hub.listen, str(device.folder), style, ""]
    processes = [
        subprocess.Popen(
            [sys.executable, "-c", START, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(16)
    ]
    for process in processes:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
    for process in processes:
        assert process.stdin is not None
        process.stdin.write("go\n")
        process.stdin.flush()
    reports = [process.communicate()[0].split() for process in processes]
    assert Counter(outcome for outcome, _, _ in reports) == {"registered": 1, "unchanged": 15}
    assert {error for _, _, error in reports} == {"None"}
    assert len({installation_id for _, installation_id, _ in reports}) == 1
    assert device.seen() == (["GET", "PUT"] if style == "installation" else ["GET", "POST", "PUT"])


@pytest.mark.parametrize("shared", [True, False], ids=["one agent", "an agent each"])
def test_sixteen_threads_at_once_make_one_record_with_one_write(device: Device, shared: bool) -> None:
    one = device.agent(first_run_list=True, **PLAIN, sleep=None)
    agents = [one if shared else device.agent(first_run_list=True, **PLAIN, sleep=None) for _ in range(16)]
    gate = threading.Barrier(16)
    reports: list[Report] = []

    def start(agent: Agent) -> None:
        gate.wait()
        reports.append(agent.start())

    threads = [threading.Thread(target=start, args=(agent,)) for agent in agents]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert Counter(report.outcome for report in reports) == {"registered": 1, "unchanged": 15}
    assert len({report.installation_id for report in reports}) == 1
    assert device.seen() == ["GET", "PUT"]


# Off means off.


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_unregistering_removes_what_else_is_on_the_channels(
    device: Device, style: str, backend: HubClient
) -> None:
    first_run(device, style=style)
    plant(backend, device.channel, 2)
    backend.create_registration(Registration(Platform.WNS, device.tile_channel))
    backend.create_registration(Registration(Platform.WNS, "https://push.example/of-another", ["theirs"]))
    assert device.agent(style=style, first_run_list=True).unregister().outcome == "disabled"
    [left] = device.hub.contents()["registrations"]
    assert left["tags"] == ["theirs"]
    device.seen()
    assert device.start(style=style, first_run_list=True).requests == 0


def test_pending_unregistering_outlives_a_start_at_another_namespace(
    device: Device, tls_notification_hub: Emulator, another_namespace: dict[str, Any]
) -> None:
    there = {**another_namespace, "first_run_list": True}
    device.start()
    device.hub.fail("DELETE", status=503, times=99)
    assert device.agent(first_run_list=True).unregister(timeout=0).outcome == "waiting"
    device.hub.clear_faults()
    assert device.start(**there).outcome == "disabled"
    assert tls_notification_hub.contents()["installations"] == []
    assert len(device.held()) == 1
    assert device.start(first_run_list=True).outcome == "disabled"
    assert device.held() == []
    device.seen()
    assert device.start(first_run_list=True).requests == 0


def test_unregistering_is_kept_though_what_is_declared_cannot_be_registered(device: Device) -> None:
    device.start()
    device.tile_channel = device.channel
    with pytest.raises(ConfigurationError, match="one of its own"):
        device.agent().start(timeout=0)
    assert device.agent().unregister().outcome == "disabled"
    assert device.held() == []
    assert device.agent().status().state is StartState.DISABLED


def test_unregistering_is_kept_though_the_stored_templates_are_another_platforms(device: Device) -> None:
    device.start()
    agent = device.agent(platform="apns", channel="aabbccdd", templates=None, secondary_tiles={})
    with pytest.raises(ConfigurationError, match="template"):
        agent.start(timeout=0)
    assert agent.unregister().outcome == "disabled"
    assert device.held() == []


def test_unregistering_again_asks_for_nothing(device: Device) -> None:
    device.start()
    assert device.agent(first_run_list=True).unregister().outcome == "disabled"
    device.seen()
    assert device.agent(first_run_list=True).unregister().outcome == "disabled"
    assert device.seen() == []


def test_unregistering_before_any_first_run_removes_what_a_lost_disk_left(
    device: Device, backend: HubClient
) -> None:
    plant(backend, device.channel)
    assert device.agent(first_run_list=True).unregister().outcome == "disabled"
    assert device.hub.contents()["registrations"] == []


def test_wish_to_be_off_survives_a_hub_that_is_away_and_outranks_every_refresh(device: Device) -> None:
    first_run(device)
    device.hub.fail("*", status=503, times=2)
    report = device.agent(first_run_list=True).unregister(timeout=0)
    assert report.outcome == "waiting"
    device.offset = timedelta(days=3)
    device.channel = "https://push.example/2"
    report = device.agent(first_run_list=True).refresh(force=True, timeout=0)
    assert report.outcome == "waiting"
    report = device.start(first_run_list=True)
    assert (report.outcome, device.held()) == ("disabled", [])
    assert device.seen()[-3:] == ["DELETE", "GET", "GET"]


def test_enabling_lifts_it_and_forgets_what_was_still_to_be_looked_for(device: Device) -> None:
    first_run(device)
    device.hub.fail("*", status=503)
    agent = device.agent(first_run_list=True)
    agent.unregister(timeout=0)
    agent.enable()
    assert agent.start().outcome == "registered"
    assert len(device.held()) == 1
    assert agent.start().requests == 0


def test_damaged_note_of_a_channel_to_be_searched_does_not_keep_the_device_from_being_off(
    device: Device,
) -> None:
    first_run(device)
    device.hub.fail("*", status=503)
    device.agent(first_run_list=True).unregister(timeout=0)
    path = device.files["state.json"]
    document = json.loads(path.read_text())
    document["sweep"] = [{"platform": "pigeon", "channel": 7}]
    path.write_text(json.dumps(document))
    assert device.start(first_run_list=True).outcome == "disabled"
    assert device.held() == []


def test_library_says_what_it_is_whatever_the_state_folder_holds(device: Device, tmp_path: Path) -> None:
    """A folder where a file belongs, and files where folders belong, end in words."""
    device.start()
    with Emulator("other") as hub:
        elsewhere = replace(device, hub=hub, folder=tmp_path / "odd")
        (tmp_path / "odd" / "thermostat" / "other" / "identity.json").mkdir(parents=True)
        try:
            report = elsewhere.agent(first_run_list=True).start(timeout=0)
        except NhagentError as error:
            pytest.fail(str(error))
        assert report.outcome == "registered"
