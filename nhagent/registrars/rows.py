"""The registrations that a device is made of, and their stored form."""

from __future__ import annotations

from nhagent.errors import ConfigurationError
from nhagent.hub.installations import channel_to_json, templates_to_json
from nhagent.models import Platform, Registration, altered, is_same_channel, unvalidated_subscription

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from typing import Final

    from nhagent.device.document import JsonObject
    from nhagent.models import Installation, PushChannel, Template

NATIVE: Final = "native"
"""What the row without a template is called."""


def rows_of(installation: Installation) -> dict[str, Registration]:
    """Give a device's registrations by name: ``native``, ``template:NAME``, ``tile:ID/…``."""
    rows: dict[str, Registration] = {}
    parts: list[tuple[str, str | None, PushChannel, Sequence[str], Mapping[str, Template]]] = [
        ("", None, installation.push_channel, installation.tags, installation.templates)
    ]
    for name, part in installation.secondary_tiles.items():
        parts.append((f"tile:{name}/", name, str(part.channel), part.tags, part.templates))
    for prefix, tile, channel, tags, templates in parts:
        native = Registration(
            installation.platform,
            channel,
            tags,
            installation.push_variables,
            secondary_tile_name=tile,
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


def as_spelt_by(document: JsonObject, row: Registration) -> JsonObject:
    """Give a remembered row with its push channel spelt as another row's, if the two are the same.

    Args:
        document: as `to_json` gives it, perhaps of an older version.
        row: the row that it is compared with.
    """
    channel, raw = channel_to_json(row.channel), document.get("channel")
    if raw == channel or document.get("platform") != row.platform:
        return document
    try:
        held = unvalidated_subscription(raw) if row.platform is Platform.BROWSER else str(raw)
    except ConfigurationError:  # a damaged one is written again
        return document
    return {**document, "channel": channel} if is_same_channel(row.platform, held, row.channel) else document


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
