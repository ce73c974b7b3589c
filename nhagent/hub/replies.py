"""Turn a hub's reply into facts about the exchange, and what is not a success into an error of the tree.

The service's error body is ``<Error><Code>404</Code><Detail>WORDS.TrackingId:GUID_G3,TimeStamp:…</Detail>
</Error>``; a newer form has a space before TrackingId; a body may be missing. Its words may have many lines,
one for each fault that it has found, which an error tells in one; they are cut at a length that fits a log.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Final

from nhagent import errors
from nhagent.hub.checked import tracking_id_from
from nhagent.hub.markup import NotMarkup, parse
from nhagent.hub.texts import is_web_page, quoted, split_tracking
from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS, read_http_date, read_retry_after
from nhagent.hub.transport import Response
from nhagent.redaction import HIDDEN, redacted
from nhagent.values import Frozen, Value

MAX_DETAIL_CHARACTERS: Final = 300
MAX_TRACKING_CHARACTERS: Final = 100
MAX_READ_CHARACTERS: Final = 65_536
"""Characters of a hub's words that are redacted: far more than any service sends, or than are shown."""
_MEAN_FRACTION_SECONDS: Final = 0.5
"""Mean of the fraction of a second that a Date header leaves out."""
_QUOTA_WORDS: Final = ("quota", "too many")
_RECORD_WORDS: Final = ("installation", "registration")
_LATER: Final = "tried again later"


class HubReply(Frozen):
    """What a hub said beside the document: facts about the exchange.

    Attributes:
        status: the HTTP status.
        tracking_id: the service's id of this exchange, or None.
        server_time: the hub's clock, aware, or None.
        clock_skew: seconds that the hub's clock is ahead of ours, or None.
    """

    status: int
    tracking_id: str | None
    server_time: datetime | None
    clock_skew: float | None


def read_facts(response: Response, *, sent: datetime, received: datetime) -> HubReply:
    """Take a reply's facts. The clocks are compared at the middle of the exchange.

    Args:
        response: the whole reply.
        sent: our clock before the exchange, aware.
        received: our clock after it.

    Returns:
        The facts. A web page's clock is not the hub's, and is left out.
    """
    server_time = None if _is_html(response) else read_http_date(response.headers.get("date"))
    skew = None
    if server_time is not None:
        middle = sent + (received - sent) / 2
        skew = (server_time - middle).total_seconds() + _MEAN_FRACTION_SECONDS
    tracking_id = tracking_id_from(response.headers.get("trackingid"))
    return HubReply(response.status, tracking_id, server_time, skew)


def raise_for_error(
    response: Response,
    facts: HubReply,
    *,
    hub: str,
    record: str,
    redact: Callable[[str], str] = redacted,
) -> None:
    """Raise the error that a reply means, if it is not a success.

    Args:
        response: the whole reply.
        facts: what `read_facts` made of it.
        hub: the hub's name, for the message.
        record: what was asked for, such as ``installation 95e4…``.
        redact: takes out of the hub's words what must not be shown, in case it quotes what was sent.

    Raises:
        HubError: of the class of the tree that this reply belongs to.
    """
    status = response.status
    if _is_html(response):
        raise errors.HubUnavailable(
            f'hub "{hub}": the reply ({status}) is a web page, not the hub\'s: a captive portal or proxy '
            "stands in between",
            "sign in there or go around it",
            status=status,
        )
    if HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        kind = response.headers.get("content-type", "").lower()
        if response.body and "xml" not in kind and "json" not in kind:
            raise errors.HubUnavailable(
                f'hub "{hub}": the reply ({status}) is of kind {redact(quoted(kind)) or "unknown"}, '
                "which no hub sends",
                "something stands in between: find out what answers in the hub's place",
                status=status,
            )
        return
    raise _error_of(response, facts, f'hub "{hub}"', record, redact)


def _error_of(
    response: Response, facts: HubReply, hub: str, record: str, redact: Callable[[str], str]
) -> errors.HubError:
    """Make the error of a reply that is not a success."""
    detail, tracking_id, has_error_body = _read_error_body(response)
    detail = _redacted(detail, redact)
    wait = response.headers.get("retry-after")
    refusal = _Refusal(response.status, detail.lower(), bool(wait), has_error_body, facts.clock_skew)
    meaning = _meaning_of(refusal)
    fact = f"{hub} {meaning.fact.format(record=record, status=response.status)}"
    detail = _cut(detail, MAX_DETAIL_CHARACTERS)  # now that it is redacted: half a key looks like none
    if detail:
        fact += f': it says "{detail}"'
    if tracking_id is not None:
        tracking_id = _cut(_redacted(tracking_id, redact), MAX_TRACKING_CHARACTERS)
        fact += f" [tracking id {tracking_id}]"
    return meaning.kind(
        fact,
        meaning.hint,
        status=response.status,
        detail=detail,
        tracking_id=tracking_id,
        retry_after=read_retry_after(wait, facts.server_time or datetime.now(UTC)),
        server_time=facts.server_time,
    )


