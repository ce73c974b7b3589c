"""How a machine is told from others by what no disk carries along, and what may change in it."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from nhagent.device.machine import Machine, derived_installation_id, look_at_machine
from nhagent.report import StartState
from tests.device_under_test import Device

if sys.platform == "win32":
    pytest.skip("Windows names its machines otherwise", allow_module_level=True)

ID = "0123456789abcdef0123456789abcdef"
BUILT_IN, CARD, ANOTHER = "00:11:22:33:44:55", "00:11:22:33:44:66", "00:aa:bb:cc:dd:ee"


def make_machine(
    root: Path,
    *cards: str,
    machine_id: str | None = ID,
    serial: str | None = None,
    assigned: str = "0",
    is_physical: bool = True,
    on_usb: tuple[str, ...] = (),
) -> Callable[[], Machine]:
    """Lay out what the kernel and the system show of a machine."""
    shutil.rmtree(root, ignore_errors=True)
    for folder in ("etc", "run", "proc/device-tree"):
        (root / folder).mkdir(parents=True)
    if machine_id is not None:
        (root / "etc/machine-id").write_text(f"{machine_id}\n")
    if serial is not None:
        (root / "proc/device-tree/serial-number").write_text(f"{serial}\0")
    for number, address in enumerate((*cards, *on_usb)):
        card = root / f"sys/class/net/eth{number}"
        card.mkdir(parents=True)
        (card / "address").write_text(f"{address}\n")
        (card / "addr_assign_type").write_text(f"{assigned}\n")
        if is_physical:
            (card / "device").mkdir()
            (card / "device/subsystem").symlink_to(f"../../../../bus/{'usb' if address in on_usb else 'pci'}")
    return partial(look_at_machine, str(root))


@pytest.fixture
def root(tmp_path: Path) -> Path:
    return tmp_path / "machine"


def copied(device: Device) -> Device:
    """The same files on another machine, which has a channel of its own."""
    return Device(
        device.hub,
        Path(shutil.copytree(device.folder, device.folder.with_name("copy"))),
        "https://push.example/copy",
        "https://push.example/tile/copy",
    )


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_copy_of_a_disk_with_its_machine_id_becomes_a_device_of_its_own(
    device: Device, root: Path, style: str
) -> None:
    device.start(style=style, machine=make_machine(root, BUILT_IN))
    before = device.hub.contents()
    copy, there = copied(device), make_machine(root, ANOTHER)
    assert copy.agent(style=style, machine=there).status().state is StartState.CLONED
    assert copy.start(style=style, machine=there).outcome == "registered"
    held = device.hub.contents()
    for kind in ("installations", "registrations"):
        assert all(record in held[kind] for record in before[kind])
        assert len(held[kind]) == 2 * len(before[kind])
    assert copy.start(style=style, machine=there).requests == 0


def test_derived_id_of_a_copied_disk_is_the_copys_own(device: Device, root: Path) -> None:
    mine: dict[str, Any] = {"installation_id": "machine"}
    first = device.start(**mine, machine=make_machine(root, BUILT_IN))
    copy = copied(device).start(**mine, machine=make_machine(root, ANOTHER))
    assert copy.installation_id != first.installation_id
    assert {held["installationId"] for held in device.held()} == {
        first.installation_id,
        copy.installation_id,
    }


def test_upgrade_makes_no_clone_and_is_told_from_copies_after_its_next_write(
    device: Device, root: Path
) -> None:
    """The first edition's fingerprint was that of the machine id alone."""
    device.start(machine=lambda: f"machine-id {ID}")
    device.seen()
    here = make_machine(root, BUILT_IN)
    assert device.start(machine=here).outcome == "unchanged"
    assert device.seen() == []
    device.channel = "https://push.example/2"
    assert device.start(machine=here).outcome == "updated"
    assert device.seen() == ["PATCH"]
    assert copied(device).agent(machine=make_machine(root, ANOTHER)).status().state is StartState.CLONED


def test_upgrade_keeps_a_derived_id(device: Device, root: Path) -> None:
    first = device.start(installation_id="machine", machine=lambda: f"machine-id {ID}")
    here = make_machine(root, BUILT_IN)
    report = device.start(installation_id="machine", machine=here)
    assert (report.outcome, report.installation_id) == ("unchanged", first.installation_id)
    assert derived_installation_id(here(), "thermostat", device.hub.hub) != first.installation_id


def test_root_beside_the_service_sees_the_same_machine(device: Device, root: Path) -> None:
    """Either may see more: a sandbox hides interfaces, or the board's serial number."""
    sights = [
        make_machine(root / "service", CARD),
        make_machine(root / "root", BUILT_IN, CARD, serial="10000000ffffabcd"),
        make_machine(root / "sandbox"),
    ]
    device.start(machine=sights[0])
    for number, machine in enumerate([*sights, *sights], 10):
        device.channel = f"https://push.example/{number}"
        assert device.start(machine=machine).outcome == "updated"
    assert len(device.held()) == 1


def test_exchanged_network_card_makes_no_clone(device: Device, root: Path) -> None:
    first = device.start(installation_id="machine", machine=make_machine(root, BUILT_IN, CARD))
    for number, cards in enumerate([(BUILT_IN, ANOTHER), (ANOTHER,), (ANOTHER, CARD)], 10):
        device.channel = f"https://push.example/{number}"
        report = device.start(installation_id="machine", machine=make_machine(root, *cards))
        assert (report.outcome, report.installation_id) == ("updated", first.installation_id)


