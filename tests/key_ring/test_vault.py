"""The vault: what is on the disk, and what happens when the key or the file is not what it was."""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from base64 import b64decode, b64encode
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nhagent.device.vault_entries import make_key
from nhagent.emulator import Emulator
from nhagent.errors import CredentialError, KeyringLocked
from nhagent.filesystem import Disk, locked

from .machine import KeyRingProcess, Machine

pytestmark = pytest.mark.slow

SECRET = "Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=Listen;SharedAccessKey=c2VjcmV0"


@pytest.fixture
def key_file(machine: Machine) -> Path:
    """The key of the machine's vault, which it thereby has."""
    return machine.has_vault(to_be_found=False)


def entries(machine: Machine) -> list[dict[str, str]]:
    found: list[dict[str, str]] = json.loads(machine.vault_file.read_text())["entries"]
    return found


def write_entries(machine: Machine, changed: list[dict[str, str]]) -> None:
    machine.vault_file.write_text(json.dumps({"schema": 1, "entries": changed}))


def test_disk_holds_the_secret_sealed_and_for_its_owner_alone(machine: Machine, key_file: Path) -> None:
    with machine.process() as process:
        assert process.store("thermostat", "my-hub", SECRET) == "Vault"
        [entry] = entries(machine)
        process.store("thermostat", "my-hub", SECRET)
    assert entries(machine) != [entry], "the same text is never sealed alike twice"
    assert b"c2VjcmV0" not in machine.all_it_keeps()
    assert b"SharedAccessKey" not in machine.all_it_keeps()
    assert (entry["service"], entry["user"]) == ("nhagent", "thermostat/my-hub")
    assert len(b64decode(entry["sealed"])) == 12 + len(SECRET) + 16
    assert len(b64decode(key_file.read_bytes())) == 32
    if sys.platform != "win32":
        for file in (key_file, machine.vault_file):
            assert stat.S_IMODE(file.stat().st_mode) == 0o600
            assert stat.S_IMODE(file.parent.stat().st_mode) == 0o700


def test_without_a_key_keyring_goes_on_without_the_vault(machine: Machine, memory: str) -> None:
    with pytest.raises(CredentialError, match='run "nhagent vault init"'):
        machine.store(SECRET)
    assert not machine.vault_file.exists()
    machine.has_key_rings(InMemory=0.1)
    machine.environment["KEYRING_PROPERTY_MEMORY"] = memory
    assert machine.store(SECRET) == "InMemory"
    machine.takes("nhagent.device.vault.Vault")
    with pytest.raises(CredentialError, match=r"the vault has no key at .*correct \$PYTHON_KEYRING_BACKEND"):
        machine.find()


def test_relative_key_file_is_no_vault(machine: Machine) -> None:
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = "vault.key"
    init = machine.run("vault", "init", "--json")
    assert (init.code, init.error["type"]) == (78, "ConfigurationError")
    assert "is relative; give its absolute path" in init.error["message"]


def test_vault_init_makes_a_key_and_never_overwrites_one(machine: Machine) -> None:
    key_file = machine.folder / "new" / "folder" / "vault.key"
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = str(key_file)
    first = machine.run("vault", "init")
    assert first.code == 0
    assert str(key_file) in first.out and str(machine.vault_file) in first.out
    key = key_file.read_bytes()
    assert key.decode().strip() not in first.out + first.err
    again = machine.run("vault", "init", "--json")
    assert (again.code, again.error["type"], again.error["retryable"]) == (78, "CredentialError", False)
    assert "is there already" in again.error["message"]
    assert key_file.read_bytes() == key
    key_file.unlink()
    renewed = machine.run("vault", "init", "--json")
    assert renewed.document == {
        "schema": 1,
        "key_file": str(key_file),
        "vault_file": str(machine.vault_file),
        "error": None,
    }
    assert key_file.read_bytes() != key


