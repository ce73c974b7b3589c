"""Reading the documents of a state folder: every value is checked for its type before it is believed."""

from __future__ import annotations

from datetime import UTC, datetime

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.values import EMPTY

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final, TypeAlias

    JsonObject: TypeAlias = dict[str, Any]

SCHEMA: Final = 1
MAX_NUMBER: Final = 10**12
"""Largest whole number that a state file may hold; a larger one was never written."""

NOTHING: Final[Any] = EMPTY
"""The object that stands where nothing was stored; nobody can change it."""


class Malformed(ValueError):
    """A document is not what this device would have written."""


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


def take_text_or_none(fields: JsonObject, name: str) -> str | None:
    """Take a text, or None, out of a document."""
    text = fields.pop(name, None)
    return None if text is None else read_text(text)


def take_flag(fields: JsonObject, name: str) -> bool:
    """Take true or false out of a document."""
    flag = fields.pop(name, False)
    if not isinstance(flag, bool):
        raise Malformed(f"{name} is neither true nor false")
    return flag


def take_count(fields: JsonObject, name: str) -> int:
    """Take a count out of a document."""
    count = take_whole_number(fields, name)
    if count < 0:
        raise Malformed(f"{name} is negative")
    return count


def take_whole_number(fields: JsonObject, name: str) -> int:
    """Take a whole number out of a document."""
    number = fields.pop(name, 0)
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) > MAX_NUMBER:
        raise Malformed(f"{name} is not a number that was ever written")
    return number


def read_object(value: object) -> JsonObject:
    """Read a JSON object."""
    if not isinstance(value, dict):
        raise Malformed(f"{type(value).__name__} where an object belongs")
    return dict(value)


def read_list(value: object) -> list[Any]:
    """Read a JSON list."""
    if not isinstance(value, list):
        raise Malformed(f"{type(value).__name__} where a list belongs")
    return value


def read_text(value: object) -> str:
    """Read a text."""
    if not isinstance(value, str):
        raise Malformed(f"{type(value).__name__} where text belongs")
    return value


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
