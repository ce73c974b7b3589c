"""The vault's file: entries that are encrypted, each bound to its service and user, and the key to them.

The key is 32 random bytes, from the systemd credential ``nhagent.vault-key`` or a 0600 file. Nobody is asked
for it; without a key there is no vault. The vault protects a state folder or a backup that gets into other
hands, not a stolen disk that holds the key as well. It is reached through `nhagent.device.vault`.
"""

from __future__ import annotations

import json
import os
from base64 import b64decode, b64encode
from time import sleep
from typing import TYPE_CHECKING

from nhagent.device.paths import vault_file, vault_key_file
from nhagent.device.secret_file import read_secret
from nhagent.errors import CredentialError, KeyringLocked
from nhagent.filesystem import Disk, locked, make_folders, read_whole, write_durably

if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from cryptography.hazmat.primitives.ciphers.aead import AESGCM

SCHEMA: Final = 1
KEY_BYTES: Final = 32
NONCE_BYTES: Final = 12
MAX_FILE_BYTES: Final = 1024 * 1024
"""The largest vault file that is read or written."""
LOCK_SECONDS: Final = 10.0
"""How long to wait for another process that writes to the vault."""


def read(service: str, user: str) -> str | None:
    """Decrypt the secret of a user of a service.

    Returns:
        The secret, or None where the vault holds none.

    Raises:
        ConfigurationError: the path of the file or of the key is relative.
        KeyringLocked: the key does not fit.
        CredentialError: the file cannot be used.
    """
    for entry in _entries(Disk(), vault_file()):
        if (entry["service"], entry["user"]) == (service, user):
            return _decrypted(entry)
    return None


def write(service: str, user: str, secret: str) -> None:
    """Encrypt a secret and write it durably.

    Raises:
        ConfigurationError: as for `read`.
        KeyringLocked: the key cannot be used, or another process writes to the file.
        CredentialError: the file cannot be written, or has no room.
    """
    entry = _encrypted(service, user, secret)
    _change(lambda entries: [*_without(entries, service, user), entry])


def remove(service: str, user: str) -> bool:
    """Remove a secret durably.

    Returns:
        Whether there was one.

    Raises:
        ConfigurationError: as for `read`.
        KeyringLocked: another process writes to the file.
        CredentialError: the file cannot be written.
    """
    held: list[int] = []

    def without(entries: list[dict[str, Any]]) -> list[dict[str, Any]]:
        left = _without(entries, service, user)
        held.append(len(entries) - len(left))
        return left

    _change(without)
    return any(held)


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


def _change(change: Callable[[list[dict[str, Any]]], list[dict[str, Any]]]) -> None:
    path, disk = vault_file(), Disk()
    name = f"vault file {path!r}"
    try:
        make_folders(disk, os.path.dirname(path))
        with locked(disk, f"{path}.lock", LOCK_SECONDS, sleep):
            entries = _entries(disk, path)
            changed = change(entries)
            if changed == entries:
                return
            content = json.dumps({"schema": SCHEMA, "entries": changed}, indent=1).encode()
            if len(content) > MAX_FILE_BYTES:
                raise CredentialError(
                    f"{name}: would grow past {MAX_FILE_BYTES} bytes, and stays as it was",
                    "keep what is that large elsewhere",
                )
            write_durably(disk, path, content)
    except BlockingIOError:
        raise KeyringLocked(f"{name}: another process is writing to it", "try again") from None
    except OSError as error:
        raise CredentialError(
            f"{name}: cannot be written ({error.strerror})", "correct that, then try again"
        ) from None


def _entries(disk: Disk, path: str) -> list[dict[str, Any]]:
    try:
        document = json.loads(read_whole(disk, path, MAX_FILE_BYTES))
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
        is_of_systemd = os.path.dirname(path) == os.environ.get("CREDENTIALS_DIRECTORY")
        key = b64decode(read_secret(path, "vault key", private=not is_of_systemd), validate=True)
    except CredentialError as error:
        raise KeyringLocked(error.fact, error.hint) from None
    except ValueError:
        raise KeyringLocked(f"vault key {path!r}: is not a key", renew) from None
    if len(key) != KEY_BYTES:
        raise KeyringLocked(f"vault key {path!r}: is not a key of {KEY_BYTES} bytes", renew)
    return AESGCM(key)
