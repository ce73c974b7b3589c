"""Find the connection string where reading it costs nothing: systemd's credential, a file, the environment.

These come before the key ring, in this order. One that is named and cannot be used is an error: no later one
is taken instead. Every start reads them: ``os.path`` stands here in place of
``pathlib``. The key ring is `nhagent.device.key_ring`'s, and is opened only when something must be sent.
"""

from __future__ import annotations

import os

from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

SYSTEMD_CREDENTIAL: Final = "nhagent.connection-string"
"""The name of the systemd credential that holds the connection string."""
_FILE_VARIABLE: Final = "NHAGENT_CONNECTION_STRING_FILE"
_VARIABLE: Final = "NHAGENT_CONNECTION_STRING"

# What the sources are called where they are shown.
_SYSTEMD: Final = f"systemd credential {SYSTEMD_CREDENTIAL}"
_FILE: Final = f"${_FILE_VARIABLE}"
_ENVIRONMENT: Final = f"${_VARIABLE}"


class FoundCredential(Value):
    """A connection string that was found, not parsed yet.

    Attributes:
        text: the connection string.
        source: what to call its source where it is shown.
    """

    text: str
    source: str
    _hidden = frozenset({"text"})


def find_in_systemd(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """Find the connection string in systemd's credential.

    Returns:
        It, or None where systemd gave none.

    Raises:
        CredentialError: the credential exists and cannot be used.
    """
    path = _systemd_path(environ)
    if not path:
        return None
    from nhagent.device.secret_file import read_secret

    return FoundCredential(read_secret(path, _SYSTEMD), _SYSTEMD)


def find_in_file(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """Find the connection string in the file that $NHAGENT_CONNECTION_STRING_FILE names.

    Returns:
        It, or None where the variable is not set.

    Raises:
        CredentialError: the file cannot be used, or others may read it.
    """
    path = environ.get(_FILE_VARIABLE, "")
    if not path:
        return None
    from nhagent.device.secret_file import read_secret

    return FoundCredential(read_secret(path, "connection string file", private=True), _FILE)


def find_in_environment(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """Find the connection string in $NHAGENT_CONNECTION_STRING.

    Returns:
        It, or None where the variable is not set or empty.
    """
    text = environ.get(_VARIABLE, "")
    return FoundCredential(text, _ENVIRONMENT) if text.strip() else None


SOURCES_AT_NO_COST: Final[tuple[Callable[[], FoundCredential | None], ...]] = (
    find_in_systemd,
    find_in_file,
    find_in_environment,
)
"""The sources that come before the key ring, in order."""


def present(environ: Mapping[str, str] = os.environ) -> list[str]:
    """Name the sources before the key ring that exist, in order, whether they can be used or not."""
    places = (
        (_SYSTEMD, _systemd_path(environ)),
        (_FILE, environ.get(_FILE_VARIABLE, "")),
        (_ENVIRONMENT, environ.get(_VARIABLE, "").strip()),
    )
    return [name for name, place in places if place]


def files(environ: Mapping[str, str] = os.environ) -> tuple[str, ...]:
    """Give the paths of the files that a connection string may come from, whether they are there or not."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    paths = (os.path.join(folder, SYSTEMD_CREDENTIAL) if folder else "", environ.get(_FILE_VARIABLE, ""))
    return tuple(path for path in paths if path)


def _systemd_path(environ: Mapping[str, str]) -> str:
    """Give the path of systemd's credential; empty where there is none."""
    folder = environ.get("CREDENTIALS_DIRECTORY")
    path = os.path.join(folder, SYSTEMD_CREDENTIAL) if folder else ""
    return path if os.path.exists(path) else ""
