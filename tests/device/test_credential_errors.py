"""What is said of credentials that cannot be used: each fact and each hint in its place, nothing parsed."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import keyring.errors
import pytest

from nhagent.device.credential_sources import present
from nhagent.device.key_ring_calls import as_credential_error
from nhagent.device.vault import Vault
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
