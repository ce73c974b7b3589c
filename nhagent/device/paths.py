"""Find the folders and files of nhagent: state, configuration, vault.

The only module that uses appdirs. Every start imports it: ``os.path`` stands here in place of ``pathlib``,
and a few lines in place of ``urllib.parse.quote``, since importing either costs more than all the rest.
"""

from __future__ import annotations

import os

from nhagent import validation
from nhagent.errors import ConfigurationError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Final

VAULT_KEY: Final = "nhagent.vault-key"
"""The systemd credential that holds the vault's key."""
SYSTEM_CONFIG: Final = "/etc/nhagent/config.toml"
"""The configuration file of services of the system, used where it exists."""
MAX_PART_CHARACTERS: Final = 150
"""The longest name of one folder in the state folder; file systems take 255 bytes."""
_SETTINGS: Final = "the user's settings folder"
_KNOW_HOME: Final = "set $HOME to this user's home folder"
"""Containers and units may run as somebody whom the system does not know; nothing else says it then."""
_HASH_CHARACTERS: Final = 16
"""How much of a longer name's hash stands at its end."""
_UNRESERVED: Final = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.-~")
"""The bytes that RFC 3986 lets stand as they are; all others are percent-encoded."""


class _KeptOut:
    """The folder that nobody may keep state in while tests run; empty: there is none."""

    folder = ""


def keep_out(folder: str) -> Callable[[], None]:
    """Refuse a folder, and all below it, as state folder: for tests.

    Args:
        folder: an absolute path.

    Returns:
        What allows it again.
    """
    before, _KeptOut.folder = _KeptOut.folder, os.path.realpath(folder)

    def allow() -> None:
        _KeptOut.folder = before

    return allow


def users_data_folder() -> str:
    """Name the user's data folder; relative where the user has no home folder."""
    import appdirs

    return str(appdirs.user_data_dir("nhagent", appauthor=False))


def state_folder(given: str | os.PathLike[str] | None, environ: Mapping[str, str] = os.environ) -> str:
    """Find the state folder.

    Args:
        given: the argument of the app, which comes before $NHAGENT_STATE_DIR, the first of $STATE_DIRECTORY
            and the user's data folder.
        environ: the environment.

    Raises:
        ConfigurationError: `keep_out` refuses it; or the result is relative: under systemd without a home
            folder the user's data folder would be, and each working folder would then be another device.
    """
    try:
        named = "" if given is None else os.fspath(given)
    except TypeError:
        named = None
    if not validation.is_text(named) or "\0" in str(named):
        raise ConfigurationError(
            f"state_dir {validation.shown(given)}: is not a path", "give the state folder's absolute path"
        )
    sources = (
        ("state_dir", str(named)),
        ("$NHAGENT_STATE_DIR", environ.get("NHAGENT_STATE_DIR", "")),
        ("$STATE_DIRECTORY", environ.get("STATE_DIRECTORY", "").split(":")[0]),
    )
    for name, folder in sources:
        if folder:
            return _not_kept_out(name, _absolute(name, folder))
    name = "the user's data folder"
    hint = f"{_KNOW_HOME}, or name the state folder (state_dir, $NHAGENT_STATE_DIR)"
    return _not_kept_out(name, _absolute(name, users_data_folder(), hint))


def _not_kept_out(name: str, folder: str) -> str:
    if _KeptOut.folder and (os.path.realpath(folder) + os.sep).startswith(_KeptOut.folder + os.sep):
        raise ConfigurationError(
            f"{name} {validation.shown(folder)}: is the real data folder of whoever runs this test",
            "leave $NHAGENT_STATE_DIR as the fixture set it, or give state_dir=tmp_path",
        )
    return folder


def device_folder(state: str, app: str, hub: str) -> str:
    """Name the folder of one app's device at one hub.

    Args:
        state: the state folder.
        app: the app's name.
        hub: the hub's name, whose case makes no difference.
    """
    return os.path.join(state, _part(app), _part(hub.lower()))


