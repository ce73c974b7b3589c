"""What is said of credentials that cannot be used: each fact and each hint in its place, nothing parsed."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import keyring.errors
import pytest

from nhagent.device import paths
from nhagent.device.credential_sources import present
from nhagent.device.key_ring_calls import as_credential_error
from nhagent.device.vault import Vault
from nhagent.device.vault_entries import make_key
from nhagent.errors import CredentialError, KeyringLocked


def test_sources_are_named_in_order_whether_they_can_be_used_or_not(tmp_path: Path) -> None:
    environment = {"NHAGENT_CONNECTION_STRING": " "}
    assert present(environment) == []
    environment["CREDENTIALS_DIRECTORY"] = str(tmp_path)
    assert present(environment) == []
    environment |= {"NHAGENT_CONNECTION_STRING": "x", "NHAGENT_CONNECTION_STRING_FILE": "/absent: really"}
    (tmp_path / "nhagent.connection-string").write_bytes(b"\xff")
    assert present(environment) == [
        "systemd credential nhagent.connection-string",
        "$NHAGENT_CONNECTION_STRING_FILE",
        "$NHAGENT_CONNECTION_STRING",
    ]


@pytest.fixture
def vault_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where a vault without a key has its file."""
    monkeypatch.setenv("NHAGENT_STATE_DIR", str(tmp_path))
    monkeypatch.setenv("NHAGENT_VAULT_KEY_FILE", str(tmp_path / "no.key"))
    return tmp_path / "vault.json"


def raised_by(call: Callable[[], object]) -> keyring.errors.KeyringError:
    with pytest.raises(keyring.errors.KeyringError) as caught:
        call()
    return caught.value


def test_vault_tells_other_programs_what_it_tells_us(vault_file: Path) -> None:
    vault = Vault()
    vault_file.write_text("{")
    corrupt = raised_by(lambda: vault.get_password("nhagent", "app/hub"))
    assert str(corrupt) == f"vault file {str(vault_file)!r}: is corrupt; move it away and log in again"
    ours = as_credential_error(corrupt, vault)
    assert type(ours) is CredentialError
    assert ours.fact == f"key ring Vault: vault file {str(vault_file)!r}: is corrupt"
    assert ours.hint == "move it away and log in again"

    locked = raised_by(lambda: vault.set_password("nhagent", "app/hub", "secret"))
    assert isinstance(locked, keyring.errors.KeyringLocked)
    ours = as_credential_error(locked, vault)
    assert type(ours) is KeyringLocked
    assert ours.fact.startswith("key ring Vault: vault key ")
    assert ours.hint == "check the path"


def test_removing_what_the_vault_does_not_hold_is_keyrings_own_error(vault_file: Path) -> None:
    error = raised_by(lambda: Vault().delete_password("nhagent", "app/hub"))
    assert isinstance(error, keyring.errors.PasswordDeleteError)
    assert str(error) == "the vault holds no such entry"


def test_relative_place_of_the_vault_is_told_as_credential_error(
    vault_file: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asks: dict[str, Callable[[], object]] = {
        "NHAGENT_STATE_DIR": lambda: Vault().get_password("nhagent", "app/hub"),
        "NHAGENT_VAULT_KEY_FILE": lambda: Vault().set_password("nhagent", "app/hub", "secret"),
    }
    for name, ask in asks.items():
        with monkeypatch.context() as environment:
            environment.setenv(name, "here")
            error = raised_by(ask)
            ours = as_credential_error(error, Vault())
            assert type(ours) is CredentialError
            assert ours.fact.startswith(f"key ring Vault: ${name}") and ours.fact.endswith("is relative")
            assert ours.hint == "give its absolute path"
    assert not vault_file.exists()


def test_secret_that_cannot_be_encoded_is_keyrings_own_error(
    vault_file: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("NHAGENT_VAULT_KEY_FILE", str(tmp_path / "vault.key"))
    make_key()
    error = raised_by(lambda: Vault().set_password("nhagent", "app/hub", "secret\udcff"))
    assert isinstance(error, keyring.errors.PasswordSetError)
    assert str(error).startswith("the vault cannot be used (UnicodeEncodeError")
    assert not vault_file.exists()


def test_other_services_do_not_even_meet_a_vault_that_cannot_be_used(vault_file: Path) -> None:
    vault_file.write_text("{")
    vault = Vault()
    for service in ("another", "NHAGENT", "nhagent/", ""):
        assert vault.get_password(service, "app/hub") is None
        assert vault.get_credential(service, "app/hub") is None
        refused = raised_by(lambda service=service: vault.set_password(service, "app/hub", "secret"))  # type: ignore[misc]
        assert isinstance(refused, keyring.errors.PasswordSetError)
        assert "keeps no secrets of other programs" in str(refused)
        refused = raised_by(lambda service=service: vault.delete_password(service, "app/hub"))  # type: ignore[misc]
        assert isinstance(refused, keyring.errors.PasswordDeleteError)
    assert vault_file.read_text() == "{"


def test_state_directory_of_another_unit_is_not_the_vaults() -> None:
    own = "/var/lib/nhagent"
    for of_the_unit in (own, f"{own}/", f"/var/lib/another:{own}", f"{own}:/var/lib/another"):
        assert paths.vault_file({"STATE_DIRECTORY": of_the_unit}) == os.path.join(
            of_the_unit.split(":")[of_the_unit.startswith("/var/lib/another")], "vault.json"
        )
    at_home = paths.vault_file({})
    for of_the_unit in ("/var/lib/another", f"{own}/another", f"{own}-too", "another", ":", "/"):
        assert paths.vault_file({"STATE_DIRECTORY": of_the_unit}) == at_home
        named = {"STATE_DIRECTORY": of_the_unit, "NHAGENT_STATE_DIR": "/named"}
        assert paths.vault_file(named) == os.path.join("/named", "vault.json")


def test_credentials_directory_that_is_relative_holds_no_key(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "nhagent.vault-key").write_text("planted")
    assert paths.vault_key_file({"CREDENTIALS_DIRECTORY": "."}) == paths.vault_key_file({})
    found = paths.vault_key_file({"CREDENTIALS_DIRECTORY": str(tmp_path)})
    assert found == str(tmp_path / "nhagent.vault-key")
