"""What an error tracker would show of an error: the variables of every frame, of all that led to it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress

PACKAGES = {"nhagent", "requests", "urllib3", "http", "ssl", "socket", "json", "keyring", "functools"}
"""Whose frames must show nothing; those of the tests hold what they have planted."""


def linked_errors(error: BaseException) -> Iterator[BaseException]:
    """An error with every cause and context of it, suppressed or not, and errors among their arguments."""
    left, seen = [error], set[int]()
    while left:
        current = left.pop()
        if id(current) in seen:
            continue
        seen.add(id(current))
        yield current
        left += [led for led in (current.__cause__, current.__context__) if led is not None]
        left += [part for part in (*current.args, *vars(current).values()) if isinstance(part, BaseException)]


def texts_in_frames(error: BaseException) -> Iterator[tuple[str, str]]:
    """Every text that a linked error or a variable shows, and where."""
    for linked in linked_errors(error):
        kind = type(linked).__name__
        yield f"{kind} on the way", f"{linked!r} {linked.args!r} {vars(linked)!r}"
        yield f"notes of {kind}", repr(getattr(linked, "__notes__", ()))
        trace = linked.__traceback__
        while trace is not None:
            frame, trace = trace.tb_frame, trace.tb_next
            module = str(frame.f_globals.get("__name__"))
            if module.partition(".")[0] not in PACKAGES:
                continue
            for name, value in frame.f_locals.items():
                place = f"{module}.{frame.f_code.co_name}: {name}"
                yield place, _shown(value)
                if type(value).__module__.startswith("nhagent") and not isinstance(value, type):
                    for part, held in getattr(value, "__dict__", {}).items():
                        if part not in getattr(value, "_hidden", ()):
                            yield f"{place}.{part}", _shown(held)


def _shown(value: object) -> str:
    with suppress(Exception):
        return repr(value)
    return ""
