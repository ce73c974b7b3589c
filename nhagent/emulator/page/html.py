"""HTML as values: what `element` has not made is text, and is escaped. Markup is written in no other way."""

from __future__ import annotations

import html
from collections.abc import Iterable
from typing import TypeAlias

VOID = frozenset({"input", "br", "link", "meta", "hr", "img"})
"""Elements without an end."""


class Markup(str):
    """Text that is HTML already. Only this module makes it."""

    __slots__ = ()


Child: TypeAlias = "str | int | float | Markup | Iterable[Child] | None"


def element(tag: str, *children: Child, **attributes: str | int | bool | None) -> Markup:
    """Make an element.

    Args:
        tag: its name.
        children: elements, and texts, which are escaped; None and nested lists are allowed.
        attributes: ``class_`` and ``for_`` for class and for, ``data_x`` for data-x. True: without a value;
            None and False: left out.
    """
    parts = [f"<{tag}"]
    for name, value in attributes.items():
        if value is None or value is False:
            continue
        written = name.rstrip("_").replace("_", "-")
        parts.append(f" {written}" if value is True else f' {written}="{html.escape(str(value))}"')
    parts.append(">")
    if tag not in VOID:
        parts += [text(child) for child in children]
        parts.append(f"</{tag}>")
    return Markup("".join(parts))


def text(child: Child) -> Markup:
    """Make markup of anything: what is not markup yet is escaped."""
    if child is None:
        return Markup("")
    if isinstance(child, Markup):
        return child
    if isinstance(child, str | int | float):
        return Markup(html.escape(visible(str(child))))
    return Markup("".join(text(each) for each in child))


def visible(words: str) -> str:
    """Replace what browsers hide or obey: control characters, and those that turn the writing around."""
    lines = words.replace("\r\n", "\n")
    return "".join(each if each.isprintable() or each in "\n\t" else f"\\u{ord(each):04x}" for each in lines)


def document(language: str, head: Markup, body: Markup) -> bytes:
    """Write a whole document."""
    return f'<!doctype html><html lang="{language}">{head}{body}</html>'.encode()
