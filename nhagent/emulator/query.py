"""The part of an address behind the question mark. Its keys are known in any case, and `$` may be coded."""

from __future__ import annotations

import re
from functools import lru_cache
from urllib.parse import parse_qsl, unquote_plus

from .messages import Refused

_API_VERSION = re.compile(r"\d{4}-\d\d", re.ASCII)


def parameter(query: str, name: str) -> str | None:
    """A parameter's value, decoded once, or None.

    Args:
        query: as sent.
        name: in lower case.

    Raises:
        Refused: 400, it is given more than once.
    """
    values = [value for key, value in _pairs(query) if key == name]
    if len(values) > 1:
        raise Refused(400, f"The {name} query parameter is given more than once.")
    return values[0] if values else None


def has_parameter(query: str, name: str) -> bool:
    """Whether a parameter is given at all."""
    return any(key == name for key, _ in _pairs(query))


def without(query: str, *names: str) -> list[str]:
    """The parts of a query, as sent, but for some parameters."""
    return [part for part in query.split("&") if part and _key(part) not in names]


@lru_cache(maxsize=64)  # most requests carry the same query
def check_api_version(query: str) -> None:
    """Any version of the form `YYYY-MM` will do.

    Raises:
        Refused: 400, it is missing or of another form.
    """
    versions = [value for key, value in _pairs(query) if key == "api-version"]
    if not versions or not all(_API_VERSION.fullmatch(version) for version in versions):
        raise Refused(400, "The 'api-version' query parameter is missing or invalid.")


@lru_cache(maxsize=64)
def _pairs(query: str) -> list[tuple[str, str]]:
    return [(key.lower(), value) for key, value in parse_qsl(query, keep_blank_values=True)]


def _key(part: str) -> str:
    return unquote_plus(part.partition("=")[0]).lower()
