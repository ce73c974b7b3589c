"""Read what stands in the body of a refusal, in each form that Azure's front ends write.

The service's own is ``<Error><Code>404</Code><Detail>WORDS</Detail></Error>``. What stands before it writes
``<Error><Code/><Message/></Error>``, OData's errors in XML and JSON, ``{"error": {"code", "message"}}``,
``{"Message"}``, ``{"code", "message"}``, problem details of RFC 7807, WCF's faults, plain text, and HTML.
"""

from __future__ import annotations

import json

from nhagent.hub.markup import NotMarkup, parse
from nhagent.hub.texts import split_tracking
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Final

    from nhagent.hub.markup import Element

MAX_TEXT_BYTES: Final = 65_536
"""A plain text that is longer is nothing that a front end says."""
MAX_PARTS: Final = 1000
"""Elements of a document among which its error is looked for, and parts of an error that are read."""
_ERRORS: Final = frozenset({"error", "fault", "problem", "httperror", "exception", "string"})
"""Names of the elements that hold an error; ``string`` is a bare text of .NET."""
_WORDS: Final = ("detail", "message", "error_description", "exceptionmessage", "reason", "title", "details")
"""Names under which the words stand, the most telling first."""
_CODES: Final = ("code", "error")
_TRACKING: Final = ("trackingid", "requestid", "activityid", "traceid")


class ErrorBody(Value):
    """What the body of a refusal says.

    Attributes:
        words: the words, without the id of the exchange; empty where it says nothing.
        code: the front end's name for what is wrong; empty where it gives none but a number.
        tracking_id: the id of the exchange, or None.
        is_error: whether the body is an error in one of the forms, whatever it says.
    """

    words: str = ""
    code: str = ""
    tracking_id: str | None = None
    is_error: bool = False


NOTHING: Final = ErrorBody()


def read_error_body(body: bytes) -> ErrorBody:
    """Read the body of a refusal that is no web page.

    Args:
        body: all of it.

    Returns:
        What it says; `NOTHING` where it is of no form that is known.
    """
    text = body.lstrip()
    first = text[:1] if not text.startswith(b"\xef\xbb\xbf") else text[3:].lstrip()[:1]
    if first == b"<" or b"\0" in text[:4]:  # UTF-16 is XML's business
        return _read_markup(body)
    if first in {b"{", b"[", b'"'}:
        return _read_json(body)
    return _read_text(text)


def _made(words: str, code: str = "", tracking_id: str | None = None) -> ErrorBody:
    said, found = split_tracking(words)
    return ErrorBody(said or ("" if code.isdecimal() else code), code, found or tracking_id, True)


def _read_markup(body: bytes) -> ErrorBody:
    try:
        root = parse(body)
    except NotMarkup:
        return NOTHING
    error = next((one for one in _elements(root) if one.name.lower() in _ERRORS), None)
    if error is None:
        return NOTHING
    parts = {child.name.lower(): child for child in reversed(error.children[:MAX_PARTS])}
    words = next(filter(None, (_text_of(parts[name]) for name in _WORDS if name in parts)), "")
    code = next((parts[name].text.strip() for name in _CODES if name in parts), "")
    ids = (parts[name].text.strip() for name in _TRACKING if name in parts)
    return _made(words or ("" if parts else error.text.strip()), code, next(filter(None, ids), None))


def _elements(root: Element) -> Iterator[Element]:
    """Give the first elements of a document, each before those in it."""
    left = [root]
    for _ in range(MAX_PARTS):
        if not left:
            return
        element = left.pop()
        yield element
        left += reversed(element.children[:MAX_PARTS])


def _text_of(element: Element) -> str:
    """Give an element's own text, or that of what is in it, as WCF's ``<Reason><Text>``."""
    pieces = (piece.text.strip() for piece in _elements(element))
    return " ".join(filter(None, pieces))


def _read_json(body: bytes) -> ErrorBody:
    try:
        document = json.loads(body.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        return NOTHING
    if isinstance(document, str):
        return _made(document.strip())
    fields = _error_in(document)
    if fields is None:
        return NOTHING
    words = next(filter(None, (_said(fields.get(name)) for name in _WORDS)), "")
    named = " ".join(filter(None, map(_said, _listed(fields.get("errors")))))
    if named and named != words:  # ASP.NET has the rule that was broken here, and in the title nothing of it
        words = f"{words} {named}".strip()
    codes = (fields.get(name) for name in _CODES)
    code = next((code.strip() for code in codes if isinstance(code, str)), "")
    ids = (fields.get(name) for name in _TRACKING)
    tracking_id = next((one.strip() for one in ids if isinstance(one, str) and one.strip()), None)
    return _made(words, code, tracking_id) if words or "code" in fields or code else NOTHING


def _error_in(document: object) -> dict[str, object] | None:
    """Find the object that describes the error, with its names in lower case."""
    for _ in range(3):  # {"error": {"error": {…}}}, or a list of them
        if isinstance(document, list) and document:
            document = document[0]
        if not isinstance(document, dict):
            return None
        fields = {str(name).lower(): value for name, value in document.items()}
        inner = next(
            (
                fields[name]
                for name in ("error", "odata.error", "fault")
                if isinstance(fields.get(name), dict)
            ),
            None,
        )
        if inner is None:
            return fields
        document = inner
    return None


def _said(value: object) -> str:
    """Give text, as it is or as OData has it, with its language; a list's texts; of an object its message."""
    if isinstance(value, str):
        return value.strip()
    if isinstance(value, list):
        return " ".join(filter(None, (part.strip() for part in value[:MAX_PARTS] if isinstance(part, str))))
    if isinstance(value, dict):
        inner = next((value[name] for name in ("value", "message", "Message") if name in value), "")
        return inner.strip() if isinstance(inner, str) else ""
    return ""


def _listed(errors: object) -> list[object]:
    """Give the errors of a list, or of an object of them by field."""
    if isinstance(errors, dict):
        return list(errors.values())[:MAX_PARTS]
    return errors[:MAX_PARTS] if isinstance(errors, list) else []


def _read_text(text: bytes) -> ErrorBody:
    if len(text) > MAX_TEXT_BYTES:
        return NOTHING
    try:
        words = text.decode("utf-8-sig").strip()
    except UnicodeDecodeError:
        return NOTHING
    if not "".join(words.split()).isprintable():
        return NOTHING
    said, tracking_id = split_tracking(words)
    return ErrorBody(said, "", tracking_id, bool(said))