def test_several_vault_inits_at_once_make_one_key(machine: Machine) -> None:
    key_file = machine.folder / "keys" / "vault.key"
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = str(key_file)
    with ThreadPoolExecutor(4) as pool:
        codes = sorted(done.code for done in pool.map(lambda _: machine.run("vault", "init"), range(4)))
    assert codes == [0, 78, 78, 78]
    assert len(b64decode(key_file.read_bytes())) == 32


def test_vault_init_that_cannot_write_says_so(machine: Machine) -> None:
    (machine.folder / "file").write_text("")
    machine.environment["NHAGENT_VAULT_KEY_FILE"] = str(machine.folder / "file" / "vault.key")
    init = machine.run("vault", "init", "--json")
    assert (init.code, init.error["type"]) == (78, "CredentialError")
    assert "cannot be written (Not a directory); correct that, or name another" in init.error["message"]


def test_vault_init_while_another_one_runs_can_be_tried_again(
    machine: Machine, monkeypatch: pytest.MonkeyPatch
) -> None:
    key_file = machine.folder / "vault.key"
    monkeypatch.setenv("NHAGENT_VAULT_KEY_FILE", str(key_file))
    with (
        locked(Disk(), f"{key_file}.lock", 1, time.sleep),
        pytest.raises(KeyringLocked, match="another process is making it; try again"),
    ):
        make_key(seconds=0)
    assert KeyringLocked.retryable
    assert make_key() == str(key_file)


def test_key_that_systemd_hands_over_opens_the_vault(
    machine: Machine, key_file: Path, notification_hub: Emulator
) -> None:
    machine.belongs_to(notification_hub)
    assert machine.run("login", stdin=notification_hub.listen).code == 0
    credentials = machine.folder / "credentials"
    credentials.mkdir()
    key_file.rename(credentials / "nhagent.vault-key")
    (credentials / "nhagent.vault-key").chmod(0o440)
    del machine.environment["NHAGENT_VAULT_KEY_FILE"]
    with pytest.raises(CredentialError):
        machine.find(hub=notification_hub.hub)
    machine.environment["CREDENTIALS_DIRECTORY"] = str(credentials)
    register = machine.run("register", "--json")
    assert (register.code, register.document["outcome"]) == (0, "registered"), register.err


def test_wrong_key_is_told_as_locked_and_the_right_one_opens_again(machine: Machine, key_file: Path) -> None:
    with machine.process() as process:
        process.store("app", "hub", SECRET)
        key = key_file.read_bytes()
        key_file.write_bytes(b64encode(os.urandom(32)))
        with pytest.raises(KeyringLocked, match="put the right key back, or log in again"):
            process.find("app", "hub")
        key_file.write_bytes(key)
        assert process.find("app", "hub") == SECRET


def test_logging_in_again_under_a_new_key_mends_a_vault_whose_key_was_lost(
    machine: Machine, key_file: Path
) -> None:
    with machine.process() as process:
        process.store("thermostat", "my-hub", SECRET)
        process.store("another", "my-hub", "another secret")
        key_file.write_bytes(b64encode(os.urandom(32)))
        process.store("thermostat", "my-hub", "new")
        assert process.find("thermostat", "my-hub") == "new"
        with pytest.raises(KeyringLocked, match="log in again"):
            process.find("another", "my-hub")


def test_what_is_no_key_is_refused(machine: Machine, key_file: Path) -> None:
    with machine.process() as process:
        for content, words in (
            (b"", "is not a key of 32 bytes; put the right one back, or remove it"),
            (b64encode(bytes(31)), "is not a key of 32 bytes"),
            (b64encode(bytes(33)), "is not a key of 32 bytes"),
            (bytes(32), "is not a key; put the right one back"),
            (b"\xff" * 44, "holds no text"),
            (b"not base64 at all!", "is not a key"),
            (b"A" * 20_000, "is too large"),
        ):
            key_file.write_bytes(content)
            with pytest.raises(KeyringLocked, match=words):
                process.store("app", "hub", SECRET)
            assert not machine.vault_file.exists()


