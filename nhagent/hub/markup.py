"""XML as the service sends it: read by expat, in UTF-8, without document types and without prefixes.

Prefixes are dropped, not resolved: the documentation's own sample reply uses one that it never declares.
"""

from __future__ import annotations

from typing import Final

MAX_DEPTH: Final = 64
MAX_ELEMENTS: Final = 100_000


class NotMarkup(ValueError):
    """Bytes are not XML that a hub would send."""


class Element:
    """One element.

    Args:
        name: its local name.
        attributes: by local name.

    Attributes:
        name: as given.
        attributes: as given.
        children: the elements in it, in their order.
        text: its own text, without that of its children.
    """

    __slots__ = ("attributes", "children", "name", "text")

    def __init__(self, name: str, attributes: dict[str, str]) -> None:
        self.name = name
        self.attributes = attributes
        self.children: list[Element] = []
        self.text = ""

    def child(self, name: str) -> Element | None:
        """Find the first child of this name that is not nil.

        Args:
            name: the local name.

        Returns:
            The child; None: there is none.
        """
        for child in self.children:
            if child.name == name and child.attributes.get("nil") not in {"true", "1"}:
                return child
        return None

    def child_text(self, name: str) -> str | None:
        """Give the text of the first child of this name that is not nil.

        Args:
            name: the local name.

        Returns:
            The text; None: there is no such child.
        """
        child = self.child(name)
        return None if child is None else child.text


def parse(document: bytes) -> Element:
    """Read a document.

    Args:
        document: the XML.

    Returns:
        Its root.

    Raises:
        NotMarkup: not XML, with a document type, or deeper or larger than any of the service's.
    """
    from xml.parsers import expat

    root = Element("", {})
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

    parser = expat.ParserCreate("utf-8")  # a document that names its encoding would choose among all codecs
    parser.buffer_text = True
    parser.StartElementHandler = start
    parser.EndElementHandler = end
    parser.CharacterDataHandler = text
    parser.StartDoctypeDeclHandler = refuse
    try:
        parser.Parse(document, True)
    except (expat.ExpatError, ValueError) as error:
        raise NotMarkup(f"not XML: {error}") from None
    return root.children[0]


def escaped(text: str) -> str:
    """Escape text that is to stand between two tags; a carriage return would else become a line feed."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;").replace("\r", "&#13;")


def _local(name: str) -> str:
    return name.rpartition(":")[2]
