"""What is probably meant by a word that is not known: a key, a command, an option."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Final

CUTOFF: Final = 0.6
"""From which likeness on, of 0 to 1, a word is suggested."""


def hint_for(word: str, known: Iterable[str]) -> str:
    """Ask whether the nearest known word is meant; where none is near, name them all."""
    from difflib import get_close_matches

    words = list(known)
    near = get_close_matches(word.lower(), words, n=1, cutoff=CUTOFF)
    return f'did you mean "{near[0]}"?' if near else f"known are {', '.join(words)}"
