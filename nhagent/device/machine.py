"""Name the machine, so that a copied disk is not taken for the device that it was copied from.

A board's serial number is read from its device tree. Where there is none, the machine id of the operating
system is taken, which a copied disk carries along, and so beside it the addresses of physical network
interfaces, which no disk carries. None of them is ever stored or sent; only keyed hashes of them are.

Every start imports this module and reads a few small files, once in a process: ``os.path`` stands here in
place of ``pathlib``, and string methods in place of ``re``.
"""

from __future__ import annotations

import os
import sys
from functools import lru_cache

from nhagent.errors import ConfigurationError
from nhagent.regular_files import read_start
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final, TypeAlias

SERIAL_FILES: Final = (
    "/proc/device-tree/serial-number",
    "/sys/firmware/devicetree/base/serial-number",
)
MACHINE_ID_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
MAX_BYTES: Final = 256
"""How much of a serial number or a machine id is read."""
CONTAINER_MARKS: Final = ("/.dockerenv", "/run/.containerenv")
"""Files that stand in containers whose own files live no longer than they do."""
NETWORK: Final = "/sys/class/net"
MAX_INTERFACES: Final = 32
"""How many network interfaces are looked at, and how many addresses are remembered."""
SERIAL: Final = "serial"
KINDS: Final = (SERIAL, "machine-id", "machine-guid")
"""What names of machines begin with where they are not the app's own."""
_MACHINE_ID_CHARACTERS: Final = 32
_ADDRESS_CHARACTERS: Final = 17
_SHARED_ADDRESSES: Final = (
    "52:54:00:12:34:",  # QEMU's, where nobody chose one
    "0c:5b:8f:27:9a:64",  # of every HiLink modem of Huawei's
    "00:90:4c:",  # in firmware of Broadcom's Wi-Fi, where the board gives none
    "00:03:7f:12:34:",  # in Qualcomm's calibration data, where nobody calibrated
    "00:0a:35:00:",  # in Xilinx's reference designs
    "00:e0:4c:53:44:58",  # of USB adapters with a DM9601, SR9700, or a copy of one
    "00:a0:c6:00:00:00",  # of Qualcomm's modems with faulty firmware
)
"""How addresses begin that a maker gives to many machines."""
_SHARED_SERIALS: Final = frozenset(
    {
        "c3d9b8674f4b94f6",  # Rockchip's boot loader, where the maker burnt none
        *("none", "unknown", "invalid", "empty", "n/a", "na", "oem"),
        *("serial number", "system serial number"),
    }
)
"""What stands in place of serial numbers, in lower case."""
_MADE_UP: Final = frozenset("26ae")
"""Second digit of addresses that no maker gave, nor answers for."""


class Machine(Value):
    """What tells a machine from others.

    Attributes:
        name: the kind of name and the name; an app's own may have any form; None where it has none.
        addresses: of its physical network interfaces.
        built_in: those of them that are on no USB, whose cards come and go.
        is_lasting: the name outlives the container that this program runs in.
    """

    name: str | None = None
    addresses: tuple[str, ...] = ()
    is_lasting: bool = True
    built_in: tuple[str, ...] = ()
    _hidden = frozenset({"name", "addresses", "built_in"})


