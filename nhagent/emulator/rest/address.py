"""The parts of a request's address: its path segments and its query parameters.

Query keys are matched without regard to case, and their ``$`` may be percent-coded.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from functools import lru_cache
from urllib.parse import parse_qsl, unquote, unquote_plus

from nhagent.emulator.http_messages import Refused

_API_VERSION = re.compile(r"\d{4}-\d\d", re.ASCII)


def segments(path: str) -> list[str]:
    """Split a path into its segments, each decoded once.

    A coded ``/`` does not divide; a trailing ``/`` adds no segment.
    """
    return [unquote(segment) for segment in path.strip("/").split("/")]


def within_hub(found: Sequence[str], hub: str) -> list[str] | None:
    """Return the segments after the hub's name, or None when the path lies in another hub."""
    name = hub.lower().split("/")
    if [segment.lower() for segment in found[: len(name)]] != name:
        return None
    return list(found[len(name) :])


def path_below_hub(path: str, hub: str) -> str:
    """Return the path after the hub's name, as sent; the whole path when it lies in another hub."""
    if within_hub(segments(path), hub) is None:
        return path
    return "/" + "/".join(path.strip("/").split("/")[hub.count("/") + 1 :])


def parameter(query: str, name: str) -> str | None:
    """Return a parameter's value, decoded once, or None when it is absent.

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
    """Return whether a parameter is given at all."""
    return any(key == name for key, _ in _pairs(query))


def without_parameters(query: str, *names: str) -> list[str]:
    """Return the parts of a query, as sent, except some parameters."""
    return [part for part in query.split("&") if part and _key(part) not in names]


@lru_cache(maxsize=64)  # most requests carry the same query
def check_api_version(query: str) -> None:
    """Check that the query names an API version; any of the form ``YYYY-MM`` is accepted.

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
