"""What a hub holds for a device's channels: the list of a first run."""

from __future__ import annotations

from itertools import islice
from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.errors import ConfigurationError, InvalidRequest
from nhagent.hub.channel_filter import HAVE_TWO_FORMS
from nhagent.logs import Log
from nhagent.models import identity_of_channel

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping

    from nhagent.hub.held import HeldRegistration
    from nhagent.hub.operations import HubOperations
    from nhagent.models import Installation, Platform, PushChannel

_log = Log(__name__)

BAD_REQUEST: Final = 400
MAX_ROWS: Final = 10_000
"""Rows that are taken at once: what is written down of them must fit into the state file."""


class ChannelLists:
    """Lists what a hub holds for push channels.

    The documents agree on no one field for every platform. Where the hub refuses a platform's own, the field
    of any platform is asked for, once; which of the two it takes is remembered with what it has accepted.

    Args:
        hub: what is asked.
        by_uri: the hub has refused the platform's own field before.

    Attributes:
        by_uri: as given, or learnt since.
    """

    def __init__(self, hub: HubOperations, *, by_uri: bool) -> None:
        self._hub = hub
        self.by_uri = by_uri

    def of(self, installation: Installation) -> dict[str, list[HeldRegistration]]:
        """List what the hub holds for the device's channels: "" for its own, and by tile id.

        Rows of another channel are dropped: a hub may take it for the same one, or a proxy may have let them
        through, and they belong to another device.
        """
        channels = {"": installation.push_channel}
        for tile_id, tile in installation.secondary_tiles.items():
            channels[tile_id] = str(tile.channel)
        limit = MAX_ROWS // len(channels)
        return {
            name: self.of_channel(installation.platform, channel, limit) for name, channel in channels.items()
        }

    def of_channel(
        self, platform: Platform, channel: PushChannel, limit: int = MAX_ROWS
    ) -> list[HeldRegistration]:
        """List what the hub holds for one push channel, up to so many rows; see `of`.

        Raises:
            InvalidRequest: the hub takes neither form of the list.
        """
        if not self._hub.can_list:
            _log.info(
                "this device's token is for its installation alone: the hub is not asked what else it holds "
                "for the push channel"
            )
            return []
        try:
            return self._rows(platform, channel, limit, by_uri=self.by_uri)
        except InvalidRequest as refused:
            if self.by_uri or platform not in HAVE_TWO_FORMS or refused.status != BAD_REQUEST:
                raise
            _log.info("the list by the field of platform %s is refused: %s", platform, refused)
        rows = self._rows(platform, channel, limit, by_uri=True)
        self.by_uri = True
        return rows

    def _rows(
        self, platform: Platform, channel: PushChannel, limit: int, *, by_uri: bool
    ) -> list[HeldRegistration]:
        ours = identity_of_channel(platform, channel)
        rows = (
            row
            for row in self._hub.registrations_by_channel(channel, platform=platform, by_channel_uri=by_uri)
            if row.registration_id not in {"", ".", ".."}
            and identity_of_channel(row.platform, row.channel) == ours
            and _has_usable_owner(row)
        )
        return list(islice(rows, limit))


def is_whole(listed: Mapping[str, Collection[HeldRegistration]]) -> bool:
    """Whether the lists may hold everything, so that none has to be asked for again."""
    return all(len(rows) < MAX_ROWS // len(listed) for rows in listed.values())


def _has_usable_owner(row: HeldRegistration) -> bool:
    """Whether the installation that a row names, if any, could be ours; one that cannot is left alone."""
    try:
        validation.check_installation_id(row.installation_id or "none")
    except ConfigurationError as error:
        _log.warning("a registration of an installation is left out of a list: %s", error)
        return False
    return True
