"""Find, store and remove the connection string in the key rings of this machine.

The key ring is the last source of the connection string (the others: `nhagent.device.credential_sources`),
and is opened only when something must be sent. Whether a backend of keyring works shows at its first call, so
each is called in turn, nhagent's own vault last. A backend that keeps nothing, or keeps it readable, is
refused.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from nhagent.device.credential_sources import SYSTEMD_CREDENTIAL, FoundCredential
from nhagent.device.key_ring_calls import as_credential_error, attempt, called, in_short, name_of, still_hangs
from nhagent.device.paths import vault_key_file
from nhagent.errors import ConfigurationError, CredentialError, KeyringLocked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from typing import Final

    from keyring.backend import KeyringBackend

KEYRING_SERVICE: Final = "nhagent"
"""The service of every entry in a key ring; its user is `_users`'."""
KEYRING_SECONDS: Final = 30.0
"""How long a key ring may take: on a desktop it may wait for a person to unlock it."""
MIN_SECONDS: Final = 1.0
"""The least time for a key ring, though another one has taken all of it."""


def find_in_keyring(app: str, hub: str, *, seconds: float = KEYRING_SECONDS) -> FoundCredential:
    """Find the connection string in the first key ring that holds it.

    Args:
        app: as for `all_in_keyrings`.
        hub: as for `all_in_keyrings`.
        seconds: as for `all_in_keyrings`.

    Raises:
        KeyringLocked: as for `all_in_keyrings`.
        CredentialError: as for `all_in_keyrings`.
    """
    return next(all_in_keyrings(app, hub, seconds=seconds))


def all_in_keyrings(app: str, hub: str, *, seconds: float = KEYRING_SECONDS) -> Iterator[FoundCredential]:
    """Find every connection string that the key rings hold; a key ring is opened when its turn comes.

    Args:
        app: the app's name.
        hub: the hub's name.
        seconds: how long it may take until the first is found, or all were asked. A key ring whose
            predecessor took all the time is given `MIN_SECONDS`.

    Yields:
        At least one.

    Raises:
        KeyringLocked: none was found, and one is locked.
        CredentialError: there is no key ring here, one fails, or none holds a connection string.
    """
    is_found = False
    for found in _all_kept(_users(app, hub, ""), seconds):
        is_found = True
        yield found
    if not is_found:
        raise _nothing_found(app, hub)


def kept_in_keyring(app: str, hub: str, purpose: str, *, seconds: float = KEYRING_SECONDS) -> str | None:
    """Give what a key ring keeps for another purpose; None where none keeps it.

    Args:
        app: the app's name.
        hub: the hub's name.
        purpose: what it is for; see `_users`.
        seconds: as for `all_in_keyrings`.

    Raises:
        KeyringLocked: none was found, and one is locked.
        CredentialError: every key ring here must not hold a secret, or one fails.
    """
    found = next(_all_kept(_users(app, hub, purpose), seconds), None)
    return None if found is None else found.text


def _all_kept(users: list[str], seconds: float) -> Iterator[FoundCredential]:
    """Find what the key rings hold under these names; where that is nothing, the first failure is raised."""
    failure, is_found = None, False
    deadline = monotonic() + seconds
    for backend in _accepted_backends(seconds):

        def look(backend: KeyringBackend = backend) -> list[tuple[str, str | None]]:
            return [(user, backend.get_password(KEYRING_SERVICE, user)) for user in users]

        left = max(deadline - monotonic(), min(seconds, MIN_SECONDS))
        try:
            entries = called(look, backend, seconds, left)
        except CredentialError as error:
            failure = failure or error  # the next key ring may hold it all the same
            continue
        for user, text in entries:
            if text:
                is_found = True
                yield FoundCredential(text, f"key ring entry {KEYRING_SERVICE!r}, {user!r}")
    if failure is not None and not is_found:
        raise failure


