"""The vault: an encrypted key ring for devices that have none; a backend of keyring, by its entry point.

Entries are encrypted with AES-256-GCM in ``vault.json``, each bound to its service and user, so that entries
cannot be swapped. The key is 32 random bytes, from the systemd credential ``nhagent.vault-key`` or a 0600
file. Nobody is asked for it; without a key there is no vault. The vault protects a state folder or a backup
that gets into other hands, not a stolen disk that holds the key as well.

Keyring imports this module in every program of its environment, so it does nothing until it is called.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from contextlib import contextmanager
from time import sleep
from typing import TYPE_CHECKING

import keyring.errors
from keyring.backend import KeyringBackend

from nhagent.device.paths import vault_file, vault_key_file
from nhagent.device.secret_file import check_private, read_secret
from nhagent.errors import ConfigurationError, CredentialError, KeyringLocked
from nhagent.filesystem import Disk, locked, make_folders, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, Final

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEMA: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_FILE_BYTES: Final = 1024 * 1024
"""The largest vault file that is read or written."""
LOCK_SECONDS: Final = 10.0
"""How long to wait for another process that writes to the vault."""
PRIORITY: Final = 0.9
"""Below 1, which is what keyring gives to the key rings of desktops: they are preferred."""


class _Priority:
    """The vault's priority among the backends of keyring; without a key the vault is not viable."""

    def __get__(self, instance: object, owner: type) -> float:
        try:
            path = vault_key_file()
        except ConfigurationError as error:
            raise RuntimeError(str(error)) from None
        if not os.path.isfile(path):
            raise RuntimeError(f"the vault has no key at {path}")
        return PRIORITY


