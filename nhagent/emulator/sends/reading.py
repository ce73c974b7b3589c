"""Read a send from an HTTP request: its headers, its target, and the two parts of a direct batch."""

from __future__ import annotations

import re
from email.message import Message
from typing import Any

from nhagent.emulator.clock import seconds_in
from nhagent.emulator.http_messages import Refused, Request
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.rest.address import has_parameter
from nhagent.emulator.sends.push_headers import is_for_push_service
from nhagent.emulator.sends.send import TEMPLATE, Handle, Send

MOST_HANDLES = 1000
"""Handles of one direct batch."""
_FORMAT = "ServiceBusNotification-Format"
_TAGS = "ServiceBusNotification-Tags"
_HANDLE = "ServiceBusNotification-DeviceHandle"
_TIME = "ServiceBusNotification-ScheduleTime"
# .NET and Java write boundary=text, JavaScript boundary = "text".
_BOUNDARY = re.compile(r';\s*boundary\s*=\s*(?:"([^"]{1,200})"|([^;\s"]{1,200}))', re.IGNORECASE)
_NAME = re.compile(r';\s*name\s*=\s*"?([a-z]{1,20})"?\s*(?:;|\Z)', re.IGNORECASE)
_PART_HEADERS_LIMIT = 8192


def read_send(request: Request) -> Send:
    """Read a send from a request to ``/messages``.

    Raises:
        Refused: 400, the direct send names no handle.
    """
    direct = has_parameter(request.query, "direct")
    expression = request.headers.get(_TAGS)
    handles: tuple[Handle, ...] = (_handle_in(request),) if direct else ()
    if direct and expression is not None and expression.strip():
        raise Refused(400, f"A direct send has no {_TAGS}: it goes to the handle alone.")
    return Send(
        format=_format(request),
        body=request.body,
        headers=_headers(request.headers),
        # A blank expression does not count: nobody sends to no tag.
        expression=expression if expression is not None and expression.strip() and not direct else None,
        handles=handles,
        test=has_parameter(request.query, "test"),
    )


def read_batch(request: Request) -> Send:
    """Read a direct send to many handles, from a request to ``/messages/$batch``.

    Raises:
        Refused: 400, the body is not of the two parts that it must have.
    """
    if not has_parameter(request.query, "direct"):
        raise Refused(400, "A batch is a direct send: the 'direct' query parameter is missing.")
    match = _BOUNDARY.search(request.headers.get("Content-Type") or "")
    if match is None:
        raise Refused(400, "A batch is multipart/mixed: Content-Type names no boundary.")
    parts = _parts(request.body, (match[1] or match[2]).encode())
    if set(parts) != {"notification", "devices"}:
        raise Refused(400, "A batch has two parts: 'notification' and 'devices'.")
    headers, body = parts["notification"]
    content_type = headers.get("content-type")
    return Send(
        format=_format(request),
        body=body,
        headers=_headers(request.headers) | ({"content-type": content_type} if content_type else {}),
        handles=_handles(parts["devices"][1]),
    )


def read_time(request: Request) -> float:
    """Return the time of a scheduled send, seconds since 1970. Without a zone it is UTC.

    Raises:
        Refused: 400, it is missing or not a time.
    """
    text = request.headers.get(_TIME)
    if text is None:
        raise Refused(400, f"The header {_TIME} is missing.")
    try:
        return seconds_in(text)
    except (ValueError, OverflowError) as error:
        raise Refused(400, f"The header {_TIME} is not a time: '{text}'.") from error


def _format(request: Request) -> str:
    return (request.headers.get(_FORMAT) or TEMPLATE).strip().lower()


def _headers(headers: Message[str, str]) -> dict[str, str]:
    """Return what push services are told, by name in lower case."""
    found = {name.lower(): str(value) for name, value in headers.items()}
    return {
        name: value for name, value in found.items() if name == "content-type" or is_for_push_service(name)
    }


def _handle_in(request: Request) -> Handle:
    handle = (request.headers.get(_HANDLE) or "").strip()
    if not handle:
        raise Refused(400, f"A direct send needs the header {_HANDLE}.")
    if _format(request) != "browser":
        return handle
    # JavaScript writes the keys into headers of their own.
    keys = {"p256dh": request.headers.get("P256DH"), "auth": request.headers.get("Auth")}
    return {"endpoint": handle, **{name: key for name, key in keys.items() if key}}


def _handles(body: bytes) -> tuple[Handle, ...]:
    try:
        found: Any = read_json(body)
    except NotJson as error:
        raise Refused(400, f"The devices of a batch are not JSON. {error}") from error
    if not isinstance(found, list) or not found or not all(map(_is_handle, found)):
        raise Refused(400, "The devices of a batch are a JSON array of handles.")
    if len(found) > MOST_HANDLES:
        raise Refused(400, f"A batch has at most {MOST_HANDLES} devices, not {len(found)}.")
    return tuple(found)


def _is_handle(value: Any) -> bool:
    if isinstance(value, dict):
        return bool(value.get("endpoint")) and all(isinstance(text, str) for text in value.values())
    return isinstance(value, str) and bool(value.strip())


def _parts(body: bytes, boundary: bytes) -> dict[str, tuple[dict[str, str], bytes]]:
    """Return the headers (names in lower case) and the content of each part, by its name."""
    found: dict[str, tuple[dict[str, str], bytes]] = {}
    pieces = (b"\r\n" + body).split(b"\r\n--" + boundary)
    if len(pieces) < 3 or not pieces[-1].startswith(b"--"):  # noqa: PLR2004 - preamble, a part, the end
        raise Refused(400, "The batch is not complete: its closing boundary is missing.")
    for piece in pieces[1:-1]:
        head, divider, content = piece.partition(b"\r\n\r\n")
        if not divider or len(head) > _PART_HEADERS_LIMIT:
            raise Refused(400, "A part of the batch has no end of its headers.")
        lines = (line.partition(":") for line in head.decode("latin-1").split("\r\n") if line.strip())
        headers = {name.strip().lower(): value.strip() for name, _, value in lines}
        name = _NAME.search(headers.get("content-disposition", ""))
        if name is None or name[1].lower() in found:
            raise Refused(400, "A part of the batch has no name of its own in Content-Disposition.")
        found[name[1].lower()] = headers, content
    return found
