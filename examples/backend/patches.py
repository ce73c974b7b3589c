"""Applies changes in the service's dialect of JSON Patch to an installation.

It is not RFC 6902: a tag is added by its text on ``/tags`` and removed as ``/tags/TAG``; values are text, so
that an object or a list is JSON within it; ``replace`` works on what is not there.
"""

from __future__ import annotations

import copy
import json
from collections.abc import Iterable
from typing import Any

from .problems import Problem, invalid

_INSTALLATION = ("pushChannel", "userId", "tags", "templates", "secondaryTiles")
_PARTS = {
    "secondaryTiles": ("pushChannel", "tags", "templates"),
    "templates": ("body", "headers", "expiry", "tags"),
}
"""What can be changed of a tile, and of a template."""


def patched(document: dict[str, Any], operations: object) -> dict[str, Any]:
    """Give an installation after all operations.

    Args:
        document: the installation as `nhagent.Installation.to_dict` gives it; not changed.
        operations: what was sent.

    Raises:
        Problem: 400, they are not such operations.
    """
    if not isinstance(operations, list):
        raise invalid("A patch is a list of operations.")
    left = copy.deepcopy(document)
    for operation in operations:
        if not isinstance(operation, dict):
            raise invalid("An operation is an object.")
        op, path, value = (operation.get(name) for name in ("op", "path", "value"))
        if op not in {"add", "replace", "remove"} or not isinstance(path, str) or path[:1] != "/":
            raise invalid("An operation has an op (add, replace, remove) and a path.")
        if (value is None) != (op == "remove"):
            raise invalid("An operation has a value, but for remove.")
        _change(left, _INSTALLATION, op, path[1:].split("/"), value)
    return left


def _change(part: dict[str, Any], members: Iterable[str], op: str, path: list[str], value: Any) -> None:
    member = next((member for member in members if member.lower() == path[0].lower()), None)
    match member, path[1:]:
        case "secondaryTiles" | "templates" as collection, [name, *rest] if rest and name:
            _change_within(part, collection, name, op, rest, value)
        case "templates", [template] if template:
            _set(part.setdefault("templates", {}), template, op, _object(value))
        case "tags", rest if len(rest) <= 1:
            _change_tags(part, op, rest, value)
        case "headers", []:
            _set(part, "headers", op, _object(value))
        case "pushChannel" | "userId" | "body" | "expiry" as plain, []:
            _set(part, plain, op, value)
        case _:
            raise _unknown_path()


def _change_within(
    part: dict[str, Any], collection: str, name: str, op: str, path: list[str], value: Any
) -> None:
    """Change one tile or template, which is made where it is missing."""
    within = part.setdefault(collection, {}).setdefault(name, {})
    _change(within, _PARTS[collection], op, path, value)
    if not within:  # removed from what was never there
        del part[collection][name]


def _change_tags(part: dict[str, Any], op: str, path: list[str], value: Any) -> None:
    tags = [str(tag) for tag in part.get("tags", ())]
    if path:  # one tag, by its text
        tags = [tag for tag in tags if tag.lower() != path[0].lower()]
    elif op != "add":
        tags = []
    part["tags"] = tags if op == "remove" else [*tags, *_list(value)]


def _set(part: dict[str, Any], name: str, op: str, value: Any) -> None:
    if op == "remove":
        part.pop(name, None)
    else:
        part[name] = value


def _object(value: Any) -> Any:
    found = _parsed(value) if isinstance(value, str) else value
    if found is not None and not isinstance(found, dict):
        raise invalid("A template, or its headers, is not an object.")
    return found


def _list(value: Any) -> list[Any]:
    if isinstance(value, str):  # "[" cannot begin a tag
        value = _parsed(value) if value.startswith("[") else [value]
    if not isinstance(value, list):
        raise invalid("Tags are text, or a list of text.")
    return value


def _parsed(text: str) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        raise invalid("A value is not JSON.") from None


def _unknown_path() -> Problem:
    return invalid("There is no such path.")
