"""The vault: an encrypted key ring for devices without one; a backend of keyring that serves nhagent alone.

keyring imports this module in every program of its environment, by its entry point. So it imports nothing of
nhagent until one of nhagent's own secrets is asked for, and keyring's discovery passes it over: it is opened
by `nhagent.device.key_ring`, after every key ring that keyring chose, or by who names it in
``$PYTHON_KEYRING_BACKEND`` or ``keyringrc.cfg``. What it keeps, and where: `nhagent.device.vault_entries`.
"""

from __future__ import annotations

import os
from contextlib import contextmanager
from typing import TYPE_CHECKING

import keyring.errors
from keyring.backend import KeyringBackend

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

SERVICE: Final = "nhagent"
"""The only service whose secrets the vault keeps; `nhagent.device.key_ring.KEYRING_SERVICE` is the same."""
PRIORITY: Final = -1000.0
"""Below every other backend's, also of those that stand for no key ring: fail (0), an empty chainer (-1)."""


class _Priority:
    """The vault's priority among the backends of keyring. Without a key there is no vault."""

    def __get__(self, instance: object, owner: type) -> float:
        try:
            from nhagent.device.paths import vault_key_file

            path = vault_key_file()
        except Exception as error:  # noqa: BLE001 - keyring expects RuntimeError, whatever is wrong here
            raise RuntimeError(f"the vault's key cannot be found ({error})") from None
        if not os.path.isfile(path):
            raise RuntimeError(f"the vault has no key at {path}")
        return PRIORITY


class Vault(KeyringBackend):
    """A file of encrypted entries of nhagent's own.

    For other services it holds nothing, and keeps nothing. Every method may raise
    ``keyring.errors.KeyringLocked``, where the key does not fit or another process writes to the file, and
    ``keyring.errors.KeyringError``, where the file cannot be used.

    Attributes:
        priority: below every other backend's.
        viable: False, so that keyring does not choose the vault for any program. One that names it gets it.
    """

    priority = _Priority()
    viable = False

    def __init__(self) -> None:
        super().__init__()  # type: ignore[no-untyped-call]  # keyring's own

    @classmethod
    def has_key(cls) -> bool:
        """Tell whether the vault can be used here: ``nhagent vault init`` or systemd gave it a key."""
        try:
            return cls.priority == PRIORITY
        except RuntimeError:
            return False

    def get_password(self, service: str, username: str) -> str | None:
        """Decrypt the secret of a user of nhagent.

        Returns:
            The secret, or None where the vault holds none, and for every other service.
        """
        if service != SERVICE:
            return None
        with _as_keyring_error(keyring.errors.KeyringError):
            from nhagent.device import vault_entries

            return vault_entries.read(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        """Encrypt a secret and write it durably.

        Raises:
            PasswordSetError: the file cannot be written, has no room, or the service is another.
        """
        if service != SERVICE:
            raise keyring.errors.PasswordSetError(
                "nhagent's vault keeps no secrets of other programs; choose another key ring"
            )
        with _as_keyring_error(keyring.errors.PasswordSetError):
            from nhagent.device import vault_entries

            vault_entries.write(service, username, password)

    def delete_password(self, service: str, username: str) -> None:
        """Remove a secret durably.

        Raises:
            PasswordDeleteError: there is none, the file cannot be written, or the service is another.
        """
        if service != SERVICE:
            raise keyring.errors.PasswordDeleteError("nhagent's vault holds no secrets of other programs")
        with _as_keyring_error(keyring.errors.PasswordDeleteError):
            from nhagent.device import vault_entries

            if not vault_entries.remove(service, username):
                raise keyring.errors.PasswordDeleteError("the vault holds no such entry")


@contextmanager
def _as_keyring_error(kind: type[keyring.errors.KeyringError]) -> Iterator[None]:
    """Raise every error as keyring's, which programs of others know.

    Ours stays the cause: `nhagent.device.key_ring_calls` finds it there again.
    """
    try:
        yield
    except keyring.errors.KeyringError:
        raise
    except Exception as error:  # a library that is missing, a folder that cannot be entered
        from nhagent.device.key_ring_calls import in_short
        from nhagent.errors import KeyringLocked, NhagentError

        if isinstance(error, KeyringLocked):
            raise keyring.errors.KeyringLocked(str(error)) from error
        if isinstance(error, NhagentError):
            raise kind(str(error)) from error
        raise kind(f"the vault cannot be used ({in_short(error)})") from None
