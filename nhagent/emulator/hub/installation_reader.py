"""Read an installation as clients send it into the form in which the hub keeps it and returns it.

Clients differ in the case of member names, in writing null for what is unset, and in the form of times and
of browser channels. What an installation may contain is checked in `nhagent.emulator.validation`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from nhagent.emulator.atom.descriptions import NATIVE, unique_tags
from nhagent.emulator.channels import kept_uri, read_subscription
from nhagent.emulator.clock import NEVER, utc_iso

Json = dict[str, Any]


class Malformed(ValueError):
    """The JSON has the wrong shape. The text says where."""


def read_installation(document: Any, installation_id: str, *, patched: bool = False) -> Json:
    """Return the installation in the hub's form: members in the order of a GET reply, unset ones left out.

    Args:
        document: decoded JSON.
        installation_id: from the request's path.
        patched: the document is the hub's own after a PATCH, so its read-only members count. Sent by a client
            they are ignored, as are unknown members.

    Raises:
        Malformed: a member has the wrong type or form, the platform is unknown, or the id is another.
    """
    given = _members(document, "The installation")
    if _text(given, "installationId") not in (None, installation_id):
        raise Malformed("'InstallationId' is not the one in the request's address.")
    platform = _platform(given)
    found = {
        "installationId": installation_id,
        "pushChannel": _channel(given, platform),
        "pushChannelExpired": patched and given.get("pushchannelexpired") is True,
        "platform": platform,
        "expirationTime": _expiration(given),
        "userId": _text(given, "userId"),
        "tags": _tags(given),
        "pushVariables": _texts(given, "pushVariables"),
        "templates": _named(given, "templates", _named_template),
        "secondaryTiles": _named(
            given, "secondaryTiles", lambda _, tile: _tile(tile, platform, patched=patched)
        ),
    }
    return _without_absent(found)


def read_template(value: Any) -> Json:
    """Return one template in the hub's form.

    Args:
        value: decoded JSON.

    Raises:
        Malformed: a member has the wrong type.
    """
    given = _members(value, "A template")
    return _without_absent(
        {
            "body": _text(given, "body"),
            "headers": _texts(given, "headers"),
            "expiry": _text(given, "expiry"),
            "tags": _tags(given),
        }
    )


def _named_template(name: str, value: Any) -> Json:
    found = read_template(value)
    # In recorded replies a template without tags has its own name as its tag.
    found.setdefault("tags", [name])
    return found


def _tile(value: Any, platform: str, *, patched: bool) -> Json:
    given = _members(value, "A secondary tile")
    return _without_absent(
        {
            "pushChannel": _channel(given, platform),
            "pushChannelExpired": patched and given.get("pushchannelexpired") is True,
            "tags": _tags(given),
            "templates": _named(given, "templates", _named_template),
        }
    )


def _platform(given: Json) -> str:
    platform = given.get("platform")
    if not isinstance(platform, str) or platform.lower() not in NATIVE:
        raise Malformed("'Platform' property is not specified or given value is not supported.")
    return platform.lower()


def _channel(given: Json, platform: str) -> str | Json | None:
    if platform != "browser":
        text = _text(given, "pushChannel")
        return kept_uri(platform, text) if text else None
    channel = given.get("pushchannel")
    if channel is None or channel == "":
        return None
    found = read_subscription(channel)
    if found is None or not all(isinstance(member, str) for member in found.values()):
        raise Malformed("'PushChannel' of a browser is not an object of strings, nor one as JSON.")
    # .NET and Java send text, JavaScript an object, and each reads only the form that it writes.
    return channel if isinstance(channel, str) else found


def _expiration(given: Json) -> str:
    text = _text(given, "expirationTime")
    if not text:
        return NEVER
    try:
        return utc_iso(text)
    except ValueError as error:
        raise Malformed(f"'ExpirationTime': {error}") from None


def _tags(given: Json) -> list[str]:
    tags = given.get("tags")
    if tags is None:
        return []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Malformed("'Tags' is not an array of strings.")
    return unique_tags(tags)


def _named(given: Json, name: str, value_of: Callable[[str, Any], Json]) -> Json:
    return {key: value_of(key, value) for key, value in _object(given, name).items()}


def _texts(given: Json, name: str) -> dict[str, str]:
    found = _object(given, name)
    if not all(isinstance(value, str) for value in found.values()):
        raise Malformed(f"'{name}' has a value that is not a string.")
    return found


def _object(given: Json, name: str) -> Json:
    """Return a member that is an object, without its null entries; empty when it is absent."""
    value = given.get(name.lower())
    if value is None:
        return {}
    if not isinstance(value, dict):
        raise Malformed(f"'{name}' is not an object.")
    return {key: entry for key, entry in value.items() if entry is not None}


def _text(given: Json, name: str) -> str | None:
    value = given.get(name.lower())
    if value is not None and not isinstance(value, str):
        raise Malformed(f"'{name}' is not a string.")
    return value


def _members(value: Any, what: str) -> Json:
    """Return an object's members by lower-case name, without null ones."""
    if not isinstance(value, dict):
        raise Malformed(f"{what} is not an object.")
    return {name.lower(): member for name, member in value.items() if member is not None}


def _without_absent(found: Mapping[str, Any]) -> Json:
    # None, "", [] and {} all mean "unset"; False is a value.
    return {name: value for name, value in found.items() if value or value is False}
