"""Write installations as JSON and read them, and write changes in the hub's own dialect of JSON Patch.

The JSON is that of the service's recorded traffic and its SDKs (``expiry``, ``pushChannelExpired``), not
the REST reference's, where the two differ.

The PATCH dialect is not RFC 6902: a tag is added by a string on ``/tags`` and removed by its *value* as
``/tags/{tag}``; values are strings, so an object goes as JSON text. Only documented paths are used. What they
cannot express (platform, push variables, an expiration time, a whole tile) needs a PUT.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import UTC

from nhagent.hub.texts import quoted
from nhagent.hub.times import read_moment
from nhagent.models import (
    BrowserChannel,
    Installation,
    Platform,
    PushChannel,
    SecondaryTile,
    Template,
    is_same_channel,
    unvalidated,
    unvalidated_subscription,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, TypeAlias

JsonObject: TypeAlias = "dict[str, Any]"
Patch: TypeAlias = "list[dict[str, Any]]"
"""Operations in the hub's dialect of JSON Patch."""


class NotAnInstallation(ValueError):
    """A document is not an installation."""


def to_json(installation: Installation) -> JsonObject:
    """Write the document that a PUT sends.

    Args:
        installation: what the hub shall hold.

    Returns:
        The document; what is empty is left out, and so is what is read-only.
    """
    document: JsonObject = {
        "installationId": installation.installation_id,
        "platform": str(installation.platform),
        "pushChannel": channel_to_json(installation.push_channel),
    }
    if installation.expiration_time is not None:
        moment = installation.expiration_time.astimezone(UTC)
        document["expirationTime"] = moment.strftime("%Y-%m-%dT%H:%M:%SZ")
    if installation.user_id:
        document["userId"] = installation.user_id
    if installation.tags:
        document["tags"] = list(installation.tags)
    if installation.push_variables:
        document["pushVariables"] = dict(installation.push_variables)
    if installation.templates:
        document["templates"] = templates_to_json(installation.templates)
    if installation.secondary_tiles:
        document["secondaryTiles"] = {
            tile_id: _tile_to_json(tile) for tile_id, tile in installation.secondary_tiles.items()
        }
    return document


def channel_to_json(channel: PushChannel) -> Any:
    """Write a push channel as the service's JSON holds it: text, or an object for browser."""
    if isinstance(channel, BrowserChannel):
        return {"endpoint": channel.endpoint, "p256dh": channel.p256dh, "auth": channel.auth}
    return channel


def templates_to_json(templates: Mapping[str, Template]) -> JsonObject:
    """Write templates by name as the service's JSON holds them."""
    documents: JsonObject = {}
    for name, template in templates.items():
        documents[name] = _template_to_json(template)
    return documents


def _template_to_json(template: Template) -> JsonObject:
    document: JsonObject = {"body": template.body}
    if template.headers:
        document["headers"] = dict(template.headers)
    if template.expiry is not None:
        document["expiry"] = template.expiry
    if template.tags:
        document["tags"] = list(template.tags)
    return document


def _tile_to_json(tile: SecondaryTile) -> JsonObject:
    document: JsonObject = {"pushChannel": tile.channel}
    if tile.tags:
        document["tags"] = list(tile.tags)
    if tile.templates:
        document["templates"] = templates_to_json(tile.templates)
    return document


def from_json(document: object) -> Installation:
    """Read an installation as a hub answers it.

    Args:
        document: what was read from its JSON: names in any case; null counts as absent; what is not known is
            ignored.

    Returns:
        The installation, which is not validated.

    Raises:
        NotAnInstallation: the document is not one.
    """
    parts = _caseless(document)
    try:
        platform = Platform(str(parts["platform"]).lower())
        raw = parts["pushchannel"]
        channel: PushChannel = unvalidated_subscription(raw) if platform is Platform.BROWSER else str(raw)
        return unvalidated(
            Installation,
            installation_id=str(parts["installationid"]),
            platform=platform,
            push_channel=channel,
            tags=_tags(parts),
            user_id=parts.get("userid"),
            push_variables=dict(parts.get("pushvariables", {})),
            templates=templates_from_json(parts.get("templates", {})),
            secondary_tiles={
                tile_id: _tile_from_json(tile) for tile_id, tile in parts.get("secondarytiles", {}).items()
            },
            expiration_time=read_moment(parts.get("expirationtime")),
            push_channel_expired=parts.get("pushchannelexpired") is True,
        )
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise NotAnInstallation(
            f"not an installation: {type(error).__name__} at {quoted(str(error))}"
        ) from None


def templates_from_json(documents: Mapping[str, object]) -> dict[str, Template]:
    """Read templates by name, as `templates_to_json` writes them.

    Raises:
        KeyError, TypeError, ValueError, AttributeError: they are not such a document.
    """
    templates: dict[str, Template] = {}
    for name, template in documents.items():
        templates[name] = _template_from_json(template)
    return templates


def _template_from_json(document: object) -> Template:
    parts = _caseless(document)
    return unvalidated(
        Template,
        body=parts["body"],
        headers=dict(parts.get("headers", {})),
        tags=_tags(parts),
        expiry=parts.get("expiry"),
    )


