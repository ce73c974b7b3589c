"""Read the CA bundle: the PEM file of a certificate authority to trust beside the usual ones.

Every start with a CA bundle imports this module: it loads no TLS.
"""

from __future__ import annotations

import errno
import os

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.pem_files import CERTIFICATE, read_pem
from nhagent.regular_files import FileTooLarge, check_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_BUNDLE_BYTES: Final = 8 * 1024 * 1024
"""Largest CA bundle that is read; the usual ones have a quarter of a megabyte."""


class UnusableBundle(OSError):
    """The certificates of the usual authorities cannot be read on this machine: no peer is at fault."""


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
    content = read_pem(
        "ca_bundle", path, CERTIFICATE, MAX_BUNDLE_BYTES, what="a PEM bundle", hint="give the authority's own"
    )
    return content.decode("ascii", "ignore")


def check_usual_bundle(path: str) -> None:
    """Refuse the bundle of the usual authorities where TLS, which opens it by itself, could not take it.

    Args:
        path: the file's, which requests or $REQUESTS_CA_BUNDLE names.

    Raises:
        UnusableBundle: it is missing, a folder, FIFO, socket or device, or larger than any bundle.
    """
    try:
        check_regular(path)
        if os.stat(path).st_size > MAX_BUNDLE_BYTES:
            raise FileTooLarge(errno.EFBIG, f"a CA bundle larger than {MAX_BUNDLE_BYTES} bytes", path)
    except OSError as error:
        raise unusable(path, error) from None


def unusable(path: object, error: OSError) -> UnusableBundle:
    """Make the error of a bundle of the usual authorities.

    Args:
        path: the file's, or anything else where it is that of requests.
        error: what is wrong with it.
    """
    named = validation.shown(path) if isinstance(path, str) else "of requests"
    return UnusableBundle(f"the CA bundle {named} cannot be used ({error.strerror or 'it is not there'})")