def store_in_keyring(
    app: str, hub: str, text: str, *, seconds: float = KEYRING_SECONDS, purpose: str = ""
) -> str:
    """Store the connection string in the first key ring, and read it back: some backends keep nothing.

    A key ring that was never set up is passed over. A locked one is not: what it may hold would hide what
    the next one holds.

    Args:
        app: the app's name.
        hub: the hub's name.
        text: the connection string.
        seconds: how long a key ring may take.
        purpose: what else than a connection string it is; see `_users`.

    Returns:
        The name of the key ring.

    Raises:
        KeyringLocked: it is locked.
        CredentialError: there is no key ring here, or it did not keep what was stored.
    """
    user, failure, backends = _users(app, hub, purpose)[0], None, _accepted_backends(seconds)
    from keyring.errors import InitError

    for backend in backends:

        def store(backend: KeyringBackend = backend) -> bool | InitError:
            try:
                backend.set_password(KEYRING_SERVICE, user, text)
            except InitError as error:
                return error
            return backend.get_password(KEYRING_SERVICE, user) == text

        kept = called(store, backend, seconds)
        if kept is True:
            return name_of(backend)
        if kept is False:
            raise CredentialError(f"key ring {name_of(backend)}: did not keep what was stored", "repair it")
        failure = failure or as_credential_error(kept, backend)
    if failure is not None:
        raise failure
    raise CredentialError(
        "key ring: there is none on this machine",
        'run "nhagent vault init" for one of nhagent\'s own, or name a file that only you can read in '
        "$NHAGENT_CONNECTION_STRING_FILE",
    )


def remove_from_keyring(
    app: str, hub: str, *, seconds: float = KEYRING_SECONDS, purpose: str = ""
) -> list[str]:
    """Remove the connection string from every key ring that holds it, also where one of them fails.

    Args:
        app: the app's name.
        hub: the hub's name.
        seconds: how long a key ring may take.
        purpose: what else than a connection string it is; see `_users`.

    Returns:
        The names of the key rings that held it.

    Raises:
        KeyringLocked: one is locked, and may still hold it.
        CredentialError: one fails, and may still hold it.
    """
    failures: dict[str, CredentialError] = {}
    users, removed, backends = _users(app, hub, purpose), list[str](), _accepted_backends(seconds)
    from keyring.errors import InitError

    for backend in backends:

        def remove(backend: KeyringBackend = backend) -> bool:
            try:
                held = [user for user in users if backend.get_password(KEYRING_SERVICE, user) is not None]
            except InitError:  # never set up: it holds nothing
                return False
            for user in held:
                backend.delete_password(KEYRING_SERVICE, user)
            return bool(held)

        try:
            if called(remove, backend, seconds):
                removed.append(name_of(backend))
        except CredentialError as error:
            failures[name_of(backend)] = error
    if failures:
        raise _not_removed(failures, removed)
    return removed


def _not_removed(failures: Mapping[str, CredentialError], removed: list[str]) -> CredentialError:
    """Make the first failure's error, with where the connection string was removed and where it may be."""
    first = next(iter(failures.values()))
    gone = f"it was removed from the key ring {' and '.join(removed)}, but " if removed else ""
    return type(first)(
        first.fact, f"{first.hint}; {gone}what {' and '.join(failures)} may hold of it remains"
    )


