"""Read files that hold a secret; refuse those that others may read."""

from __future__ import annotations

import os
import stat
import sys
from functools import partial

from nhagent import validation
from nhagent.errors import CredentialError
from nhagent.regular_files import UTF8_MARK, FileTooLarge, NotARegularFile, read_regular

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

MAX_SECRET_BYTES: Final = 16 * 1024
"""Larger files are refused: no connection string and no key is that long."""
_OTHERS: Final = stat.S_IRWXG | stat.S_IRWXO


def read_secret(path: str, name: str, *, private: bool = False) -> str:
    """Read the text of a file that holds a secret, without the white space around it.

    Args:
        path: the file.
        name: what to call it in an error.
        private: refuse it where others than its owner may read or write it, or its owner is neither this user
            nor root. systemd says otherwise who reads its credentials.

    Raises:
        CredentialError: it cannot be read, is not private, or holds something else than a short text. No
            error shows what it holds.
    """
    validation.check_setting(name, path)
    file = f"{name} {validation.shown(path)}"
    try:
        content = read_regular(
            path, MAX_SECRET_BYTES, check=partial(_check_private, file) if private else None
        )
        return content.removeprefix(UTF8_MARK).decode().strip()
    except NotARegularFile:
        raise CredentialError(
            f"{file}: is not a regular file", "name one that holds the secret and nothing else"
        ) from None
    except FileTooLarge:
        raise CredentialError(
            f"{file}: is too large to hold one secret", "write the secret alone into it, or name another file"
        ) from None
    except OSError as error:
        raise CredentialError(f"{file}: {error.strerror}", "check the path") from None
    except UnicodeDecodeError:
        raise CredentialError(f"{file}: holds no text", "write it again") from None


def _check_private(file: str, facts: os.stat_result) -> None:
    if sys.platform == "win32":  # modes mean nothing there; access lists decide
        return
    if facts.st_mode & _OTHERS:
        raise CredentialError(
            f"{file}: others may read it",
            "run chmod 600 on it; a container's secret has to be mounted with mode 0400, for this user",
        )
    if facts.st_uid not in {0, os.getuid()}:
        raise CredentialError(f"{file}: is another user's", "make it your own or root's")