class Fingerprint(Value):
    """What is stored of a machine: keyed hashes, which tell machines apart and no more.

    Attributes:
        name: the kind of name and the hash, or None. The kind is there since a program in a sandbox may not
            see the serial number that another one sees.
        hardware: hashes of the addresses of its network interfaces; empty where none could be seen.
    """

    name: str | None = None
    hardware: tuple[str, ...] = ()

    def is_of(self, ours: Fingerprint) -> bool | None:
        """Tell whether this was taken on the machine that ``ours`` is of; None where nothing says so.

        A serial number decides alone. Else one interface that both have is enough: another may have been
        exchanged, and the machine id made again with its container.
        """
        kind, kind_of_ours = (self.name or "").partition(":")[0], (ours.name or "").partition(":")[0]
        if kind != SERIAL or kind_of_ours != SERIAL:
            if self.hardware and ours.hardware:
                return not set(self.hardware).isdisjoint(ours.hardware)
            if not kind or kind != kind_of_ours:
                return None
        return self.name == ours.name

    def joined(self, ours: Fingerprint) -> Fingerprint:
        """Give what is known of this machine by now; a part of its hardware may be out of sight today."""
        name, hardware = self.name, self.hardware
        if ours.name is not None and (name is None or name.partition(":")[0] == ours.name.partition(":")[0]):
            name = ours.name
        if not set(hardware).issuperset(ours.hardware):
            hardware = tuple(dict.fromkeys((*ours.hardware, *hardware)))[:MAX_INTERFACES]
        return self if (name, hardware) == (self.name, self.hardware) else Fingerprint(name, hardware)


MachineName: TypeAlias = "Callable[[], str | Machine | None]"
"""Gives what tells this machine from all others and outlives its disk, or None where nothing does."""

_this_machine: Machine | None = None


def this_machine() -> Machine:
    """Look at this machine, once in a process; see `look_at_machine`."""
    global _this_machine  # noqa: PLW0603 - it stays the same while a process lives
    if _this_machine is None:
        _this_machine = look_at_machine()
    return _this_machine


def look_at_machine(root: str = "/") -> Machine:
    """Find what tells this machine from others.

    Args:
        root: where the machine's file systems are mounted.
    """
    name = name_of_machine(root)
    is_lasting = name is None or name.startswith(SERIAL) or not _is_of_container(root)
    cards = _cards(root)
    built_in = tuple([address for address, is_usb in cards.items() if not is_usb])
    return Machine(name, tuple(cards), is_lasting, built_in)


def name_of_machine(root: str = "/") -> str | None:
    """Name this machine by its board's serial number, else by its machine id.

    Args:
        root: where the machine's file systems are mounted.

    Returns:
        The kind of name and the name, or None where the machine has neither.
    """
    if sys.platform == "win32":
        return _machine_guid()
    for path in SERIAL_FILES:
        serial = _read(root, path).strip("\0 \n")
        if not _is_placeholder(serial):
            return f"serial {serial}"
    for path in MACHINE_ID_FILES:
        machine_id = _read(root, path).strip()
        if _is_machine_id(machine_id) and not _is_transient(root, path):
            return f"machine-id {machine_id}"
    return None


@lru_cache(maxsize=8)
def fingerprint_of(machine: str | Machine | None, app: str, hub: str) -> Fingerprint:
    """Make the fingerprint of a machine that is stored.

    Args:
        machine: the machine, or its name, or None where it has none.
        app: the app's name.
        hub: the hub's name.
    """
    if not isinstance(machine, Machine):
        machine = Machine(machine)
    name = None
    if machine.name is not None and machine.is_lasting:
        kind = machine.name.partition(" ")[0]
        name = f"{kind if kind in KINDS else 'name'}:{_keyed(machine.name, 'fingerprint', app, hub)}"
    return Fingerprint(name, tuple([_keyed(each, "address", app, hub) for each in machine.addresses]))


def derived_installation_id(machine: str | Machine | None, app: str, hub: str) -> str:
    """Derive an installation id from a machine, an app and a hub; the same ones always give the same id.

    Where a machine id names the machine, one of its addresses counts too: copies of a disk share the id. It
    is one of a built-in card where there is one: a modem or an adapter that is plugged in changes nothing.

    Raises:
        ConfigurationError: the machine has no name.
    """
    if not isinstance(machine, Machine):
        machine = Machine(machine)
    if machine.name is None:
        raise ConfigurationError(
            'installation_id "machine": this machine has neither a serial number nor a lasting machine id '
            "(/etc/machine-id)",
            "make one with systemd-machine-id-setup, or give an id of your own",
        )
    from uuid import UUID

    name = machine.name
    if machine.addresses and not name.startswith(SERIAL):
        name += f" {min(machine.built_in or machine.addresses)}"
    return str(UUID(_keyed(name, "installation id", app, hub), version=4))


