"""Expand an installation into registrations: for the device and each tile one native, one per template."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from nhagent.emulator.atom.descriptions import NATIVE, TEMPLATE, Description, Kind, unique_tags
from nhagent.emulator.channels import read_subscription
from nhagent.emulator.validation.tags import own_tags

Json = dict[str, Any]


def descriptions_of(installation: Json) -> dict[str, Description]:
    """Return the descriptions that the hub registers for an installation.

    Args:
        installation: in the hub's form.

    Returns:
        Descriptions by a name that stays the same for the same tile and template of that installation.
    """
    own = own_tags(installation)
    found = dict(_of_channel(installation, installation, own, None))
    for name, tile in installation.get("secondaryTiles", {}).items():
        found |= dict(_of_channel(installation, tile, own, name))
    return found


def expired_names(installation: Json) -> set[str]:
    """Return the names of the descriptions to which nothing is sent, because their channel is dead.

    Args:
        installation: in the hub's form.
    """
    tiles: Json = installation.get("secondaryTiles", {})
    if installation.get("pushChannelExpired"):
        # The service sends nothing to the installation, whatever its tiles' channels are.
        dead = [(None, installation), *tiles.items()]
    else:
        dead = [(name, tile) for name, tile in tiles.items() if tile.get("pushChannelExpired")]
    return {
        _name(tile, template) for tile, holder in dead for template in (None, *holder.get("templates", {}))
    }


def _of_channel(
    installation: Json, holder: Json, own: list[str], tile: str | None
) -> Iterator[tuple[str, Description]]:
    """Yield the descriptions of the device or of one tile, which share a channel."""
    platform = installation["platform"]
    tags = [*own, *holder.get("tags", [])]
    values: Json = _handle(NATIVE[platform], holder["pushChannel"])
    if "pushVariables" in installation:
        values["PushVariables"] = installation["pushVariables"]
    if tile is not None:
        values["SecondaryTileName"] = tile
    yield _name(tile, None), Description(NATIVE[platform], values | {"Tags": tags})
    for name, template in holder.get("templates", {}).items():
        kind = TEMPLATE[platform]
        further = {"BodyTemplate": template["body"], "TemplateName": name}
        if kind.headers is not None and "headers" in template:
            further[kind.headers] = template["headers"]
        if platform == "apns" and "expiry" in template:
            further["Expiry"] = template["expiry"]
        all_tags = unique_tags([*tags, *template.get("tags", [])])
        yield _name(tile, name), Description(kind, values | further | {"Tags": all_tags})


def _handle(kind: Kind, channel: Any) -> Json:
    if kind.platform == "browser":
        members = read_subscription(channel) or {}
        return {name: members[name.lower()] for name in kind.handle}
    if kind.platform == "baidu":
        user, _, channel_id = channel.partition("-")
        return {"BaiduUserId": user, "BaiduChannelId": channel_id}
    return {kind.handle[0]: channel}


def _name(tile: str | None, template: str | None) -> str:
    return json.dumps([tile, template])
