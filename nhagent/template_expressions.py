"""Expressions in templates, by the rules of the service's own library for .NET.

The first character of a value decides: one that begins with ``$ . % # {`` is one whole expression, all others
are literals. What the service does with a value that begins so and is none is not recorded: its library
refuses it. So nhagent tells of it, and refuses only a parenthesis that is never closed.

    $(name)  .(name, 20)  %(name)  #(name)  $(name:{default})  {'Hello ' + $(name)}

Templates are brought here when they change, not at every start.
"""

from __future__ import annotations

import json

from nhagent.errors import ConfigurationError
from nhagent.validation import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from typing import Any, Final

_SIGNS: Final = "$.%#"
_IN_NAMES: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_")
_MAX_NAME: Final = 120
_DIGITS: Final = frozenset("0123456789")
_MAX_DIGITS: Final = 9
_DATES: Final = ("%a, %d %b %Y %H:%M:%S GMT", "%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")


class Fault(ValueError):
    """What is wrong with an expression."""


class Unclosed(Fault):
    """An expression's parenthesis is never closed."""


def doubts(platform: str, body: str, headers: Mapping[str, str], expiry: str | None) -> Iterator[str]:
    """Tell which values of a template look like expressions and are not.

    Args:
        platform: the platform's name.
        body, headers, expiry: the template's fields.

    Returns:
        A sentence for each value, which names it.
    """
    for value in _values(platform, body, headers):
        fault = fault_of(value)
        if fault is not None:
            yield (
                f"{shown(value)} begins like an expression and is not a whole one ({fault}): the service may "
                "refuse it; write text with expressions as {'text ' + $(name)}, and text that begins so as "
                "{'#text'}"
            )
    if expiry is None:
        return
    fault = fault_of(expiry)
    if fault is not None or not (_is_expression(expiry) or _is_date(expiry)):
        yield f"expiry {shown(expiry)} is neither a date nor a whole expression: the service may refuse it"


def check_closed(name: str, platform: str, body: str, headers: Mapping[str, str], expiry: str | None) -> None:
    """Refuse an expression whose parenthesis is never closed.

    Args:
        name: what to call the template in an error.
        platform, body, headers, expiry: as for `doubts`.

    Raises:
        ConfigurationError: there is one.
    """
    for value in (*_values(platform, body, headers), *(() if expiry is None else (expiry,))):
        if isinstance(fault_of(value), Unclosed):
            raise ConfigurationError(
                f"{name}: {shown(value)}: its parenthesis is never closed",
                "close it, as in $(name), or write other text than an expression",
            )


def fault_of(value: str) -> Fault | None:
    """Tell what is wrong with a value of a template; None for a literal and for a whole expression."""
    if not _is_expression(value):
        return None
    try:
        _check(value)
    except Fault as fault:
        return fault
    return None


def _is_expression(value: str) -> bool:
    return value[:1] != "" and value[0] in _SIGNS + "{"


def _check(text: str) -> None:
    is_open = text[0] == "{" and not text.endswith("}")
    if text[0] == "{":
        text = text[1:] if is_open else text[1:-1].rstrip()
    place, terms, numbers = 0, 0, 0
    while True:
        place = _after_space(text, place)
        sign = text[place : place + 1]
        numbers += sign == "#"
        terms += 1
        place = _end_of_literal(text, place) if sign in {"'", '"'} else _end_of_property(text, place)
        if place == len(text):
            break
        place = _after_space(text, place)
        if text[place : place + 1] != "+":
            raise Fault("something other than + follows a part of it")
        place += 1
    if is_open:
        raise Fault("its brace is never closed")
    if numbers and terms > 1:
        raise Fault("#(…) stands alone")


def _after_space(text: str, place: int) -> int:
    while place < len(text) and text[place].isspace():
        place += 1
    return place


def _end_of_literal(text: str, place: int) -> int:
    """Give the place after a literal, in which a doubled quote stands for one."""
    quote, begin = text[place], place
    while True:
        place = text.find(quote, place + 1)
        if place < 0:
            raise Fault("a literal is never closed")
        if text[place + 1 : place + 2] != quote:
            break
        place += 1
    if len(text) - begin < len("'x'"):
        raise Fault("an empty literal stands at its end")
    return place + 1


