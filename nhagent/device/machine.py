"""Which machine this is, so that a copied disk is not taken for the device that it was copied from.

A board's serial number is read from its device tree, else the machine id of the operating system. Neither is
ever stored or sent: only keyed hashes of it are.
"""

from __future__ import annotations

import os
import re
import sys
from collections.abc import Callable
from typing import Final, TypeAlias

from nhagent.errors import ConfigurationError

SERIAL_FILES: Final = (
    "/proc/device-tree/serial-number",
    "/sys/firmware/devicetree/base/serial-number",
)
MACHINE_ID_FILES: Final = ("/etc/machine-id", "/var/lib/dbus/machine-id")
MAX_BYTES: Final = 256
KINDS: Final = ("serial", "machine-id", "machine-guid")

_MACHINE_ID: Final = re.compile(r"[0-9a-f]{32}")
# What makers leave in place of a serial number, and every board of theirs then has.
_NO_SERIAL: Final = re.compile(r"[0\W_]*|0*123456789.*|none|unknown|default.*|to be .*", re.IGNORECASE)

MachineName: TypeAlias = Callable[[], str | None]
"""Gives what tells this machine from all others and outlives its disk, or None where nothing does."""


def name_of_machine(root: str = "/") -> str | None:
    """What tells this machine from others: a board's serial number, else its machine id; None: not known.

    Args:
        root: where its file systems are mounted.
    """
    if sys.platform == "win32":
        return _machine_guid()
    for path in SERIAL_FILES:
        serial = _read(root, path).strip("\0 \n")
        if not _NO_SERIAL.fullmatch(serial):
            return f"serial {serial}"
    for path in MACHINE_ID_FILES:
        machine_id = _read(root, path).strip()
        if _MACHINE_ID.fullmatch(machine_id) and not _is_transient(root, path):
            return f"machine-id {machine_id}"
    return None


def fingerprint_of(machine: str | None, app: str, hub: str) -> str | None:
    """A keyed hash of a machine's name, to be stored: it tells machines apart, and no more.

    It says of what it was made: a program in a sandbox may see no serial number where another does.
    """
    if machine is None:
        return None
    kind = machine.partition(" ")[0]
    return f"{kind if kind in KINDS else 'name'}:{_keyed(machine, 'fingerprint', app, hub)}"


def is_another_machine(fingerprint: str, ours: str) -> bool:
    """Whether two fingerprints, where they can be compared, are those of two machines."""
    kind, _, _ = fingerprint.partition(":")
    return kind == ours.partition(":")[0] and fingerprint != ours


def derived_installation_id(machine: str | None, app: str, hub: str) -> str:
    """The installation id that this machine has for an app and a hub, every time anew the same.

    Raises:
        ConfigurationError: nothing tells this machine from others.
    """
    if machine is None:
        raise ConfigurationError(
            'installation_id "machine": this machine has neither a serial number nor a lasting machine id '
            "(/etc/machine-id); make one with systemd-machine-id-setup, or give an id of your own"
        )
    from uuid import UUID

    return str(UUID(_keyed(machine, "installation id", app, hub), version=4))


def _keyed(machine: str, purpose: str, app: str, hub: str) -> str:
    from hashlib import blake2b

    message = f"nhagent\0{purpose}\0{app}\0{hub.lower()}"
    # The key is what only this machine has, and longer ones are cut: hashed first, they count in full.
    key = blake2b(machine.encode("utf-8", "surrogateescape"), digest_size=32).digest()
    return blake2b(message.encode(), key=key, digest_size=16).hexdigest()


def _read(root: str, path: str) -> str:
    try:
        with open(os.path.join(root, path.lstrip("/")), "rb") as file:
            return file.read(MAX_BYTES).decode("utf-8", "surrogateescape")
    except OSError:
        return ""


def _is_transient(root: str, path: str) -> bool:
    """Whether a machine id was made for this boot alone: systemd then mounts it from ``/run``."""
    try:
        device, volatile, lasting = (
            os.stat(os.path.join(root, part)).st_dev for part in (path.lstrip("/"), "run", "etc")
        )
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
