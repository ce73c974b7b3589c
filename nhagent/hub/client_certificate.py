"""The certificate by which a device is known to a server: mutual TLS."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.pem_files import CERTIFICATE, PRIVATE_KEY, read_pem
from nhagent.values import Value

if TYPE_CHECKING:
    import ssl

MAX_BYTES: Final = 1024 * 1024
"""Largest file of a certificate or a key."""
_OTHERS: Final = 0o077


class ClientCertificate(Value):
    """A certificate and its key, in files that are read again for every connection pool.

    Attributes:
        certificate: the PEM file of the certificate, and of those that lead to its authority.
        key: the PEM file of its private key, not encrypted.
    """

    certificate: str
    key: str

    @classmethod
    def read(cls, given: object) -> ClientCertificate | None:
        """Read what an app gives, without loading TLS.

        Args:
            given: a path, or two: of the certificate and of its key; None: there is none.

        Raises:
            ConfigurationError: not such paths, or the files cannot be used.
        """
        if given is None:
            return None
        paths = (given, given) if isinstance(given, str | os.PathLike) else given
        if not isinstance(paths, tuple | list) or len(paths) != 2:  # noqa: PLR2004 - a pair
            raise ConfigurationError(
                f"client_cert {validation.shown(given)}: is neither a path nor two",
                "give the PEM file of the certificate, and that of its key where it is another one",
            )
        certificate, key = (_path(name, path) for name, path in zip(_NAMES, paths, strict=True))
        made = cls(certificate, key)
        made.check()
        return made

    def check(self) -> None:
        """Check that both files can be used.

        Raises:
            ConfigurationError: one cannot, or others may read the key.
        """
        for name, path, mark in zip(_NAMES, (self.certificate, self.key), _MARKS, strict=True):
            read_pem(name, path, mark, MAX_BYTES, what="such a PEM file", hint="give the right one")
        if os.name == "posix" and Path(self.key).stat().st_mode & _OTHERS:
            raise ConfigurationError(f"client_key {self.key!r}: others may read it", f"chmod 600 {self.key}")

    def load_into(self, context: ssl.SSLContext) -> None:
        """Let TLS show it.

        Raises:
            ConfigurationError: it cannot be used.
        """
        self.check()  # by itself TLS would wait for whatever has that name
        try:
            # Asked for a password, TLS would wait for somebody at a terminal.
            context.load_cert_chain(self.certificate, self.key, password=lambda: b"")
        except (OSError, ValueError):  # ssl.SSLError is one
            raise ConfigurationError(
                f"client_cert {self.certificate!r}: TLS cannot use it with its key",
                "give a certificate and the key that belongs to it, as PEM, the key without a password",
            ) from None


_NAMES: Final = ("client_cert", "client_key")
_MARKS: Final = (CERTIFICATE, PRIVATE_KEY)


def _path(name: str, given: object) -> str:
    path = os.fspath(given) if isinstance(given, str | os.PathLike) else None
    if not validation.is_text(path) or not path or "\0" in str(path):
        raise ConfigurationError(
            f"{name} {validation.shown(given)}: is not a path", "give that of a PEM file"
        )
    validation.check_setting(name, path)
    return str(path)
