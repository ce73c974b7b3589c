"""Replies that no hub should send: true ones, changed at random from a seed."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass, field

Headers = tuple[tuple[str, str], ...]

STATUSES = [
    *(100, 101, 102, 103, 199, 200, 200, 201, 201, 202, 203, 204, 205, 206, 207, 226, 299),
    *(300, 301, 302, 303, 304, 307, 308, 399, 400, 401, 402, 403, 404, 405, 406, 407, 408, 409, 410, 411),
    *(412, 413, 414, 415, 416, 417, 418, 422, 423, 425, 426, 429, 431, 451, 499),
    *(500, 501, 502, 503, 504, 505, 507, 511, 599, 600, 999),
]
NAMES = [
    *("Location", "ETag", "Content-Location", "Retry-After", "Date", "Content-Type", "TrackingId"),
    *("x-ms-continuationtoken", "x-ms-continuationtoken", "Content-Length", "Transfer-Encoding"),
    *(
        "Content-Encoding",
        "Connection",
        "Set-Cookie",
        "WWW-Authenticate",
        "Server",
        "Upgrade",
        "Trailer",
        "X",
    ),
]
VALUES: list[str] = [
    *("", " ", "0", "-1", "1", "+5", "1e9", "NaN", "inf", "9" * 99, "9" * 5000, "0.0000001", "1,2", "٣"),
    *("\xb2", "5\x1f", "\x1c7"),
    *("x" * 300, "x" * 70_000, "\xff\xfe", "\x00", "\x01\x1b[31m\x07", "\x85", "\xa0", "\x7f", "é"),
    *("=?utf-8?q?a?=",),
    *('"', '""', '"1', '"1"', 'W/"2"', "W/", "*", "*" * 200, "1;2", '"a" , "b"', "\\", "%", "%00"),
    *("%ff%fe", "%2F.."),
    *("http://[bad", "http://a:b@c:99999999/", "//", "/..", "/../..", "/registrationids/..", "?", "#"),
    *("x/" * 5000,),
    *("https://elsewhere.example/hub/registrationids/1-2-3?api-version=2020-06", "javascript:1"),
    *("file:///etc/passwd",),
    *("Thu, 01 Jan 1970 00:00:00 GMT", "Fri, 31 Dec 9999 23:59:59 GMT", "Fri, 31 Dec 9999 23:59:59 -2300"),
    *("Mon, 01 Jan 0001 00:00:00 +2359", "Sat, 30 Feb 2026 25:61:61 GMT", "Thu, 26 Nov 2026 07:00:00 GMT"),
    *("Sunday",),
    *("Mon, 01 Jan 99999999999 00:00:00 GMT", "1 Jan 2030 00:00:00 -9999", "2026-11-26T07:00:00Z"),
    *("text/html", "text/plain", "application/json", "application/atom+xml"),
    *("application/json; charset=utf-7",),
    *("gzip", "deflate", "identity", "chunked", "chunked, chunked", "close", "keep-alive"),
    *("a=b; Domain=127.0.0.1",),
    *("MTsx", "1;2", "a b", "a\tb", "a&$filter=x", "Basic realm=x", "SharedAccessSignature sig=x"),
]  # fmt: skip
NUMBERS = [
    *(b"0", b"-1", b"1e999", b"-1e999", b"1e-999", b"9" * 30, b"9" * 5000, b"NaN", b"Infinity", b"-0"),
    *(b"0.5",),
    *(b"true", b"null", b"[]", b"{}", b'""', b'"\\ud800"', b'"\\u0000"', b"'", b'"' + b"x" * 3000 + b'"'),
]  # fmt: skip
PIECES = [
    *(b"", b"\0", b"\xff", b"\xef\xbb\xbf", b"\\ud800", b"\\", b"&#0;", b"&#xD800;", b"&#x10FFFF;"),
    *(b"&lt;", b"&x;"),
    *(b"<!DOCTYPE a>", b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<![CDATA[", b"]]>", b"<!--", b"<?x y?>"),
    *(b"<a>", b"</a>"),
    *(b"<a b='c'/>", b"<html>", b"<Detail>", b"</Detail>", b"<Tags>,,,</Tags>"),
    *(b"<Tags>$InstallationId:{a}</Tags>",),
    *(b"<ETag/>", b"<RegistrationId>..</RegistrationId>", b"<RegistrationId/>", b' i:nil="true"'),
    *(b"xmlns=''",),
    *(b'"', b"[", b"]", b"{", b"}", b",", b":", b"null", b"1e999", b"\r\n", b"\x1b[2J", b"\xc2\x9b"),
    *(b"\xe2\x80\xae",),
    *(b'"tags":["\\ud800"],', b'"installationId":"..",', b'"pushChannel":null,'),
    *(b'"templates":{"a b":{"body":""}},',),
    *(b'"expirationTime":"9998-12-31T23:59:59-23:59",', b'"secondaryTiles":{"":{}},', b'"userId":5,'),
    *(b"TrackingId:x,TimeStamp:y", b"quota", b"not found", b"SharedAccessKey=x", b"  " * 500, b"%25" * 500),
]  # fmt: skip
PAGES: list[bytes] = [
    *(b"<html><body>please sign in</body></html>", b"<!DOCTYPE html><title>x</title>", b"please log in"),
    *(b"null",),
    *(b"[]", b"{}", b"0", b'""', b"<a/>", b"<feed/>", b"<entry/>", b"<Error/>", b"\x1f\x8b\x08\0\0\0\0\0"),
    *(b"\0" * 99,),
    *(b'{"error":{"code":"x","message":"y"}}', b"<Error><Code>404</Code><Detail/></Error>"),
    *(b"<?xml version='1.0'?>",),
    *(b"<Error><Code>404</Code><Detail>Installation not found</Detail></Error>", b" "),
    *(b"\xff\xfe<\0a\0/\0>\0",),
    *(b"<entry><content/></entry>", b"<feed><entry/></feed>", b"<feed><entry><content/></entry></feed>"),
]  # fmt: skip
ENCODINGS = [
    *("utf-7", "utf-8-sig", "utf-16", "utf-16-be", "utf-32", "latin-1", "cp037", "cp1252", "punycode"),
    *("idna",),
    *("rot13", "hex", "zlib", "undefined", "unicode_escape", "no-such-encoding", "x" * 300),
]  # fmt: skip


@dataclass(frozen=True)
class TrueReply:
    """A reply, as it is on the wire.

    Attributes:
        status: the HTTP status.
        headers: in their order; a name may come twice.
        body: all of it.
        framing: what says where the body ends; None: a Content-Length that is true.
    """

    status: int
    headers: Headers
    body: bytes
    framing: bytes | None = None

    @property
    def size(self) -> int:
        """Bytes of the reply, about."""
        return 20 + sum(len(name) + len(value) + 4 for name, value in self.headers) + len(self.body)

    def wire(self) -> bytes:
        """The reply as it is sent; the connection is closed after it."""
        lines = [f"HTTP/1.1 {self.status} X", "Connection: close"]
        lines += [f"{name}: {value}" for name, value in self.headers]
        framing = self.framing
        if framing is None:
            framing = f"Content-Length: {len(self.body)}\r\n".encode()
        return "\r\n".join([*lines, ""]).encode("latin-1", "replace") + framing + b"\r\n" + self.body


@dataclass
class Mutator:
    """Changes one reply after another.

    Args:
        seed: the same seed makes the same changes of the same replies.
        others: true replies, of which parts are spliced in.

    Attributes:
        done: the changes so far, in words.
        count: how many replies were changed.
    """

    seed: int
    others: Sequence[TrueReply]
    done: list[str] = field(default_factory=list)
    count: int = 0

    def __post_init__(self) -> None:
        self._random = random.Random(self.seed)
        self._only = self._random.choice([None, None, 0, 0, 1, 2, 3])
        self._number = 0
        self._kinds = self._random.choices(
            [self._status, self._headers, self._body, self._splice, self._framing], [3, 6, 6, 3, 1], k=3
        )[: self._random.choice([1, 1, 1, 2, 3])]

    def changed(self, reply: TrueReply) -> TrueReply:
        """Change the next reply, or leave it: half of the seeds change one alone, the others every one."""
        number, self._number = self._number, self._number + 1
        if self._only not in {None, number}:
            return reply
        self.count += 1
        for change in self._kinds:
            reply = change(reply)
        return reply

    def _note(self, words: str) -> None:
        self.done.append(f"reply {self._number}: {words[:200]}")

    def _status(self, reply: TrueReply) -> TrueReply:
        status = self._random.choice(STATUSES)
        self._note(f"status {reply.status} -> {status}")
        return TrueReply(status, reply.headers, reply.body)

    def _headers(self, reply: TrueReply) -> TrueReply:
        draw, headers = self._random, list(reply.headers)
        for _ in range(draw.choice([1, 1, 2, 4])):
            place = draw.randrange(len(headers) or 1)
            name, value = headers[place] if headers else ("X", "")
            match draw.randrange(7):
                case 0:
                    self._note(f"without {name}")
                    del headers[place : place + 1]
                case 1:
                    name = draw.choice([name, *NAMES])
                    self._note(f"{name} twice")
                    headers.insert(place, (name, draw.choice([value, *VALUES])))
                case 2 | 3:
                    name, value = draw.choice(NAMES), draw.choice(VALUES)
                    self._note(f"{name}: {value!r}")
                    headers = [pair for pair in headers if pair[0].lower() != name.lower()] + [(name, value)]
                case 4:
                    value = self._text(value)
                    self._note(f"{name}: {value!r}")
                    headers[place : place + 1] = [(name, value)]
                case 5:
                    self._note("odd name")
                    headers.append((draw.choice(["", "\xff", "X Y", "ETAG", "date", "x" * 3000]), value))
                case _:
                    other = draw.choice(self.others).headers
                    self._note(f"headers of another reply: {other!r}")
                    headers = [*headers, *other] if draw.random() < 0.5 else [*other]
        return TrueReply(reply.status, tuple(headers), reply.body, reply.framing)

    def _text(self, text: str) -> str:
        draw = self._random
        place = draw.randrange(len(text) + 1)
        piece = draw.choice([*VALUES, chr(draw.randrange(256))]).replace("\r", "").replace("\n", "")
        return draw.choice([text[:place], text[:place] + piece + text[place + draw.randrange(3) :], text * 3])

    def _body(self, reply: TrueReply) -> TrueReply:
        draw, body = self._random, reply.body
        for _ in range(draw.choice([1, 1, 2, 5])):
            body = self._other_body(body)
        return TrueReply(reply.status, reply.headers, body, reply.framing)

    def _other_body(self, body: bytes) -> bytes:
        draw = self._random
        start, end = sorted((draw.randrange(len(body) + 1), draw.randrange(len(body) + 1)))
        match draw.randrange(10):
            case 0 if body:
                place = draw.randrange(len(body))
                flipped = bytes((body[place] ^ 1 << draw.randrange(8),))
                self._note(f"bit flipped at {place}")
                return body[:place] + flipped + body[place + 1 :]
            case 1:
                self._note(f"cut at {start}")
                return body[:start]
            case 2:
                self._note(f"without {body[start:end]!r}")
                return body[:start] + body[end:]
            case 3:
                times = draw.choice([2, 2, 3, 50])
                self._note(f"{times} times {start}:{end} {body[start:end]!r}")
                return body[:start] + body[start:end] * times + body[end:]
            case 4:
                return self._with_doubled_part(body)
            case 5:
                deep = draw.choice([60, 70, 500, 3000])
                left, right = draw.choice(
                    [(b"[", b"]"), (b'{"a":', b"}"), (b"<a>", b"</a>"), (b"<entry>", b"</entry>")]
                )
                self._note(f"{deep} times {left!r}")
                return body[:start] + left * deep + right * draw.choice([deep, 0]) + body[start:]
            case 6:
                number = draw.choice(NUMBERS)
                self._note(f"value {number[:40]!r}")
                return self._with_value(body, number)
            case 7:
                return self._encoded(body)
            case 8:
                page = draw.choice(PAGES)
                self._note(f"body {page!r}")
                return page
            case _:
                piece = draw.choice(PIECES)
                self._note(f"{piece[:60]!r} at {start}")
                return body[:start] + piece + body[start + draw.randrange(6) :]

    def _with_doubled_part(self, body: bytes) -> bytes:
        """The part between two marks, again: an element, or a member of an object."""
        draw = self._random
        mark = b"," if body[:1] in {b"{", b"["} else b"<"
        places = [at for at in range(len(body)) if body[at : at + 1] == mark] or [0]
        start, end = sorted((draw.choice(places), draw.choice(places)))
        times = draw.choice([2, 2, 20])
        self._note(f"{times} times {body[start:end]!r}")
        return body[:start] + body[start:end] * times + body[end:]

    def _with_value(self, body: bytes, value: bytes) -> bytes:
        """Another value behind a colon, or another text between two tags."""
        mark, ends = (b":", b",}]") if body[:1] in {b"{", b"["} else (b">", b"<")
        places = [at for at in range(len(body)) if body[at : at + 1] == mark]
        if not places:
            return value
        start = self._random.choice(places) + 1
        end = next((at for at in range(start, len(body)) if body[at] in ends), len(body))
        return body[:start] + value + body[end:]

    def _encoded(self, body: bytes) -> bytes:
        encoding = self._random.choice(ENCODINGS)
        self._note(f"encoding {encoding[:40]}")
        named = f'<?xml version="1.0" encoding="{encoding}"?>'.encode()
        if self._random.random() < 0.5:
            return named + body
        try:
            return body.decode("utf-8", "replace").encode(encoding, "replace")
        except (LookupError, UnicodeError):
            return named + body

    def _splice(self, reply: TrueReply) -> TrueReply:
        draw, other = self._random, self._random.choice(self.others)
        match draw.randrange(4):
            case 0:
                self._note(f"another reply: {other.status} {other.body[:80]!r}")
                return other
            case 1:
                self._note(f"body of another reply: {other.body[:80]!r}")
                return TrueReply(reply.status, reply.headers, other.body)
            case 2:
                self._note(f"body of {other.status} with its headers")
                return TrueReply(reply.status, other.headers, other.body)
            case _:
                place, at = draw.randrange(len(reply.body) + 1), draw.randrange(len(other.body) + 1)
                self._note(f"spliced at {place} with {other.body[at : at + 80]!r}")
                return TrueReply(reply.status, reply.headers, reply.body[:place] + other.body[at:])

    def _framing(self, reply: TrueReply) -> TrueReply:
        """Only the wire shows it."""
        draw, size = self._random, len(reply.body)
        lengths = [0, size - 1, size + 1, size + 9999, -1, -size, 10**30]
        number = str(draw.choice(lengths)).encode()
        framing = draw.choice(
            [
                b"Content-Length: " + number + b"\r\n",
                b"Content-Length: %d\r\nContent-Length: %s\r\n" % (size, number),
                b"Content-Length: 0x10\r\n",
                b"Content-Length: \xb2\r\n",
                b"Transfer-Encoding: chunked\r\n",
                b"Transfer-Encoding: chunked\r\nContent-Length: " + number + b"\r\n",
                b"Transfer-Encoding: gzip, chunked\r\n",
                b"Transfer-Encoding: xchunked\r\n",
                b"Content-Encoding: gzip\r\n",
                b"",
                b"X: y\r\n" * 200,
                b"X: " + b"y" * 70_000 + b"\r\n",
                b" folded: x\r\n",
                b"no colon\r\n",
                b": nameless\r\n",
                b"\r\n",
            ]
        )
        self._note(f"framing {framing[:60]!r}")
        body = reply.body
        if b"chunked" in framing:
            sizes = [
                f"{size:x}".encode(),
                b"zz",
                b"-5",
                b"f" * 16,
                b"0",
                f"{size:x};a=b".encode(),
                b"",
                b"f" * 70_000,
            ]
            body = (
                draw.choice(sizes)
                + b"\r\n"
                + body
                + draw.choice([b"\r\n0\r\n\r\n", b"\r\n", b"", b"0\r\nA: b\r\n"])
            )
        return TrueReply(reply.status, reply.headers, body, framing)
