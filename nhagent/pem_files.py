"""Read a PEM file that a caller names: certificates, a key, a bundle of authorities. It loads no TLS."""

from __future__ import annotations

from nhagent.errors import ConfigurationError
from nhagent.regular_files import FileTooLarge, NotARegularFile, read_regular
from nhagent.validation import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

CERTIFICATE: Final = b"-----BEGIN CERTIFICATE-----"
PRIVATE_KEY: Final = b"PRIVATE KEY-----"


def read_pem(setting: str, path: str, mark: bytes, limit: int, *, what: str, hint: str) -> bytes:
    """Read a PEM file.

    Args:
        setting: what names the file, for an error.
        path: the file's.
        mark: what it must have: `CERTIFICATE` or `PRIVATE_KEY`.
        limit: the most bytes that it may have.
        what: what it should be, for an error.
        hint: what to do where it is too large, or has no such mark.

    Raises:
        ConfigurationError: it cannot be read, or has no such mark.
    """
    name = f"{setting} {shown(path)}"
    try:
        content = read_regular(path, limit)
    except NotARegularFile:
        raise ConfigurationError(f"{name}: is not a regular file", "give that of a PEM file") from None
    except FileTooLarge as error:
        raise ConfigurationError(f"{name}: is {error.strerror}", hint) from None
    except OSError as error:
        raise ConfigurationError(f"{name}: {error.strerror}", "check the path") from None
    if mark not in content:
        raise ConfigurationError(f"{name}: is not {what}", hint)
    return content
