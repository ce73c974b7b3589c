"""Call key rings: each call ends within its time, and raises nothing but errors of nhagent's own.

On a desktop a key ring may wait for a person to unlock it, and a broken session bus may never answer. Such a
call is given up, and its thread left behind; the same key ring is not called again until that thread ends.
"""

from __future__ import annotations

from nhagent.errors import ConfigurationError, CredentialError, KeyringLocked
from nhagent.interruption import run_beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Thread
    from typing import Final, TypeVar

    from keyring.backend import KeyringBackend

    _T = TypeVar("_T")

_HANGING: Final[dict[object, Thread]] = {}
"""The threads of this process whose calls were given up, by what was called."""


def name_of(backend: KeyringBackend) -> str:
    """Give the name of a key ring, as it is shown."""
    kind = type(backend)
    return kind.__module__.rpartition(".")[2] if kind.__name__ == "Keyring" else kind.__name__


def called(call: Callable[[], _T], backend: KeyringBackend, seconds: float, left: float | None = None) -> _T:
    """Call a key ring, and give what it gave.

    Args:
        call: calls it.
        backend: the key ring.
        seconds: how long key rings may take.
        left: how many of these seconds are left, where other key rings have taken some.

    Raises:
        KeyringLocked: it is locked, or did not answer in time: it may be waiting for a person.
        CredentialError: it failed.
    """
    kind, name = type(backend), f"key ring {name_of(backend)}"
    hint = "if it waits for somebody to unlock it, unlock it, then try again"
    if still_hangs(kind):
        raise KeyringLocked(f"{name}: still gives no answer to an earlier call", hint)
    answer, error = attempt(lambda: (call(),), seconds if left is None else left, kind)
    if error is not None:
        raise as_credential_error(error, backend)
    if answer is None:
        raise KeyringLocked(f"{name}: gave no answer within {seconds:g} s", hint)
    return answer[0]


def attempt(call: Callable[[], _T], seconds: float, target: object) -> tuple[_T | None, BaseException | None]:
    """Make a call that may never end.

    Args:
        call: the call. Its result must not be None, which stands for a call that has not ended.
        seconds: how long it may take.
        target: what is called. Once the call is given up, it counts as hanging until the call ends.

    Returns:
        The result and the error of the call, one of them None; both are None where it has not ended.
    """
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(call())
        except BaseException as error:  # noqa: BLE001 - backends raise anything, SystemExit among it
            errors.append(error)

    def given_up(thread: Thread) -> None:
        _HANGING[target] = thread

    run_beside(run, seconds, "nhagent-key-ring", given_up=given_up)
    return next(iter(results), None), next(iter(errors), None)


def still_hangs(target: object) -> bool:
    """Tell whether a call that was given up has not ended yet; another one would leave one more thread."""
    thread = _HANGING.get(target)
    return thread is not None and thread.is_alive()


def as_credential_error(error: BaseException, backend: KeyringBackend) -> CredentialError:
    """Turn what a key ring raised into an error of nhagent's own.

    Backends raise whatever their libraries do: RuntimeError, errors of D-Bus, EOFError at a prompt.
    """
    import keyring.errors

    name = f"key ring {name_of(backend)}"
    match error.__cause__:  # the vault's: its words are ours, and hold no secret
        case CredentialError() as cause:
            return cause.at(name)
        case ConfigurationError() as cause:
            return CredentialError(f"{name}: {cause.fact}", cause.hint)
    match error:
        case keyring.errors.KeyringLocked():
            return KeyringLocked(f"{name}: is locked ({in_short(error)})", "unlock it, then try again")
        case keyring.errors.InitError():
            return CredentialError(
                f"{name}: has not been set up for this user ({in_short(error)})",
                'log in to the desktop once, or run "nhagent vault init" on a machine without one',
            )
        case keyring.errors.NoKeyringError():
            return CredentialError(
                f"{name}: none is available",
                'run "nhagent vault init" for one of nhagent\'s own, or name a file in '
                "$NHAGENT_CONNECTION_STRING_FILE",
            )
        case _:
            return CredentialError(
                f"{name}: failed ({in_short(error)})",
                "repair it, or name a file that holds the connection string in "
                "$NHAGENT_CONNECTION_STRING_FILE",
            )


def in_short(error: BaseException) -> str:
    """Give an error's kind and plain words, since a backend may quote what it could not keep or read."""
    from nhagent.redaction import in_prose

    return in_prose(error.with_traceback(None))  # the places in others' code help nobody
