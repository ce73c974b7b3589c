"""What of an installation that a hub shows may become the device's own declaration.

It was written by whoever had the device's id before, perhaps by other rules. Each part passes our validation
for itself; what does not is left out, with a warning, and never makes a start fail.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.logs import Log
from nhagent.models import altered, check_templates, check_tiles, identity_of_channel, read_channel

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from typing import Any

    from nhagent.models import Installation, Platform, SecondaryTile, Template

_log = Log(__name__)


def usable(held: Installation, wanted: Installation) -> Installation:
    """Give what a hub holds, without the parts that could not have been declared here.

    Args:
        held: what the hub holds.
        wanted: the device as it is known so far: its platform and its channel count.
    """
    platform = wanted.platform
    tags = _tags(held.tags)
    return altered(
        held,
        platform=platform,
        push_channel=wanted.push_channel,
        tags=tags,
        templates=_templates("templates", held.templates, platform, tags),
        push_variables=_passing(held.push_variables, validation.check_push_variables),
        user_id=_user_id(held.user_id),
        secondary_tiles=_tiles(held, wanted),
    )


def _tags(tags: Sequence[str]) -> tuple[str, ...]:
    kept: dict[str, str] = {}
    for tag in tags:
        try:
            validation.check_tag("tags", tag)
        except ConfigurationError as error:
            _left_out(error)
            continue
        kept.setdefault(tag.lower(), tag)
    if len(kept) > validation.MAX_TAGS:
        _log.warning("of %d tags that the hub holds %d are taken over", len(kept), validation.MAX_TAGS)
    return tuple(kept.values())[: validation.MAX_TAGS]


def _templates(
    name: str, templates: Mapping[str, Template], platform: Platform, device_tags: Sequence[str]
) -> dict[str, Template]:
    bare = {key: altered(template, tags=_tags(template.tags)) for key, template in templates.items()}
    return _passing(bare, lambda part: check_templates(name, part, platform, device_tags))


def _tiles(held: Installation, wanted: Installation) -> dict[str, SecondaryTile]:
    platform = wanted.platform
    owners = {identity_of_channel(platform, wanted.push_channel)}
    tiles: dict[str, SecondaryTile] = {}
    for tile_id, tile in held.secondary_tiles.items():
        tags = _tags(tile.tags)
        templates = _templates(f"secondary_tiles[{tile_id!r}].templates", tile.templates, platform, tags)
        clean = altered(tile, tags=tags, templates=templates)
        try:
            check_tiles(platform, {tile_id: clean})
            channel = read_channel(platform, tile.channel, f"secondary_tiles[{tile_id!r}].channel")
        except ConfigurationError as error:
            _left_out(error)
            continue
        identity = identity_of_channel(platform, channel)
        if identity in owners:
            _log.warning("secondary tile %r at the hub has another's push channel, and is left out", tile_id)
            continue
        owners.add(identity)
        tiles[tile_id] = clean
    return tiles


def _user_id(user_id: str | None) -> str | None:
    try:
        validation.check_user_id(user_id or "")
    except ConfigurationError as error:
        _left_out(error)
        return None
    return user_id


def _passing(parts: Mapping[str, Any], check: Callable[[dict[str, Any]], None]) -> dict[str, Any]:
    """The parts that pass a check, each for itself."""
    kept: dict[str, Any] = {}
    for key, part in parts.items():
        try:
            check({key: part})
        except ConfigurationError as error:
            _left_out(error)
            continue
        kept[key] = part
    return kept


def _left_out(error: ConfigurationError) -> None:
    _log.warning("what the hub holds of the device is not taken over whole: %s", error.fact)
