"""Turn a hub's reply into facts about the exchange, and what is not a success into an error of the tree.

The head of a reply counts whatever its body is: status, Retry-After, tracking id. The words of a refusal are
read by `nhagent.hub.error_bodies`; `nhagent.hub.refusals` says what they mean. They may have many lines, one
for each fault that the service has found, which an error tells in one; they are cut at a length that fits a
log and a service's status.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any, Final

from nhagent import errors
from nhagent.hub.checked import tracking_id_from
from nhagent.hub.texts import is_web_page, quoted
from nhagent.hub.times import read_http_date, read_retry_after
from nhagent.hub.transport import Response
from nhagent.redaction import HIDDEN, redacted
from nhagent.values import Frozen

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from nhagent.hub.error_bodies import ErrorBody
    from nhagent.hub.refusals import Meaning, Refusal

    MeaningOf: TypeAlias = "Callable[[Refusal], Meaning]"

MAX_DETAIL_CHARACTERS: Final = 300
MAX_TRACKING_CHARACTERS: Final = 100
MAX_READ_CHARACTERS: Final = 65_536
"""Characters of a hub's words that are redacted: far more than any service sends, or than are shown."""
LISTEN: Final = "Listen"
"""The right that a device's requests need."""
_MEAN_FRACTION_SECONDS: Final = 0.5
"""Mean of the fraction of a second that a Date header leaves out."""
_TRACKING_HEADERS: Final = (
    "trackingid",
    "x-ms-correlation-request-id",
    "x-ms-request-id",
    "x-azure-ref",
)
"""Where Azure's front ends give their id of an exchange; no portal does."""
_WRITERS: Final = ("microsoft-httpapi/", "microsoft-azure-application-gateway/")
"""Servers of Azure that answer with pages of their own, as ``Server`` has them, in lower case."""
_FRONT_DOOR: Final = "x-azure-ref"
_SERVICE: Final = "kestrel"
"""The server of the service itself, which writes no pages: one that bears its name may be anybody's."""
_AS_PORTALS: Final = frozenset({HTTPStatus.UNAUTHORIZED, HTTPStatus.FORBIDDEN, HTTPStatus.NOT_FOUND})
"""Refusals that a captive portal makes too."""
_WAITING: Final = frozenset({HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.TOO_MANY_REQUESTS})


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
        response: the reply.
        sent: our clock before the exchange, aware.
        received: our clock after it.

    Returns:
        The facts. The clock of a web page is not the hub's, and is left out; so is one in a head that may
        have been cut.
    """
    is_hubs = not _is_html(response) or _is_written_by_azure(response.headers)
    is_whole = not response.fault or bool(response.body)
    server_time = read_http_date(response.headers.get("date")) if is_hubs and is_whole else None
    skew = None
    if server_time is not None:
        middle = sent + (received - sent) / 2
        skew = (server_time - middle).total_seconds() + _MEAN_FRACTION_SECONDS
    return HubReply(response.status, _tracking_id_in(response.headers), server_time, skew)


def raise_for_error(
    response: Response,
    facts: HubReply,
    *,
    who: str,
    record: str,
    right: str = LISTEN,
    redact: Callable[[str], str] = redacted,
    meaning_of: MeaningOf | None = None,
) -> None:
    """Raise the error that a reply means, if it is not a success.

    Args:
        response: the reply.
        facts: what `read_facts` made of it.
        who: who answered, for the message: ``hub "my-hub"``.
        record: what was asked for, such as ``installation 95e4…``.
        right: the right that the request needs: Listen, Send or Manage.
        redact: takes out of the hub's words what must not be shown, in case it quotes what was sent.
        meaning_of: says what a refusal means; None: as a hub's, see `nhagent.hub.refusals`.

    Raises:
        HubError: of the class of the tree that this reply belongs to.
    """
    status = response.status
    if not HTTPStatus.OK <= status < HTTPStatus.MULTIPLE_CHOICES:
        raise _error_of(response, facts, who, (record, right), redact, meaning_of)
    # A framework labels a 204 as it labels every page of its own.
    if _is_html(response) and (response.body or status != HTTPStatus.NO_CONTENT):
        raise _error_of_page(response, facts, who, redact)
    kind = response.headers.get("content-type", "").lower()
    if response.body and "xml" not in kind and "json" not in kind:
        raise errors.HubUnavailable(
            f"{who}: the reply ({status}) is of kind {redact(quoted(kind)) or 'unknown'}, "
            f"which no {who.partition(' ')[0]} sends",
            f"something stands in between: find out what answers in the {who.partition(' ')[0]}'s place",
            **_facts_of(response, facts, redact),
        )


def _error_of_page(
    response: Response, facts: HubReply, hub: str, redact: Callable[[str], str]
) -> errors.HubError:
    """Make the error of a web page that no hub has sent."""
    said = _shown(_read_body(response).words, redact)
    return errors.HubUnavailable(
        f"{hub}: the reply ({response.status}) is a web page, not the hub's: a captive portal or proxy "
        f"stands in between{_quotation(said)}",
        "sign in there or go around it",
        detail=said,
        **_facts_of(response, facts, redact),
    )


def _error_of(
    response: Response,
    facts: HubReply,
    hub: str,
    asked: tuple[str, str],
    redact: Callable[[str], str],
    meaning_of: MeaningOf | None,
) -> errors.HubError:
    """Make the error of a reply that is not a success; ``asked``: for which record, and with which right."""
    from nhagent.hub import refusals

    if _is_html(response) and not _counts_as_page(response):
        return _error_of_page(response, facts, hub, redact)
    body = _read_body(response)
    record, right = asked
    said = _redacted(body.words, redact)
    wait = response.headers.get("retry-after")
    meaning = (meaning_of or refusals.meaning_of)(
        refusals.Refusal(
            status=response.status,
            words=_letters(f"{said} {body.code}"),
            right=right,
            asks_for_time=bool(wait),
            is_silent_error=body.is_error and not said,
            is_page=_is_html(response),
            is_json="json" in response.headers.get("content-type", "").lower(),
            is_cut=bool(response.fault),
            clock_skew=facts.clock_skew,
        )
    )
    fact = f"{hub} {meaning.fact.format(record=record, status=response.status, right=right)}"
    said = _cut(said, MAX_DETAIL_CHARACTERS)  # now that it is redacted: half a key looks like none
    fact += _quotation(said)
    if response.fault:
        fact += f" (its words are lost: {redact(response.fault)})"
    known = _facts_of(response, facts, redact, body.tracking_id)
    if known["tracking_id"] is not None:
        fact += f" [tracking id {known['tracking_id']}]"
    return meaning.kind(fact, meaning.hint, detail=said, **known)


def _facts_of(
    response: Response, facts: HubReply, redact: Callable[[str], str], tracking_id: str | None = None
) -> Mapping[str, Any]:
    """Give what the head of a reply says, whatever its body is, as the arguments of an error."""
    tracking_id = facts.tracking_id or tracking_id
    if tracking_id is not None:
        tracking_id = _cut(_redacted(tracking_id, redact), MAX_TRACKING_CHARACTERS)
    now = read_http_date(response.headers.get("date")) or datetime.now(
        UTC
    )  # whose clock it is does not matter
    return {
        "status": response.status,
        "tracking_id": tracking_id,
        "retry_after": read_retry_after(response.headers.get("retry-after"), now),
        "server_time": facts.server_time,
    }


def _is_html(response: Response) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return "html" in kind or is_web_page(response.body)


def _counts_as_page(response: Response) -> bool:
    """Tell whether the status of a web page counts: it asks to wait, or is of a front end of the service.

    A captive portal answers with a page, a redirect, or a refusal; none asks for time, or has a fault.
    """
    status, headers = response.status, response.headers
    if status < HTTPStatus.BAD_REQUEST:
        return False
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status in _WAITING or "retry-after" in headers:
        return True
    if _is_written_by_azure(headers):
        return True
    is_of_service = _SERVICE in headers.get("server", "").lower() or _tracking_id_in(headers) is not None
    return is_of_service and status not in _AS_PORTALS


def _is_written_by_azure(headers: Mapping[str, str]) -> bool:
    server = headers.get("server", "").lower()
    return _FRONT_DOOR in headers or any(name in server for name in _WRITERS)


def _tracking_id_in(headers: Mapping[str, str]) -> str | None:
    given = next(filter(None, map(headers.get, _TRACKING_HEADERS)), None)
    return tracking_id_from(given)


def _read_body(response: Response) -> ErrorBody:
    """Read the words of a refusal; those of a body that broke off may end within a key, and are left out."""
    from nhagent.hub.error_bodies import NOTHING, ErrorBody, read_error_body

    if response.fault or not response.body:
        return NOTHING
    if _is_html(response):
        from nhagent.hub.web_pages import words_of_page

        return ErrorBody(words_of_page(response.body))
    return NOTHING if response.status < HTTPStatus.BAD_REQUEST else read_error_body(response.body)


def _letters(text: str) -> str:
    """Give a text's letters alone, in lower case: names of errors have the same words without blanks."""
    return "".join(filter(str.isalpha, text[:MAX_READ_CHARACTERS].lower()))


def _quotation(said: str) -> str:
    return f': it says "{said}"' if said else ""


def _shown(said: str, redact: Callable[[str], str]) -> str:
    return _cut(_redacted(said, redact), MAX_DETAIL_CHARACTERS)


def _redacted(text: str, redact: Callable[[str], str]) -> str:
    """Redact the beginning of what a hub says."""
    shown = redact(text[:MAX_READ_CHARACTERS])
    if len(text) > MAX_READ_CHARACTERS > 2 * len(shown):
        return HIDDEN  # nearly nothing but secrets, the last of which may have been cut, and not recognised
    return shown


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"
