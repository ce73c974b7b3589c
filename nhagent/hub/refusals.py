"""Say what a refusal means: which error of the tree it is, what is so, and what to do next.

The words are looked for as letters alone: ``Installation not found`` is ``InstallationNotFound`` elsewhere.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from http import HTTPStatus
from typing import Final

from nhagent import errors
from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS
from nhagent.values import Value

_QUOTA_WORDS: Final = ("quota", "toomany")
_RECORD_WORDS: Final = ("installation", "registration")
_OLD_HUB_WORDS: Final = "olderapiversion"
_ETAG_WORDS: Final = ("missingorinvalid", "invalidormissing")
_CLAIM_WORDS: Final = "claimisrequired"
_LATER: Final = "a later attempt may succeed"


class Refusal(Value):
    """What tells one error from another.

    Attributes:
        status: the HTTP status.
        words: what the hub says, its letters alone, in lower case.
        right: the right that the request needs.
        asks_for_time: it sends a Retry-After.
        is_silent_error: its body is an error of the service's, and says nothing.
        is_page: its body is a web page.
        is_json: its body is JSON, as no hub's is and every backend's.
        is_cut: its body was lost, or a part of it.
        clock_skew: seconds that the hub's clock is ahead of ours, or None.
    """

    status: int
    words: str
    right: str
    asks_for_time: bool
    is_silent_error: bool
    is_page: bool
    is_json: bool
    is_cut: bool
    clock_skew: float | None


class Meaning(Value):
    """What a refusal means.

    Attributes:
        kind: the class of the error.
        fact: what the hub did, to follow its name; ``{record}``, ``{right}`` and ``{status}`` are filled in.
        hint: the next step.
    """

    kind: type[errors.HubError]
    fact: str
    hint: str


def meaning_of(refusal: Refusal) -> Meaning:
    """Say what a reply means that is not a success.

    Args:
        refusal: what the reply has shown.
    """
    in_context = _IN_CONTEXT.get(refusal.status, _meaning_of_others)
    return _BY_STATUS.get(refusal.status) or in_context(refusal)


def _meaning_of_400(refusal: Refusal) -> Meaning:
    if _OLD_HUB_WORDS in refusal.words:
        return Meaning(
            errors.InvalidRequest,
            "was created under an older api-version than nhagent speaks, 2020-06 ({status})",
            "create the hub again, under another name or after deleting it: the new one takes 2020-06",
        )
    return _meaning_of_others(refusal)


def _meaning_of_401(refusal: Refusal) -> Meaning:
    if _CLAIM_WORDS in refusal.words:  # an older front end's way to say 403
        return Meaning(
            errors.Unauthorized,
            "forbids this key access to {record}: it needs the {right} right ({status})",
            _hint_for_right(refusal.right),
        )
    fact, skew = "refused the token ({status})", refusal.clock_skew
    hint = "check that the key was not rotated or mistyped"
    if skew is not None and abs(skew) > CLOCK_TOLERANCE_SECONDS:
        fact += f", and this device's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}"
        hint = f"set the clock, or {hint}"
    return Meaning(errors.Unauthorized, fact, hint)


def _meaning_of_403(refusal: Refusal) -> Meaning:
    if refusal.asks_for_time:
        return Meaning(
            errors.Throttled, "is asked too often ({status})", "wait until its Retry-After is over"
        )
    if any(word in refusal.words for word in _QUOTA_WORDS):
        return Meaning(
            errors.QuotaExceeded,
            "is full: its namespace holds as many devices as it may ({status})",
            "delete registrations of devices that are gone, or take a higher tier",
        )
    return Meaning(
        errors.Forbidden,
        "forbids this key access to {record}: it needs the {right} right ({status})",
        _hint_for_right(refusal.right),
    )


def _hint_for_right(right: str) -> str:
    return f"give the key's policy the {right} right, or take a key that has it"


def _meaning_of_404(refusal: Refusal) -> Meaning:
    if refusal.is_cut:  # its words would tell whether the record is unknown, or the hub
        return Meaning(errors.HubUnavailable, "answered {status} for {record}", _LATER)
    names_record = "notfound" in refusal.words and any(word in refusal.words for word in _RECORD_WORDS)
    if not refusal.is_page and (names_record or refusal.is_silent_error):
        return Meaning(
            errors.RecordNotFound,
            "does not hold {record} ({status})",
            "check its id; if the hub has lost it, it has to be written again, whole",
        )
    return Meaning(
        errors.HubNotFound,
        "was not found ({status})",
        "check the hub's name and the connection string's Endpoint",
    )


def _meaning_of_412(refusal: Refusal) -> Meaning:
    if any(words in refusal.words for words in _ETAG_WORDS):
        return Meaning(
            errors.ConcurrencyConflict,
            "finds the ETag that was sent for {record} missing or invalid ({status})",
            'give the ETag that the record has now, or "*"',
        )
    return Meaning(
        errors.ConcurrencyConflict,
        "reports that somebody else has changed {record} ({status})",
        "read it again, and make the change on what it is now",
    )


def _meaning_of_others(refusal: Refusal) -> Meaning:
    if HTTPStatus.BAD_REQUEST <= refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return Meaning(
            errors.InvalidRequest, "refused {record} as invalid ({status})", "correct what it names"
        )
    if HTTPStatus.MULTIPLE_CHOICES <= refusal.status < HTTPStatus.BAD_REQUEST:
        return Meaning(
            errors.HubUnavailable,
            "answered {status}, a redirect, which a hub never sends",
            "find out what answers in the hub's place: a captive portal wants somebody to sign in",
        )
    return _PASSING_FAULT


_PASSING_FAULT: Final = Meaning(errors.HubUnavailable, "answered {status}, a passing fault", _LATER)
_TOO_OFTEN: Final = Meaning(
    errors.Throttled, "is asked too often ({status})", "make fewer requests; a later attempt may succeed"
)
_BY_STATUS: Final[Mapping[int, Meaning]] = {
    HTTPStatus.REQUEST_TIMEOUT: _PASSING_FAULT,
    HTTPStatus.CONFLICT: _TOO_OFTEN,
    HTTPStatus.GONE: Meaning(
        errors.RegistrationGone, "has given up {record} ({status})", "write it under a new id"
    ),
    HTTPStatus.TOO_MANY_REQUESTS: _TOO_OFTEN,
}
_IN_CONTEXT: Final[Mapping[int, Callable[[Refusal], Meaning]]] = {
    HTTPStatus.BAD_REQUEST: _meaning_of_400,
    HTTPStatus.UNAUTHORIZED: _meaning_of_401,
    HTTPStatus.FORBIDDEN: _meaning_of_403,
    HTTPStatus.NOT_FOUND: _meaning_of_404,
    HTTPStatus.PRECONDITION_FAILED: _meaning_of_412,
}
