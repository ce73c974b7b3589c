"""The vault: a key ring for devices that have none; a backend of keyring, found by its entry point.

Entries are sealed with AES-256-GCM in ``vault.json``; the service and the user are bound to each, so that
entries cannot be swapped. The key is 32 random bytes that systemd hands over (``nhagent.vault-key``) or a
0600 file holds; it is never asked for, and without it the vault is not there. It protects a leaked state
folder or backup, not a stolen disk that holds the key as well.

Keyring imports this module in every program of its environment, so it does nothing until it is called.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from collections.abc import Callable
from time import sleep
from typing import TYPE_CHECKING, Any, Final

import keyring.errors
from keyring.backend import KeyringBackend

from nhagent.device.paths import vault_file, vault_key_file
from nhagent.device.secret_file import check_private, read_secret
from nhagent.errors import ConfigurationError, CredentialError, KeyringLocked
from nhagent.filesystem import Disk, locked, make_folders, write_durably

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEMA: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_FILE_BYTES: Final = 1024 * 1024
LOCK_SECONDS: Final = 10.0
PRIORITY: Final = 0.9
"""Below 1: suitable, but not to be preferred to what the system has."""


class _Priority:
    """How much keyring prefers the vault; without a key it is not viable."""

    def __get__(self, instance: object, owner: type) -> float:
        try:
            path = vault_key_file()
        except ConfigurationError as error:
            raise RuntimeError(str(error)) from None
        if not os.path.isfile(path):
            raise RuntimeError(f"the vault has no key at {path}")
        return PRIORITY


class Vault(KeyringBackend):
    """A file of sealed entries.

    Raises:
        KeyringLocked: the key does not fit.
        KeyringError: the file or the key cannot be used.
    """

    priority = _Priority()

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own
        self._disk = Disk()

    def get_password(self, service: str, username: str) -> str | None:
        """The secret of a user of a service, or None where there is none."""
        for entry in _entries(self._disk, vault_file()):
            if (entry["service"], entry["user"]) == (service, username):
                return _opened(entry)
        return None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Seal a secret and write it durably."""
        entry = _sealed(service, username, password)
        self._change(lambda entries: [*_without(entries, service, username), entry])

    def delete_password(self, service: str, username: str) -> None:
        """Forget a secret.

        Raises:
            PasswordDeleteError: there is none.
        """

        def remove(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
            left = _without(entries, service, username)
            if len(left) == len(entries):
                raise keyring.errors.PasswordDeleteError("the vault holds no such entry")
            return left

        self._change(remove)

    def _change(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        path = vault_file()
        try:
            make_folders(self._disk, os.path.dirname(path))
            with locked(self._disk, f"{path}.lock", LOCK_SECONDS, sleep):
                document = {"schema": SCHEMA, "entries": change(_entries(self._disk, path))}
                content = json.dumps(document, indent=1).encode()
                if len(content) > MAX_FILE_BYTES:
                    raise keyring.errors.PasswordSetError(
                        f"vault file {path!r}: would grow past {MAX_FILE_BYTES} bytes, and stays as it was; "
                        "keep what is that large elsewhere"
                    )
                write_durably(self._disk, path, content)
        except BlockingIOError:
            raise keyring.errors.KeyringLocked(
                f"vault file {path!r}: another process is writing to it; try again"
            ) from None
        except OSError as error:
            raise keyring.errors.PasswordSetError(
                f"vault file {path!r}: cannot be written ({error.strerror}); correct that, then try again"
            ) from None


def make_key(seconds: float = LOCK_SECONDS) -> str:
    """Make a new key for the vault, in a file that only its owner can read. One that is there stays.

    Args:
        seconds: how long to wait for another process that makes one.

    Returns:
        The file's path.

    Raises:
        KeyringLocked: another process is making one.
        CredentialError: there is a key already, or it cannot be written.
    """
    path, disk = vault_key_file(), Disk()
    try:
        make_folders(disk, os.path.dirname(path))
        with locked(disk, f"{path}.lock", seconds, sleep):  # of two that come at once, one must lose
            if os.path.lexists(path):
                raise CredentialError(
                    f"vault key {path!r}: is there already; what it sealed would be lost with it, so remove "
                    "it first"
                )
            write_durably(disk, path, b64encode(os.urandom(KEY_BYTES)) + b"\n")
    except BlockingIOError:
        raise KeyringLocked(f"vault key {path!r}: another process is making it; try again") from None
    except OSError as error:
        raise CredentialError(
            f"vault key {path!r}: cannot be written ({error.strerror}); correct that, or name another place "
            "in $NHAGENT_VAULT_KEY_FILE"
        ) from error
    return path


def _entries(disk: Disk, path: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(disk.read(path, MAX_FILE_BYTES))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise keyring.errors.KeyringError(
            f"vault file {path!r}: cannot be read ({error.strerror}); let nhagent read it, or move it away "
            "and log in again"
        ) from None
    except (ValueError, RecursionError):
        document = None
    entries = document.get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list) or document.get("schema") != SCHEMA or not all(map(_is_entry, entries)):
        raise keyring.errors.KeyringError(
            f"vault file {path!r}: makes no sense; move it away and log in again"
        )
    return entries


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(part), str) for part in ("service", "user", "sealed")
    )


def _without(entries: list[dict[str, Any]], service: str, user: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if (entry["service"], entry["user"]) != (service, user)]


def _sealed(service: str, user: str, secret: str) -> dict[str, str]:
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + _cipher().encrypt(nonce, secret.encode(), _bound_to(service, user))
    return {"service": service, "user": user, "sealed": b64encode(sealed).decode()}


def _opened(entry: dict[str, str]) -> str:
    from cryptography.exceptions import InvalidTag

    cipher = _cipher()
    try:
        sealed = b64decode(entry["sealed"], validate=True)
        bound_to = _bound_to(entry["service"], entry["user"])
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to).decode()
    except (InvalidTag, ValueError):
        raise keyring.errors.KeyringLocked(
            "the vault's key does not open this entry; put the right key back, or log in again"
        ) from None


def _bound_to(service: str, user: str) -> bytes:
    return json.dumps(["nhagent vault", SCHEMA, service, user]).encode()


def _cipher() -> AESGCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

    path = vault_key_file()
    renew = 'put the right one back, or remove it, run "nhagent vault init" and log in again'
    try:
        if os.path.dirname(path) != os.environ.get("CREDENTIALS_DIRECTORY"):
            check_private(path, "vault key")
        key = b64decode(read_secret(path, "vault key"), validate=True)
    except (CredentialError, ValueError) as error:
        reason = (
            str(error) if isinstance(error, CredentialError) else f"vault key {path!r}: is no key; {renew}"
        )
        raise keyring.errors.KeyringLocked(reason) from None
    if len(key) != KEY_BYTES:
        raise keyring.errors.KeyringLocked(f"vault key {path!r}: is no key of {KEY_BYTES} bytes; {renew}")
    return AESGCM(key)
