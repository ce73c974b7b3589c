"""Read the expressions in a template, by the rules of the service's own library for .NET.

    $(name)  .(name, 20)  %(name)  #(name)          a property, cut, coded for URIs, or as a number
    $(name:{text})                                  with a default
    {'Hello ' + $(name) + "!"}                      a composite of properties and literals

The first character decides: a value that begins with ``$``, ``.``, ``%``, ``#`` or ``{`` is one whole
expression, every other value is a literal.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_SIGNS = "$.%#"
_NAME = re.compile(r"[A-Za-z0-9_]{1,120}")
_NUMBER = re.compile(r"\s*\+?(\d{1,10})\s*", re.ASCII)
_LARGEST = 2**31 - 1
_SHOWN = 80


class InvalidExpression(ValueError):
    """What is wrong with an expression."""


@dataclass(frozen=True, slots=True)
class Property:
    """A property of the message within an expression.

    Attributes:
        sign: ``$``, ``.``, ``%`` or ``#``.
        name: its name.
        default: what stands for a property that the message lacks; None: nothing.
        length: characters to which its text is cut; None: it is not cut.
    """

    sign: str
    name: str
    default: str | None
    length: int | None


@dataclass(frozen=True, slots=True)
class Expression:
    """One expression: its parts are joined.

    Attributes:
        parts: literals are text.
        is_composite: whether it stands in braces, and so is text whatever its parts are.
    """

    parts: tuple[str | Property, ...]
    is_composite: bool


def is_expression(text: str) -> bool:
    """Return whether a value is taken as an expression, valid or not."""
    return bool(text.strip()) and text[0] in _SIGNS + "{"


def expression_error(text: str) -> str | None:
    """Return what is wrong with a value of a template; None for a literal or a valid expression."""
    if not is_expression(text):
        return None
    try:
        read_expression(text)
    except InvalidExpression as invalid:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        return f"The expression '{shown}' is not valid: {invalid}."
    return None


def read_expression(text: str) -> Expression:
    """Read an expression.

    Args:
        text: a value for which `is_expression` holds.

    Raises:
        InvalidExpression: it is not valid.
    """
    is_composite = text[0] == "{"
    if is_composite:
        if not text.endswith("}"):
            raise InvalidExpression("the closing brace is missing")
        text = text[1:-1].rstrip()
    parts: list[str | Property] = []
    place = 0
    while True:
        place = _after_space(text, place)
        is_literal = text[place : place + 1] in ("'", '"')
        part, place = _literal(text, place) if is_literal else _property(text, place)
        parts.append(part)
        if place == len(text):
            break
        place = _after_space(text, place)
        if text[place : place + 1] != "+":
            raise InvalidExpression("something other than + follows a part of it")
        place += 1
    if len(parts) > 1 and any(isinstance(part, Property) and part.sign == "#" for part in parts):
        raise InvalidExpression("#(…) stands alone")
    return Expression(tuple(parts), is_composite)


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _literal(text: str, place: int) -> tuple[str, int]:
    """Read a literal, in which a doubled quote stands for one; return it and the place after it."""
    quote, begin = text[place], place
    while True:
        place = text.find(quote, place + 1)
        if place < 0:
            raise InvalidExpression("a literal is not closed")
        if text[place + 1 : place + 2] != quote:
            break
        place += 1
    # The service's library refuses a rest shorter than three characters.
    if len(text) - begin < len("'x'"):
        raise InvalidExpression("an empty literal stands at its end")
    return text[begin + 1 : place].replace(quote * 2, quote), place + 1


def _property(text: str, place: int) -> tuple[Property, int]:
    """Read a property in parentheses; return it and the place after it."""
    sign = text[place : place + 1]
    if not sign or sign not in _SIGNS:
        raise InvalidExpression("a part of it is neither a property nor a literal")
    if text[place + 1 : place + 2] != "(":
        raise InvalidExpression(f"no parenthesis follows {sign}")
    begin, end = place + 2, text.find(")", place)
    if end < 0:
        raise InvalidExpression("the closing parenthesis is missing")
    name, opened, _ = text[begin:end].partition(":{")
    default = None
    if opened:
        default, rest_from = _default(text, begin + len(name) + len(opened))
        end = text.find(")", rest_from)
        if end < 0:
            raise InvalidExpression("the closing parenthesis is missing")
        rest = text[rest_from:end]
    else:
        name, comma, length = name.partition(",")
        rest = comma + length
    if not _NAME.fullmatch(name.strip()):
        raise InvalidExpression("a property's name is 1 to 120 letters, digits and _")
    return Property(sign, name.strip(), default, _length(sign, rest)), end + 1


def _default(text: str, place: int) -> tuple[str, int]:
    """Read a default up to its closing brace, which a backslash escapes; return it and the place after."""
    begin = place
    while place < len(text):
        if text[place] == "}":
            return re.sub(r"\\(.)", r"\1", text[begin:place], flags=re.DOTALL), place + 1
        place += 2 if text[place] == "\\" else 1
    raise InvalidExpression("a default's closing brace is missing")


def _length(sign: str, rest: str) -> int | None:
    """Read what follows a property's name within its parentheses: nothing, or a comma and a length."""
    if not rest:
        if sign == ".":
            raise InvalidExpression(".(…) needs a length")
        return None
    if sign in "%#":
        raise InvalidExpression(f"{sign}(…) takes no length")
    match = _NUMBER.fullmatch(rest[1:]) if rest[0] == "," else None
    if match is None or int(match[1]) > _LARGEST:
        raise InvalidExpression("a length is a number of characters")
    return int(match[1])
