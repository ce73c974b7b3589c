"""The registrations that a device is made of, and their stored form."""

from __future__ import annotations

from nhagent.hub.installations import channel_to_json, templates_to_json
from nhagent.models import Registration, altered

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nhagent.device.document import JsonObject
    from nhagent.models import Installation

NATIVE: str = "native"
"""What the row without a template is called."""


def rows_of(installation: Installation) -> dict[str, Registration]:
    """Give a device's registrations by name: ``native``, ``template:NAME``, ``tile:ID/…``."""
    rows: dict[str, Registration] = {}
    parts = [("", None, installation.push_channel, installation.tags, installation.templates)]
    parts += [
        (f"tile:{tile_id}/", tile_id, str(tile.channel), tile.tags, tile.templates)  # type: ignore[list-item]
        for tile_id, tile in installation.secondary_tiles.items()
    ]
    for prefix, tile_id, channel, tags, templates in parts:
        native = Registration(
            installation.platform,
            channel,
            tags,
            installation.push_variables,
            secondary_tile_name=tile_id,
        )
        rows[f"{prefix}{NATIVE}"] = native
        for name, template in templates.items():
            rows[f"{prefix}template:{name}"] = altered(
                native,
                tags=tuple(dict.fromkeys((*tags, *template.tags))),
                template=altered(template, tags=()),
                template_name=name,
            )
    return rows


def to_json(registration: Registration) -> JsonObject:
    """Give a row as it is remembered, to be compared with what is wanted."""
    document: JsonObject = {
        "platform": str(registration.platform),
        "channel": channel_to_json(registration.channel),
        "tags": sorted(registration.tags),
        "pushVariables": dict(registration.push_variables),
        "tile": registration.secondary_tile_name,
    }
    if registration.template is not None:
        document["template"] = templates_to_json({"": registration.template})[""]
    return document
