"""Where the connection string comes from. The only module that uses keyring.

Sources in order: systemd's credential, a 0600 file, the environment; these cost nothing and are read at every
start. The key ring comes last, and is opened only when something must be sent.
"""

from __future__ import annotations

import os
import stat
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from nhagent import rules
from nhagent.errors import CredentialError, KeyringLocked

SYSTEMD_CREDENTIAL: Final = "nhagent.connection-string"
KEYRING_SERVICE: Final = "nhagent"
MAX_CREDENTIAL_BYTES: Final = 16 * 1024


@dataclass(frozen=True, slots=True)
class FoundCredential:
    """A connection string, not parsed yet, and the source that gave it."""

    text: str = field(repr=False)
    source: str


def find_at_no_cost(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """The connection string from systemd, a file or the environment, or None where none of them has one.

    Raises:
        CredentialError: a source is there and cannot be used.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder:
        path = os.path.join(folder, SYSTEMD_CREDENTIAL)
        if os.path.exists(path):
            return FoundCredential(_read(path), f"systemd credential {SYSTEMD_CREDENTIAL}")
    path = environ.get("NHAGENT_CONNECTION_STRING_FILE", "")
    if path:
        _check_private(path)
        return FoundCredential(_read(path), "$NHAGENT_CONNECTION_STRING_FILE")
    text = environ.get("NHAGENT_CONNECTION_STRING", "")
    if text.strip():
        return FoundCredential(text, "$NHAGENT_CONNECTION_STRING")
    return None


def find_in_keyring(app: str, hub: str) -> FoundCredential:
    """The connection string from the key ring.

    Raises:
        KeyringLocked: it is locked.
        CredentialError: there is no key ring here, it fails, or it holds no connection string.
    """
    import keyring
    import keyring.errors

    user = f"{app}/{hub}"
    try:
        text = keyring.get_password(KEYRING_SERVICE, user)
    except keyring.errors.KeyringLocked as error:
        raise KeyringLocked(f"key ring: locked ({error}); unlock it, then try again") from error
    except keyring.errors.NoKeyringError:
        text = None
    except Exception as error:  # a backend raises whatever its library does: RuntimeError, D-Bus errors
        raise CredentialError(
            f"key ring: failed ({type(error).__name__}: {error}); repair it, or name a file "
            "that holds the connection string in $NHAGENT_CONNECTION_STRING_FILE"
        ) from error
    if not text:
        raise CredentialError(
            f'no connection string was found for app "{app}" and hub "{hub}": name a file '
            "that holds it and that only you can read in $NHAGENT_CONNECTION_STRING_FILE, "
            "or set $NHAGENT_CONNECTION_STRING"
        )
    return FoundCredential(text, f"key ring entry {KEYRING_SERVICE!r}, {user!r}")


def _check_private(path: str) -> None:
    if sys.platform == "win32":  # its modes say nothing; access lists do
        return
    try:
        facts = os.stat(path)
    except OSError as error:
        raise CredentialError(
            f"connection string file {rules.shown(path)}: {error.strerror}; check the path"
        ) from error
    if stat.S_IMODE(facts.st_mode) & 0o077:
        raise CredentialError(
            f"connection string file {rules.shown(path)}: others may read it; run chmod 600 on it"
        )
    if facts.st_uid not in {0, os.getuid()}:
        raise CredentialError(
            f"connection string file {rules.shown(path)}: is another user's; make it your own or root's"
        )


def _read(path: str) -> str:
    try:
        with open(path, "rb") as file:
            content = file.read(MAX_CREDENTIAL_BYTES + 1)
        if len(content) > MAX_CREDENTIAL_BYTES:
            raise CredentialError(
                f"connection string file {rules.shown(path)}: is too large to hold a connection string"
            )
        return content.decode().strip()
    except OSError as error:
        raise CredentialError(
            f"connection string file {rules.shown(path)}: {error.strerror}; check it"
        ) from error
    except UnicodeDecodeError:
        raise CredentialError(
            f"connection string file {rules.shown(path)}: holds no text; write it anew"
        ) from None
