"""Take apart texts that a hub wrote, each in one pass: whoever answers may write what takes longest.

So there is no regular expression here. One that tries a place again costs the square of what it is given.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

MAX_QUOTED_CHARACTERS: Final = 200
_TRACKING: Final = "TrackingId:"
_OWNER: Final = "$installationid:{"
_TIME: Final = "TimeStamp:"
_DOCTYPE: Final = b"<!doctype"
_WEB_PAGE_TAGS: Final = (b"<html", b"<head", b"<body")
_LONGEST_TAG: Final = max(map(len, (_DOCTYPE, *_WEB_PAGE_TAGS)))
_HTML: Final = b"html"


def split_tracking(detail: str) -> tuple[str, str | None]:
    """Split what a hub says in an error from its id of the exchange.

    Args:
        detail: such as ``WORDS.TrackingId:GUID_G3,TimeStamp:…``.

    Returns:
        The words, and the id; None: there is none.
    """
    place = detail.find(_TRACKING)
    while place >= 0:
        start = _past_blanks(detail, place + len(_TRACKING))
        end = start
        while end < len(detail) and detail[end] != "," and not detail[end].isspace():
            end += 1
        comma = _past_blanks(detail, end)
        is_one = start < end and detail.startswith(",", comma)
        if is_one and detail.startswith(_TIME, _past_blanks(detail, comma + 1)):
            return detail[:place].rstrip().removesuffix(".").strip(), detail[start:end]
        # Every other name before the end of what would be the id ends as this one did, but for the last.
        place = detail.find(_TRACKING, max(place + len(_TRACKING), end - len(_TRACKING)))
    return detail.strip(), None


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def quoted(text: str) -> str:
    """Give what a hub wrote as an error may quote it: whole, or its length alone.

    It is not cut: nobody would recognise half a key, and redact it.
    """
    return text if len(text) <= MAX_QUOTED_CHARACTERS else f"({len(text)} characters)"


def split_tags(text: str) -> tuple[str, ...]:
    """Split tags at their commas, but not at one within the braces of a tag that the service made.

    Args:
        text: such as ``a,$InstallationId:{x,y}``.

    Returns:
        The tags, without blanks around them; an empty one is left out.
    """
    tags: list[str] = []
    pieces: list[str] = []
    within = False  # whether the next brace to the right closes
    for piece in reversed(text.split(",")):
        pieces.append(piece)
        opening, closing = piece.find("{"), piece.find("}")
        if opening >= 0 or closing >= 0:
            within = closing >= 0 and not 0 <= opening < closing
        if not within:
            tags.append(",".join(reversed(pieces)).strip())
            pieces = []
    tags.append(",".join(reversed(pieces)).strip())
    return tuple(tag for tag in reversed(tags) if tag)


def owner_in(tags: Iterable[str]) -> str | None:
    """Find the installation that a registration belongs to, in the tag that the service puts on it.

    Args:
        tags: those of the registration.

    Returns:
        The installation's id; None: it belongs to none.
    """
    for tag in tags:
        owner = tag[len(_OWNER) : -1]
        if tag[: len(_OWNER)].lower() == _OWNER and tag.endswith("}") and owner and "\n" not in owner:
            return owner
    return None


def is_web_page(body: bytes) -> bool:
    """Tell whether a body is HTML, by how it begins."""
    body = body.lstrip()
    head = body[:_LONGEST_TAG].lower()
    if head.startswith(_DOCTYPE):
        kind = body[len(_DOCTYPE) :]
        name = kind.lstrip()
        return len(name) < len(kind) and _begins_with(name, _HTML)
    return any(_begins_with(body, tag) for tag in _WEB_PAGE_TAGS)


def _begins_with(text: bytes, word: bytes) -> bool:
    after = text[len(word) : len(word) + 1]
    return text[: len(word)].lower() == word and not (after.isalnum() or after == b"_")
