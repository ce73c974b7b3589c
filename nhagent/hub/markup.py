"""XML as the service sends it: expat, document types refused, prefixes dropped.

Prefixes are dropped, not resolved: the documentation's own sample reply uses one that it never declares.
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_DEPTH = 64
MAX_ELEMENTS = 100_000


class NotMarkup(ValueError):
    """Bytes are no XML that a hub would send."""


@dataclass(slots=True)
class Element:
    """One element: local names alone."""

    name: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element] = field(default_factory=list)
    text: str = ""

    def child(self, name: str) -> Element | None:
        """The first child of this name that is not nil."""
        for child in self.children:
            if child.name == name and child.attributes.get("nil") not in {"true", "1"}:
                return child
        return None

    def child_text(self, name: str) -> str | None:
        """The text of the first child of this name that is not nil."""
        child = self.child(name)
        return None if child is None else child.text


def parse(document: bytes) -> Element:
    """Read a document.

    Raises:
        NotMarkup: it is no XML, has a document type, or is deeper than any of the service's.
    """
    from xml.parsers import expat

    root = Element("")
    path = [root]
    texts: dict[int, list[str]] = {}
    count = 0

    def start(name: str, attributes: dict[str, str]) -> None:
        nonlocal count
        count += 1
        if len(path) > MAX_DEPTH or count > MAX_ELEMENTS:
            raise NotMarkup("the document is deeper or larger than any of the service's")
        element = Element(_local(name), {_local(key): value for key, value in attributes.items()})
        path[-1].children.append(element)
        path.append(element)

    def end(_: str) -> None:
        element = path.pop()
        element.text = "".join(texts.pop(id(element), ()))

    def text(data: str) -> None:
        texts.setdefault(id(path[-1]), []).append(data)  # joined at the end: adding up would be quadratic

    def refuse(*_: object) -> None:
        raise NotMarkup("the document has a document type: the service sends none")

    parser = expat.ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError, LookupError) as error:  # LookupError: an encoding that is none
        raise NotMarkup(f"no XML: {error}") from None
    return root.children[0]


def escaped(text: str) -> str:
    """Text as it may stand between two tags; a carriage return is kept from being taken for a line's end."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _local(name: str) -> str:
    return name.rpartition(":")[2]
