"""Where state and settings live. The only module that uses appdirs."""

from __future__ import annotations

import os
from collections.abc import Mapping
from typing import Final
from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConfigurationError

VAULT_KEY: Final = "nhagent.vault-key"
"""The systemd credential that holds the vault's key."""
SYSTEM_CONFIG: Final = "/etc/nhagent/config.toml"
MAX_PART_CHARACTERS: Final = 150
"""Of one folder's name; file systems take 255 bytes."""


def state_folder(given: str | os.PathLike[str] | None, environ: Mapping[str, str] = os.environ) -> str:
    """The state folder: the argument, $NHAGENT_STATE_DIR, the first of $STATE_DIRECTORY, or the user's own.

    Raises:
        ConfigurationError: the result is relative. Under systemd without a home folder the user's own would
            be, and each working directory would then see another device.
    """
    try:
        named = "" if given is None else os.fspath(given)
    except TypeError:
        named = None
    if not validation.is_text(named) or "\0" in str(named):
        raise ConfigurationError(
            f"state_dir {validation.shown(given)}: give the state folder's absolute path"
        )
    sources = (
        ("state_dir", str(named)),
        ("$NHAGENT_STATE_DIR", environ.get("NHAGENT_STATE_DIR", "")),
        ("$STATE_DIRECTORY", environ.get("STATE_DIRECTORY", "").split(":")[0]),
    )
    for name, folder in sources:
        if folder:
            return _absolute(name, folder)
    import appdirs

    return _absolute("the user's data folder", appdirs.user_data_dir("nhagent", appauthor=False))


def device_folder(state: str, app: str, hub: str) -> str:
    """The folder of one app's device at one hub, whose name counts without regard to case."""
    return os.path.join(state, _part(app), _part(hub.lower()))


def vault_file(environ: Mapping[str, str] = os.environ) -> str:
    """Where the vault keeps its sealed entries: in the state folder.

    Raises:
        ConfigurationError: as `state_folder`.
    """
    return os.path.join(state_folder(None, environ), "vault.json")


def vault_key_file(environ: Mapping[str, str] = os.environ) -> str:
    """Where the vault's key is: $NHAGENT_VAULT_KEY_FILE, systemd's credential, or the user's settings.

    Raises:
        ConfigurationError: the result is relative.
    """
    named = environ.get("NHAGENT_VAULT_KEY_FILE", "")
    if named:
        return _absolute("$NHAGENT_VAULT_KEY_FILE", named)
    folder = environ.get("CREDENTIALS_DIRECTORY")
    if folder and os.path.exists(os.path.join(folder, VAULT_KEY)):
        return os.path.join(folder, VAULT_KEY)
    import appdirs

    settings = appdirs.user_config_dir("nhagent", appauthor=False)
    return os.path.join(_absolute("the user's settings folder", settings), "vault.key")


def config_file(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """The configuration file: the argument, $NHAGENT_CONFIG, the system's if there is one, or the user's."""
    named = given or environ.get("NHAGENT_CONFIG")
    if named:
        return named
    if os.path.exists(SYSTEM_CONFIG):
        return SYSTEM_CONFIG
    import appdirs

    return os.path.join(appdirs.user_config_dir("nhagent", appauthor=False), "config.toml")


def _absolute(name: str, folder: str) -> str:
    if not os.path.isabs(folder):
        raise ConfigurationError(f"{name} {validation.shown(folder)}: is relative; give its absolute path")
    return folder


def _part(name: str) -> str:
    """One path component for any name: what could leave the folder is percent-encoded."""
    part = quote(name, safe="")
    if len(part) > MAX_PART_CHARACTERS:
        from hashlib import sha256

        part = f"{part[: MAX_PART_CHARACTERS - 17]}-{sha256(name.encode()).hexdigest()[:16]}"
    return part.replace(".", "%2E") if part.startswith(".") else part
