"""Sees the values that nhagent makes on the way, which no public name leads to."""

from __future__ import annotations

import gc
import sys
from contextlib import suppress
from types import FrameType, TracebackType
from typing import Any, Self

_CONTAINERS = (dict, list, tuple, set, frozenset)


class Witness:
    """While it is entered, every function of nhagent in this thread shows it its variables and its result.

    What these lead to is seen too: attributes, and what containers hold.

    Attributes:
        seen: each value of a class of nhagent's own.
    """

    def __init__(self) -> None:
        self.seen: list[object] = []
        self._known: dict[int, object] = {}  # by identity: what is kept here keeps its own
        self._shown: dict[str, type] = {}

    def __enter__(self) -> Self:
        sys.setprofile(self._returning)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None
    ) -> None:
        sys.setprofile(None)

    @property
    def kinds(self) -> set[type]:
        """The classes of what was seen."""
        return set(map(type, self.seen))

    def shown(self) -> dict[str, type]:
        """Every text that a value shows of itself, when it was first seen or now, and its class."""
        seen, self.seen, self._known = self.seen, [], {}
        self._look(list(seen))
        return self._shown

    def _returning(self, frame: FrameType, event: str, result: Any) -> None:
        if event == "return" and _is_ours(frame.f_globals.get("__name__")):
            self._look([result, *frame.f_locals.values()])

    def _look(self, values: list[object]) -> None:
        containers: dict[int, object] = {}  # filled differently the next time
        while values:
            value = values.pop()
            if isinstance(value, type):
                continue
            if _is_ours(type(value).__module__):
                if id(value) in self._known:
                    continue
                self._known[id(value)] = value
                self.seen.append(value)
                self._show(value)
            elif not isinstance(value, _CONTAINERS) or id(value) in containers:
                continue
            else:
                containers[id(value)] = value
            values += gc.get_referents(value)

    def _show(self, value: object) -> None:
        with suppress(AttributeError):  # it is still being made, and is seen again at the end
            self._shown |= {repr(value): type(value), str(value): type(value)}


def _is_ours(module: object) -> bool:
    return isinstance(module, str) and module.partition(".")[0] == "nhagent"
