"""What a message would look like on a device, as far as its body says: a title and a text."""

from __future__ import annotations

from typing import Any, NamedTuple
from xml.parsers import expat

from nhagent.emulator.json_text import NotJson, read_json

_MOST_TEXTS = 4
_PATHS = (
    ("message", "notification"),
    ("notification",),
    ("aps", "alert"),
    ("message", "data"),
    ("data",),
    (),
)
"""Where a JSON body has what is shown, the most telling first."""
_TITLES = ("title", "subject", "heading")
_TEXTS = ("body", "message", "msg", "text", "alert", "subtitle", "description")


class Preview(NamedTuple):
    """What is shown first, and below it; empty where there is nothing."""

    title: str
    text: str


def preview_of(body: str) -> Preview:
    """Return what a message shows.

    Args:
        body: as the push service would get it: XML of wns and mpns, JSON of the others, or anything.
    """
    if body.lstrip().startswith("<"):
        return _of_texts(_texts_in(body), body)
    try:
        document = read_json(body)
    except NotJson:
        return Preview("", body)
    for path in _PATHS:
        found = _at(document, path)
        if isinstance(found, str):
            return Preview("", found)
        if isinstance(found, dict):
            shown = _of_object(found)
            if shown is not None:
                return shown
    return Preview("", body)


def _at(document: Any, path: tuple[str, ...]) -> Any:
    for name in path:
        if not isinstance(document, dict):
            return None
        document = document.get(name)
    return document


def _of_object(found: dict[str, Any]) -> Preview | None:
    texts = {name.lower(): value for name, value in found.items() if isinstance(value, str) and value}
    title = next((texts[name] for name in _TITLES if name in texts), "")
    text = next((texts[name] for name in _TEXTS if name in texts), "")
    if not title and not text:
        text = next(iter(texts.values()), "")
    return Preview(title, text) if title or text else None


def _texts_in(body: str) -> list[str]:
    """Return the texts of the elements of a toast, a tile or a badge."""
    texts: list[str] = []
    depth: list[str] = []
    parser = expat.ParserCreate()

    def begin(_: str, attributes: dict[str, str]) -> None:
        depth.append("")
        if attributes.get("value"):
            texts.append(attributes["value"])

    def end(_: str) -> None:
        if depth.pop().strip():
            texts.append("")

    def characters(data: str) -> None:
        if depth and data.strip():
            texts.append(data.strip())

    def refuse(*_: object) -> None:
        raise ValueError("A toast declares no entities.")

    parser.StartElementHandler, parser.EndElementHandler = begin, end
    parser.CharacterDataHandler, parser.EntityDeclHandler = characters, refuse
    parser.buffer_text = True
    try:
        parser.Parse(body, True)
    except (expat.ExpatError, ValueError):
        return []
    return [text for text in texts if text][:_MOST_TEXTS]


def _of_texts(texts: list[str], body: str) -> Preview:
    if not texts:
        return Preview("", body)
    first, *rest = texts
    return Preview(first, "\n".join(rest)) if rest else Preview("", first)
