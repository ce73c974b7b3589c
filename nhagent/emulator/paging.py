"""Lists in pages: how many a client wants, and where the last page ended."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from dataclasses import dataclass
from urllib.parse import quote, unquote

from .descriptions import Registration
from .messages import Refused

PAGE_SIZE = 100
"""The default, and the most; a larger wish is cut down to it."""

_TOKEN = re.compile(rb"0{0,2}(\d{1,18});1")
_DECODINGS = 8


@dataclass(frozen=True, slots=True)
class Page:
    """Registrations in the order of their creation."""

    registrations: list[Registration]
    last: int | None
    """Its last registration's place in that order when more follow, else None."""


def read_top(text: str | None) -> int:
    """`$top`, or the default.

    Raises:
        Refused: 400, it is not a number above 0.
    """
    if text is None:
        return PAGE_SIZE
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) == 0:
        raise Refused(400, "The $top query parameter is invalid.")
    return min(int(text), PAGE_SIZE)


def continuation_token(last: int) -> str:
    """Where a page ended, as the header carries it: percent-coded already, fit for a query as it stands."""
    text = b"%d;1" % last
    # Base64 then ends in "==": a client that codes once too often or too seldom shows it with every token.
    text = text.rjust(len(text) + (1 - len(text)) % 3, b"0")
    return quote(b64encode(text), safe="")


def read_continuation(text: str | None) -> int:
    """The place after which to go on; 0 without a token.

    Args:
        text: as the query decodes. Clients code what was coded already, so it may be coded still.

    Raises:
        Refused: 400, no page ended with this token.
    """
    if text is None:
        return 0
    for _ in range(_DECODINGS):
        text, before = unquote(text), text
        if text == before:
            break
    try:
        match = _TOKEN.fullmatch(b64decode(text, validate=True))
    except ValueError:
        match = None
    if match is None:
        raise Refused(400, "The continuation token is invalid.")
    return int(match[1])
