"""Files that hold a secret: read whole, and refused where others may read them too."""

from __future__ import annotations

import os
import stat
import sys
from typing import Final

from nhagent import validation
from nhagent.errors import CredentialError
from nhagent.filesystem import NoRegularFile, open_regular

MAX_SECRET_BYTES: Final = 16 * 1024


def check_private(path: str, name: str) -> None:
    """Check that a file is its owner's alone, and its owner we ourselves or root.

    Args:
        path: the file.
        name: what to call it in an error.

    Raises:
        CredentialError: it is not, or is not there.
    """
    if sys.platform == "win32":  # its modes say nothing; access lists do
        return
    try:
        facts = os.stat(path)
    except OSError as error:
        raise CredentialError(f"{name} {validation.shown(path)}: {error.strerror}; check the path") from None
    if not stat.S_ISREG(facts.st_mode):
        raise _no_regular_file(path, name)
    if stat.S_IMODE(facts.st_mode) & 0o077:
        raise CredentialError(f"{name} {validation.shown(path)}: others may read it; run chmod 600 on it")
    if facts.st_uid not in {0, os.getuid()}:
        raise CredentialError(
            f"{name} {validation.shown(path)}: is another user's; make it your own or root's"
        )


def read_secret(path: str, name: str) -> str:
    """The text of a file that holds a secret, which no error shows.

    Raises:
        CredentialError: it cannot be read, or holds no such text.
    """
    try:
        with open_regular(path) as file:
            content = file.read(MAX_SECRET_BYTES + 1)
        text = content.decode("utf-8-sig").strip()
    except NoRegularFile:
        raise _no_regular_file(path, name) from None
    except OSError as error:
        raise CredentialError(f"{name} {validation.shown(path)}: {error.strerror}; check it") from None
    except UnicodeDecodeError:
        raise CredentialError(f"{name} {validation.shown(path)}: holds no text; write it anew") from None
    if len(content) > MAX_SECRET_BYTES:
        raise CredentialError(f"{name} {validation.shown(path)}: is too large to hold one secret")
    return text


def _no_regular_file(path: str, name: str) -> CredentialError:
    return CredentialError(
        f"{name} {validation.shown(path)}: is no regular file; name one that holds the secret and nothing "
        "else"
    )