def may_be_there(environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether there may be a key ring here; looking for one takes keyring, and that 24 MB.

    On Linux there is none without a session bus, a vault's key, or a backend that somebody has chosen.
    """
    if sys.platform != "linux" or environ.get("DBUS_SESSION_BUS_ADDRESS"):
        return True
    if environ.get("PYTHON_KEYRING_BACKEND") or "keyring" in sys.modules:
        return True
    home = environ.get("XDG_CONFIG_HOME") or os.path.join(os.path.expanduser("~"), ".config")
    if os.path.exists(os.path.join(home, "python_keyring", "keyringrc.cfg")):
        return True
    try:
        return os.path.exists(vault_key_file(environ))
    except ConfigurationError:
        return False


def hide_key_ring() -> Callable[[], None]:
    """Hide the key ring that this process has chosen already, if it has: for tests.

    Returns:
        What brings it back.
    """
    if "keyring" not in sys.modules:
        return lambda: None
    import keyring
    from keyring.backends.fail import Keyring

    before = keyring.get_keyring()
    keyring.set_keyring(Keyring())  # type: ignore[no-untyped-call]
    return lambda: keyring.set_keyring(before)


def _users(app: str, hub: str, purpose: str) -> list[str]:
    """Name the users of the entries of an app at a hub: the one that is written, then the one of old.

    The case of a hub's name makes no difference, but older versions stored it as it was written. The entry
    of another purpose has that after a ``#``, which no hub's name holds.
    """
    # A hub's name may be a path, so an app's own slash must not look like the one between the two.
    name = app.replace("%", "%25").replace("/", "%2F")
    if purpose:
        return [f"{name}/{hub.lower()}#{purpose}"]
    return list(dict.fromkeys((f"{name}/{hub.lower()}", f"{name}/{hub}")))


def _nothing_found(app: str, hub: str) -> CredentialError:
    fact = f'no connection string was found for app "{app}" and hub "{hub}"'
    if os.environ.get("CREDENTIALS_DIRECTORY"):  # a service of the system: nobody logs in there
        return CredentialError(
            f"{fact}: this service was given no systemd credential {SYSTEMD_CREDENTIAL}",
            f"write it to /etc/credstore/{SYSTEMD_CREDENTIAL}, which only root can read, or name another "
            "file in the unit's LoadCredential=, and restart the service",
        )
    return CredentialError(
        fact,
        'run "nhagent login" (and "nhagent vault init" before it on a machine without a key ring), name a '
        "file that holds it and that only you can read in $NHAGENT_CONNECTION_STRING_FILE, or set "
        "$NHAGENT_CONNECTION_STRING",
    )


def _accepted_backends(seconds: float) -> list[KeyringBackend]:
    """Find the key rings of this machine that may hold a secret, in the order of their priority.

    Raises:
        KeyringLocked: the search for them does not end.
        CredentialError: keyring cannot be used, or every key ring is one that must not hold a secret.
    """
    later = "try again, or name a file in $NHAGENT_CONNECTION_STRING_FILE"
    if still_hangs(_all_backends):
        raise KeyringLocked(
            "key ring: none was found yet, because the session bus or a key ring still gives no answer", later
        )
    backends, error = attempt(_all_backends, seconds, _all_backends)
    if error is not None:
        raise CredentialError(
            f"key ring: keyring cannot be used ({in_short(error)})",
            "correct $PYTHON_KEYRING_BACKEND or keyringrc.cfg, or name a file in "
            "$NHAGENT_CONNECTION_STRING_FILE",
        )
    if backends is None:
        raise KeyringLocked(
            f"key ring: none was found within {seconds:g} s, because the session bus or a key ring gives no "
            "answer",
            later,
        )
    from keyring.backends import fail

    there = [backend for backend in backends if not isinstance(backend, fail.Keyring)]
    accepted = [backend for backend in there if not _refusal(backend)]
    if there and not accepted:
        raise CredentialError(
            f"key ring {name_of(there[0])}: {_refusal(there[0])}",
            'take another ("nhagent vault init" makes one), or name a file in '
            "$NHAGENT_CONNECTION_STRING_FILE",
        )
    return accepted


def _refusal(backend: KeyringBackend) -> str:
    """Say why a key ring must not hold a secret; empty where it may."""
    for kind in type(backend).__mro__:
        if kind.__module__ == "keyring.backends.null":
            return "keeps nothing"
        if "plaintext" in kind.__name__.lower():
            return "would keep the connection string in plain text"
    return ""


def _all_backends() -> list[KeyringBackend]:
    """Give the key rings that keyring chose, then the vault, which it never chooses by itself."""
    import keyring
    from keyring.backends.chainer import ChainerBackend

    from nhagent.device.vault import Vault

    chosen = keyring.get_keyring()
    backends = list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]
    if Vault.has_key() and not any(isinstance(backend, Vault) for backend in backends):
        backends.append(Vault())
    return backends
