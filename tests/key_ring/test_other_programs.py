"""Other programs of the user: with nhagent installed, keyring serves them as it does without.

Each test compares processes: one that sees nhagent's entry point, and one that sees all packages but nhagent.
"""

from __future__ import annotations

import os
import shutil
import site
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from nhagent.device.key_ring import KEYRING_SERVICE
from nhagent.device.vault import SERVICE
from nhagent.emulator import Emulator
from nhagent.errors import CredentialError

from .machine import ROOT, Machine, Ran

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(sys.platform != "linux", reason="the others have key rings of their own"),
]

VAULT = "nhagent.device.vault.Vault"
ANOTHER_PROGRAM = """
import logging
import keyring, keyring.backend, keyring.cli, keyring.core
logging.basicConfig(level=logging.INFO)
def tell(call, *arguments):
    try:
        print(call.__name__, arguments, "gave", call(*arguments))
    except Exception as error:
        print(call.__name__, arguments, "raised", type(error), error)
print(type(keyring.get_keyring()))
for service in ("another", "nhagent-like", "", "nhagent"):
    tell(keyring.get_password, service, "user")
    tell(keyring.get_credential, service, None)
    tell(keyring.set_password, service, "user", "secret")
    tell(keyring.get_password, service, "user")
    tell(keyring.delete_password, service, "user")
keyring.core.init_backend(limit=keyring.core.recommended)
print(type(keyring.get_keyring()))
keyring.core.init_backend(limit=lambda backend: backend.priority <= 0)
print(type(keyring.get_keyring()))
print(*sorted(map(str, keyring.backend.get_all_keyring())), sep="\\n")
keyring.cli.main(["--list-backends"])
"""


def without_nhagent(machine: Machine, *arguments: str) -> Ran:
    """Run a Python that sees every package of the environment but nhagent."""
    packages = machine.folder.parent / "packages without nhagent"
    if not packages.exists():
        packages.mkdir()
        (packages / "tests").symlink_to(ROOT / "tests")
        for folder in map(Path, site.getsitepackages()):
            for package in folder.iterdir() if folder.exists() else ():
                if "nhagent" not in package.name and not (packages / package.name).exists():
                    (packages / package.name).symlink_to(package)
    kept = dict(machine.environment)
    given = [part for part in kept["PYTHONPATH"].split(os.pathsep) if part != str(ROOT)]
    machine.environment["PYTHONPATH"] = os.pathsep.join([*given, str(packages)])
    try:
        return machine.python("-S", *arguments)
    finally:
        machine.environment = kept


def in_any_order(done: Ran) -> tuple[int, list[str], list[str]]:
    """What was told; keyring keeps its backends in a set."""
    return done.code, sorted(done.out.splitlines()), sorted(done.err.splitlines())


def told_alike(machine: Machine, program: str = ANOTHER_PROGRAM) -> Ran:
    with_it = machine.python("-c", program)
    assert in_any_order(with_it) == in_any_order(without_nhagent(machine, "-c", program))
    return with_it


def sees_nhagent(machine: Machine) -> bool:
    program = "from importlib.metadata import entry_points as e; print(e(group='keyring.backends').names)"
    return "'nhagent'" in machine.python("-c", program).out


def test_comparison_is_one(machine: Machine) -> None:
    assert sees_nhagent(machine)
    program = "import keyring; print(keyring.__file__); import nhagent"
    without = without_nhagent(machine, "-c", program)
    assert without.out and "No module named 'nhagent'" in without.err


def test_without_a_key_ring_other_programs_are_told_that_there_is_none(machine: Machine) -> None:
    for has_key in (False, True):
        if has_key:
            machine.has_vault()
            assert machine.store("ours") == "Vault"
        told = told_alike(machine)
        assert (told.code, told.err) == (0, "")
        assert told.out.startswith("<class 'keyring.backends.fail.Keyring'>")
        assert told.out.count("raised <class 'keyring.errors.NoKeyringError'>") == 16
        assert "Vault" not in told.out
    assert machine.find() == "ours"


def test_list_of_backends_does_not_show_the_vault(machine: Machine) -> None:
    machine.has_vault()
    listed = machine.python("-m", "keyring", "--list-backends")
    assert in_any_order(listed) == in_any_order(without_nhagent(machine, "-m", "keyring", "--list-backends"))
    assert "keyring.backends.fail.Keyring (priority: 0)" in listed.out.splitlines()
    assert "nhagent" not in listed.out


@pytest.mark.parametrize(
    "priorities", [{"InMemory": 0.01}, {"InMemory": 5}, {"InMemory": 0.5, "Locked": 0.1}]
)
def test_key_ring_of_others_wins_whatever_its_priority(
    machine: Machine, memory: str, priorities: dict[str, float]
) -> None:
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_key_rings(**priorities)
    machine.has_vault()
    told = told_alike(machine)
    assert "('another', 'user') gave secret" in told.out
    assert not machine.vault_file.exists()
    assert machine.store("ours") == "InMemory", "for nhagent, too"


