"""Whether a person must act on where a device stands, and by which command."""

from __future__ import annotations

from nhagent import errors
from nhagent.report import DISABLED_TEXT, StartState

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from typing import Final

    from nhagent.report import Status

LOOK_FOR_IT: Final = "nhagent doctor"
WRITE_IT_AGAIN: Final = "nhagent register"


def next_command(status: Status) -> str | None:
    """Give the command that a person should run now; None: nobody must act.

    Args:
        status: what the device remembers.
    """
    if status.state is StartState.UNVERIFIED:
        return WRITE_IT_AGAIN
    if status.state is StartState.BLOCKED:
        return LOOK_FOR_IT
    kind = last_error_of(status)
    return None if kind is None or kind.retryable else LOOK_FOR_IT


def last_error_of(status: Status) -> type[errors.NhagentError] | None:
    """Give the class of the error that stands in the way; None where nothing does."""
    kind = getattr(errors, status.last_error or "", None)
    return kind if isinstance(kind, type) and issubclass(kind, errors.NhagentError) else None


def why_unregistered(status: Status, lacking: str | None) -> tuple[str, type[errors.NhagentError] | None]:
    """Say why the hub has not accepted a device, and by which class of error that is.

    Args:
        status: what the device remembers.
        lacking: the file that should hold its push channel, and does not; None: there is none such.
    """
    if status.state is StartState.DISABLED:
        return DISABLED_TEXT, errors.ConfigurationError
    kind = last_error_of(status)
    if kind is not None:
        return f"the last attempt ended with {kind.__name__}; see: {LOOK_FOR_IT}", kind
    if lacking is not None:
        return f"there is no push channel yet: whoever gets it writes {lacking}", None
    return "nobody has registered it so far; see: nhagent register, nhagent run", None
