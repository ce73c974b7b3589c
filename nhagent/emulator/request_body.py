"""Read a request's body, of declared length or in chunks, up to a limit."""

from __future__ import annotations

import re
from email.message import Message
from io import BufferedIOBase

BODY_LIMIT = 1 << 20
"""Largest body in bytes."""
_DRAIN_FACTOR = 8
"""A refused body up to so many times `BODY_LIMIT` is still read: its sender can then read the refusal."""
_LINE_LIMIT = 1024
_PIECE = 1 << 16


class BodyRefused(Exception):
    """The body is refused.

    Args:
        status: 400 or 413.
        detail: the reason, for the client.
        drained: the body has been read to its end, so that the connection can be kept.
    """

    def __init__(self, status: int, detail: str, *, drained: bool) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.drained = drained


def read_body(headers: Message[str, str], source: BufferedIOBase, limit: int = BODY_LIMIT) -> bytes | None:
    """Return the whole body; None when the client disconnected before its end.

    Args:
        headers: the request's.
        source: the connection, at the beginning of the body.
        limit: largest body in bytes.

    Raises:
        BodyRefused: it is too large, or its framing is invalid.
    """
    coding = (headers.get("Transfer-Encoding") or "").strip().lower()
    if coding:
        if coding != "chunked":
            raise BodyRefused(400, "The transfer encoding is not supported.", drained=False)
        return _read_chunks(source, limit)
    text = (headers.get("Content-Length") or "0").strip()
    if not re.fullmatch(r"\d{1,18}", text, re.ASCII):
        raise BodyRefused(400, "The content length is not valid.", drained=False)
    length = int(text)
    if length > limit:
        raise _too_large(limit, drained=length <= _DRAIN_FACTOR * BODY_LIMIT and _drain(source, length))
    body = source.read(length) if length else b""
    return body if len(body) == length else None


def _read_chunks(source: BufferedIOBase, limit: int) -> bytes | None:
    pieces: list[bytes] = []
    size = 0
    while True:
        line = source.readline(_LINE_LIMIT)
        if not line:
            return None
        text = line.partition(b";")[0].strip()
        if not re.fullmatch(rb"[0-9A-Fa-f]{1,16}", text):
            raise BodyRefused(400, "The chunked body is not valid.", drained=False)
        length = int(text, 16)
        size += length
        if size > limit:
            raise _too_large(limit, drained=False)
        if length == 0:
            break
        piece = source.read(length)
        if len(piece) != length or source.read(2) != b"\r\n":
            return None
        pieces.append(piece)
    # Trailers are read and ignored.
    while (line := source.readline(_LINE_LIMIT)) not in (b"\r\n", b"\n"):
        if not line:
            return None
    return b"".join(pieces)


def _drain(source: BufferedIOBase, length: int) -> bool:
    while length > 0:
        piece = source.read(min(length, _PIECE))
        if not piece:
            return False
        length -= len(piece)
    return True


def _too_large(limit: int, *, drained: bool) -> BodyRefused:
    return BodyRefused(413, f"The request body is larger than {limit} bytes.", drained=drained)
