"""Name the machine, so that a copied disk is not taken for the device that it was copied from.

A board's serial number is read from its device tree, else the machine id of the operating system. Neither is
ever stored or sent; only keyed hashes of it are.

Every start imports this module and reads two small files: ``open`` and ``os.path`` stand here in place of
``pathlib``, and string methods in place of ``re``.
"""

from __future__ import annotations

import os
import sys

from nhagent.errors import ConfigurationError
from nhagent.regular_files import read_start

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
KINDS: Final = ("serial", "machine-id", "machine-guid")
"""What names of machines begin with where they are not the app's own."""
_MACHINE_ID_CHARACTERS: Final = 32

MachineName: TypeAlias = "Callable[[], str | None]"
"""Gives what tells this machine from all others and outlives its disk, or None where nothing does."""


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


def fingerprint_of(machine: str | None, app: str, hub: str) -> str | None:
    """Make the fingerprint of a machine that is stored: a keyed hash, which tells machines apart and no more.

    Args:
        machine: the machine's name, or None where it has none.
        app: the app's name.
        hub: the hub's name.

    Returns:
        The kind of name and the hash, or None for None. The kind is there since a program in a sandbox may
        not see the serial number that another one sees.
    """
    if machine is None:
        return None
    kind = machine.partition(" ")[0]
    return f"{kind if kind in KINDS else 'name'}:{_keyed(machine, 'fingerprint', app, hub)}"


def is_another_machine(fingerprint: str, ours: str) -> bool:
    """Tell whether two fingerprints are those of two machines; False where their kinds differ."""
    kind, _, _ = fingerprint.partition(":")
    return kind == ours.partition(":")[0] and fingerprint != ours


def derived_installation_id(machine: str | None, app: str, hub: str) -> str:
    """Derive an installation id from a machine, an app and a hub; the same ones always give the same id.

    Raises:
        ConfigurationError: the machine has no name.
    """
    if machine is None:
        raise ConfigurationError(
            'installation_id "machine": this machine has neither a serial number nor a lasting machine id '
            "(/etc/machine-id)",
            "make one with systemd-machine-id-setup, or give an id of your own",
        )
    from uuid import UUID

    return str(UUID(_keyed(machine, "installation id", app, hub), version=4))


def _keyed(machine: str, purpose: str, app: str, hub: str) -> str:
    from hashlib import blake2b

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
        not "".join(filter(str.isalnum, text)).strip("0")
        or text.lstrip("0").startswith("123456789")
        or text in {"none", "unknown"}
        or text.startswith(("default", "to be "))
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