@pytest.mark.skipif(sys.platform == "win32", reason="its modes say nothing")
def test_key_file_that_others_may_read_is_refused_until_it_is_mended(
    machine: Machine, key_file: Path
) -> None:
    with machine.process() as process:
        for mode in (0o640, 0o604, 0o660):
            key_file.chmod(mode)
            with pytest.raises(KeyringLocked, match="others may read it; run chmod 600 on it"):
                process.store("app", "hub", SECRET)
        assert not machine.vault_file.exists()
        key_file.chmod(0o600)
        process.store("app", "hub", SECRET)
        key_file.chmod(0o640)
        with pytest.raises(KeyringLocked, match="others may read it; run chmod 600 on it"):
            process.find("app", "hub")


def test_key_file_that_goes_in_between_is_told(machine: Machine, key_file: Path) -> None:
    with machine.process() as process:
        process.store("app", "hub", SECRET)
        key_file.unlink()
        with pytest.raises(KeyringLocked, match="No such file or directory; check"):
            process.find("app", "hub")


def test_entries_that_are_swapped_between_owners_do_not_open(machine: Machine, key_file: Path) -> None:
    def swap(first: dict[str, str], second: dict[str, str]) -> None:
        first["sealed"], second["sealed"] = second["sealed"], first["sealed"]

    def rename(first: dict[str, str], second: dict[str, str]) -> None:
        first["user"], second["user"] = second["user"], first["user"]

    changes: list[Callable[[dict[str, str], dict[str, str]], None]] = [swap, rename]
    with machine.process() as process:
        for change in changes:
            process.store("a", "hub", SECRET)
            process.store("b", "hub", "another secret")
            changed = entries(machine)
            change(*changed)
            write_entries(machine, changed)
            with pytest.raises(KeyringLocked, match="does not open this entry"):
                process.find("a", "hub")


NO_VAULTS = [
    b"", b"{", b"null", b"[]", b'"text"', b"\xff\xfe\x00", b"[" * 100_000, b"9" * 5000, b"{}",
    b'{"schema": 1}', b'{"schema": 1, "entries": null}', b'{"schema": 1, "entries": [1]}',
    b'{"schema": 2, "entries": []}', b'{"schema": 0, "entries": []}',
    b'{"schema": 1, "entries": [{"service": "nhagent", "user": "thermostat/my-hub"}]}',
    b'{"schema": 1, "entries": [{"service": 1, "user": 2, "sealed": 3}]}',
    b" " * 1024 * 1024 + b'{"schema": 1, "entries": []}',
]  # fmt: skip


def test_file_that_is_no_vault_is_told_and_never_overwritten(machine: Machine, key_file: Path) -> None:
    machine.vault_file.parent.mkdir()
    with machine.process() as process:
        for content in NO_VAULTS:
            machine.vault_file.write_bytes(content)
            for ask in (
                lambda: process.find("app", "hub"),
                lambda: process.store("app", "hub", SECRET),
                lambda: process.remove("app", "hub"),
            ):
                with pytest.raises(CredentialError, match="is corrupt; move it away and log in again"):
                    ask()
            assert machine.vault_file.read_bytes() == content


def test_folder_in_place_of_the_vault_is_told(machine: Machine, key_file: Path) -> None:
    machine.vault_file.mkdir(parents=True)
    with machine.process() as process:
        told = r"cannot be read \(.*\); .* move it away and log in"
        with pytest.raises(CredentialError, match=told):
            process.find("app", "hub")
        with pytest.raises(CredentialError, match=told):
            process.store("app", "hub", SECRET)


def test_secret_that_the_vault_has_no_room_for_leaves_it_as_it_was(machine: Machine, key_file: Path) -> None:
    with machine.process() as process:
        process.store("app", "hub", SECRET)
        before = machine.vault_file.read_bytes()
        with pytest.raises(CredentialError, match=r"would grow past 1048576 bytes.* elsewhere"):
            process.store("another", "hub", "x" * 800_000)
        assert machine.vault_file.read_bytes() == before
        assert process.find("app", "hub") == SECRET


