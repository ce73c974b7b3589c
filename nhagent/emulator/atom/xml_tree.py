"""Parse XML into a small tree that knows the position of each element. Document types are refused."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from xml.parsers import expat

_DEPTH_LIMIT = 64
# Stands between a namespace and a local name; neither can contain it.
_SEPARATOR = " "


class NotXml(ValueError):
    """The bytes are not XML that the hub reads. The text says why."""


@dataclass(slots=True)
class Node:
    """One element.

    Attributes:
        namespace: its namespace; empty where it has none.
        name: its local name, without prefix.
        attributes: by ``namespace name``, or ``name`` alone where there is no namespace.
        line: the line of its start tag, counted from 1.
        position: the column of the name in its start tag, counted from 1 as the service's parser does.
        end_line: the same of its end tag.
        end_position: the same of its end tag.
        children: the elements directly inside.
        pieces: the text directly inside, as it came.
    """

    namespace: str
    name: str
    attributes: dict[str, str]
    line: int
    position: int
    end_line: int = 0
    end_position: int = 0
    children: list[Node] = field(default_factory=list)
    pieces: list[str] = field(default_factory=list)

    @property
    def text(self) -> str:
        """The text directly inside."""
        return "".join(self.pieces)

    def attribute(self, namespace: str, name: str) -> str | None:
        """Return an attribute's value, or None when it is absent."""
        return self.attributes.get(f"{namespace}{_SEPARATOR}{name}")


def parse(body: bytes | str) -> Node:
    """Return the root element.

    Args:
        body: a document; of text the encoding that it declares does not count.

    Raises:
        NotXml: it is malformed, declares a document type, or nests too deeply.
    """
    builder = _TreeBuilder()
    try:
        builder.parser.Parse(body, True)
    except (expat.ExpatError, LookupError, UnicodeError) as error:
        # LookupError: the declared encoding is unknown.
        raise NotXml(str(error)) from error
    except ValueError as error:
        raise error if isinstance(error, NotXml) else NotXml(str(error)) from error
    return builder.roots[0]


class _TreeBuilder:
    def __init__(self) -> None:
        self.roots: list[Node] = []
        self._open: list[Node] = []
        self.parser = expat.ParserCreate(namespace_separator=_SEPARATOR)
        self.parser.buffer_text = True
        self.parser.StartElementHandler = self._start
        self.parser.EndElementHandler = self._end
        self.parser.CharacterDataHandler = self._text
        # Entities can be declared nowhere else, so that none can expand without bound.
        self.parser.StartDoctypeDeclHandler = _refuse_document_type

    def _start(self, name: str, attributes: dict[str, str]) -> None:
        if len(self._open) == _DEPTH_LIMIT:
            raise NotXml("The elements nest too deeply.")
        namespace, _, local = name.rpartition(_SEPARATOR)
        line, column = self.parser.CurrentLineNumber, self.parser.CurrentColumnNumber
        node = Node(namespace, local, attributes, line, column + len("<") + 1)
        (self._open[-1].children if self._open else self.roots).append(node)
        self._open.append(node)

    def _end(self, _: str) -> None:
        node = self._open.pop()
        node.end_line = self.parser.CurrentLineNumber
        node.end_position = self.parser.CurrentColumnNumber + len("</") + 1

    def _text(self, text: str) -> None:
        self._open[-1].pieces.append(text)


def _refuse_document_type(*_: Any) -> None:
    raise NotXml("For security reasons DTD is prohibited in this XML document.")