def _keyed(machine: str, purpose: str, app: str, hub: str) -> str:
    from nhagent.hashes import blake2b

    message = f"nhagent\0{purpose}\0{app}\0{hub.lower()}"
    # The key is what only this machine has. blake2b refuses long keys: hashed first, the name counts in full.
    key = blake2b(machine.encode("utf-8", "surrogateescape"), digest_size=32).digest()
    return blake2b(message.encode(), key=key, digest_size=16).hexdigest()


def _read(root: str, path: str) -> str:
    try:
        content = read_start(os.path.join(root, path.lstrip("/")), MAX_BYTES)
    except OSError:
        return ""
    return content.decode("utf-8", "surrogateescape")


def _is_placeholder(serial: str) -> bool:
    """Tell whether this is what makers leave in place of a serial number; all their boards then have it."""
    text = serial.lower()
    return (
        len(set(filter(str.isalnum, text.removeprefix("0x")))) <= 1  # as 0000 and ffff, or nothing at all
        or text.lstrip("0").startswith("123456789")
        or text in _SHARED_SERIALS
        or text.startswith(("default", "to be ", "not "))
    )


def _is_machine_id(text: str) -> bool:
    return len(text) == _MACHINE_ID_CHARACTERS and set("0123456789abcdef").issuperset(text)


def _is_transient(root: str, path: str) -> bool:
    """Tell whether a machine id was made for this boot alone: systemd then mounts it from ``/run``."""
    try:
        device, volatile, lasting = [
            os.stat(os.path.join(root, part)).st_dev for part in (path.lstrip("/"), "run", "etc")
        ]
    except OSError:
        return False
    return device == volatile != lasting


def _is_of_container(root: str) -> bool:
    """Tell whether the machine id is a file of this container's own, and not one of its host's."""
    if not any(os.path.exists(os.path.join(root, mark.lstrip("/"))) for mark in CONTAINER_MARKS):
        return False
    try:
        return (
            os.stat(os.path.join(root, "etc/machine-id")).st_dev == os.stat(os.path.join(root, "etc")).st_dev
        )
    except OSError:
        return False


def _cards(root: str) -> dict[str, bool]:
    """The lasting addresses of physical network interfaces that the kernel shows here; which are on USB."""
    folder = os.path.join(root, NETWORK.lstrip("/"))
    found: dict[str, bool] = {}
    try:
        for interface in sorted(os.listdir(folder))[:MAX_INTERFACES]:
            path = os.path.join(folder, interface)
            # A virtual interface has no device, and 0 is an address that nobody made up or set.
            if os.path.exists(f"{path}/device") and _read(path, "addr_assign_type").strip() == "0":
                address, is_usb = _read(path, "address").strip().lower(), _is_on_usb(path)
                # Phones, gadgets and modems make one up whenever they are plugged in, and call it their own.
                if _is_address(address) and not (is_usb and address[1] in _MADE_UP):
                    found.setdefault(address, is_usb)
    except OSError:
        pass
    return found


def _is_on_usb(interface: str) -> bool:
    try:
        return os.path.basename(os.readlink(f"{interface}/device/subsystem")) == "usb"
    except OSError:
        return False


def _is_address(text: str) -> bool:
    return (
        len(text) == _ADDRESS_CHARACTERS
        and bool(text.strip("0:"))
        and bool(text.strip("f:"))
        and not text.startswith(_SHARED_ADDRESSES)
    )


if sys.platform == "win32":
    import winreg

    def _machine_guid() -> str | None:
        try:
            with winreg.OpenKey(
                winreg.HKEY_LOCAL_MACHINE,
                r"SOFTWARE\Microsoft\Cryptography",
                access=winreg.KEY_READ | winreg.KEY_WOW64_64KEY,
            ) as key:
                return f"machine-guid {winreg.QueryValueEx(key, 'MachineGuid')[0]}"
        except OSError:
            return None

else:

    def _machine_guid() -> str | None:
        raise AssertionError
