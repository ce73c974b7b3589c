"""How a reply is delivered: whole and at once, or cut, dripped, padded, compressed or in odd chunks.

body → padding → compression → chunks → head before it → cut → drip
"""

from __future__ import annotations

import math
import socket
import struct
import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from nhagent.emulator.faults import NO_FAULT, Fault
from nhagent.emulator.http_messages import Reply, merged_headers, reason_phrase

_PIECE: Final = 1 << 16
# JSON and XML stay the same documents with white space behind them.
_PADDING: Final = b" " * _PIECE
_INVALID_SIZE: Final = b"zz\r\n"
_GZIP_HEAD: Final = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
_GZIP_LAST_BLOCK: Final = b"\x03\x00"


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and the fault that it is delivered with.

    Attributes:
        reply: the reply.
        fault: `NO_FAULT` for a reply that is sent whole and at once.
        takes_over: uses the connection in place of the reply, until its end; None: the reply is sent.
    """

    reply: Reply
    fault: Fault = NO_FAULT
    takes_over: Callable[[socket.socket], None] | None = None


def pieces_of(answer: Answer, *, bodiless: bool, in_chunks: bool, last: bool) -> Iterator[bytes]:
    """Yield the reply as it is sent. Only a small part is in memory at a time, since it may be endless.

    Args:
        answer: what is sent.
        bodiless: the request or the status allows no body.
        in_chunks: the client understands chunks.
        last: the connection is closed after it.
    """
    fault = answer.fault
    wire: Iterable[bytes] = _wire(answer.reply, fault, bodiless, in_chunks, last)
    if fault.cut_after is not None:
        wire = _cut(wire, fault.cut_after)
    for piece in _gathered(wire):
        if fault.drip:
            yield from (bytes((byte,)) for byte in piece)
        else:
            yield piece


def _wire(reply: Reply, fault: Fault, bodiless: bool, in_chunks: bool, last: bool) -> Iterator[bytes]:
    headers = reply.headers
    lines = [f"HTTP/1.1 {reply.status} {reason_phrase(reply.status)}"]
    if fault.makes_body:
        body = _changed_body(reply.body, fault)
    else:
        body = iter([reply.body] if reply.body and not bodiless else [])
    if fault.encoding is not None:
        headers = merged_headers({"Content-Encoding": fault.encoding}, headers)
    if not {"content-length", "transfer-encoding"}.isdisjoint(map(str.lower, headers)):
        # The fault declares a framing of its own, so the body is sent as it is.
        pass
    elif fault.chunked == "garbage":
        lines.append("Transfer-Encoding: chunked")
        body = _in_garbage(body)
    elif fault.chunked or (in_chunks and (fault.makes_body or (reply.body and not bodiless))):
        lines.append("Transfer-Encoding: chunked")
        body = _in_chunks(body)
    elif not fault.makes_body:
        lines.append(f"Content-Length: {0 if bodiless else len(reply.body)}")
    if last:
        lines.append("Connection: close")
    lines += [f"{name}: {value}" for name, value in headers.items()]
    yield ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
    yield from body


def _changed_body(body: bytes, fault: Fault) -> Iterator[bytes]:
    left = math.inf if fault.chunked == "endless" else (fault.size or 0) - len(body)
    pieces = _padded(body, left)
    return pieces if fault.encoding is None else _compressed(pieces)


def _padded(body: bytes, left: float) -> Iterator[bytes]:
    yield body
    while left > 0:
        piece = _PADDING[: int(min(left, _PIECE))]
        yield piece
        left -= len(piece)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Compress as gzip. A gigabyte of padding becomes little more than a megabyte, in about a second."""
    crc = length = 0
    last, block = b"", b""
    yield _GZIP_HEAD
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
        length += len(piece)
        # Each block stands alone and ends at a whole byte, so that the padding is compressed only once.
        if piece is not last:
            deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            last, block = piece, deflater.compress(piece) + deflater.flush(zlib.Z_FULL_FLUSH)
        yield block
    yield _GZIP_LAST_BLOCK + struct.pack("<LL", crc, length & 0xFFFFFFFF)


def _in_chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _in_garbage(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield _INVALID_SIZE + piece + b"\r\n"
    yield _INVALID_SIZE


def _cut(pieces: Iterable[bytes], left: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """Join small pieces, so that a small reply is sent in one write."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
