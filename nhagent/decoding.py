"""Read text in every form in which it travels, so that one search finds it in any of them.

Percent-encoding, XML, JSON, a doubled quotation mark of OData and any case are undone, several times over
where one is within another. Text that is searched and text that is searched for are both decoded: what is
equal then was equal before in some form. Every step looks at a character a fixed number of times.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Final, TypeAlias

    Reader: TypeAlias = Callable[[str, int], tuple[str, int]]
    """Gives the character that is written at a place, and where the next one begins."""

_MOST_LAYERS: Final = 4
"""Codings undone within each other: a URL that is percent-encoded twice within JSON within XML."""
_DIGITS: Final = frozenset("0123456789")
_HEX_DIGITS: Final = frozenset("0123456789abcdef")
_ENTITIES: Final = {"lt;": "<", "gt;": ">", "quot;": '"', "apos;": "'"}
_PERCENT_AGAIN: Final = "25"
_AMPERSAND_AGAIN: Final = "amp;"
_HEX_DIGITS_OF_BYTE: Final = 2
_HEX_DIGITS_IN_JSON: Final = 4
_MAX_CODE: Final = 0x10FFFF
_MAX_CODE_DIGITS: Final = len(str(_MAX_CODE))
_FIRST_BYTES: Final = ((0xF0, 4), (0xE0, 3), (0xC0, 2))
"""From which first byte on a character in UTF-8 has how many bytes."""


class Decoded:
    """A text, decoded.

    Args:
        text: as it was written.

    Attributes:
        text: decoded, in lower case.
        starts: where in the written text each character of it begins.
        ends: where it ends.
    """

    __slots__ = ("ends", "starts", "text")

    def __init__(self, text: str) -> None:
        self.text = folded(text)
        self.starts: Sequence[int] = range(len(text))
        self.ends: Sequence[int] = range(1, len(text) + 1)
        for _ in range(_MOST_LAYERS):
            if not any(sign in self.text for sign in _READERS):
                return
            characters, starts, ends = _without_a_layer(self.text)
            decoded = "".join(characters)
            if decoded == self.text:
                return
            self.text = decoded
            self.starts = [self.starts[start] for start in starts]
            self.ends = [self.ends[end - 1] for end in ends]


def folded(text: str) -> str:
    """Give text in lower case, each character at its place."""
    lower = text.lower()
    return lower if len(lower) == len(text) else "".join(map(_lower, text))


def _lower(character: str) -> str:
    lower = character.lower()
    return lower if len(lower) == 1 else character


def _without_a_layer(text: str) -> tuple[list[str], list[int], list[int]]:
    characters: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at = start = 0
    while at < len(text):
        read = _READERS.get(text[at])
        character, at = (text[at], at + 1) if read is None else read(text, at)
        if not character:  # it belongs to the next one
            continue
        if character == "'" and characters and characters[-1] == "'":
            ends[-1] = start = at
            continue
        characters.append(_lower(character))
        starts.append(start)
        ends.append(at)
        start = at
    return characters, starts, ends


def _percent(text: str, at: int) -> tuple[str, int]:
    first, end = _byte(text, at)
    if first is None:
        return "%", end
    count = next((count for least, count in _FIRST_BYTES if first >= least), 1)
    found, after = [first], end
    while len(found) < count and text.startswith("%", after):
        byte, after = _byte(text, after)
        if byte is None:
            break
        found.append(byte)
    try:
        character = bytes(found).decode("utf-8", "surrogatepass")
    except UnicodeDecodeError:
        return _as_space(chr(first)), end
    return _as_space(character), after


def _byte(text: str, at: int) -> tuple[int | None, int]:
    """Read a byte after its percent sign, which may itself be percent-encoded any number of times."""
    at += 1
    while text.startswith(_PERCENT_AGAIN, at):
        at += len(_PERCENT_AGAIN)
    code = _code(text[at : at + _HEX_DIGITS_OF_BYTE], _HEX_DIGITS_OF_BYTE)
    return code, at if code is None else at + _HEX_DIGITS_OF_BYTE


def _ampersand(text: str, at: int) -> tuple[str, int]:
    at += 1
    while text.startswith(_AMPERSAND_AGAIN, at):
        at += len(_AMPERSAND_AGAIN)
    if text.startswith("#", at):
        return _numbered(text, at)
    for name, character in _ENTITIES.items():
        if text.startswith(name, at):
            return character, at + len(name)
    return "&", at


def _numbered(text: str, at: int) -> tuple[str, int]:
    """Read a character that XML gives by its number, from its ``#`` on."""
    base, digits, first = 10, _DIGITS, at + 1
    if text.startswith("x", first):
        base, digits, first = 16, _HEX_DIGITS, first + 1
    end = first
    while end < len(text) and text[end] in digits:
        end += 1
    number = text[first:end].lstrip("0") or "0"
    if first == end or not text.startswith(";", end) or len(number) > _MAX_CODE_DIGITS:
        return "&", at
    code = int(number, base)
    return (_as_space(chr(code)), end + 1) if code <= _MAX_CODE else ("&", at)


def _backslash(text: str, at: int) -> tuple[str, int]:
    at += 1
    code = None
    if text.startswith("u", at):
        code = _code(text[at + 1 : at + 1 + _HEX_DIGITS_IN_JSON], _HEX_DIGITS_IN_JSON)
    return ("", at) if code is None else (_as_space(chr(code)), at + 1 + _HEX_DIGITS_IN_JSON)


def _plus(_: str, at: int) -> tuple[str, int]:
    return " ", at + 1


def _quote(_: str, at: int) -> tuple[str, int]:
    return "'", at + 1


def _code(digits: str, count: int) -> int | None:
    return int(digits, 16) if len(digits) == count and _HEX_DIGITS.issuperset(digits) else None


def _as_space(character: str) -> str:
    """Give a plus sign as what it means in a form: what is searched for is treated alike."""
    return " " if character == "+" else character


_READERS: Final[Mapping[str, Reader]] = {
    "%": _percent,
    "&": _ampersand,
    "\\": _backslash,
    "+": _plus,
    "'": _quote,
}
