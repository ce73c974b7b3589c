"""Read the CA bundle: the PEM file of a certificate authority to trust beside the usual ones.

Every start with a CA bundle imports this module: it loads no TLS.
"""

from __future__ import annotations

import errno
import os

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.regular_files import FileTooLarge, NotARegularFile, check_regular, read_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_BUNDLE_BYTES: Final = 8 * 1024 * 1024
"""Largest CA bundle that is read; the usual ones have a quarter of a megabyte."""


def read_ca_bundle(path: str) -> str:
    """Read a CA bundle.

    Args:
        path: the file's.

    Returns:
        Its text, without what is not ASCII: comments may be, certificates are not.

    Raises:
        ConfigurationError: it cannot be read, or is not a PEM bundle.
    """
    if not validation.is_text(path) or "\0" in path:
        raise ConfigurationError(
            f"ca_bundle {validation.shown(path)}: is not a path", "give that of a PEM file"
        )
    validation.check_setting("ca_bundle", path)
    name = f"ca_bundle {validation.shown(path)}"
    try:
        content = read_regular(path, MAX_BUNDLE_BYTES)
    except NotARegularFile:
        raise ConfigurationError(f"{name}: is not a regular file", "give that of a PEM file") from None
    except FileTooLarge as error:
        raise ConfigurationError(f"{name}: is {error.strerror}", "give the authority's own") from None
    except OSError as error:
        raise ConfigurationError(f"{name}: {error.strerror}", "check the path") from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ConfigurationError(f"{name}: is not a PEM bundle", "give the authority's own")
    return content.decode("ascii", "ignore")


def check_usual_bundle(path: str) -> None:
    """Refuse the bundle of the usual authorities where TLS, which opens it by itself, could not take it.

    Args:
        path: the file's, which requests or $REQUESTS_CA_BUNDLE names.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device.
        FileTooLarge: it is larger than any bundle.
        OSError: it cannot be looked at.
    """
    check_regular(path)
    if os.stat(path).st_size > MAX_BUNDLE_BYTES:
        raise FileTooLarge(errno.EFBIG, f"a CA bundle larger than {MAX_BUNDLE_BYTES} bytes", path)
