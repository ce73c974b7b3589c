"""What a hub holds for a device's channels: the list of a first run."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from nhagent.models import Registration
from nhagent.registrars import Desired

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient

_OWNER: Final = re.compile(r"\$InstallationId:\{(.+)\}", re.IGNORECASE)


def list_channels(hub: HubClient, desired: Desired) -> dict[str, list[Registration]]:
    """Everything that the hub holds for the device's channels: "" for its own, and by tile id."""
    channels = {"": desired.installation.push_channel}
    for tile_id, tile in desired.installation.secondary_tiles.items():
        channels[tile_id] = str(tile.channel)
    return {name: list(hub.registrations_by_channel(channel)) for name, channel in channels.items()}


def owner_of(row: Registration) -> str | None:
    """The installation that a registration belongs to, from the tag that the service gives it."""
    for tag in row.tags:
        match = _OWNER.fullmatch(tag)
        if match is not None:
            return match.group(1)
    return None
