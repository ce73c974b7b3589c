"""What must not be shown: keys, tokens, and push channels but for their fingerprint.

What a hub says in an error may quote what it was sent: that is found in every form in which text travels.
What the app's own code says in an exception may hold a push channel that nobody else knows yet: of that only
what reads as prose is shown.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Mapping
from types import MappingProxyType
from typing import Final

HIDDEN: Final = "…"
MAX_PROSE_CHARACTERS: Final = 200
_SHORT: Final = 12
"""Up to so many characters a secret counts as such only where it stands as a word."""
_LONGEST_WORD: Final = 20
_LONGEST_NUMBER: Final = 4
_PUNCTUATION: Final = "()[]{}<>'\",.:;!?-=/"
_ENTITIES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_TOLD_BY_NAME: Final = re.compile(
    r"(?P<name>\b(?:SharedAccessKey|sig|Authorization)[\"']?\s*(?:=|%3D|:)\s*[\"']?)"
    r"(?:SharedAccessSignature\s+)?[^\s;&<>\"',]+",
    re.IGNORECASE,
)


def redacted(
    text: str, *, secrets: Iterable[str] = (), marks: Mapping[str, str] = MappingProxyType({})
) -> str:
    """Take out of a text of others what must not be shown.

    It is found in any case, percent-encoded (twice, too), as XML and as JSON.

    Args:
        text: what was said.
        secrets: keys, signatures and tokens that it may hold.
        marks: what else it may hold, and what takes its place: push channels and their fingerprints.
    """
    marks = {**dict.fromkeys(filter(None, secrets), HIDDEN), **marks}
    for secret in sorted(marks, key=len, reverse=True):  # the longest first: one may hold another
        form = "".join(map(_any_form, secret))
        if len(secret) <= _SHORT:
            form = rf"(?<!\w){form}(?!\w)"
        text = re.sub(form, marks[secret], text, flags=re.IGNORECASE)
    return _TOLD_BY_NAME.sub(rf"\g<name>{HIDDEN}", text)


def in_prose(error: BaseException) -> str:
    """An exception of the app's own code: its kind, where it was raised, and the plain words of its text."""
    words = " ".join(map(_word, str(error).split()))[:MAX_PROSE_CHARACTERS]
    return f"{without_text(error)}: {words}" if words else without_text(error)


def without_text(error: BaseException) -> str:
    """An exception of the app's own code: its kind, and where it was raised."""
    kind = type(error).__name__
    trace = error.__traceback__
    if trace is None or trace.tb_next is None:  # the first of its places is where we called the app's code
        return kind
    place = trace.tb_next
    return f"{kind} at {os.path.basename(place.tb_frame.f_code.co_filename)}:{place.tb_lineno}"


def _word(text: str) -> str:
    """A word, or a dot where it may be an address, a handle or a key."""
    bare = text.strip(_PUNCTUATION)
    letters = bare.replace("'", "")
    is_word = len(bare) <= _LONGEST_WORD and letters.isalpha()
    is_number = len(bare) <= _LONGEST_NUMBER and bare.isdecimal()
    if not bare or is_word or is_number:
        return text
    return HIDDEN


def _any_form(character: str) -> str:
    """A pattern of one character in every form in which text travels."""
    if character.isascii() and character.isalnum():
        return character
    code = ord(character)
    percent = "".join(f"%(?:25)?{byte:02x}" for byte in character.encode("utf-8", "surrogatepass"))
    names = [f"#0*{code}", f"#x0*{code:x}", *filter(None, [_ENTITIES.get(character)])]
    forms = [
        re.escape(character),
        percent,
        f"&(?:amp;)?(?:{'|'.join(names)});",
        rf"\\u{code:04x}",
        rf"\\{re.escape(character)}",
        *(["\\+"] if character == " " else []),
    ]
    many = "{1,2}" if character == "'" else ""  # OData doubles it
    return f"(?:{'|'.join(forms)}){many}"
