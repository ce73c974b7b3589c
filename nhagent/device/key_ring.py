"""Where the connection string comes from, and where ``login`` puts it. Opens the key ring.

Sources in order: systemd's credential, a 0600 file, the environment; these cost nothing and are read at every
start. The key ring comes last, and is opened only when something must be sent. Which backend of keyring is
viable says little: the first real call does. A backend that keeps nothing, or keeps it readable, is refused.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeVar

from nhagent.device.secret_file import check_private, read_secret
from nhagent.errors import CredentialError, KeyringLocked
from nhagent.redaction import in_prose

if TYPE_CHECKING:
    from threading import Thread

    from keyring.backend import KeyringBackend

SYSTEMD_CREDENTIAL: Final = "nhagent.connection-string"
KEYRING_SERVICE: Final = "nhagent"
KEYRING_SECONDS: Final = 30.0
"""How long a key ring may take: on a desktop it may wait for a person to unlock it."""

LEAST_SECONDS: Final = 1.0
"""What a key ring is given at the least, though another has taken all the time."""

_T = TypeVar("_T")

_HANGING: Final[dict[object, Thread]] = {}
"""The calls of this process that were given up and go on, by the key ring that was asked."""


@dataclass(frozen=True, slots=True)
class FoundCredential:
    """A connection string, not parsed yet, and the source that gave it."""

    text: str = field(repr=False)
    source: str


def find_in_systemd(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """The connection string from systemd's credential, or None where it gave none.

    Raises:
        CredentialError: it is there and cannot be used.
    """
    folder = environ.get("CREDENTIALS_DIRECTORY")
    path = os.path.join(folder, SYSTEMD_CREDENTIAL) if folder else ""
    if not path or not os.path.exists(path):
        return None
    name = f"systemd credential {SYSTEMD_CREDENTIAL}"
    return FoundCredential(read_secret(path, name), name)


def find_in_file(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """The connection string from the file that the environment names, or None where it names none.

    Raises:
        CredentialError: it cannot be used, or others may read it.
    """
    path = environ.get("NHAGENT_CONNECTION_STRING_FILE", "")
    if not path:
        return None
    check_private(path, "connection string file")
    return FoundCredential(read_secret(path, "connection string file"), "$NHAGENT_CONNECTION_STRING_FILE")


def find_in_environment(environ: Mapping[str, str] = os.environ) -> FoundCredential | None:
    """The connection string from the environment, or None where it is not there."""
    text = environ.get("NHAGENT_CONNECTION_STRING", "")
    return FoundCredential(text, "$NHAGENT_CONNECTION_STRING") if text.strip() else None


SOURCES_AT_NO_COST: Final[tuple[Callable[[], FoundCredential | None], ...]] = (
    find_in_systemd,
    find_in_file,
    find_in_environment,
)


def present() -> list[str]:
    """The sources before the key ring that are there, in order, whether they can be used or not."""
    names: list[str] = []
    for find in SOURCES_AT_NO_COST:
        try:
            found = find()
        except CredentialError as error:
            names.append(str(error).partition(":")[0])
        else:
            names += [] if found is None else [found.source]
    return names


def find_in_keyring(app: str, hub: str, *, seconds: float = KEYRING_SECONDS) -> FoundCredential:
    """The connection string from the first key ring that holds it; else as `all_in_keyrings`."""
    return next(all_in_keyrings(app, hub, seconds=seconds))


def all_in_keyrings(app: str, hub: str, *, seconds: float = KEYRING_SECONDS) -> Iterator[FoundCredential]:
    """The connection strings that the key rings hold, at least one; the next one is asked when it is wanted.

    Args:
        app: the app's name.
        hub: the hub's.
        seconds: how long it may take until the first is found or all were asked; a key ring that comes after
            one which took all of it is given `LEAST_SECONDS` all the same.

    Raises:
        KeyringLocked: it is locked.
        CredentialError: there is no key ring here, it fails, or it holds no connection string.
    """
    users, failure, is_found = _users(app, hub), None, False
    deadline = monotonic() + seconds
    for backend in _accepted_backends(seconds):

        def look(backend: KeyringBackend = backend) -> list[tuple[str, str | None]]:
            return [(user, backend.get_password(KEYRING_SERVICE, user)) for user in users]

        left = max(deadline - monotonic(), min(seconds, LEAST_SECONDS))
        try:
            entries = _asked(look, backend, seconds, left)
        except CredentialError as error:
            failure = failure or error  # another may hold it all the same
            continue
        for user, text in entries:
            if text:
                is_found = True
                yield FoundCredential(text, f"key ring entry {KEYRING_SERVICE!r}, {user!r}")
    if not is_found:
        raise failure or _missing(app, hub)


def store_in_keyring(app: str, hub: str, text: str, *, seconds: float = KEYRING_SECONDS) -> str:
    """Put the connection string into the first key ring, and read it back: some take what they do not keep.

    One that has never been set up is passed over; what goes past a locked one would be hidden by what it may
    hold.

    Args:
        app: the app's name.
        hub: the hub's.
        text: the connection string.
        seconds: how long a key ring may take.

    Returns:
        That key ring's name.

    Raises:
        KeyringLocked: it is locked.
        CredentialError: there is no key ring here, or it did not keep it.
    """
    user, failure, backends = _users(app, hub)[0], None, _accepted_backends(seconds)
    from keyring.errors import InitError

    for backend in backends:

        def store(backend: KeyringBackend = backend) -> bool | InitError:
            try:
                backend.set_password(KEYRING_SERVICE, user, text)
            except InitError as error:
                return error
            return backend.get_password(KEYRING_SERVICE, user) == text

        kept = _asked(store, backend, seconds)
        if kept is True:
            return name_of(backend)
        if kept is False:
            raise CredentialError(f"key ring {name_of(backend)}: did not keep what was stored; repair it")
        failure = failure or _as_ours(kept, backend)
    if failure is not None:
        raise failure
    raise CredentialError(
        'key ring: there is none on this machine; run "nhagent vault init" for one of nhagent\'s own, or '
        "name a file that only you can read in $NHAGENT_CONNECTION_STRING_FILE"
    )


def remove_from_keyring(app: str, hub: str, *, seconds: float = KEYRING_SECONDS) -> list[str]:
    """Take the connection string out of every key ring that holds it; one that fails stops no other.

    Args:
        app: the app's name.
        hub: the hub's.
        seconds: how long a key ring may take.

    Returns:
        The names of those that did.

    Raises:
        KeyringLocked: one is locked, where it may remain.
        CredentialError: one fails, where it may remain.
    """
    failures: dict[str, CredentialError] = {}
    users, removed, backends = _users(app, hub), list[str](), _accepted_backends(seconds)
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
            if _asked(remove, backend, seconds):
                removed.append(name_of(backend))
        except CredentialError as error:
            failures[name_of(backend)] = error
    if failures:
        raise _what_remains(failures, removed)
    return removed


def _what_remains(failures: Mapping[str, CredentialError], removed: list[str]) -> CredentialError:
    """The first failure, which says the next step, and where the connection string may still be."""
    first = next(iter(failures.values()))
    gone = f"it was removed from the key ring {' and '.join(removed)}, but " if removed else ""
    return type(first)(f"{first}; {gone}what {' and '.join(failures)} may hold of it remains")


def name_of(backend: KeyringBackend) -> str:
    """What a key ring is called, to be shown."""
    kind = type(backend)
    return kind.__module__.rpartition(".")[2] if kind.__name__ == "Keyring" else kind.__name__


def _users(app: str, hub: str) -> list[str]:
    """The users that an entry may stand under: the hub's name in lower case, then as it is written.

    The name counts without regard to case, and older versions stored it as it was written.
    """
    # A hub's name may be a path, so an app's own slash must not look like the one between the two.
    name = app.replace("%", "%25").replace("/", "%2F")
    return list(dict.fromkeys((f"{name}/{hub.lower()}", f"{name}/{hub}")))


def _missing(app: str, hub: str) -> CredentialError:
    missing = f'no connection string was found for app "{app}" and hub "{hub}"'
    if os.environ.get("CREDENTIALS_DIRECTORY"):  # a service of the system: nobody logs in there
        return CredentialError(
            f"{missing}: this service was given no systemd credential {SYSTEMD_CREDENTIAL}; write it to "
            f"/etc/credstore/{SYSTEMD_CREDENTIAL}, which only root can read, or name another file in the "
            "unit's LoadCredential=, and restart the service"
        )
    return CredentialError(
        f'{missing}; run "nhagent login" (and "nhagent vault init" before it on a machine without a key '
        "ring), name a file that holds it and that only you can read in $NHAGENT_CONNECTION_STRING_FILE, or "
        "set $NHAGENT_CONNECTION_STRING"
    )


def _accepted_backends(seconds: float) -> list[KeyringBackend]:
    """The key rings of this machine in the order of their priority, without those that must not be used.

    Raises:
        KeyringLocked: the search for them does not end.
        CredentialError: keyring cannot be used, or there are none but such.
    """
    if _still_hangs(_found_backends):
        raise KeyringLocked(
            "key ring: none was found yet, because the session bus or a key ring still gives no answer; try "
            "again, or name a file in $NHAGENT_CONNECTION_STRING_FILE"
        )
    backends, error = _tried(_found_backends, seconds, _found_backends)
    if error is not None:
        raise CredentialError(
            f"key ring: keyring cannot be used ({_in_short(error)}); correct $PYTHON_KEYRING_BACKEND or "
            "keyringrc.cfg, or name a file in $NHAGENT_CONNECTION_STRING_FILE"
        )
    if backends is None:
        raise KeyringLocked(
            f"key ring: none was found within {seconds:g} s, because the session bus or a key ring gives no "
            "answer; try again, or name a file in $NHAGENT_CONNECTION_STRING_FILE"
        )
    from keyring.backends import fail

    there = [backend for backend in backends if not isinstance(backend, fail.Keyring)]
    accepted = [backend for backend in there if not _refusal(backend)]
    if there and not accepted:
        raise CredentialError(
            f"key ring {name_of(there[0])}: {_refusal(there[0])}; take another ("
            '"nhagent vault init" makes one), or name a file in $NHAGENT_CONNECTION_STRING_FILE'
        )
    return accepted


def _refusal(backend: KeyringBackend) -> str:
    """Why a key ring must not hold a secret; "" where it may."""
    for kind in type(backend).__mro__:
        if kind.__module__ == "keyring.backends.null":
            return "keeps nothing"
        if "plaintext" in kind.__name__.lower():
            return "would keep the connection string in plain text"
    return ""


def _found_backends() -> list[KeyringBackend]:
    import keyring
    from keyring.backends.chainer import ChainerBackend

    chosen = keyring.get_keyring()
    return list(chosen.backends) if isinstance(chosen, ChainerBackend) else [chosen]


def _asked(call: Callable[[], _T], backend: KeyringBackend, seconds: float, left: float | None = None) -> _T:
    """Ask a key ring, but not for ever: one that waits for a person is as good as locked.

    Args:
        call: asks it.
        backend: the key ring.
        seconds: how long it may take.
        left: what is left of them, where others have taken some.

    Raises:
        KeyringLocked: it is locked, or did not answer.
        CredentialError: it failed.
    """
    kind = type(backend)
    if _still_hangs(kind):
        raise KeyringLocked(
            f"key ring {name_of(backend)}: still gives no answer to an earlier call; if it waits for "
            "somebody to unlock it, unlock it, then try again"
        )
    answer, error = _tried(lambda: (call(),), seconds if left is None else left, kind)
    if error is not None:
        raise _as_ours(error, backend)
    if answer is None:
        raise KeyringLocked(
            f"key ring {name_of(backend)}: gave no answer within {seconds:g} s; if it waits for somebody to "
            "unlock it, unlock it, then try again"
        )
    return answer[0]


def _tried(call: Callable[[], _T], seconds: float, asked: object) -> tuple[_T | None, BaseException | None]:
    """What a call that may never end gave within a time, or raised; neither where it has not ended.

    What was asked then counts as hanging until the call ends: each further one would leave a thread behind.
    """
    from threading import Thread

    answers: list[_T] = []
    failures: list[BaseException] = []

    def run() -> None:
        try:
            answers.append(call())
        except BaseException as error:  # noqa: BLE001 - a backend that was named raises anything
            failures.append(error)

    thread = Thread(target=run, name="nhagent-key-ring", daemon=True)
    thread.start()
    thread.join(seconds)
    if thread.is_alive():
        _HANGING[asked] = thread
    return next(iter(answers), None), next(iter(failures), None)


def _still_hangs(asked: object) -> bool:
    """Whether a call that was given up has not ended yet."""
    thread = _HANGING.get(asked)
    return thread is not None and thread.is_alive()


def _as_ours(error: BaseException, backend: KeyringBackend) -> CredentialError:
    """A backend raises whatever its library does: RuntimeError, D-Bus errors, EOFError at a prompt."""
    import keyring.errors

    name = f"key ring {name_of(backend)}"
    match error:
        case keyring.errors.KeyringError() if type(backend).__module__ == "nhagent.device.vault":
            kind = KeyringLocked if isinstance(error, keyring.errors.KeyringLocked) else CredentialError
            return kind(f"{name}: {error}")  # in words of ours, which hold no secret and tell the next step
        case keyring.errors.KeyringLocked():
            return KeyringLocked(f"{name}: is locked ({_in_short(error)}); unlock it, then try again")
        case keyring.errors.InitError():
            return CredentialError(
                f"{name}: has not been set up for this user ({_in_short(error)}); log in to the desktop "
                'once, or run "nhagent vault init" on a machine without one'
            )
        case keyring.errors.NoKeyringError():
            return CredentialError(
                f'{name}: none is available; run "nhagent vault init" for one of nhagent\'s own, or name a '
                "file in $NHAGENT_CONNECTION_STRING_FILE"
            )
        case _:
            return CredentialError(
                f"{name}: failed ({_in_short(error)}); repair it, or name a file that holds the connection "
                "string in $NHAGENT_CONNECTION_STRING_FILE"
            )


def _in_short(error: BaseException) -> str:
    """Its kind and its plain words: a backend may quote what it could not keep, or read."""
    return in_prose(error.with_traceback(None))  # the places of others' code help nobody