class Vault(KeyringBackend):
    """A file of encrypted entries.

    Every method may raise ``keyring.errors.KeyringLocked``, where the key does not fit or another process
    writes to the file, and ``keyring.errors.KeyringError``, where the file cannot be used.
    """

    priority = _Priority()

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own
        self._disk = Disk()

    def get_password(self, service: str, username: str) -> str | None:
        """Decrypt the secret of a user of a service.

        Returns:
            The secret, or None where the vault holds none.
        """
        with _as_keyring_error(keyring.errors.KeyringError):
            for entry in _entries(self._disk, vault_file()):
                if (entry["service"], entry["user"]) == (service, username):
                    return _decrypted(entry)
            return None

    def set_password(self, service: str, username: str, password: str) -> None:
        """Encrypt a secret and write it durably.

        Raises:
            PasswordSetError: the file cannot be written, or has no room.
        """
        with _as_keyring_error(keyring.errors.PasswordSetError):
            entry = _encrypted(service, username, password)
            self._change(lambda entries: [*_without(entries, service, username), entry])

    def delete_password(self, service: str, username: str) -> None:
        """Remove a secret durably.

        Raises:
            PasswordDeleteError: there is none, or the file cannot be written.
        """

        def remove(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
            left = _without(entries, service, username)
            if len(left) == len(entries):
                raise keyring.errors.PasswordDeleteError("the vault holds no such entry")
            return left

        with _as_keyring_error(keyring.errors.PasswordDeleteError):
            self._change(remove)

    def _change(self, change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
        path = vault_file()
        name = f"vault file {path!r}"
        try:
            make_folders(self._disk, os.path.dirname(path))
            with locked(self._disk, f"{path}.lock", LOCK_SECONDS, sleep):
                document = {"schema": SCHEMA, "entries": change(_entries(self._disk, path))}
                content = json.dumps(document, indent=1).encode()
                if len(content) > MAX_FILE_BYTES:
                    raise CredentialError(
                        f"{name}: would grow past {MAX_FILE_BYTES} bytes, and stays as it was",
                        "keep what is that large elsewhere",
                    )
                write_durably(self._disk, path, content)
        except BlockingIOError:
            raise KeyringLocked(f"{name}: another process is writing to it", "try again") from None
        except OSError as error:
            raise CredentialError(
                f"{name}: cannot be written ({error.strerror})", "correct that, then try again"
            ) from None


def make_key(seconds: float = LOCK_SECONDS) -> str:
    """Make a key for the vault, in a file that only its owner can read. An existing key is kept.

    Args:
        seconds: how long to wait for another process that makes one.

    Returns:
        The file's path.

    Raises:
        ConfigurationError: the path of the key is relative.
        KeyringLocked: another process is making one.
        CredentialError: there is a key already, or it cannot be written.
    """
    path, disk = vault_key_file(), Disk()
    name = f"vault key {path!r}"
    try:
        make_folders(disk, os.path.dirname(path))
        with locked(disk, f"{path}.lock", seconds, sleep):  # of two processes at once, one must lose
            if os.path.lexists(path):
                raise CredentialError(
                    f"{name}: is there already",
                    "what it encrypted would be lost with it, so remove it first",
                )
            write_durably(disk, path, b64encode(os.urandom(KEY_BYTES)) + b"\n")
    except BlockingIOError:
        raise KeyringLocked(f"{name}: another process is making it", "try again") from None
    except OSError as error:
        raise CredentialError(
            f"{name}: cannot be written ({error.strerror})",
            "correct that, or name another place in $NHAGENT_VAULT_KEY_FILE",
        ) from error
    return path


@contextmanager
def _as_keyring_error(kind: type[keyring.errors.KeyringError]) -> Iterator[None]:
    """Raise errors of nhagent as keyring's, which programs of others know.

    Ours stays the cause: `nhagent.device.key_ring_calls` finds it there again.
    """
    try:
        yield
    except KeyringLocked as error:
        raise keyring.errors.KeyringLocked(str(error)) from error
    except CredentialError as error:
        raise kind(str(error)) from error


def _entries(disk: Disk, path: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(disk.read(path, MAX_FILE_BYTES))
    except FileNotFoundError:
        return []
    except OSError as error:
        raise CredentialError(
            f"vault file {path!r}: cannot be read ({error.strerror})",
            "let nhagent read it, or move it away and log in again",
        ) from None
    except (ValueError, RecursionError):
        document = None
    entries = document.get("entries") if isinstance(document, dict) else None
    if not isinstance(entries, list) or document.get("schema") != SCHEMA or not all(map(_is_entry, entries)):
        raise CredentialError(f"vault file {path!r}: is corrupt", "move it away and log in again")
    return entries


def _is_entry(entry: object) -> bool:
    return isinstance(entry, dict) and all(
        isinstance(entry.get(part), str) for part in ("service", "user", "sealed")
    )


def _without(entries: list[dict[str, Any]], service: str, user: str) -> list[dict[str, Any]]:
    return [entry for entry in entries if (entry["service"], entry["user"]) != (service, user)]


def _encrypted(service: str, user: str, secret: str) -> dict[str, str]:
    nonce = os.urandom(NONCE_BYTES)
    sealed = nonce + _cipher().encrypt(nonce, secret.encode(), _bound_to(service, user))
    return {"service": service, "user": user, "sealed": b64encode(sealed).decode()}


def _decrypted(entry: dict[str, str]) -> str:
    from cryptography.exceptions import InvalidTag

    cipher = _cipher()
    try:
        sealed = b64decode(entry["sealed"], validate=True)
        bound_to = _bound_to(entry["service"], entry["user"])
        return cipher.decrypt(sealed[:NONCE_BYTES], sealed[NONCE_BYTES:], bound_to).decode()
    except (InvalidTag, ValueError):
        raise KeyringLocked(
            "the vault's key does not open this entry", "put the right key back, or log in again"
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
    except CredentialError as error:
        raise KeyringLocked(error.fact, error.hint) from None
    except ValueError:
        raise KeyringLocked(f"vault key {path!r}: is not a key", renew) from None
    if len(key) != KEY_BYTES:
        raise KeyringLocked(f"vault key {path!r}: is not a key of {KEY_BYTES} bytes", renew)
    return AESGCM(key)
