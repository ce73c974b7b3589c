"""The one place where a hub's reply becomes a value or an error of the tree.

The service's error body is ``<Error><Code>404</Code><Detail>WORDS.TrackingId:GUID_G3,TimeStamp:…</Detail>
</Error>``; a newer form has a space before TrackingId; a body may be missing. Its words may have many lines,
one for each fault that it has found: so many are kept as a log and a service's status can bear.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Final

from nhagent import errors
from nhagent.hub.markup import NotMarkup, parse
from nhagent.hub.times import read_http_date, read_retry_after
from nhagent.hub.transport import Response
from nhagent.redaction import redacted

MAX_DETAIL_CHARACTERS: Final = 300
MAX_TRACKING_CHARACTERS: Final = 100
_TRACKING: Final = re.compile(r"\.?\s*TrackingId:\s*([^,\s]+)\s*,\s*TimeStamp:.*\Z", re.DOTALL)
_HTML: Final = re.compile(rb"\s*<(!doctype\s+html|html|head|body)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class HubReply:
    """What a hub said beside the document: facts about the exchange.

    Attributes:
        status: the HTTP status.
        tracking_id: the service's id of this exchange, or None.
        server_time: the hub's clock, or None.
        clock_skew: seconds that the hub's clock is ahead of ours, or None.
    """

    status: int
    tracking_id: str | None
    server_time: datetime | None
    clock_skew: float | None


def read_facts(response: Response, *, sent: datetime, received: datetime) -> HubReply:
    """Take a reply's facts: the clocks are compared at the middle of the exchange.

    Args:
        response: the whole reply.
        sent: our clock before the exchange, aware.
        received: our clock after it.
    """
    server_time = None if _is_html(response) else read_http_date(response.headers.get("date"))
    skew = None
    if server_time is not None:
        # A Date has lost its fraction of a second, on average half of one.
        skew = (server_time - (sent + (received - sent) / 2)).total_seconds() + 0.5
    return HubReply(response.status, response.headers.get("trackingid"), server_time, skew)


def raise_for_error(
    response: Response,
    facts: HubReply,
    *,
    hub: str,
    record: str,
    veil: Callable[[str], str] = redacted,
) -> None:
    """Raise what a reply that is no success was.

    Args:
        response: the whole reply.
        facts: what `read_facts` made of it.
        hub: the hub's name, for the message.
        record: what was asked for, such as ``installation 95e4…``.
        veil: takes out of the hub's words what must not be shown, in case it quotes what was sent.

    Raises:
        HubError: of the class of the tree that this reply belongs to.
    """
    if _is_html(response):
        raise errors.HubUnavailable(
            f'hub "{hub}": the reply ({response.status}) is a web page, not the hub\'s; a captive portal '
            "or proxy stands in between: sign in there or go around it",
            status=response.status,
        )
    if 200 <= response.status < 300:
        kind = response.headers.get("content-type", "").lower()
        if response.body and "xml" not in kind and "json" not in kind:
            raise errors.HubUnavailable(
                f'hub "{hub}": the reply ({response.status}) is of kind {veil(kind) or "unknown"}, which no '
                "hub sends; something stands in between",
                status=response.status,
            )
        return
    detail, tracking_id, is_error_body = _error_body(response)
    detail = veil(detail)
    tracking_id = None if tracking_id is None else _cut(veil(tracking_id), MAX_TRACKING_CHARACTERS)
    now = facts.server_time or datetime.now(UTC)
    wish = response.headers.get("retry-after")
    retry_after = read_retry_after(wish, now)
    error, sentence = _classify(
        response.status, detail, bool(wish), is_error_body, hub, record, facts.clock_skew
    )
    detail = _cut(detail, MAX_DETAIL_CHARACTERS)  # now that it is redacted: half a key looks like none
    words = f'; it says "{detail}"' if detail else ""
    tracked = f" [tracking id {tracking_id}]" if tracking_id else ""
    raise error(
        f"{sentence}{words}{tracked}",
        status=response.status,
        detail=detail,
        tracking_id=tracking_id,
        retry_after=retry_after,
        server_time=facts.server_time,
    )


def _classify(
    status: int,
    detail: str,
    asks_for_time: bool,
    is_error_body: bool,
    hub: str,
    record: str,
    skew: float | None,
) -> tuple[type[errors.HubError], str]:
    words = detail.lower()
    this = f'hub "{hub}"'
    if status == 401:
        clock = ""
        if skew is not None and abs(skew) > 60:
            clock = (
                f"; this device's clock is {abs(skew):.0f} s {'behind' if skew > 0 else 'ahead'}: set it, or"
            )
        return errors.Unauthorized, (
            f"{this} refused the token (401){clock or ';'} check that the key was not rotated or mistyped"
        )
    if status == 403 and asks_for_time:
        return errors.Throttled, f"{this} is asked too often (403); tried again after its Retry-After"
    if status == 403 and ("quota" in words or "too many" in words):
        return errors.QuotaExceeded, (
            f"{this} is full: its namespace holds as many devices as it may (403); remove stale ones"
        )
    if status == 403:
        return errors.Forbidden, f"{this} forbids this (403); give the key's policy the Listen right"
    if status == 404:
        named = "not found" in words and ("installation" in words or "registration" in words)
        if named or (is_error_body and not detail):
            return errors.RecordNotFound, f"{this} does not hold {record} (404); it has to be written anew"
        return errors.HubNotFound, (
            f"{this} was not found (404); check the hub's name and the connection string's Endpoint"
        )
    if status == 410:
        return errors.RegistrationGone, f"{this} has given up {record} (410); it needs a new id"
    if status == 412:
        return errors.ConcurrencyConflict, (
            f"{this}: {record} was changed by somebody else (412); read it again"
        )
    if status in {409, 429}:
        return errors.Throttled, f"{this} is asked too often ({status}); tried again later"
    if 400 <= status < 500 and status != 408:
        return errors.InvalidRequest, f"{this} refused {record} as invalid ({status}); correct what it names"
    what = "a redirect, which a hub never sends" if 300 <= status < 400 else "a passing fault"
    return errors.HubUnavailable, f"{this} answered {status}, {what}; tried again later"


def _is_html(response: Response) -> bool:
    kind = response.headers.get("content-type", "").lower()
    return "html" in kind or _HTML.match(response.body) is not None


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else f"{text[: most - 1]}…"


def _error_body(response: Response) -> tuple[str, str | None, bool]:
    """The service's words, its tracking id, and whether the body was an error body at all."""
    header = response.headers.get("trackingid")
    if response.status < 400 or not response.body:
        return "", header, False
    try:
        root = parse(response.body)
    except NotMarkup:
        return "", header, False
    if root.name != "Error":
        return "", header, False
    detail = root.child_text("Detail") or ""
    match = _TRACKING.search(detail)
    if match is None:
        return detail.strip(), header, True
    return detail[: match.start()].strip(), header or match.group(1), True
