"""How the service dresses what it says: the headers of every reply, and the XML of an error."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from http import HTTPStatus

from .clock import error_time, http_date
from .messages import Refused, Reply
from .xml_text import escaped

XML = "application/xml; charset=utf-8"


def dressed(reply: Reply, now: float, tracking_id: str | None = None) -> Reply:
    """The reply with the service's own headers, which those already in it replace.

    Args:
        reply: what the hub answered.
        now: the emulator's time, seconds since 1970.
        tracking_id: the one that the body already names, else a new one is made.
    """
    headers = {
        "Server": "Kestrel",
        "Date": http_date(now),
        "Strict-Transport-Security": "max-age=2592000",
        "TrackingId": tracking_id or str(uuid.uuid4()),
        "x-ms-correlation-request-id": str(uuid.uuid4()),
    }
    return Reply(reply.status, replaced(headers, reply.headers), reply.body)


def refusal(refused: Refused, now: float) -> Reply:
    """The dressed reply for a refusal. Header and body name the same tracking id."""
    tracking_id = str(uuid.uuid4())
    if refused.detail is None:
        return dressed(Reply(refused.status, refused.headers), now, tracking_id)
    headers = {"Content-Type": XML, **refused.headers}
    body = error_body(refused.status, refused.detail, now, tracking_id)
    return dressed(Reply(refused.status, headers, body), now, tracking_id)


def error_body(status: int, detail: str, now: float, tracking_id: str) -> bytes:
    """`<Error>` in the service's form: no XML declaration, no namespace, the time in US form."""
    text = f"{detail}.TrackingId:{tracking_id}_G2,TimeStamp:{error_time(now)}"
    return f"<Error><Code>{status}</Code><Detail>{escaped(text)}</Detail></Error>".encode()


def reason(status: int) -> str:
    """The words beside a status, as in `404 Not Found`."""
    try:
        return HTTPStatus(status).phrase
    except ValueError:
        return "Unknown"


def replaced(defaults: Mapping[str, str], given: Mapping[str, str]) -> dict[str, str]:
    """The defaults with what is given on top, names compared without regard to case."""
    names = set(map(str.lower, given))
    return {name: value for name, value in defaults.items() if name.lower() not in names} | dict(given)