def _end_of_property(text: str, place: int) -> int:
    """Give the place after a property in parentheses."""
    sign = text[place : place + 1]
    if not sign or sign not in _SIGNS:
        raise Fault("a part of it is neither a property nor a literal")
    if text[place + 1 : place + 2] != "(":
        raise Fault(f"no parenthesis follows {sign}")
    begin = place + 2
    end = text.find(")", begin)
    name, default, _ = text[begin : end if end >= 0 else len(text)].partition(":{")
    if default:
        rest_from = _end_of_default(text, begin + len(name) + len(default), is_closed=end >= 0)
        end = text.find(")", rest_from)
    else:
        name = name.partition(",")[0]
        rest_from = begin + len(name)
    if end < 0:
        raise Unclosed("its parenthesis is never closed")
    name = name.strip()
    if not 0 < len(name) <= _MAX_NAME or not _IN_NAMES.issuperset(name):
        raise Fault(f"a property's name is 1 to {_MAX_NAME} letters, digits and _")
    _check_length(sign, text[rest_from:end])
    return end + 1


def _end_of_default(text: str, place: int, *, is_closed: bool) -> int:
    """Give the place after a default's closing brace, which a backslash escapes."""
    while place < len(text):
        if text[place] == "}":
            return place + 1
        place += 2 if text[place] == "\\" else 1
    raise (Fault if is_closed else Unclosed)("a default's brace is never closed")


def _check_length(sign: str, rest: str) -> None:
    """Check what follows a name within its parentheses: nothing, or a comma and a number."""
    if not rest.strip():
        if sign == ".":
            raise Fault(".(…) needs a length")
        return
    if sign in "%#":
        raise Fault(f"{sign}(…) takes no length")
    digits = rest[1:].strip()
    if rest[0] != "," or not 0 < len(digits) <= _MAX_DIGITS or not _DIGITS.issuperset(digits):
        raise Fault("a length is a number of characters")


def _values(platform: str, body: str, headers: Mapping[str, str]) -> Iterator[str]:
    """Give the values that the service reads expressions in: of headers, JSON, or XML that is not raw."""
    caseless = {name.lower(): value for name, value in headers.items()}
    yield from caseless.values()
    if platform not in {"wns", "mpns"}:
        yield from _texts_in_json(body)
    elif caseless.get("x-wns-type", "").lower() != "wns/raw" and body.lstrip().startswith("<"):
        yield from _texts_in_xml(body)


def _texts_in_json(body: str) -> Iterator[str]:
    try:
        left: list[Any] = [json.loads(body)]
    except (ValueError, RecursionError):  # told by nhagent.template_validation
        return
    while left:
        found = left.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            left += reversed(found.values())
        elif isinstance(found, list):
            left += reversed(found)


def _texts_in_xml(body: str) -> Iterator[str]:
    """Give the values of attributes and the texts of leaves, as far as it is well-formed XML."""
    from xml.parsers.expat import ExpatError, ParserCreate

    found: list[str] = []
    text: list[str] = []
    is_leaf = False

    def begun(_: str, attributes: dict[str, str]) -> None:
        nonlocal is_leaf
        found.extend(attributes.values())
        text.clear()
        is_leaf = True

    def ended(_: str) -> None:
        nonlocal is_leaf
        if is_leaf:
            found.append("".join(text))
        is_leaf = False

    def document_type(*_: object) -> None:
        raise Fault("it declares a document type")  # whose entities could be of any size

    parser = ParserCreate()
    parser.StartElementHandler, parser.EndElementHandler = begun, ended
    parser.CharacterDataHandler, parser.StartDoctypeDeclHandler = text.append, document_type
    try:
        parser.Parse(body, True)
    except (ExpatError, Fault, ValueError):
        pass
    yield from found


def _is_date(text: str) -> bool:
    """Tell whether .NET would read a text as a date. ``0`` stands for none."""
    from datetime import datetime

    text = text.strip()
    if text == "0":
        return True
    try:
        datetime.fromisoformat(text)
    except ValueError:
        pass
    else:
        return True
    for form in _DATES:
        try:
            datetime.strptime(text, form)  # noqa: DTZ007 - whether it can be read is all that counts
        except ValueError:
            continue
        return True
    return False
