"""Say what a backend's refusal means: which error of the tree it is, and why, as far as the backend says so.

A backend's refusals are problem details (RFC 9457) with a ``code`` and, where tags are the reason, ``tags``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from http import HTTPStatus
from typing import Final

from nhagent import errors
from nhagent.hub.refusals import Meaning, Refusal
from nhagent.hub.refusals import meaning_of as meaning_of_others
from nhagent.hub.transport import Response
from nhagent.visible import visible

MAX_TAGS: Final = 60
"""Tags of a refusal that are taken."""
MAX_CHARACTERS: Final = 120
"""Longest code, and longest tag, that is taken."""
_LATER: Final = "a later attempt may succeed"


def meaning_of(refusal: Refusal) -> Meaning:
    """Say what a backend's reply means that is not a success.

    Args:
        refusal: what the reply has shown.
    """
    if refusal.status == HTTPStatus.FORBIDDEN and refusal.asks_for_time:
        return meaning_of_others(refusal)
    if refusal.status == HTTPStatus.NOT_FOUND and not refusal.is_json:
        return Meaning(errors.HubNotFound, "was not found ({status})", "check its URL")
    return _BY_STATUS.get(refusal.status) or meaning_of_others(refusal)


def reason_in(response: Response) -> tuple[str, tuple[str, ...]]:
    """Give the code and the tags of a refusal.

    Args:
        response: the reply.

    Returns:
        What can be shown of the two; empty where it has them not.
    """
    try:
        document = json.loads(response.body)
    except (ValueError, RecursionError):
        return "", ()
    if not isinstance(document, dict):
        return "", ()
    tags = document.get("tags")
    named = tags[:MAX_TAGS] if isinstance(tags, list) else []
    return _short(document.get("code")), tuple(filter(None, map(_short, named)))


def _short(value: object) -> str:
    return visible(value) if isinstance(value, str) and len(value) <= MAX_CHARACTERS else ""


_CONFLICT: Final = Meaning(
    errors.ConcurrencyConflict,
    "reports that somebody else has changed {record} ({status})",
    "read it again, and make the change on what it is now",
)
_UNKNOWN_RECORD: Final = Meaning(
    errors.RecordNotFound,
    "does not hold {record} for this device ({status})",
    "if it was there before, it is written again, whole; if that is refused too, the id is another device's: "
    "let it go (remove the state folder) or give the device its former credential",
)
_NOT_TAKEN: Final = Meaning(
    errors.InvalidRequest, "does not take this request for {record} ({status})", "correct what it names"
)
_BY_STATUS: Final[Mapping[int, Meaning]] = {
    HTTPStatus.UNAUTHORIZED: Meaning(
        errors.Unauthorized,
        "refused the token or certificate of this device ({status})",
        "give one that is valid",
    ),
    HTTPStatus.FORBIDDEN: Meaning(
        errors.Forbidden,
        "forbids what this device asks for with {record} ({status})",
        "ask for no more than it may have, or let the backend allow it",
    ),
    HTTPStatus.NOT_FOUND: _UNKNOWN_RECORD,
    HTTPStatus.GONE: _UNKNOWN_RECORD,
    HTTPStatus.METHOD_NOT_ALLOWED: _NOT_TAKEN,
    HTTPStatus.NOT_IMPLEMENTED: _NOT_TAKEN,
    HTTPStatus.CONFLICT: _CONFLICT,
    HTTPStatus.PRECONDITION_FAILED: _CONFLICT,
    HTTPStatus.PRECONDITION_REQUIRED: _CONFLICT,
}
