"""Fill in templates: evaluate the expressions in a JSON or XML body with a message's properties.

Only whole values count: a JSON string, an XML attribute, or the text of an XML element without others inside.
A value whose first character does not make it an expression is left as it is.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote
from xml.parsers import expat

from nhagent.emulator.atom.escaping import escaped, quoted
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.validation.expressions import (
    InvalidExpression,
    Property,
    is_expression,
    read_expression,
)

_ELLIPSIS = "..."
_JSON_NUMBER = re.compile(r"-?(?:0|[1-9]\d{0,400})(?:\.\d{1,400})?(?:[eE][+-]?\d{1,3})?", re.ASCII)


def fill_in(body: str, properties: Mapping[str, str]) -> str:
    """Return a template's body with its expressions evaluated.

    Args:
        body: a template's. What is neither XML nor JSON is one value, as a raw notification's is.
        properties: the message's, by name in lower case.
    """
    text = body.strip()
    if text.startswith("<"):
        try:
            return _Filler(properties).filled(text)
        except (expat.ExpatError, ValueError):
            return body
    try:
        document = read_json(body)
    except NotJson:
        return evaluate(body, properties)
    return json.dumps(_filled(document, properties), ensure_ascii=False, separators=(",", ":"))


def evaluate(value: str, properties: Mapping[str, str]) -> str:
    """Return the text that a value comes to. An expression that is not valid stays as it is.

    Args:
        value: of a template: its body's, or a header's, …
        properties: the message's, by name in lower case.
    """
    if not is_expression(value):
        return value
    try:
        parts = read_expression(value).parts
    except InvalidExpression:
        return value
    return "".join(part if isinstance(part, str) else _text_of(part, properties) for part in parts)


def _filled(document: Any, properties: Mapping[str, str]) -> Any:
    # The depth is limited by `read_json`.
    if isinstance(document, str):
        return _json_value(document, properties)
    if isinstance(document, dict):
        return {name: _filled(value, properties) for name, value in document.items()}
    if isinstance(document, list):
        return [_filled(value, properties) for value in document]
    return document


def _json_value(value: str, properties: Mapping[str, str]) -> Any:
    text = evaluate(value, properties)
    # Only "#(name)" without braces is a number; a text that is no number stays text.
    if value[:1] == "#" and is_expression(value) and _JSON_NUMBER.fullmatch(text.strip()):
        return json.loads(text)
    return text


def _text_of(part: Property, properties: Mapping[str, str]) -> str:
    text = properties.get(part.name.lower())
    if text is None:
        text = part.default or ""
    if part.sign == "%":
        return quote(text, safe="")
    if part.length is None or len(text) <= part.length:
        return text
    if part.sign == ".":
        return (text[: max(0, part.length - len(_ELLIPSIS))] + _ELLIPSIS)[: part.length]
    return text[: part.length]


class _Filler:
    """Writes XML again as it is read, with its values evaluated."""

    def __init__(self, properties: Mapping[str, str]) -> None:
        self._properties = properties
        self._written: list[str] = []
        self._text: list[str] = []
        self._is_leaf = False
        self._is_open = False
        parser = expat.ParserCreate()
        parser.ordered_attributes = True
        parser.StartElementHandler = self._start
        parser.EndElementHandler = self._end
        parser.CharacterDataHandler = self._text.append
        parser.CommentHandler = self._comment
        parser.ProcessingInstructionHandler = self._instruction
        parser.XmlDeclHandler = self._declaration
        parser.StartDoctypeDeclHandler = _refuse
        self._parser = parser

    def filled(self, text: str) -> str:
        self._parser.Parse(text, True)
        return "".join(self._written)

    def _start(self, name: str, attributes: list[str]) -> None:
        self._flush(is_leaf=False)
        pairs = _pairs(attributes)
        values = [f" {key}={quoted(evaluate(value, self._properties))}" for key, value in pairs]
        self._written.append(f"<{name}{''.join(values)}")
        self._is_leaf = self._is_open = True

    def _end(self, name: str) -> None:
        if self._is_open and not self._text:
            self._written.append("/>")
            self._is_open = False
        else:
            self._flush(is_leaf=self._is_leaf)
            self._written.append(f"</{name}>")
        self._is_leaf = False

    def _comment(self, text: str) -> None:
        self._flush(is_leaf=False)
        self._written.append(f"<!--{text}-->")

    def _instruction(self, target: str, data: str) -> None:
        self._flush(is_leaf=False)
        self._written.append(f"<?{target} {data}?>")

    def _declaration(self, version: str, encoding: str | None, standalone: int) -> None:
        del standalone
        self._written.append(f'<?xml version="{version}" encoding="{encoding or "utf-8"}"?>')

    def _flush(self, *, is_leaf: bool) -> None:
        if self._is_open:
            self._written.append(">")
            self._is_open = False
        text = "".join(self._text)
        self._text.clear()
        self._written.append(escaped(evaluate(text, self._properties) if is_leaf else text))


def _pairs(flat: list[str]) -> Iterator[tuple[str, str]]:
    return zip(flat[::2], flat[1::2], strict=True)


def _refuse(*_: Any) -> None:
    raise ValueError("A document type.")
