"""How much work a call does, counted and not timed: the same on every machine, however loaded."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from types import FrameType
from typing import Any, ClassVar, SupportsIndex


class Counted(str):
    """Text that counts how many of its characters are looked at or copied; so do the texts made of it."""

    __slots__ = ()
    looked_at: ClassVar[int] = 0

    def __str__(self) -> str:
        return self

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        part = super().__getitem__(key)
        Counted.looked_at += len(part)
        return Counted(part)

    def __iter__(self) -> Iterator[str]:
        Counted.looked_at += len(self)
        return super().__iter__()

    def __contains__(self, part: object) -> bool:
        Counted.looked_at += len(self)
        return super().__contains__(str(part))

    def find(self, part: str, start: Any = 0, end: Any = None) -> int:
        place = super().find(part, start, end)
        Counted.looked_at += (len(self) if place < 0 else place + len(part)) - min(start, len(self))
        return place

    def startswith(self, start: Any, at: Any = 0, end: Any = None) -> bool:
        Counted.looked_at += len(start)
        return super().startswith(start, at, end)


def _counting(name: str) -> Callable[..., Any]:
    plain = getattr(str, name)

    def counted(self: Counted, *arguments: Any) -> Any:
        Counted.looked_at += len(self)
        made = plain(self, *arguments)
        if isinstance(made, list | tuple):
            return type(made)(map(Counted, made))
        return Counted(made) if isinstance(made, str) else made

    return counted


for _name in (
    *("lower", "upper", "casefold", "strip", "lstrip", "rstrip", "removeprefix", "removesuffix", "replace"),
    *("split", "rsplit", "splitlines", "partition", "rpartition", "rfind", "count", "index"),
):
    setattr(Counted, _name, _counting(_name))


def work_of(act: Callable[[], object]) -> int:
    """Lines of Python run and characters looked at by C (see `Counted`) in a call.

    Work within ``re`` is seen by neither, which is why tests/test_house.py forbids it where peers are read.
    """
    lines = 0

    def count(_: FrameType, __: str, ___: object) -> Any:
        nonlocal lines
        lines += 1
        return count

    looked_at, before = Counted.looked_at, sys.gettrace()
    sys.settrace(count)
    try:
        act()
    finally:
        sys.settrace(before)
    return lines + Counted.looked_at - looked_at
