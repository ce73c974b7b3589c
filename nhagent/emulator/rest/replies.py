"""The headers that every reply of the service carries, and the XML of an error."""

from __future__ import annotations

import uuid

from nhagent.emulator.atom.escaping import escaped
from nhagent.emulator.clock import error_time, http_date
from nhagent.emulator.http_messages import Refused, Reply, merged_headers

XML = "application/xml; charset=utf-8"


def with_service_headers(reply: Reply, now: float, tracking_id: str | None = None) -> Reply:
    """Return the reply with the service's own headers; those already in it win.

    Args:
        reply: what the hub answers.
        now: the emulator's time, seconds since 1970.
        tracking_id: the one that the body already names; None for a new one.
    """
    headers = {
        "Server": "Kestrel",
        "Date": http_date(now),
        "Strict-Transport-Security": "max-age=2592000",
        "TrackingId": tracking_id or str(uuid.uuid4()),
        "x-ms-correlation-request-id": str(uuid.uuid4()),
    }
    return Reply(reply.status, merged_headers(headers, reply.headers), reply.body)


def refusal(refused: Refused, now: float) -> Reply:
    """Return the complete reply for a refusal. Header and body name the same tracking id."""
    tracking_id = str(uuid.uuid4())
    if refused.detail is None:
        return with_service_headers(Reply(refused.status, refused.headers), now, tracking_id)
    headers = {"Content-Type": XML, **refused.headers}
    body = error_body(refused.status, refused.detail, now, tracking_id)
    return with_service_headers(Reply(refused.status, headers, body), now, tracking_id)


def error_body(status: int, detail: str, now: float, tracking_id: str) -> bytes:
    """Write ``<Error>`` as the service does: no XML declaration, no namespace, the time in US form."""
    text = f"{detail}.TrackingId:{tracking_id}_G2,TimeStamp:{error_time(now)}"
    return f"<Error><Code>{status}</Code><Detail>{escaped(text)}</Detail></Error>".encode()
