"""Take out of texts what must never be shown: keys, tokens, and push channels but for their fingerprint.

What a hub says in an error may quote what it was sent: that is found in every form in which text travels.
What the app's own code says in an exception may hold a push channel that nobody else knows yet: of that only
what reads as prose is shown.
"""

from __future__ import annotations

from nhagent.values import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping
    from typing import Final

    from nhagent.decoding import Decoded

HIDDEN: Final = "…"
MAX_PROSE_CHARACTERS: Final = 200
MIN_CUT_CHARACTERS: Final = 16
"""The shortest beginning by which a secret that was cut is recognised."""
_SHORT_SECRET_CHARACTERS: Final = 12
"""A secret of at most this length is found only where it stands as a word: it may be part of others."""
_LONGEST_WORD_CHARACTERS: Final = 20
_LONGEST_NUMBER_DIGITS: Final = 4
_PUNCTUATION: Final = "()[]{}<>'\",.:;!?-=/"
_NAMES_OF_VALUES: Final = ("sharedaccesskey", "sig", "authorization")
_SCHEME: Final = "sharedaccesssignature"
_SIGNS: Final = ("=", "%3d", ":")
_QUOTES: Final = ('"', "'")
_NOT_IN_VALUES: Final = frozenset(";&<>\"',")
_BEHIND_CUTS: Final = "\"'<>\0"
_GONE: Final = "\0"
"""Stands in decoded text for what is redacted already, and is part of no word."""


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
    marks = {**dict.fromkeys(filter(None, secrets), HIDDEN), **marks}
    return _without_named_values(_without(text, marks) if marks else text)


def _without(text: str, marks: Mapping[str, str]) -> str:
    """Put marks in the place of texts, in whatever form they stand there."""
    from nhagent.decoding import Decoded  # an unchanged start has nothing to redact

    read = Decoded(text)
    left = read.text
    found: list[tuple[int, int, str]] = []
    decoded = {secret: Decoded(secret).text for secret in marks}
    for secret in sorted(marks, key=len, reverse=True):  # the longest first: one may hold another
        sought = decoded[secret]
        is_short = len(secret) <= _SHORT_SECRET_CHARACTERS
        places = _words(left, sought, read, text) if is_short else _places(left, sought)
        found += [(place, place + len(sought), marks[secret]) for place in places]
        left = _replaced(left, [(place, place + len(sought), _GONE * len(sought)) for place in places])
    for start in {text[:MIN_CUT_CHARACTERS] for text in decoded.values() if len(text) > MIN_CUT_CHARACTERS}:
        cut = _cut_places(left, start)
        found += [(place, end, HIDDEN) for place, end in cut]
        left = _replaced(left, [(place, end, _GONE * (end - place)) for place, end in cut])
    return _replaced(
        text, [(read.starts[start], read.ends[end - 1], mark) for start, end, mark in sorted(found)]
    )


def _places(text: str, sought: str, is_place: Callable[[int], bool] = lambda _: True) -> list[int]:
    """Find where one text stands in another, side by side."""
    places: list[int] = []
    place = text.find(sought) if sought else -1
    while place >= 0:
        if is_place(place):
            places.append(place)
            place += len(sought)
        else:
            place += 1  # few characters are looked at again: those of a short text alone
        place = text.find(sought, place)
    return places


def _words(left: str, sought: str, read: Decoded, written: str) -> list[int]:
    """Find where a short text stands as a word, either in what is decoded or in what was written."""

    def is_word(place: int) -> bool:
        end = place + len(sought)
        first, last = read.starts[place], read.ends[end - 1]
        goes_before = (
            _is_in_word(left, place - 1) and _is_in_word(written, first - 1) and written[first] != "\\"
        )
        return not goes_before and not (_is_in_word(left, end) and _is_in_word(written, last))

    return _places(left, sought, is_word)


def _cut_places(text: str, start: str) -> list[tuple[int, int]]:
    """Find where secrets that were cut begin, and where what stands behind them ends."""
    places: list[tuple[int, int]] = []
    place = text.find(start)
    while place >= 0:
        end = place + len(start)
        while end < len(text) and not text[end].isspace() and text[end] not in _BEHIND_CUTS:
            end += 1
        places.append((place, end))
        place = text.find(start, end)
    return places


def _is_in_word(text: str, at: int) -> bool:
    return 0 <= at < len(text) and (text[at].isalnum() or text[at] == "_")


def _replaced(text: str, parts: Iterable[tuple[int, int, str]]) -> str:
    """Replace parts of a text: where each begins and ends, in order, and what takes its place."""
    pieces: list[str] = []
    done = 0
    for start, end, instead in parts:
        pieces += (text[done:start], instead)
        done = end
    return "".join((*pieces, text[done:])) if pieces else text


def _without_named_values(text: str) -> str:
    from nhagent.decoding import folded

    lower = folded(text)
    parts: list[tuple[int, int, str]] = []
    places = {name: lower.find(name) for name in _NAMES_OF_VALUES}
    at = 0
    while found := [(place, name) for name, place in places.items() if place >= 0]:
        place, name = min(found)
        after = place + len(name)
        value = None if place < at or _is_in_word(lower, place - 1) else _value_at(lower, after)
        if value is not None:
            parts.append((*value, HIDDEN))
            at = after = value[1]
        places[name] = lower.find(name, after)
    return _replaced(text, parts)


def _value_at(lower: str, at: int) -> tuple[int, int] | None:
    """Find the value behind a name, both in lower case: where it begins and ends; None: it has none."""
    at = _past_blanks(lower, at + lower.startswith(_QUOTES, at))
    sign = next((sign for sign in _SIGNS if lower.startswith(sign, at)), None)
    if sign is None:
        return None
    at = _past_blanks(lower, at + len(sign))
    start = end = at + lower.startswith(_QUOTES, at)
    if lower.startswith(_SCHEME, start):
        end = start + len(_SCHEME)
        token = _past_blanks(lower, end)
        end = token if _is_in_value(lower, token) else end
    while _is_in_value(lower, end):
        end += 1
    return None if start == end else (start, end)


def _past_blanks(text: str, at: int) -> int:
    while at < len(text) and text[at].isspace():
        at += 1
    return at


def _is_in_value(text: str, at: int) -> bool:
    return at < len(text) and not text[at].isspace() and text[at] not in _NOT_IN_VALUES


def in_prose(error: BaseException) -> str:
    """Describe an exception of the app's own code by its kind, where it was raised, and its plain words.

    Args:
        error: as it was caught, with its traceback.

    Returns:
        One line, such as ``OSError at source.py:12: the push service is away``.
    """
    words = words_alone(str(error))
    return f"{without_text(error)}: {words}" if words else without_text(error)


def words_alone(text: str) -> str:
    """Give a text's plain words, up to a length, with ``…`` for what may be an address, a handle or a key."""
    return " ".join(map(_word, text.split()))[:MAX_PROSE_CHARACTERS]


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