def home_is_a_file(machine: Machine) -> None:
    machine.environment["HOME"] = os.devnull


def home_is_relative(machine: Machine) -> None:
    machine.environment["HOME"] = "home"
    for name in ("XDG_DATA_HOME", "XDG_CONFIG_HOME"):
        del machine.environment[name]


def home_is_not_set(machine: Machine) -> None:
    for name in ("HOME", "USERPROFILE", "XDG_DATA_HOME", "XDG_CONFIG_HOME", "NHAGENT_STATE_DIR"):
        del machine.environment[name]


def settings_folder_is_empty_text(machine: Machine) -> None:
    machine.environment |= {"XDG_CONFIG_HOME": "", "XDG_DATA_HOME": ""}


def key_file_is_relative(machine: Machine) -> None:
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = "vault.key"
    (machine.folder / "vault.key").write_text("here")


def key_file_is_a_folder(machine: Machine) -> None:
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = str(machine.folder)


def key_file_is_a_pipe(machine: Machine) -> None:
    if sys.platform != "win32":
        os.mkfifo(machine.folder / "pipe")
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = str(machine.folder / "pipe")


def key_file_is_not_utf8(machine: Machine) -> None:
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = "/\udcff\udcfe"
    machine.environment["PYTHONUTF8"] = "0"
    machine.environment["LC_ALL"] = "C"


def key_file_is_longer_than_any_path(machine: Machine) -> None:
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = "/" + "x" * 100_000


def key_file_cannot_be_reached(machine: Machine) -> None:
    machine.has_vault().parent.chmod(0o000)


def state_folder_is_relative(machine: Machine) -> None:
    machine.has_vault()
    machine.environment["NHAGENT_STATE_DIR"] = "state"


def vault_is_corrupt(machine: Machine) -> None:
    machine.has_vault()
    machine.vault_file.parent.mkdir()
    machine.vault_file.write_text("{")


def unit_is_another_programs(machine: Machine) -> None:
    machine.has_vault()
    del machine.environment["NHAGENT_STATE_DIR"]
    machine.environment["STATE_DIRECTORY"] = str(machine.folder / "another")
    machine.environment["CREDENTIALS_DIRECTORY"] = "relative"


def appdirs_is_missing(machine: Machine) -> None:
    broken = machine.folder / "broken"
    broken.mkdir()
    (broken / "appdirs.py").write_text("raise ImportError('appdirs is missing')")
    machine.environment["PYTHONPATH"] = os.pathsep.join((str(broken), machine.environment["PYTHONPATH"]))


def properties_are_odd(machine: Machine) -> None:
    machine.has_vault()
    for name in ("MEMORY", "HAS_KEY", "_DISK", "READ"):
        machine.environment[f"KEYRING_PROPERTY_{name}"] = "odd"


ENVIRONMENTS = [
    home_is_a_file, home_is_relative, home_is_not_set, settings_folder_is_empty_text, key_file_is_relative,
    key_file_is_a_folder, key_file_is_a_pipe, key_file_is_not_utf8, key_file_is_longer_than_any_path,
    key_file_cannot_be_reached, state_folder_is_relative, vault_is_corrupt, unit_is_another_programs,
    appdirs_is_missing, properties_are_odd,
]  # fmt: skip


@pytest.mark.parametrize("is_so", ENVIRONMENTS, ids=lambda is_so: is_so.__name__)
def test_nothing_comes_out_of_keyrings_discovery(machine: Machine, is_so: Callable[[Machine], None]) -> None:
    is_so(machine)
    try:
        told = told_alike(machine)
    finally:
        if (machine.folder / "keys").exists():
            (machine.folder / "keys").chmod(0o700)  # so that pytest can remove it
    assert "nhagent.device" not in told.out + told.err
    assert told.out.startswith("<class 'keyring.backends.fail.Keyring'>")


def test_nhagent_that_is_half_installed_stops_no_other_program(machine: Machine) -> None:
    """During an upgrade, say: the vault is there, what it needs is not."""
    half = machine.folder / "half"
    (half / "nhagent" / "device").mkdir(parents=True)
    for name in ("__init__.py", "version.py", "device/__init__.py", "device/vault.py"):
        shutil.copy(ROOT / "nhagent" / name, half / "nhagent" / name)
    for name in ("errors.py", "validation.py", "filesystem.py", "device/paths.py"):
        (half / "nhagent" / name).write_text("raise ImportError('half an upgrade')")
    machine.environment["PYTHONPATH"] = os.pathsep.join((str(half), str(ROOT)))
    probed = machine.python("-c", "import nhagent.device.vault as v; print(v.__file__, v.Vault.has_key())")
    assert probed.out == f"{half / 'nhagent' / 'device' / 'vault.py'} False\n"
    told_alike(machine)


