"""A key ring in this process that answers as a test wants it to, and keeps nothing."""

from __future__ import annotations

from collections.abc import Callable

from keyring.backend import KeyringBackend
from keyring.errors import PasswordSetError


class ReadOnlyRing(KeyringBackend):
    """A key ring that can only be read. Its argument keeps keyring from making one by itself.

    Args:
        read: gives the password of a service and a user.
    """

    priority = 1

    def __init__(self, read: Callable[[str, str], str | None]) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self._read = read

    def get_password(self, service: str, username: str) -> str | None:
        return self._read(service, username)

    def set_password(self, service: str, username: str, password: str) -> None:
        raise PasswordSetError("it can only be read")
