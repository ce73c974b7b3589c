"""Validate the expressions in a template, by the rules of the service's own library for .NET.

    $(name)  .(name, 20)  %(name)  #(name)          a property, cut, coded for URIs, or as a number
    $(name:{text})                                  with a default
    {'Hello ' + $(name) + "!"}                      a composite of properties and literals

The first character decides: a value that begins with ``$``, ``.``, ``%``, ``#`` or ``{`` is one whole
expression, every other value is a literal.
"""

from __future__ import annotations

import re

_SIGNS = "$.%#"
_NAME = re.compile(r"[A-Za-z0-9_]{1,120}")
_NUMBER = re.compile(r"\s*\+?(\d{1,10})\s*", re.ASCII)
_LARGEST = 2**31 - 1
_SHOWN = 80


def is_expression(text: str) -> bool:
    """Return whether a value is taken as an expression, valid or not."""
    return bool(text.strip()) and text[0] in _SIGNS + "{"


def expression_error(text: str) -> str | None:
    """Return what is wrong with a value of a template; None for a literal or a valid expression."""
    if not is_expression(text):
        return None
    try:
        _check(text)
    except _Invalid as invalid:
        shown = text if len(text) <= _SHOWN else text[:_SHOWN] + "…"
        return f"The expression '{shown}' is not valid: {invalid}."
    return None


class _Invalid(ValueError):
    """What is wrong with an expression."""


def _check(text: str) -> None:
    if text[0] == "{":
        if not text.endswith("}"):
            raise _Invalid("the closing brace is missing")
        text = text[1:-1].rstrip()
    place, terms, numbers = 0, 0, 0
    while True:
        place = _after_space(text, place)
        sign = text[place : place + 1]
        numbers += sign == "#"
        terms += 1
        place = _end_of_literal(text, place) if sign in ("'", '"') else _end_of_property(text, place)
        if place == len(text):
            break
        place = _after_space(text, place)
        if text[place : place + 1] != "+":
            raise _Invalid("something other than + follows a part of it")
        place += 1
    if numbers and terms > 1:
        raise _Invalid("#(…) stands alone")


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _end_of_literal(text: str, place: int) -> int:
    """Return the place after a literal, in which a doubled quote stands for one."""
    quote, begin = text[place], place
    while True:
        place = text.find(quote, place + 1)
        if place < 0:
            raise _Invalid("a literal is not closed")
        if text[place + 1 : place + 2] != quote:
            break
        place += 1
    # The service's library refuses a rest shorter than three characters.
    if len(text) - begin < len("'x'"):
        raise _Invalid("an empty literal stands at its end")
    return place + 1


def _end_of_property(text: str, place: int) -> int:
    """Return the place after a property in parentheses."""
    sign = text[place : place + 1]
    if not sign or sign not in _SIGNS:
        raise _Invalid("a part of it is neither a property nor a literal")
    if text[place + 1 : place + 2] != "(":
        raise _Invalid(f"no parenthesis follows {sign}")
    begin, end = place + 2, text.find(")", place)
    if end < 0:
        raise _Invalid("the closing parenthesis is missing")
    name, default, _ = text[begin:end].partition(":{")
    if default:
        rest_from = _end_of_default(text, begin + len(name) + len(default))
        end = text.find(")", rest_from)
        if end < 0:
            raise _Invalid("the closing parenthesis is missing")
        rest = text[rest_from:end]
    else:
        name, comma, length = name.partition(",")
        rest = comma + length
    if not _NAME.fullmatch(name.strip()):
        raise _Invalid("a property's name is 1 to 120 letters, digits and _")
    _check_length(sign, rest)
    return end + 1


def _end_of_default(text: str, place: int) -> int:
    """Return the place after a default's closing brace, which a backslash escapes."""
    while place < len(text):
        if text[place] == "}":
            return place + 1
        place += 2 if text[place] == "\\" else 1
    raise _Invalid("a default's closing brace is missing")


def _check_length(sign: str, rest: str) -> None:
    """Check what follows a property's name within its parentheses: nothing, or a comma and a length."""
    if not rest:
        if sign == ".":
            raise _Invalid(".(…) needs a length")
        return
    if sign in "%#":
        raise _Invalid(f"{sign}(…) takes no length")
    match = _NUMBER.fullmatch(rest[1:]) if rest[0] == "," else None
    if match is None or int(match[1]) > _LARGEST:
        raise _Invalid("a length is a number of characters")