def test_other_programs_do_not_pay_for_the_vault(machine: Machine) -> None:
    machine.has_vault()
    program = "import sys, keyring; keyring.get_keyring(); print(*sys.modules)"
    with_it, without = machine.python("-c", program), without_nhagent(machine, "-c", program)
    added = set(with_it.out.split()) - set(without.out.split())
    ours = {name for name in added if name.partition(".")[0] == "nhagent"}
    assert ours == {"nhagent", "nhagent.device", "nhagent.device.vault", "nhagent.version"}
    assert added.isdisjoint({"cryptography", "appdirs", "json", "fcntl"})


ASKS_THE_VAULT = """
import keyring
from keyring.errors import PasswordDeleteError, PasswordSetError
print(type(keyring.get_keyring()).__name__)
for service in ("another", "Nhagent", "nhagent ", ""):
    assert keyring.get_password(service, "user") is None
    assert keyring.get_credential(service, "user") is None
    try:
        keyring.set_password(service, "user", "secret")
    except PasswordSetError as error:
        print(error)
    try:
        keyring.delete_password(service, "user")
    except PasswordDeleteError as error:
        print(error)
keyring.set_password("nhagent", "user", "ours")
assert keyring.get_password("nhagent", "user") == "ours"
keyring.delete_password("nhagent", "user")
"""


@pytest.mark.parametrize("by", ["environment", "settings of keyring"])
def test_named_vault_keeps_nothing_of_other_services(machine: Machine, by: str) -> None:
    machine.has_vault()
    if by == "environment":
        machine.takes(VAULT)
    else:
        program = "from keyring.util import platform_; print(platform_.config_root())"
        folder = Path(machine.python("-c", program).out.strip())
        folder.mkdir(parents=True)
        (folder / "keyringrc.cfg").write_text(f"[backend]\ndefault-keyring={VAULT}\n")
    asked = machine.python("-c", ASKS_THE_VAULT)
    assert (asked.code, asked.err) == (0, "")
    assert asked.out.splitlines() == [
        "Vault",
        *[
            "nhagent's vault keeps no secrets of other programs; choose another key ring",
            "nhagent's vault holds no secrets of other programs",
        ]
        * 4,
    ]
    assert b"another" not in machine.vault_file.read_bytes()


def test_vault_answers_for_the_name_that_nhagent_asks_for() -> None:
    assert SERVICE == KEYRING_SERVICE == "nhagent"


def test_nhagent_asks_the_vault_last(machine: Machine, memory: str) -> None:
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    machine.has_vault()
    assert machine.store("in the vault") == "Vault"
    assert machine.find() == "in the vault"
    for others in ({"InMemory": 0.01}, {"InMemory": 5, "InMemoryToo": 0.1}, {"NotSetUp": 5, "InMemory": 0.1}):
        machine.has_key_rings(**others)
        assert machine.find() == "in the vault", "the others hold nothing yet"
        assert machine.store("in memory") == "InMemory"
        assert machine.find() == "in memory"
        assert machine.remove() == ["InMemory", "Vault"]
        machine.environment["INSTALLED_KEY_RINGS"] = "{}"
        assert machine.store("in the vault") == "Vault"


def test_vault_stands_behind_a_key_ring_that_is_named(machine: Machine, memory: str) -> None:
    machine.takes("InMemory", memory=memory)
    machine.store("in memory")
    machine.has_vault(to_be_found=True)
    assert machine.find() == "in memory"
    machine.remove()
    with pytest.raises(CredentialError, match="no connection string was found"):
        machine.find()
    machine.takes("keyring.backends.fail.Keyring")
    assert machine.store("in the vault") == "Vault"
    machine.takes("InMemory", memory=memory)
    assert machine.find() == "in the vault"
    assert machine.remove() == ["Vault"]


def test_vault_is_not_kept_in_the_folder_of_another_programs_unit(machine: Machine) -> None:
    machine.has_vault()
    del machine.environment["NHAGENT_STATE_DIR"]
    foreign, own = machine.folder / "another", machine.folder / "var" / "nhagent"
    for folder in (foreign, own):
        folder.mkdir(parents=True)
    assert machine.store("of the user") == "Vault"
    for unit in (str(foreign), f"{foreign}:{foreign}/nhagent-too", f"{own}/another"):
        machine.environment["STATE_DIRECTORY"] = unit
        assert machine.find() == "of the user"
    assert [*foreign.iterdir(), *own.iterdir()] == []
    machine.environment["STATE_DIRECTORY"] = f"{foreign}:{own}"
    assert machine.store("of the daemon") == "Vault"
    assert (own / "vault.json").exists()
    del machine.environment["STATE_DIRECTORY"]
    assert machine.find() == "of the user"


def test_commands_find_the_vault_that_keyring_does_not_choose(
    machine: Machine, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = str(machine.folder / "vault.key")
    assert machine.run("vault", "init").code == 0
    assert machine.run("login", "--json", stdin=notification_hub.listen).document["key_ring"] == "Vault"
    doctor = machine.run("doctor")
    assert (doctor.code, "credentials    key ring entry 'nhagent'" in doctor.out) == (0, True), doctor.out
    assert machine.run("register", "--json").document["outcome"] == "registered"
    assert machine.run("logout", "--json").document["removed_from"] == ["Vault"]
