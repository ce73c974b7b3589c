"""Make control characters visible: what others say goes to terminals and logs, and must not steer them."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_STEERING: Final = frozenset(
    "\u061c\u200e\u200f\u2028\u2029\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)
"""Characters that end a line, or change the direction of writing: what follows is not read as it is."""
_FIRST_AFTER_C1: Final = "\xa0"


def visible(text: str) -> str:
    r"""Give text whose control characters are written as escapes, such as ``\x1b``; line breaks stay.

    Args:
        text: what somebody else said. It may hold C0 and C1 characters, bidi overrides and lone surrogates.
    """
    if text.isprintable():
        return text
    return "".join(map(_visible, text.replace("\r\n", "\n")))


def in_one_line(text: str) -> str:
    """Give text as `visible` does, in one line: a peer's second line would pass for a line of our own log.

    Args:
        text: what somebody else said.
    """
    if text.isprintable():
        return text
    return " | ".join(filter(None, map(str.strip, visible(text).split("\n"))))


def _visible(character: str) -> str:
    if character.isprintable() or character == "\n":
        return character
    if character < _FIRST_AFTER_C1:
        return rf"\x{ord(character):02x}"
    is_steering = character in _STEERING or "\ud800" <= character <= "\udfff"
    return rf"\u{ord(character):04x}" if is_steering else character
