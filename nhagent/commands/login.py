"""``login`` and ``logout``: the connection string into the key ring and out of it; ``vault init``."""

from __future__ import annotations

import sys
from typing import Any, Final

from nhagent import validation
from nhagent.commands.config import Login, read_login
from nhagent.commands.setup import check_connection_string
from nhagent.device import credential_sources, key_ring
from nhagent.device.paths import vault_file
from nhagent.errors import ConfigurationError
from nhagent.hub.backend import Backend
from nhagent.hub.connection import bare
from nhagent.session.bearer import PURPOSE, checked_token

MAX_CHARACTERS: Final = 16 * 1024
"""No connection string and no token is longer."""
_CONNECTION_STRING: Final = "connection string: of a policy with Listen alone"
_TOKEN: Final = "token: the bearer token of this device"  # noqa: S105 - what it is called


def log_in(config: str | None, *, allow_full_access: bool) -> tuple[dict[str, Any], str]:
    """Ask for the connection string, check it, and put it into the key ring.

    It is asked for without echo, or read from standard input where that is not a terminal; it is never an
    argument, which every process of the machine could see.

    Args:
        config: the configuration file's path; None: as `nhagent.commands.config.read_agent`.
        allow_full_access: take a key that may do more than listen, whatever the configuration says.

    Returns:
        The object for ``--json``, and the text for people.

    Raises:
        ConfigurationError: the string is malformed or another hub's, or the configuration is wrong.
        CredentialError: it may do more than listen, or no key ring keeps it.
    """
    settings = read_login(config)
    if settings.backend is not None:
        return _log_in_at_backend(settings, settings.backend)
    text = _ask(_CONNECTION_STRING)
    key_name, namespace = check_connection_string(
        text, settings.hub, allow_full_access=allow_full_access or settings.allow_full_access
    )
    kept_in = key_ring.store_in_keyring(settings.app, settings.hub, text)
    shown = (
        f"stored in the key ring {kept_in}: key {key_name!r} at {namespace}, "
        f"for app {settings.app!r} and hub {settings.hub!r}"
    )
    before = next(iter(credential_sources.present()), None)
    return _stored(settings, shown, kept_in, before, namespace=namespace, key_name=key_name)


def _log_in_at_backend(settings: Login, backend: Backend) -> tuple[dict[str, Any], str]:
    """Ask for the backend's token, and put it into the key ring."""
    token = checked_token(_ask(_TOKEN), "the token")
    kept_in = key_ring.store_in_keyring(settings.app, settings.hub, token.reveal(), purpose=PURPOSE)
    shown = f"stored in the key ring {kept_in}: the token for app {settings.app!r} at {backend.url}"
    before = None
    if backend.token is not None or backend.client_cert is not None:
        before = "what the configuration names"
    return _stored(settings, shown, kept_in, before, namespace=backend.place, key_name=None)


def _stored(
    settings: Login, shown: str, kept_in: str, before: str | None, *, namespace: str, key_name: str | None
) -> tuple[dict[str, Any], str]:
    if before is not None:
        shown += f"\n  but {before} comes before the key ring, and is what will be used"
    if sys.platform != "win32":  # a key ring shows nobody that it has changed
        shown += "\n  a daemon that runs is told by a signal: systemctl kill -s USR1 nhagent (or --user)"
    document = {
        "app": settings.app,
        "hub": settings.hub,
        "namespace": namespace,
        "key_name": key_name,
        "key_ring": kept_in,
        "hidden_by": before,
        "error": None,
    }
    return document, shown


def log_out(config: str | None) -> tuple[dict[str, Any], str]:
    """Take the connection string out of every key ring that holds it.

    Args:
        config: the configuration file's path; None: as `nhagent.commands.config.read_agent`.

    Returns:
        The object for ``--json``, and the text for people.

    Raises:
        ConfigurationError: the configuration is wrong.
        CredentialError: a key ring is locked, or fails.
    """
    settings = read_login(config)
    is_token = settings.backend is not None
    removed = key_ring.remove_from_keyring(settings.app, settings.hub, purpose=PURPOSE if is_token else "")
    whose = f"for app {settings.app!r} and {'backend' if is_token else 'hub'} {settings.hub!r}"
    where = " and ".join(removed)
    text = f"removed from the key ring {where}, {whose}" if removed else f"there was none {whose}"
    return {"app": settings.app, "hub": settings.hub, "removed_from": removed, "error": None}, text


def make_vault() -> tuple[dict[str, Any], str]:
    """Make the vault's key file.

    Returns:
        The object for ``--json``, and the text for people.

    Raises:
        ConfigurationError: the path of the key or of the vault's file is relative.
        CredentialError: there is one already, or it cannot be written.
    """
    from nhagent.device.vault_entries import make_key

    sealed, path = vault_file(), make_key()  # no key is made for a file that cannot be
    text = (
        f"the vault's key is {path}; what it seals goes to {sealed}\n"
        "  whoever can read both has the connection string: where systemd runs the service, let it hand the "
        "key over\n  (systemd-creds encrypt, LoadCredentialEncrypted=nhagent.vault-key) and remove the file"
    )
    return {"key_file": path, "vault_file": sealed, "error": None}, text


def _ask(what: str) -> str:
    name, about = what.partition(":")[::2]
    try:
        if sys.stdin is not None and sys.stdin.isatty():
            from getpass import getpass

            text = getpass(f"{name.capitalize()} ({about.strip()}; it is not shown): ")
        else:
            text = "" if sys.stdin is None else sys.stdin.read(MAX_CHARACTERS + 1)
    except EOFError:
        text = ""
    except UnicodeDecodeError:
        text = "\udcff"  # as a standard input that is less strict gives it
    if not validation.is_text(text):
        raise ConfigurationError(f"the {name}: is not text", "copy it again")
    if not bare(text):
        raise ConfigurationError(f"the {name}: nothing was given", "paste it, or pipe it to stdin")
    if len(text) > MAX_CHARACTERS:
        raise ConfigurationError(f"the {name}: is longer than any {name}", "give it alone")
    return bare(text)