def test_state_folder_that_cannot_be_made_is_told(machine: Machine, key_file: Path, unwritable: Path) -> None:
    machine.environment["NHAGENT_STATE_DIR"] = str(unwritable)
    with pytest.raises(CredentialError, match=r"key ring Vault: .*Not a directory"):
        machine.store(SECRET)


_DOCUMENT = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5),
    lambda part: st.lists(part, max_size=3) | st.dictionaries(st.text(max_size=5), part, max_size=3),
    max_leaves=5,
)


@pytest.fixture(scope="module")
def vault(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Machine, KeyRingProcess, bytes]]:
    """A machine whose vault holds two entries, a process that asks it, and the vault's file as it was."""
    machine = Machine(tmp_path_factory.mktemp("damage") / "machine")
    machine.has_vault(to_be_found=False)
    with machine.process() as process:
        process.store("app", "hub", SECRET)
        process.store("another", "hub", "another secret")
        yield machine, process, machine.vault_file.read_bytes()


@settings(max_examples=200)
@given(data=st.data())
def test_damaged_file_opens_whole_or_is_told(
    vault: tuple[Machine, KeyRingProcess, bytes], data: st.DataObject
) -> None:
    machine, process, whole = vault
    place = data.draw(st.integers(0, len(whole)))
    damage = data.draw(
        st.sampled_from(["cut", "flip", "insert", "drop", "noise", "replace part", "replace all"])
    )
    match damage:
        case "cut":
            content = whole[:place]
        case "flip":
            flipped = whole[place : place + 1]
            content = whole[:place] + bytes(byte ^ 1 << data.draw(st.integers(0, 7)) for byte in flipped)
            content += whole[place + 1 :]
        case "insert":
            content = whole[:place] + data.draw(st.binary(min_size=1, max_size=3)) + whole[place:]
        case "drop":
            content = whole[:place] + whole[place + data.draw(st.integers(1, 40)) :]
        case "noise":
            content = data.draw(st.binary(max_size=200))
        case "replace part":
            document = json.loads(whole)
            part = data.draw(st.sampled_from([document, *document["entries"]]))
            part[data.draw(st.sampled_from(sorted(part)))] = data.draw(_DOCUMENT)
            content = json.dumps(document).encode()
        case _:
            content = json.dumps(data.draw(_DOCUMENT)).encode()
    machine.vault_file.write_bytes(content)
    try:
        found = process.find("app", "hub")
    except CredentialError as error:
        assert "log in again" in str(error) or 'run "nhagent login"' in str(error)
        assert "c2VjcmV0" not in machine.shown[-1] + str(error)
    else:
        assert found == SECRET
    assert SECRET.encode() not in machine.vault_file.read_bytes()


def test_entry_under_the_hubs_name_as_it_was_written_is_found_and_removed(
    machine: Machine, key_file: Path
) -> None:
    store = "import sys, keyring; keyring.set_password('nhagent', *sys.argv[1:])"
    assert machine.python("-c", store, "app/My-Hub", "as older versions stored it").code == 0
    with machine.process() as process:
        assert process.find("app", "My-Hub") == "as older versions stored it"
        process.store("app", "My-Hub", "new")
        assert process.find("app", "My-Hub") == "new"
        assert process.remove("app", "My-Hub") == ["Vault"]
    assert entries(machine) == []


def test_processes_that_write_at_once_lose_nothing(machine: Machine, key_file: Path) -> None:
    def write(name: str) -> None:
        with machine.process() as process:
            for number in range(20):
                process.store(f"{name}-{number}", "hub", f"{name} {number}")
                if number % 2:
                    process.remove(f"{name}-{number}", "hub")

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(write, ("a", "b")))
    with machine.process() as process:
        for name in ("a", "b"):
            for number in range(0, 20, 2):
                assert process.find(f"{name}-{number}", "hub") == f"{name} {number}"
    assert len(entries(machine)) == 20
