"""Validate templates, in the service's own words where they are known."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import datetime
from itertools import islice
from typing import Any

from nhagent.emulator.atom.xml_tree import Node, NotXml, parse
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.validation.expressions import expression_error, is_expression

XML_PLATFORMS = frozenset({"wns", "mpns"})
"""The platforms whose notifications are XML or JSON; those of the others are JSON."""

_NEITHER = "Invalid payload format. Either Json object or valid Xml are allowed."
_MPNS_RAW_CLASSES = frozenset({"3", "13", "23"})
_BYTE = re.compile(r"\s*\+?0*(\d{1,3})\s*", re.ASCII)
_INT = re.compile(r"\s*[-+]?0*(\d{1,10})\s*", re.ASCII)


def template_errors(
    platform: str,
    body: str | None,
    headers: Mapping[str, str],
    expiry: str | None = None,
    priority: str | None = None,
) -> Iterator[str]:
    """Yield what the service refuses in a template.

    Args:
        platform: as installations name it.
        body: the notification with its expressions; None where it is missing.
        headers: of WNS, MPNS or APNs; those of other platforms are not looked at.
        expiry: of Apple only.
        priority: of Apple only.
    """
    match platform:
        case "wns":
            yield from _wns_header_errors(headers)
        case "mpns":
            yield from _mpns_header_errors(headers)
        case "apns":
            yield from _apple_errors(headers, expiry, priority)
    if body is not None and not _is_raw(platform, headers):
        yield from _body_errors(platform, body)


def _wns_header_errors(headers: Mapping[str, str]) -> Iterator[str]:
    if not _header(headers, "X-WNS-Type"):
        yield "Must contain WNS Header : 'X-WNS-Type'."
    for name, value in headers.items():
        if not value.strip():
            yield f"WNS header '{name}' is null or empty."
        yield from _expression_errors([value])


def _mpns_header_errors(headers: Mapping[str, str]) -> Iterator[str]:
    if not _header(headers, "X-NotificationClass"):
        yield "Must contain Mpns Header : 'X-NotificationClass'."
    for name, value in headers.items():
        if not value.strip():
            yield f"The header '{name}' is empty."
        yield from _expression_errors([value])


def _apple_errors(headers: Mapping[str, str], expiry: str | None, priority: str | None) -> Iterator[str]:
    for name, value in headers.items():
        if not name.lower().startswith("apns-"):
            yield f"The header '{name}' is not for APNs: the names of its headers begin with 'apns-'."
        yield from _expression_errors([value])
    yield from _expression_errors(text for text in (expiry, priority) if text is not None)
    if expiry is not None and not is_expression(expiry) and not _is_time(expiry):
        yield f"The expiry '{expiry}' is neither a date nor an expression."
    for given in (priority, _header(headers, "apns-priority")):
        if given is not None and not is_expression(given) and not _is_number(given, _BYTE, 255):
            yield f"The priority '{given}' is neither 0 to 255 nor an expression."
    expiration = _header(headers, "apns-expiration")
    if (
        expiration is not None
        and not is_expression(expiration)
        and not _is_number(expiration, _INT, 2**31 - 1)
    ):
        yield f"The value '{expiration}' of 'apns-expiration' is neither a number nor an expression."


def _body_errors(platform: str, body: str) -> Iterator[str]:
    text = body.strip()
    try:
        if platform not in XML_PLATFORMS or (text.startswith("{") and text.endswith("}")):
            values = _texts_in_json(read_json(body))
        elif text.startswith("<"):
            values = _texts_in_xml(parse(text))
        else:
            yield _NEITHER
            return
    except NotXml:
        yield _NEITHER
    except NotJson as error:
        yield _NEITHER if platform in XML_PLATFORMS else f"The body of the template is not JSON. {error}"
    else:
        # The first is enough: a body may hold a hundred thousand.
        yield from islice(_expression_errors(values), 1)


def _texts_in_json(document: Any) -> Iterator[str]:
    """Yield every text that is a value. Members' names are not looked at."""
    left = [document]
    while left:
        found = left.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            left += reversed(found.values())
        elif isinstance(found, list):
            left += reversed(found)


def _texts_in_xml(root: Node) -> Iterator[str]:
    """Yield every attribute's value, and the text of every element that holds no other."""
    left = [root]
    while left:
        found = left.pop()
        yield from found.attributes.values()
        if not found.children:
            yield found.text
        left += reversed(found.children)


def _expression_errors(values: Iterable[str]) -> Iterator[str]:
    for value in values:
        error = expression_error(value)
        if error is not None:
            yield error


def _is_raw(platform: str, headers: Mapping[str, str]) -> bool:
    """Return whether a notification is raw: documentation lets its body be anything."""
    if platform == "wns":
        return (_header(headers, "X-WNS-Type") or "").lower() == "wns/raw"
    return platform == "mpns" and _header(headers, "X-NotificationClass") in _MPNS_RAW_CLASSES


def _header(headers: Mapping[str, str], name: str) -> str | None:
    """Return a header's value; None when it is absent or blank."""
    found = (value.strip() for key, value in headers.items() if key.lower() == name.lower())
    return next(found, None) or None


def _is_time(text: str) -> bool:
    """Return whether .NET would read a text as a date. ``0`` stands for none: delivered at once or never."""
    text = text.strip()
    return text == "0" or any(_can_read(read, text) for read in _TIME_READERS)


def _can_read(read: Callable[[str], object], text: str) -> bool:
    try:
        read(text)
    except ValueError:
        return False
    return True


def _reader(form: str) -> Callable[[str], object]:
    return lambda text: datetime.strptime(text, form)  # noqa: DTZ007  only whether it can be read counts


def _is_number(text: str, form: re.Pattern[str], largest: int) -> bool:
    match = form.fullmatch(text)
    return match is not None and int(match[1]) <= largest


_TIME_READERS = (
    datetime.fromisoformat,
    *map(_reader, ("%a, %d %b %Y %H:%M:%S GMT", "%m/%d/%Y", "%m/%d/%Y %H:%M:%S", "%m/%d/%Y %I:%M:%S %p")),
)
