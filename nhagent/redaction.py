"""Take out of texts what must never be shown: keys, tokens, and push channels but for their fingerprint.

What a hub says in an error may quote what it was sent: that is found in every form in which text travels.
What the app's own code says in an exception may hold a push channel that nobody else knows yet: of that only
what reads as prose is shown.
"""

from __future__ import annotations

from nhagent.values import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Final

HIDDEN: Final = "…"
MAX_PROSE_CHARACTERS: Final = 200
MIN_CUT_CHARACTERS: Final = 16
"""The shortest beginning by which a secret that was cut is recognised."""
_SHORT_SECRET_CHARACTERS: Final = 12
"""A secret of at most this length is found only where it stands as a word: it may be part of others."""
_LONGEST_WORD_CHARACTERS: Final = 20
_LONGEST_NUMBER_DIGITS: Final = 4
_PUNCTUATION: Final = "()[]{}<>'\",.:;!?-=/"
_ENTITIES: Final = {"&": "amp", "<": "lt", ">": "gt", '"': "quot", "'": "apos"}
_VALUE_AFTER_ITS_NAME: Final = (
    r"(?P<name>\b(?:SharedAccessKey|sig|Authorization)[\"']?\s*(?:=|%3D|:)\s*[\"']?)"
    r"(?:SharedAccessSignature\s+)?[^\s;&<>\"',]+"
)


def redacted(text: str, *, secrets: Iterable[str] = (), marks: Mapping[str, str] = EMPTY) -> str:
    """Take out of somebody else's text what must not be shown.

    It is found in any case, percent-encoded (twice, too) and decoded, as XML and as JSON, and cut: a
    beginning of `MIN_CUT_CHARACTERS` is taken out with what follows up to a blank or a quotation mark. The
    value of anything called ``SharedAccessKey``, ``sig`` or ``Authorization`` is taken out too.

    Args:
        text: what was said.
        secrets: keys, signatures and tokens that it may hold.
        marks: what else it may hold, and what takes its place: push channels and their fingerprints.

    Returns:
        The text, with ``…`` in place of each secret.
    """
    import re  # an unchanged start has nothing to redact

    marks = _with_decoded({**dict.fromkeys(filter(None, secrets), HIDDEN), **marks})
    for secret in sorted(marks, key=len, reverse=True):  # the longest first: one may hold another
        form = "".join(map(_any_form, secret))
        if len(secret) <= _SHORT_SECRET_CHARACTERS:
            form = rf"(?<!\w){form}(?!\w)"
        text = re.sub(form, marks[secret], text, flags=re.IGNORECASE)
    for start in {secret[:MIN_CUT_CHARACTERS] for secret in marks if len(secret) > MIN_CUT_CHARACTERS}:
        cut = "".join(map(_any_form, start)) + r"[^\s\"'<>]*"
        text = re.sub(cut, HIDDEN, text, flags=re.IGNORECASE)
    return re.sub(_VALUE_AFTER_ITS_NAME, rf"\g<name>{HIDDEN}", text, flags=re.IGNORECASE)


def _with_decoded(marks: Mapping[str, str]) -> dict[str, str]:
    """Add what each text is once it is percent-decoded: a hub may quote what it has read."""
    from urllib.parse import unquote

    return {unquote(secret): mark for secret, mark in marks.items() if "%" in secret} | dict(marks)


def in_prose(error: BaseException) -> str:
    """Describe an exception of the app's own code by its kind, where it was raised, and its plain words.

    Args:
        error: as it was caught, with its traceback.

    Returns:
        One line, such as ``OSError at source.py:12: the push service is away``.
    """
    words = " ".join(map(_word, str(error).split()))[:MAX_PROSE_CHARACTERS]
    return f"{without_text(error)}: {words}" if words else without_text(error)


def without_text(error: BaseException) -> str:
    """Describe an exception of the app's own code by its kind, and where it was raised.

    Args:
        error: as it was caught, with its traceback.

    Returns:
        One line, such as ``OSError at source.py:12``.
    """
    kind = type(error).__name__
    trace = error.__traceback__
    if trace is None or trace.tb_next is None:  # the first of its places is where we called the app's code
        return kind
    from pathlib import Path

    place = trace.tb_next
    return f"{kind} at {Path(place.tb_frame.f_code.co_filename).name}:{place.tb_lineno}"


def _word(text: str) -> str:
    """Give a word, or ``…`` where it may be an address, a PNS handle or a key."""
    bare = text.strip(_PUNCTUATION)
    letters = bare.replace("'", "")
    is_word = len(bare) <= _LONGEST_WORD_CHARACTERS and letters.isalpha()
    is_number = len(bare) <= _LONGEST_NUMBER_DIGITS and bare.isdecimal()
    if not bare or is_word or is_number:
        return text
    return HIDDEN


def _any_form(character: str) -> str:
    """Give a pattern of one character in every form in which text travels."""
    import re

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
    count = "{1,2}" if character == "'" else ""  # OData doubles it
    return f"(?:{'|'.join(forms)}){count}"