class _Refusal(Value):
    """What tells one error from another.

    Attributes:
        status: the HTTP status.
        words: what the hub says, in lower case.
        asks_for_time: it sends a Retry-After.
        has_error_body: its body is one of the service's own.
        clock_skew: as in `HubReply`.
    """

    status: int
    words: str
    asks_for_time: bool
    has_error_body: bool
    clock_skew: float | None


class _Meaning(Value):
    """What a refusal means.

    Attributes:
        kind: the class of the error.
        fact: what the hub did, to follow its name; ``{record}`` and ``{status}`` are filled in.
        hint: the next step.
    """

    kind: type[errors.HubError]
    fact: str
    hint: str


def _meaning_of_401(refusal: _Refusal) -> _Meaning:
    fact, skew = "refused the token ({status})", refusal.clock_skew
    hint = "check that the key was not rotated or mistyped"
    if skew is not None and abs(skew) > CLOCK_TOLERANCE_SECONDS:
        fact += f", and this device's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}"
        hint = f"set the clock, or {hint}"
    return _Meaning(errors.Unauthorized, fact, hint)


def _meaning_of_403(refusal: _Refusal) -> _Meaning:
    if refusal.asks_for_time:
        return _Meaning(
            errors.Throttled, "is asked too often ({status})", "tried again after its Retry-After"
        )
    if any(word in refusal.words for word in _QUOTA_WORDS):
        return _Meaning(
            errors.QuotaExceeded,
            "is full: its namespace holds as many devices as it may ({status})",
            "remove stale ones",
        )
    return _Meaning(errors.Forbidden, "forbids this ({status})", "give the key's policy the Listen right")


def _meaning_of_404(refusal: _Refusal) -> _Meaning:
    names_record = "not found" in refusal.words and any(word in refusal.words for word in _RECORD_WORDS)
    if names_record or (refusal.has_error_body and not refusal.words):
        return _Meaning(
            errors.RecordNotFound, "does not hold {record} ({status})", "it has to be written again, whole"
        )
    return _Meaning(
        errors.HubNotFound,
        "was not found ({status})",
        "check the hub's name and the connection string's Endpoint",
    )


def _meaning_of_others(refusal: _Refusal) -> _Meaning:
    if HTTPStatus.BAD_REQUEST <= refusal.status < HTTPStatus.INTERNAL_SERVER_ERROR:
        return _Meaning(
            errors.InvalidRequest, "refused {record} as invalid ({status})", "correct what it names"
        )
    if HTTPStatus.MULTIPLE_CHOICES <= refusal.status < HTTPStatus.BAD_REQUEST:
        return _Meaning(
            errors.HubUnavailable, "answered {status}, a redirect, which a hub never sends", _LATER
        )
    return _PASSING_FAULT


_PASSING_FAULT: Final = _Meaning(errors.HubUnavailable, "answered {status}, a passing fault", _LATER)
_TOO_OFTEN: Final = _Meaning(errors.Throttled, "is asked too often ({status})", _LATER)
_MEANINGS: Final[Mapping[int, _Meaning]] = {
    HTTPStatus.REQUEST_TIMEOUT: _PASSING_FAULT,
    HTTPStatus.CONFLICT: _TOO_OFTEN,
    HTTPStatus.GONE: _Meaning(
        errors.RegistrationGone, "has given up {record} ({status})", "it needs a new id"
    ),
    HTTPStatus.PRECONDITION_FAILED: _Meaning(
        errors.ConcurrencyConflict,
        "reports that somebody else has changed {record} ({status})",
        "read it again",
    ),
    HTTPStatus.TOO_MANY_REQUESTS: _TOO_OFTEN,
}
_MEANINGS_IN_CONTEXT: Final[Mapping[int, Callable[[_Refusal], _Meaning]]] = {
    HTTPStatus.UNAUTHORIZED: _meaning_of_401,
    HTTPStatus.FORBIDDEN: _meaning_of_403,
    HTTPStatus.NOT_FOUND: _meaning_of_404,
}


def _meaning_of(refusal: _Refusal) -> _Meaning:
    in_context = _MEANINGS_IN_CONTEXT.get(refusal.status, _meaning_of_others)
    return _MEANINGS.get(refusal.status) or in_context(refusal)


def _is_html(response: Response) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return "html" in kind or is_web_page(response.body)


def _redacted(text: str, redact: Callable[[str], str]) -> str:
    """Redact the beginning of what a hub says."""
    shown = redact(text[:MAX_READ_CHARACTERS])
    if len(text) > MAX_READ_CHARACTERS > 2 * len(shown):
        return HIDDEN  # nearly nothing but secrets, the last of which may have been cut, and not recognised
    return shown


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _read_error_body(response: Response) -> tuple[str, str | None, bool]:
    """Give the service's words, its tracking id, and whether the body was an error body at all."""
    header = response.headers.get("trackingid")
    if response.status < HTTPStatus.BAD_REQUEST or not response.body:
        return "", header, False
    try:
        root = parse(response.body)
    except NotMarkup:
        return "", header, False
    if root.name != "Error":
        return "", header, False
    detail = root.child_text("Detail") or ""
    words, tracking_id = split_tracking(detail)
    return words, header if tracking_id is None else header or tracking_id, True
