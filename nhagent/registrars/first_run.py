"""What a hub holds for a device's channels: the list of a first run."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.hub.texts import owner_in
from nhagent.logs import Log
from nhagent.models import identity_of_channel

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nhagent.hub.client import HubClient
    from nhagent.models import Installation, Platform, PushChannel, Registration

_log = Log(__name__)

MAX_ROWS: Final = 10_000
"""Rows that are taken at once: what is written down of them must fit into the state file."""


def list_channels(hub: HubClient, installation: Installation) -> dict[str, list[Registration]]:
    """List what the hub holds for the device's channels: "" for its own, and by tile id.

    Rows of another channel are dropped: a hub may take it for the same one, or a proxy may have let them
    through, and they belong to another device.
    """
    channels = {"": installation.push_channel}
    for tile_id, tile in installation.secondary_tiles.items():
        channels[tile_id] = str(tile.channel)
    limit = MAX_ROWS // len(channels)
    return {
        name: list_channel(hub, installation.platform, channel, limit) for name, channel in channels.items()
    }


def list_channel(
    hub: HubClient, platform: Platform, channel: PushChannel, limit: int = MAX_ROWS
) -> list[Registration]:
    """List what the hub holds for one push channel, up to so many rows; see `list_channels`."""
    ours = identity_of_channel(platform, channel)
    rows = (
        row
        for row in hub.registrations_by_channel(channel)
        if row.registration_id not in {None, ".", ".."}
        and identity_of_channel(row.platform, row.channel) == ours
        and _has_usable_owner(row)
    )
    return list(islice(rows, limit))


def is_whole(listed: Mapping[str, Collection[Registration]]) -> bool:
    """Whether the lists may hold everything, so that none has to be asked for again."""
    return all(len(rows) < MAX_ROWS // len(listed) for rows in listed.values())


def _has_usable_owner(row: Registration) -> bool:
    """Whether the installation that a row names, if any, could be ours; one that cannot is left alone."""
    try:
        validation.check_installation_id(owner_of(row) or "none")
    except ConfigurationError as error:
        _log.warning("a registration of an installation is left out of a list: %s", error)
        return False
    return True


def owner_of(row: Registration) -> str | None:
    """Give the installation that a registration belongs to, or None."""
    return owner_in(row.tags)
