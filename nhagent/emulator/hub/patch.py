"""Apply the hub's own PATCH dialect, which looks like JSON Patch (RFC 6902) and differs from it.

``add`` to ``/tags`` appends; a tag is removed by its text, not its index; missing parents are created;
``replace`` is remove and then add, so it works on what is absent; a value is a string, with objects and
arrays as JSON text inside it. Paths that no source documents are refused.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from typing import Any

from nhagent.emulator.atom.descriptions import COMPACT
from nhagent.emulator.clock import NEVER
from nhagent.emulator.hub.installation_reader import Malformed, read_template
from nhagent.emulator.json_text import NotJson, read_json

Json = dict[str, Any]


class PatchRefused(ValueError):
    """The hub refuses a patch. The text says why."""


def apply(installation: Json, operations: Sequence[Any]) -> Json:
    """Return the installation after all operations, applied in order. The argument is not changed.

    Args:
        installation: as the hub keeps it, member names in the service's spelling.
        operations: objects with ``op``, ``path`` and ``value``, as the request has them.

    Raises:
        PatchRefused: an operation is malformed, or its path cannot be patched.
    """
    patched = copy.deepcopy(installation)
    for operation in operations:
        if not isinstance(operation, dict):
            raise PatchRefused("A patch operation is not an object.")
        members = {str(name).lower(): value for name, value in operation.items()}
        op, path, value = members.get("op"), members.get("path"), members.get("value")
        if not isinstance(op, str) or op.lower() not in ("add", "replace", "remove"):
            raise PatchRefused(f"The operation '{op}' is not supported.")
        if not isinstance(path, str) or not path.startswith("/"):
            raise PatchRefused(f"The path '{path}' is not valid.")
        if value is None and op.lower() != "remove":
            raise PatchRefused(f"The operation '{op}' of '{path}' needs a value.")
        _Operation(op.lower(), path, value).change(patched)
    return patched


class _Operation:
    """One operation, which follows its path down into the installation."""

    def __init__(self, op: str, path: str, value: Any) -> None:
        self._removes = op == "remove"
        self._replaces = op == "replace"
        self._path = path
        self._value = value

    def change(self, installation: Json) -> None:
        """Apply the operation to an installation, in place."""
        match self._path[1:].split("/"):
            case [name] if _is(name, "pushChannel"):
                self._set_channel(installation)
                # The service was seen to drop the expiry time with every new channel.
                installation["expirationTime"] = NEVER
            case [name] if _is(name, "userId"):
                self._set(installation, "userId", self._text)
            case [name, tile, *rest] if _is(name, "secondaryTiles") and tile and rest:
                self._inside(
                    installation, "secondaryTiles", tile, lambda found: self._change_tile(found, rest)
                )
            case rest:
                self._change_tags_or_templates(installation, rest)

    def _change_tile(self, tile: Json, rest: list[str]) -> None:
        match rest:
            case [name] if _is(name, "pushChannel"):
                self._set_channel(tile)
            case _:
                self._change_tags_or_templates(tile, rest)

    def _change_tags_or_templates(self, holder: Json, rest: list[str]) -> None:
        match rest:
            case [name, *tag] if _is(name, "tags"):
                self._change_tags(holder, tag)
            case [name, template] if _is(name, "templates") and template:
                self._set_template(holder, template)
            case [name, template, *part] if _is(name, "templates") and template:
                self._inside(holder, "templates", template, lambda found: self._change_template(found, part))
            case _:
                raise self._unsupported()

    def _change_template(self, template: Json, rest: list[str]) -> None:
        match rest:
            case [name] if _is(name, "body"):
                self._set(template, "body", self._text)
            case [name] if _is(name, "expiry"):
                self._set(template, "expiry", self._text)
            case [name] if _is(name, "headers"):
                self._set(template, "headers", self._object)
            case [name, *tag] if _is(name, "tags"):
                self._change_tags(template, tag)
            case _:
                raise self._unsupported()

    def _change_tags(self, holder: Json, rest: list[str]) -> None:
        tags: list[str] = list(holder.get("tags", []))
        match rest:
            case []:
                tags = [] if self._removes or self._replaces else tags
                added = [] if self._removes else self._tags()
            case [tag] if tag and (self._removes or self._replaces):
                tags = [kept for kept in tags if kept.lower() != tag.lower()]
                added = [] if self._removes else [self._text()]
            case _:
                raise self._unsupported()
        present = {tag.lower() for tag in tags}
        for tag in added:
            if tag.lower() not in present:
                present.add(tag.lower())
                tags.append(tag)
        holder["tags"] = tags
        if not tags:
            del holder["tags"]

    def _set_template(self, holder: Json, name: str) -> None:
        templates: Json = holder.setdefault("templates", {})
        if self._removes:
            templates.pop(name, None)
        else:
            try:
                templates[name] = read_template(self._object())
            except Malformed as error:
                raise PatchRefused(str(error)) from error
        if not templates:
            del holder["templates"]

    def _set_channel(self, holder: Json) -> None:
        if self._removes:
            raise self._unsupported()
        value, before = self._value, holder.get("pushChannel")
        if isinstance(before, dict) and isinstance(value, str):
            # A value is text for want of another form: the channel stays what it was when it was put.
            value = _parsed(value) or value
        elif isinstance(before, str) and isinstance(value, dict):
            value = COMPACT.encode(value)
        holder["pushChannel"] = value
        holder["pushChannelExpired"] = False

    def _set(self, holder: Json, name: str, value: Callable[[], Any]) -> None:
        if self._removes:
            holder.pop(name, None)
        else:
            holder[name] = value()

    def _inside(self, holder: Json, collection: str, name: str, change: Callable[[Json], None]) -> None:
        """Change one template or tile, which an add or replace creates when it is missing."""
        found = holder.get(collection, {}).get(name)
        if found is not None:
            change(found)
            return
        created: Json = {}
        change(created)
        if not self._removes:
            holder.setdefault(collection, {})[name] = created

    def _text(self) -> str:
        if not isinstance(self._value, str):
            raise PatchRefused(f"The value of '{self._path}' is not a string.")
        return self._value

    def _object(self) -> Json:
        value = _parsed(self._value) if isinstance(self._value, str) else self._value
        if not isinstance(value, dict):
            raise PatchRefused(f"The value of '{self._path}' is not an object.")
        return copy.deepcopy(value)

    def _tags(self) -> list[str]:
        value = self._value
        if isinstance(value, str):
            # "[" cannot begin a tag, so this is an array as text. Commas do not separate: "a,b" is one tag.
            parsed = _parsed(value) if value.lstrip().startswith("[") else None
            value = parsed if isinstance(parsed, list) else [value]
        if not isinstance(value, list) or not all(isinstance(tag, str) for tag in value):
            raise PatchRefused(f"The value of '{self._path}' is neither a tag nor an array of tags.")
        return value

    def _unsupported(self) -> PatchRefused:
        return PatchRefused(f"The path '{self._path}' does not support this operation.")


def _is(name: str, expected: str) -> bool:
    return name.lower() == expected.lower()


def _parsed(text: str) -> Any:
    try:
        return read_json(text)
    except NotJson:
        return None