def vault_file(environ: Mapping[str, str] = os.environ) -> str:
    """Name the file where the vault keeps its encrypted entries.

    It is in $NHAGENT_STATE_DIR, in the folder of $STATE_DIRECTORY that is called nhagent, or in the user's
    data folder. Any other folder of $STATE_DIRECTORY belongs to another program's unit.

    Raises:
        ConfigurationError: as `state_folder`.
    """
    folders = environ.get("STATE_DIRECTORY", "").split(":")
    own = next((folder for folder in folders if os.path.basename(folder.rstrip("/")) == "nhagent"), "")
    return os.path.join(state_folder(None, {**environ, "STATE_DIRECTORY": own}), "vault.json")


def vault_key_file(environ: Mapping[str, str] = os.environ) -> str:
    """Find the vault's key: $NHAGENT_VAULT_KEY_FILE, systemd's credential, or the user's settings folder.

    Raises:
        ConfigurationError: the result is relative.
    """
    named = environ.get("NHAGENT_VAULT_KEY_FILE", "")
    if named:
        return _absolute("$NHAGENT_VAULT_KEY_FILE", named)
    folder = environ.get("CREDENTIALS_DIRECTORY", "")
    if os.path.isabs(folder) and os.path.exists(os.path.join(folder, VAULT_KEY)):
        return os.path.join(folder, VAULT_KEY)
    import appdirs

    settings = appdirs.user_config_dir("nhagent", appauthor=False)
    hint = f"{_KNOW_HOME}, or name the file of the key in $NHAGENT_VAULT_KEY_FILE"
    return os.path.join(_absolute(_SETTINGS, settings, hint), "vault.key")


def config_file(given: str | None, environ: Mapping[str, str] = os.environ) -> str:
    """Find the configuration file: the argument, $NHAGENT_CONFIG, the system's if it exists, the user's.

    Raises:
        ConfigurationError: it is named as in the home folder of somebody who is not known here, or is the
            user's, and where that one's home is nobody knows.
    """
    named = given or environ.get("NHAGENT_CONFIG")
    if named:
        validation.check_setting("configuration file", named)
        return from_home("configuration file", named)
    return SYSTEM_CONFIG if os.path.exists(SYSTEM_CONFIG) else users_config_file()


def users_unit_folder() -> str:
    """Name the folder of the units of the user's own systemd.

    Raises:
        ConfigurationError: the user has no home folder.
    """
    import appdirs

    return os.path.join(_absolute(_SETTINGS, appdirs.user_config_dir("systemd"), _KNOW_HOME), "user")


def users_config_file() -> str:
    """Name the user's configuration file.

    Raises:
        ConfigurationError: the user has no home folder.
    """
    import appdirs

    settings = appdirs.user_config_dir("nhagent", appauthor=False)
    hint = f"{_KNOW_HOME}, or name the configuration file (--config, $NHAGENT_CONFIG)"
    return os.path.join(_absolute(_SETTINGS, settings, hint), "config.toml")


def from_home(name: str, path: str) -> str:
    """Give a path with the home folder for ``~``, and another user's for ``~user``.

    Args:
        name: what to call it in an error.
        path: the path.

    Raises:
        ConfigurationError: there is no such home folder.
    """
    whole = os.path.expanduser(path)
    if whole.startswith("~"):
        raise ConfigurationError(
            f"{name} {validation.shown(path)}: names a home folder that is not known here",
            f'write the whole path, or "./{path}" for a file of that name',
        )
    return whole


def _absolute(name: str, folder: str, hint: str = "give its absolute path") -> str:
    validation.check_setting(name, folder)
    if not os.path.isabs(folder):
        raise ConfigurationError(f"{name} {validation.shown(folder)}: is relative", hint)
    return folder


def _part(name: str) -> str:
    """Make one path component of any name: what could leave the folder is percent-encoded."""
    part = "".join(chr(byte) if byte in _UNRESERVED else f"%{byte:02X}" for byte in name.encode())
    if len(part) > MAX_PART_CHARACTERS:
        from nhagent.hashes import sha256

        kept = part[: MAX_PART_CHARACTERS - _HASH_CHARACTERS - 1]
        part = f"{kept}-{sha256(name.encode()).hexdigest()[:_HASH_CHARACTERS]}"
    return part.replace(".", "%2E") if part.startswith(".") else part
