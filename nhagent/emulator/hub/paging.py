"""Read and write the paging parameters of a list: the page size, and where the last page ended."""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from urllib.parse import quote, unquote

from nhagent.emulator.http_messages import Refused

PAGE_SIZE = 100
"""Registrations on a page by default and at most; a larger ``$top`` is reduced to it."""

_TOKEN = re.compile(rb"0{0,2}(\d{1,18});1")
# A token that is still coded after this many decodings is refused, so that a crafted one costs little.
_DECODINGS = 8


def read_top(text: str | None) -> int:
    """Return the page size that ``$top`` asks for.

    Args:
        text: the parameter; None for the default.

    Raises:
        Refused: 400, it is not a number above 0.
    """
    if text is None:
        return PAGE_SIZE
    if not re.fullmatch(r"\d{1,9}", text, re.ASCII) or int(text) == 0:
        raise Refused(400, "The $top query parameter is invalid.")
    return min(int(text), PAGE_SIZE)


def continuation_token(last: int) -> str:
    """Write the token that the header carries: percent-coded, so that it fits into a query as it stands.

    Args:
        last: the place of the last registration on the page.
    """
    text = b"%d;1" % last
    # Padded so that base64 ends in "==": a client that codes once too often or too seldom then fails always.
    text = text.rjust(len(text) + (1 - len(text)) % 3, b"0")
    return quote(b64encode(text), safe="")


def read_continuation(text: str | None) -> int:
    """Return the place after which the next page begins; 0 without a token.

    Args:
        text: the query parameter, decoded once. Some clients code the token again, so it may still be coded.

    Raises:
        Refused: 400, it is not a token that the hub gives.
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