@pytest.mark.parametrize("mark", [".dockerenv", "run/.containerenv"])
def test_container_made_anew_on_its_old_volume_is_the_same_device(
    device: Device, root: Path, mark: str
) -> None:
    def container(machine_id: str) -> Callable[[], Machine]:
        machine = make_machine(root, "02:42:ac:11:00:02", machine_id=machine_id, is_physical=False)
        (root / mark).touch()
        return machine

    first = device.start(machine=container("1" * 32))
    device.channel = "https://push.example/2"
    report = device.start(machine=container("2" * 32))
    assert (report.outcome, report.installation_id) == ("updated", first.installation_id)


def test_machine_id_made_anew_on_the_same_hardware_makes_no_clone(device: Device, root: Path) -> None:
    device.start(machine=make_machine(root, BUILT_IN, machine_id="1" * 32))
    assert device.start(machine=make_machine(root, BUILT_IN, machine_id="2" * 32)).requests == 0


def test_serial_number_decides_alone(device: Device, root: Path) -> None:
    """A network card may be moved to another board together with the disk."""
    device.start(machine=make_machine(root, CARD, serial="10000000ffffabcd"))
    elsewhere = make_machine(root, CARD, serial="10000000ffff0000")
    assert device.agent(machine=elsewhere).status().state is StartState.CLONED


@pytest.mark.parametrize(
    ("address", "facts"),
    [
        (BUILT_IN, {"assigned": "1"}),
        (BUILT_IN, {"assigned": "3"}),
        (BUILT_IN, {"is_physical": False}),
        ("00:00:00:00:00:00", {}),
        ("ff:ff:ff:ff:ff:ff", {}),
        ("52:54:00:12:34:56", {}),
        ("0C:5B:8F:27:9A:64", {}),
        ("00:90:4c:0d:f4:3e", {}),
        ("00:90:4c:c5:12:38", {}),
        ("00:03:7f:12:34:58", {}),
        ("00:0a:35:00:01:22", {}),
        ("00:e0:4c:53:44:58", {}),
        ("", {}),
    ],
    ids=[
        *("random", "set", "virtual", "none", "everybody's", "an emulator's", "a modem's", "a firmware's"),
        *("a driver's", "uncalibrated", "a reference design's", "an adapter's", "empty"),
    ],
)
def test_address_that_others_may_have_too_does_not_count(
    root: Path, address: str, facts: dict[str, Any]
) -> None:
    assert make_machine(root, address, **facts)().addresses == ()


@pytest.mark.parametrize("made_up", ["a6:3f:5d:8a:7d:52", "02:50:f3:00:00:00", "8a:ce:4c:ff:ae:83"])
def test_address_that_a_thing_on_usb_makes_up_does_not_count(root: Path, made_up: str) -> None:
    """A phone's, a gadget's and an adapter's, each for as long as it is plugged in; those of clouds last."""
    assert make_machine(root, BUILT_IN, on_usb=(made_up,))().addresses == (BUILT_IN,)
    assert make_machine(root, made_up)().addresses == (made_up,)
    assert make_machine(root, on_usb=(CARD,))().addresses == (CARD,)


@pytest.mark.parametrize("plugged_in", ["00:01:02:03:04:05", "00:a0:c6:00:00:00", "02:50:f3:00:00:00"])
def test_stick_that_is_plugged_in_makes_no_other_device_of_one_without_storage(
    device: Device, root: Path, plugged_in: str
) -> None:
    mine: dict[str, Any] = {"installation_id": "machine", "first_run_list": True}
    first = device.start(**mine, machine=make_machine(root, BUILT_IN))
    shutil.rmtree(device.folder)
    device.channel, device.tile_channel = "https://push.example/2", "https://push.example/tile/2"
    again = device.start(**mine, machine=make_machine(root, BUILT_IN, on_usb=(plugged_in,)))
    assert again.installation_id == first.installation_id
    assert [held["installationId"] for held in device.held()] == [first.installation_id]


@pytest.mark.parametrize(
    "serial", ["c3d9b8674f4b94f6", "C3D9B8674F4B94F6", "ffffffffffffffff", "0x0", "Not Specified", "INVALID"]
)
def test_boards_with_one_serial_number_for_all_are_told_by_their_cards(
    device: Device, root: Path, serial: str
) -> None:
    mine: dict[str, Any] = {"installation_id": "machine"}
    first = device.start(**mine, machine=make_machine(root, BUILT_IN, serial=serial))
    copy, there = copied(device), make_machine(root, ANOTHER, serial=serial)
    assert copy.agent(**mine, machine=there).status().state is StartState.CLONED
    report = copy.start(**mine, machine=there)
    assert report.outcome == "registered"
    assert {held["installationId"] for held in device.held()} == {
        first.installation_id,
        report.installation_id,
    }


def test_device_that_took_the_makers_serial_number_for_its_own_stays_itself(
    device: Device, root: Path
) -> None:
    """As it did before such numbers were known: its files name the machine by one."""
    device.start(machine=make_machine(root, BUILT_IN, serial="10000000ffffabcd"))
    device.seen()
    assert device.start(machine=make_machine(root, BUILT_IN, serial="c3d9b8674f4b94f6")).requests == 0
    assert device.seen() == []


def test_addresses_do_not_get_to_disk(device: Device, root: Path) -> None:
    device.start(machine=make_machine(root, BUILT_IN))
    assert json.loads(device.files["identity.json"].read_text())["hardware"]
    for path in device.files.values():
        assert BUILT_IN not in path.read_text()
