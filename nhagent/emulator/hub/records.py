"""Registrations as JSON for people, in snapshots and in what the control routes show; and back."""

from __future__ import annotations

from typing import Any

from nhagent.emulator.atom.descriptions import KINDS, Description, Kind, Registration
from nhagent.emulator.channels import read_subscription
from nhagent.emulator.clock import NEVER
from nhagent.emulator.hub.installation_reader import Malformed

Json = dict[str, Any]

_TEXTS = {
    "templateName": "TemplateName",
    "bodyTemplate": "BodyTemplate",
    "expiry": "Expiry",
    "priority": "Priority",
    "messageType": "MessageType",
    "secondaryTileName": "SecondaryTileName",
}
"""Members that are text, with their elements."""


def facts_of(registration: Registration) -> Json:
    """Return a registration as JSON. What it does not have is left out.

    Args:
        registration: as the hub keeps it.
    """
    description = registration.description
    values = description.values
    facts = {
        "registrationId": registration.id,
        "etag": str(registration.etag),
        "kind": description.kind.name,
        "platform": description.kind.platform,
        "channel": description.channel,
        "tags": description.tags,
        "templateName": values.get("TemplateName"),
        "bodyTemplate": values.get("BodyTemplate"),
        "headers": description.headers,
        "expiry": values.get("Expiry"),
        "priority": values.get("Priority"),
        "messageType": values.get("MessageType"),
        "pushVariables": values.get("PushVariables"),
        "secondaryTileName": values.get("SecondaryTileName"),
        "expirationTime": registration.expiration or NEVER,
    }
    return {name: fact for name, fact in facts.items() if fact}


def description_of(facts: Json) -> Description:
    """Return the description in what `facts_of` gave.

    Args:
        facts: decoded JSON.

    Raises:
        Malformed: a member is missing, or of the wrong type.
    """
    kind = KINDS.get(_text(facts, "kind") or "")
    if kind is None:
        raise Malformed(f"'kind' is one of {', '.join(KINDS)}.")
    values: Json = _handle(kind, facts.get("channel"))
    for member, element in _TEXTS.items():
        text = _text(facts, member)
        if text and any(element == each.name for each in kind.elements):
            values[element] = text
    if kind.is_template and "BodyTemplate" not in values:
        raise Malformed("'bodyTemplate' is missing.")
    tags = facts.get("tags") or []
    if not isinstance(tags, list) or not all(isinstance(tag, str) for tag in tags):
        raise Malformed("'tags' is not an array of strings.")
    objects = {"Tags": tags, "PushVariables": _texts(facts, "pushVariables")}
    if kind.headers is not None:
        objects[kind.headers] = _texts(facts, "headers")
    return Description(kind, values | {name: value for name, value in objects.items() if value})


def _handle(kind: Kind, channel: Any) -> Json:
    if kind.platform == "browser":
        members = read_subscription(channel)
        found = () if members is None else members.values()
        if len(found) < len(kind.handle) or not all(isinstance(value, str) for value in found):
            raise Malformed("'channel' of a browser is not an object of its endpoint, p256dh and auth.")
        return dict(zip(kind.handle, found, strict=True))
    if not isinstance(channel, str) or not channel.strip():
        raise Malformed("'channel' is missing, or not a string.")
    if kind.platform == "baidu":
        user, _, channel_id = channel.partition("-")
        return dict(zip(kind.handle, (user, channel_id), strict=True))
    return {kind.handle[0]: channel}


def _texts(facts: Json, name: str) -> dict[str, str]:
    value = facts.get(name) or {}
    if not isinstance(value, dict) or not all(isinstance(text, str) for text in value.values()):
        raise Malformed(f"'{name}' is not an object of strings.")
    return value


def _text(facts: Json, name: str) -> str | None:
    value = facts.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(f"'{name}' is not a string.")
    return value
