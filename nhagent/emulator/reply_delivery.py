"""How a reply goes out: whole and at once, or late, cut, dripping, padded, compressed, in chunks of nonsense.

body → padding → compression → chunks → head before it → cut → drip
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Final, Literal

from nhagent.emulator.http_messages import Reply, merged_headers, reason_phrase

_PIECE: Final = 1 << 16
_PADDING: Final = b" " * _PIECE
"""JSON and XML remain what they are with white space behind them."""
_NO_SIZE: Final = b"zz\r\n"
_CHOICES: Final = {"reset": ("before", "after"), "chunked": ("garbage", "endless"), "encoding": ("gzip",)}


@dataclass(frozen=True, slots=True)
class Delivery:
    """How a reply goes out; as it is by default, whole and at once.

    Raises:
        ValueError: a value is out of range, or two contradict each other.
    """

    delay: float = 0.0
    """Seconds between the answer's being decided and its being sent."""
    cut_after: int | None = None
    """Bytes of the reply, its head included, after which the connection is closed."""
    reset: Literal["before", "after"] | None = None
    """No reply: the connection is reset (RST), before the request is carried out, or after."""
    drip: float = 0.0
    """Seconds after each single byte of the reply, its head included."""
    chunked: Literal["garbage", "endless"] | None = None
    """Chunks whose sizes are none, or chunks until the client hangs up."""
    encoding: Literal["gzip"] | None = None
    """How the body is compressed, whether or not the client asked for it."""
    size: int | None = None
    """Bytes to which the body is padded with spaces, before it is compressed."""

    def __post_init__(self) -> None:
        for name, seconds in (("delay", self.delay), ("drip", self.drip)):
            if not (math.isfinite(seconds) and seconds >= 0):
                raise ValueError(f"A fault's {name} is a number of seconds, not {seconds}.")
        if self.cut_after is not None and self.cut_after < 0:
            raise ValueError(f"A reply cannot be cut after {self.cut_after} bytes.")
        if self.size is not None and self.size < 1:
            raise ValueError(f"A reply cannot be padded to {self.size} bytes.")
        for name, known in _CHOICES.items():
            if getattr(self, name) not in (None, *known):
                raise ValueError(f"A fault's {name} is {' or '.join(known)}, not {getattr(self, name)!r}.")
        if self.reset is not None and (self.cut_after is not None or self.drip or self.makes_body):
            raise ValueError("A fault that resets the connection sends no reply: only a delay goes with it.")
        if self.chunked == "endless" and self.size is not None:
            raise ValueError("A body without end has no size.")

    @property
    def makes_body(self) -> bool:
        """Whether the body is another than the reply's; it goes out even where HTTP has none, as with 204."""
        return self.chunked is not None or self.encoding is not None or self.size is not None

    def pieces(self, reply: Reply, *, bodiless: bool, in_chunks: bool, last: bool) -> Iterator[bytes]:
        """The reply as it goes over the wire; never much of it at once, since it may have no end.

        Args:
            reply: what is answered.
            bodiless: the request or the status allows no body.
            in_chunks: the client knows chunks.
            last: the connection is closed after it.
        """
        wire: Iterable[bytes] = self._wire(reply, bodiless, in_chunks, last)
        if self.cut_after is not None:
            wire = _cut(wire, self.cut_after)
        for piece in _gathered(wire):
            if self.drip:
                yield from (bytes((byte,)) for byte in piece)
            else:
                yield piece

    def _wire(self, reply: Reply, bodiless: bool, in_chunks: bool, last: bool) -> Iterator[bytes]:
        headers = reply.headers
        lines = [f"HTTP/1.1 {reply.status} {reason_phrase(reply.status)}"]
        if self.makes_body:
            body = self._body(reply.body)
        else:
            body = iter([reply.body] if reply.body and not bodiless else [])
        if self.encoding is not None:
            headers = merged_headers({"Content-Encoding": self.encoding}, headers)
        if not {"content-length", "transfer-encoding"}.isdisjoint(map(str.lower, headers)):
            # A fault that declares a framing of its own gets its body as it is.
            pass
        elif self.chunked == "garbage":
            lines.append("Transfer-Encoding: chunked")
            body = _in_garbage(body)
        elif self.chunked or (in_chunks and (self.makes_body or (reply.body and not bodiless))):
            lines.append("Transfer-Encoding: chunked")
            body = _in_chunks(body)
        elif not self.makes_body:
            lines.append(f"Content-Length: {0 if bodiless else len(reply.body)}")
        if last:
            lines.append("Connection: close")
        lines += [f"{name}: {value}" for name, value in headers.items()]
        yield ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1")
        yield from body

    def _body(self, body: bytes) -> Iterator[bytes]:
        left = math.inf if self.chunked == "endless" else (self.size or 0) - len(body)
        pieces = _padded(body, left)
        return pieces if self.encoding is None else _compressed(pieces)


WHOLE: Final = Delivery()
"""As a reply goes out when nothing goes wrong."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A reply, and how it goes out."""

    reply: Reply
    delivery: Delivery = WHOLE


def _padded(body: bytes, left: float) -> Iterator[bytes]:
    yield body
    while left > 0:
        piece = _PADDING[: int(min(left, _PIECE))]
        yield piece
        left -= len(piece)


def _compressed(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """In the form of gzip: a gigabyte of padding is little more than a megabyte, and made in a second."""
    crc = length = 0
    last, block = b"", b""
    yield b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
    for piece in pieces:
        crc = zlib.crc32(piece, crc)
        length += len(piece)
        # Each block starts anew and ends at a whole byte: that of the padding serves as often as it comes.
        if piece is not last:
            deflater = zlib.compressobj(wbits=-zlib.MAX_WBITS)
            last, block = piece, deflater.compress(piece) + deflater.flush(zlib.Z_FULL_FLUSH)
        yield block
    yield b"\x03\x00" + struct.pack("<LL", crc, length & 0xFFFFFFFF)


def _in_chunks(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        if piece:
            yield b"%x\r\n%b\r\n" % (len(piece), piece)
    yield b"0\r\n\r\n"


def _in_garbage(pieces: Iterable[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        yield _NO_SIZE + piece + b"\r\n"
    yield _NO_SIZE


def _cut(pieces: Iterable[bytes], left: int) -> Iterator[bytes]:
    for piece in pieces:
        yield piece[:left]
        left -= len(piece)
        if left <= 0:
            return


def _gathered(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """A small reply goes out in one write."""
    held = bytearray()
    for piece in pieces:
        held += piece
        if len(held) >= _PIECE:
            yield bytes(held)
            held.clear()
    if held:
        yield bytes(held)
