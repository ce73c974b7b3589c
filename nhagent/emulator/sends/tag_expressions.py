"""Tag expressions: tags joined by ``&&``, ``||``, ``!`` and parentheses.

``!`` binds before ``&&``, and ``&&`` before ``||``. The service allows 20 tags where only ``||`` joins them,
else 6.
"""

from __future__ import annotations

import re
from abc import ABC, abstractmethod
from collections.abc import Callable
from collections.abc import Set as AbstractSet
from dataclasses import dataclass

from nhagent.emulator.http_messages import Refused

MOST_OF_ANY = 20
"""Tags in an expression that has no operator but ``||``."""
MOST = 6
"""Tags in every other expression."""
LONGEST_TAG = 120
_DEEPEST = 32
_WORD = re.compile(
    r"\s*+(&&|\|\||[!()]|(?:\$(?:InstallationId|UserId):\{[^{}]*+\}|[-_@#.:a-zA-Z0-9]++))", re.IGNORECASE
)
_SHOWN = 80


class TagExpression(ABC):
    """A tag expression, which is true or false of a device's tags."""

    __slots__ = ()

    @abstractmethod
    def holds(self, tags: AbstractSet[str], /) -> bool:
        """Return whether it is true.

        Args:
            tags: in lower case.
        """

    @abstractmethod
    def failing(self, tags: AbstractSet[str], /) -> str:
        """Return the smallest part that makes it false.

        Args:
            tags: in lower case, of which it is not true.
        """

    @abstractmethod
    def needed(self, count: Callable[[str], int], /) -> frozenset[str] | None:
        """Return tags of which a device must have at least one; None where no tag is needed.

        Args:
            count: the number of devices with a tag, by which the smaller set is chosen.
        """

    @abstractmethod
    def tags(self) -> frozenset[str]:
        """Return its tags, in lower case."""


@dataclass(frozen=True, slots=True)
class Tag(TagExpression):
    """One tag."""

    text: str

    def holds(self, tags: AbstractSet[str], /) -> bool:
        return self.text.lower() in tags

    def failing(self, _: AbstractSet[str], /) -> str:
        return self.text

    def needed(self, _: Callable[[str], int], /) -> frozenset[str] | None:
        return self.tags()

    def tags(self) -> frozenset[str]:
        return frozenset([self.text.lower()])

    def __str__(self) -> str:
        return self.text


@dataclass(frozen=True, slots=True)
class Not(TagExpression):
    """What must not be."""

    inner: TagExpression

    def holds(self, tags: AbstractSet[str], /) -> bool:
        return not self.inner.holds(tags)

    def failing(self, _: AbstractSet[str], /) -> str:
        return str(self)

    def needed(self, _: Callable[[str], int], /) -> frozenset[str] | None:
        return None

    def tags(self) -> frozenset[str]:
        return self.inner.tags()

    def __str__(self) -> str:
        return f"!{_within(self.inner, And, Or)}"


@dataclass(frozen=True, slots=True)
class And(TagExpression):
    """What must all be."""

    parts: tuple[TagExpression, ...]

    def holds(self, tags: AbstractSet[str], /) -> bool:
        return all(part.holds(tags) for part in self.parts)

    def failing(self, tags: AbstractSet[str], /) -> str:
        return next(part.failing(tags) for part in self.parts if not part.holds(tags))

    def needed(self, count: Callable[[str], int], /) -> frozenset[str] | None:
        known = [found for part in self.parts if (found := part.needed(count)) is not None]
        return min(known, key=lambda found: sum(map(count, found)), default=None)

    def tags(self) -> frozenset[str]:
        return frozenset().union(*(part.tags() for part in self.parts))

    def __str__(self) -> str:
        return " && ".join(_within(part, Or) for part in self.parts)


@dataclass(frozen=True, slots=True)
class Or(TagExpression):
    """What must be in one of several ways."""

    parts: tuple[TagExpression, ...]

    def holds(self, tags: AbstractSet[str], /) -> bool:
        return any(part.holds(tags) for part in self.parts)

    def failing(self, _: AbstractSet[str], /) -> str:
        return str(self)

    def needed(self, count: Callable[[str], int], /) -> frozenset[str] | None:
        found = [part.needed(count) for part in self.parts]
        return None if None in found else frozenset().union(*(part for part in found if part is not None))

    def tags(self) -> frozenset[str]:
        return frozenset().union(*(part.tags() for part in self.parts))

    def __str__(self) -> str:
        return " || ".join(map(str, self.parts))


def read_tag_expression(text: str) -> TagExpression:
    """Read a tag expression.

    Raises:
        Refused: 400, it is not valid, or has too many tags.
    """
    reader = _Reader(text)
    found = reader.read_or(0)
    if reader.word is not None:
        raise _invalid(text, f"'{reader.word}' is not expected after '{found}'")
    most = MOST if reader.has_other_operators else MOST_OF_ANY
    if reader.count > most:
        raise _invalid(text, f"it has {reader.count} tags; at most {most} are allowed in such an expression")
    return found


class _Reader:
    """Reads from left to right, one word ahead."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._place = 0
        self.word: str | None = None
        self.count = 0
        self.has_other_operators = False
        self._advance()

    def read_or(self, depth: int) -> TagExpression:
        return self._joined("||", self._read_and, Or, depth)

    def _read_and(self, depth: int) -> TagExpression:
        return self._joined("&&", self._read_not, And, depth)

    def _joined(
        self,
        operator: str,
        read: Callable[[int], TagExpression],
        kind: Callable[[tuple[TagExpression, ...]], TagExpression],
        depth: int,
    ) -> TagExpression:
        parts = [read(depth)]
        while self.word == operator:
            self.has_other_operators |= operator == "&&"
            self._advance()
            parts.append(read(depth))
        return parts[0] if len(parts) == 1 else kind(tuple(parts))

    def _read_not(self, depth: int) -> TagExpression:
        if depth > _DEEPEST:
            raise _invalid(self._text, "it nests too deeply")
        word = self.word
        if word is None:
            raise _invalid(self._text, "a tag is missing at its end")
        if word == "!":
            self.has_other_operators = True
            self._advance()
            return Not(self._read_not(depth + 1))
        if word == "(":
            self._advance()
            found = self.read_or(depth + 1)
            if self.word != ")":
                raise _invalid(self._text, "a closing parenthesis is missing")
            self._advance()
            return found
        if word in ("&&", "||", ")"):
            raise _invalid(self._text, f"a tag is missing before '{word}'")
        if len(word) > LONGEST_TAG and not word.startswith("$"):
            raise _invalid(self._text, f"a tag has more than {LONGEST_TAG} characters")
        self.count += 1
        self._advance()
        return Tag(word)

    def _advance(self) -> None:
        match = _WORD.match(self._text, self._place)
        if match is not None:
            self.word, self._place = match[1], match.end()
        elif self._text[self._place :].strip():
            unknown = self._text[self._place :].strip()[0]
            raise _invalid(self._text, f"'{unknown}' can stand in no tag")
        else:
            self.word = None


def _within(part: TagExpression, *kinds: type[TagExpression]) -> str:
    return f"({part})" if isinstance(part, kinds) else str(part)


def _invalid(text: str, reason: str) -> Refused:
    shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
    return Refused(400, f"The tag expression '{shown}' is not valid: {reason}.")
