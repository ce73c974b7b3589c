"""Colour on a terminal: the word that begins a line and tells how things stand."""

from __future__ import annotations

import os

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Final, TextIO

GREEN: Final = "32"
RED: Final = "31"
YELLOW: Final = "33"
"""Of the terminal's own palette, which can be read on a light ground and on a dark one."""
_COLOURS: Final[dict[str, str]] = {
    **dict.fromkeys(("green", "healthy", "registered", "updated", "unchanged", "recreated"), GREEN),
    **dict.fromkeys(("IN_SYNC", "in_sync", "in sync:"), GREEN),
    **dict.fromkeys(("waiting", "disabled", "drifted:", "DISABLED", "DRIFTED", "IDENTIFIED", "NEW"), YELLOW),
    **dict.fromkeys(("red", "first:", "nhagent:", "BLOCKED", "CLONED", "UNVERIFIED"), RED),
}
"""By the words that a line begins with."""


def painted(text: str, stream: TextIO) -> str:
    """Give text with its lines' first words in colour, where its reader sees colours.

    Args:
        text: what is printed; its control characters are visible already.
        stream: where it is printed.
    """
    if not _shows_colours(stream):
        return text
    return "\n".join(map(_painted, text.split("\n")))


def _painted(line: str) -> str:
    for words, colour in _COLOURS.items():
        if line.startswith(words) and not line[len(words) : len(words) + 1].isalnum():
            return f"\x1b[{colour}m{words}\x1b[0m{line[len(words) :]}"
    return line


def _shows_colours(stream: TextIO, environ: Mapping[str, str] = os.environ) -> bool:
    """Tell whether colours are seen and wanted: https://no-color.org."""
    is_wanted = not environ.get("NO_COLOR") and environ.get("TERM", "") not in {"", "dumb"}
    return is_wanted and stream.isatty()