def _tile_from_json(document: object) -> SecondaryTile:
    parts = _caseless(document)
    return unvalidated(
        SecondaryTile,
        channel=parts["pushchannel"],
        tags=_tags(parts),
        templates=templates_from_json(parts.get("templates", {})),
        push_channel_expired=parts.get("pushchannelexpired") is True,
    )


def _caseless(document: object) -> JsonObject:
    if not isinstance(document, Mapping):
        raise NotAnInstallation("not an installation: not a JSON object")
    parts: JsonObject = {}
    for name, value in document.items():
        if value is not None:
            parts[str(name).lower()] = value
    return parts


def _tags(parts: JsonObject) -> tuple[str, ...]:
    tags = parts.get("tags", ())
    if not isinstance(tags, list | tuple):
        raise NotAnInstallation("not an installation: its tags are not a list")
    return tuple(map(str, tags))


def patch_between(before: Installation, after: Installation, *, with_tags: bool = True) -> Patch | None:
    """Write the PATCH that turns one installation into another.

    Expiration times are not compared (a refresh renews them).

    Args:
        before: what the hub holds.
        after: what it shall hold.
        with_tags: False leaves every tag as it is: those of the device, of tiles and of templates.

    Returns:
        The operations; None where PATCH cannot express the difference.
    """
    if before.platform != after.platform or before.push_variables != after.push_variables:
        return None
    if before.secondary_tiles.keys() != after.secondary_tiles.keys():
        return None
    patch: Patch = []
    if before.push_channel != after.push_channel and not is_same_channel(
        after.platform, before.push_channel, after.push_channel
    ):
        patch.append(_set("/pushChannel", _text(channel_to_json(after.push_channel))))
    if (before.user_id or None) != (after.user_id or None):
        patch.append(_set("/userId", after.user_id) if after.user_id else _drop("/userId"))
    patch += _routing_operations("", before, after, with_tags)
    for tile_id, tile in after.secondary_tiles.items():
        old, path = before.secondary_tiles[tile_id], f"/secondaryTiles/{tile_id}"
        if old.channel != tile.channel and not is_same_channel(
            after.platform, str(old.channel), str(tile.channel)
        ):
            patch.append(_set(f"{path}/pushChannel", tile.channel))
        patch += _routing_operations(path, old, tile, with_tags)
    return patch


def _routing_operations(
    path: str,
    before: Installation | SecondaryTile,
    after: Installation | SecondaryTile,
    with_tags: bool,
) -> Patch:
    """Write what changes the tags and templates of a device or of a tile."""
    patch: Patch = []
    if with_tags and before.tags != after.tags:
        patch += _tag_operations(path, before.tags, after.tags)
    if before.templates != after.templates:
        patch += _template_operations(path, before.templates, after.templates, with_tags)
    return patch


def compact(document: object) -> bytes:
    """Write JSON without blanks, in UTF-8."""
    return json.dumps(document, separators=(",", ":"), ensure_ascii=False).encode()


def _tag_operations(path: str, before: Iterable[str], after: Iterable[str]) -> Patch:
    """Write removals first, since removing a tag by value removes every spelling of it.

    Tags are added by one operation, since a sample warns that of several on ``/tags`` only one counts. They
    are never replaced: between our reading and our writing somebody else may have added one.
    """
    old, new = set(before), set(after)
    added = [tag for tag in after if tag not in old]
    removals = [_drop(f"{path}/tags/{tag}") for tag in before if tag not in new]
    if not added:
        return removals
    value = added[0] if len(added) == 1 else added
    return [*removals, {"op": "add", "path": f"{path}/tags", "value": value}]


def _template_operations(
    path: str, before: Mapping[str, Template], after: Mapping[str, Template], with_tags: bool
) -> Patch:
    patch = [_drop(f"{path}/templates/{name}") for name in before if name not in after]
    for name, template in after.items():
        place, old = f"{path}/templates/{name}", before.get(name)
        if old == template:
            continue
        whole = [{"op": "add", "path": place, "value": _text(_template_to_json(template))}]
        if old is None:
            patch += whole
            continue
        parts = _template_parts(place, old, template, with_tags)
        if with_tags and len(compact(parts)) > len(compact(whole)):
            parts = [_set(place, whole[0]["value"])]
        patch += parts
    return patch


def _template_parts(place: str, before: Template, after: Template, with_tags: bool) -> Patch:
    patch: Patch = []
    if before.body != after.body:
        patch.append(_set(f"{place}/body", after.body))
    if before.headers != after.headers:
        headers = _text(dict(after.headers))
        patch.append(_set(f"{place}/headers", headers) if after.headers else _drop(f"{place}/headers"))
    if before.expiry != after.expiry:
        patch.append(
            _drop(f"{place}/expiry") if after.expiry is None else _set(f"{place}/expiry", after.expiry)
        )
    if with_tags:
        patch += _tag_operations(place, before.tags, after.tags)
    return patch


def _set(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


def _drop(path: str) -> dict[str, Any]:
    return {"op": "remove", "path": path}


def _text(value: Any) -> str:
    return value if isinstance(value, str) else compact(value).decode()
