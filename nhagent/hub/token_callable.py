"""Ask a callable of the app's for a token: whatever its code does, no secret shows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nhagent.errors import CredentialError, HubError, HubUnavailable, NhagentError, is_failure
from nhagent.redaction import without_text, words_alone

if TYPE_CHECKING:
    from collections.abc import Callable

CORRECT_IT: Final = "correct it"
_HTTP_LIBRARIES: Final = {"http", "httpx", "httpcore", "aiohttp", "urllib3", "requests"}


def asked(source: Callable[[], object]) -> object:
    """Ask a token callable, which is the app's own code.

    Args:
        source: the callable.

    Returns:
        What it gave, which is not checked.

    Raises:
        HubUnavailable: it could not reach its backend.
        CredentialError: it failed otherwise, or is a coroutine function.
        NhagentError: what it raised itself, in its plain words alone.
    """
    try:
        token = source()
    except NhagentError as error:
        raise _in_plain_words(error) from None
    except BaseException as error:
        if not is_failure(error):
            raise
        if _is_of_the_network(error):
            raise HubUnavailable(
                f"the token callable could not reach its backend ({without_text(error)})",
                "see that the backend can be reached; a later attempt may succeed",
            ) from None
        raise CredentialError(f"the token callable failed ({without_text(error)})", CORRECT_IT) from None
    if hasattr(token, "__await__"):
        _dismiss(token)
        raise CredentialError("the token callable is a coroutine function", "give a plain one")
    return token


def _in_plain_words(error: NhagentError) -> NhagentError:
    """Redact an error of ours that the app's own code raised: its text is the app's, and so is its cause.

    It may hold a token, or a push channel that nobody else knows yet.
    """
    error.fact, error.hint = words_alone(error.fact), words_alone(error.hint)
    error.args = (error.fact, error.hint)
    if isinstance(error, HubError):
        error.detail = words_alone(error.detail)
    error.__cause__ = error.__context__ = None
    return error


def _is_of_the_network(error: BaseException) -> bool:
    """Tell whether a backend could not be reached, by any HTTP library: not all derive from OSError."""
    if isinstance(error, OSError):
        return True
    return any(kind.__module__.partition(".")[0] in _HTTP_LIBRARIES for kind in type(error).__mro__)


def _dismiss(awaitable: object) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()  # else Python warns that nobody awaited it
