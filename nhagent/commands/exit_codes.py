"""The exit codes of the ``nhagent`` command: they tell who must act. Those from 64 on are of sysexits.h."""

from __future__ import annotations

from nhagent import errors

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from typing import Final

OK: Final = 0
FOUND: Final = 1
"""Nobody failed, but verify found drift, doctor something red, or status that a person must act."""
SOFTWARE: Final = 70
"""A fault of nhagent's."""
TEMPFAIL: Final = 75
"""Waiting: try again later."""
NOPERM: Final = 77
"""The hub refuses the key."""
CONFIG: Final = 78
"""Something must be configured."""
INTERRUPTED: Final = 130
"""Ended by Ctrl-C, as shells tell it."""


def exit_code(error: Exception) -> int:
    """Give the exit code that tells who must act on an error."""
    return code_of(type(error))


def code_of(kind: type[Exception]) -> int:
    """Give the exit code that tells who must act on errors of a class."""
    if issubclass(kind, errors.NhagentError) and kind.retryable:
        return TEMPFAIL
    if issubclass(kind, errors.Unauthorized | errors.Forbidden):
        return NOPERM
    if issubclass(kind, errors.ConfigurationError | errors.CredentialError):
        return CONFIG
    if issubclass(kind, errors.HubNotFound | errors.InvalidRequest):
        return CONFIG
    # Whatever else a hub says, such as a second 410, is no fault of ours, and may be over by the next start.
    return TEMPFAIL if issubclass(kind, errors.HubError) else SOFTWARE
