"""Reading the documents of a state folder: every value is checked for its type before it is believed."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zlib import crc32

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.regular_files import UTF8_MARK
from nhagent.values import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import Any, Final, TypeAlias

    JsonObject: TypeAlias = dict[str, Any]

SCHEMA: Final = 1
_CHECKSUM: Final = "checksum"
_NEVER_IN_THE_FIRST: Final = "hardware"
"""Tells a document of the first edition from one whose checksum was lost."""
MAX_NUMBER: Final = 10**12
"""Largest whole number that a state file may hold; a larger one was never written."""

NOTHING: Final[Any] = EMPTY
"""The object that stands where nothing was stored; nobody can change it."""


class Malformed(ValueError):
    """A document is not what this device would have written."""


def to_content(document: JsonObject) -> bytes:
    """Give the content of a file that holds a document, with a checksum over all of it."""
    return json.dumps({**document, _CHECKSUM: _checksum(document)}, indent=1, ensure_ascii=False).encode()


def read_content(content: bytes) -> JsonObject:
    """Read the content of a file.

    Returns:
        Its document, without the checksum. The first edition wrote none, and how a newer one reckons it is
        not known here.

    Raises:
        Malformed: it is not JSON, is not as it was written, or holds half a character, which could not be
            written back.
    """
    try:
        document = json.loads(content.removeprefix(UTF8_MARK).decode())
        if b"\\u" in content:  # only an escape can be half a character
            json.dumps(document, ensure_ascii=False).encode()
    except (ValueError, RecursionError) as error:
        raise Malformed(f"not JSON: {error}") from None
    if type(document) is not dict:
        raise Malformed(f"{type(document).__name__} where an object belongs")
    written = document.pop(_CHECKSUM, None)
    is_first = written is None and _NEVER_IN_THE_FIRST not in document
    if document.get("schema") == SCHEMA:
        is_damaged = not is_first and written != _checksum(document)
    else:  # a flipped bit, and not a newer edition, where the rest is as this one wrote it
        is_damaged = written is not None and written == _checksum({**document, "schema": SCHEMA})
    if is_damaged:
        raise Malformed("not as it was written")
    return document


def _checksum(document: JsonObject) -> int:
    """The checksum of what a document says, however it is spelt: an editor may have given it another form."""
    return crc32(json.dumps(document, sort_keys=True, separators=(",", ":")).encode())


class Latest:
    """Keeps what was made of the document that was read last: a pass reads the same one several times.

    Args:
        read: makes a value of a document, which nobody changes.
    """

    def __init__(self, read: Callable[[Any], Any]) -> None:
        self._read = read
        self._latest: tuple[object, Any] = (self, None)

    def __call__(self, document: object) -> Any:
        """Give what the document holds; errors are those of ``read``."""
        latest = self._latest
        if latest[0] is not document:
            latest = self._latest = (document, self._read(document))  # replaced at once: threads may share it
        return latest[1]


def read_schema(fields: JsonObject) -> int:
    """Read the schema number of a document."""
    schema = fields.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise Malformed(f"schema {schema!r} was never written")
    return schema


def take_unknown(fields: JsonObject) -> JsonObject:
    """Take what a newer version wrote, its schema number among it: it must find its own file again."""
    if fields["schema"] <= SCHEMA:
        del fields["schema"]
    return fields


def take_fields(fields: JsonObject, defaults: Mapping[str, Any], nullable: Mapping[str, type]) -> JsonObject:
    """Take fields of known types out of a document.

    Args:
        fields: the document; what is taken is taken out of it.
        defaults: the fields by name, and what an absent one counts as; its type is the field's. A whole
            number is a count.
        nullable: further fields, which may be null or absent, and their types.

    Returns:
        What was taken, by name.

    Raises:
        Malformed: one of them is of another type, or too large a number.
    """
    taken: JsonObject = {}
    for name, default in defaults.items():
        value = taken[name] = fields.pop(name, default)
        if value is not default and type(value) is not (dict if default is NOTHING else type(default)):
            raise Malformed(f"{name} is of type {type(value).__name__}")
        if type(value) is int and not 0 <= value <= MAX_NUMBER:
            raise Malformed(f"{name} is not a count that was ever written")
    for name, kind in nullable.items():
        value = taken[name] = fields.pop(name, None)
        if value is not None and type(value) is not kind:
            raise Malformed(f"{name} is of type {type(value).__name__}")
    return taken


def read_object(value: object) -> JsonObject:
    """Read a JSON object."""
    if not isinstance(value, dict):
        raise Malformed(f"{type(value).__name__} where an object belongs")
    return dict(value)


def read_text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise Malformed(f"{type(value).__name__} where text belongs")
    return value


def read_texts(values: list[Any]) -> list[str]:
    """Read a list of texts."""
    for value in values:
        if type(value) is not str:
            raise Malformed(f"{type(value).__name__} where text belongs")
    return values


def read_id(value: object) -> str:
    """Read a record's id."""
    try:
        validation.check_installation_id(value)
    except ConfigurationError as error:
        raise Malformed(str(error)) from None
    return str(value)


def to_iso(moment: datetime | None) -> str | None:
    """Write a time; None stays None."""
    return None if moment is None else moment.isoformat()


def read_moment(value: object) -> datetime | None:
    """Read a time, aware; None stays None."""
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(read_text(value))
    except ValueError:
        raise Malformed("not an ISO 8601 timestamp") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
