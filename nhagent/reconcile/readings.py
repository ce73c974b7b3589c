"""What the channel sources gave, and what is remembered of them."""

from __future__ import annotations

from time import monotonic

from nhagent.channels.source import as_source, ask
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.hub.installations import channel_to_json
from nhagent.models import Platform, fingerprint, identity_of_channel, read_channel
from nhagent.reconcile.declaration import PRIMARY, tile_name
from nhagent.registrars.records import InstallationRecord, rows_in
from nhagent.secret import without_locals
from nhagent.values import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Collection, Iterator, Mapping
    from typing import Any, Final

    from nhagent.channels.source import ChannelSource
    from nhagent.device.document import JsonObject
    from nhagent.device.state import State
    from nhagent.models import Installation, PushChannel
    from nhagent.reconcile.declaration import Declaration


LEAST_SOURCES_SECONDS: Final = 2.0
"""Minimum time of all channel sources together, however little a start has left."""


class Readings(Value):
    """What the channel sources gave.

    Attributes:
        given: the channels that were given, by name.
        errors: why others were not.
    """

    given: Mapping[str, PushChannel] = EMPTY
    errors: Mapping[str, ChannelError] = EMPTY
    _hidden = frozenset({"given"})


def read_sources(
    platform: Platform,
    primary: ChannelSource,
    declaration: Declaration,
    remembered: Mapping[str, Any],
    seconds: float | None = None,
) -> Readings:
    """Ask every channel source once. One that fails does not keep the others from being asked.

    Args:
        platform: the device's platform.
        primary: the source of the device's own channel.
        declaration: what names the tiles, and their sources.
        remembered: the channels that the sources gave before, by platform and name, as JSON.
        seconds: how long all of them may take, at least `LEAST_SOURCES_SECONDS`; None: as long as they like.
    """
    deadline = None if seconds is None else monotonic() + max(LEAST_SOURCES_SECONDS, seconds)
    sources: dict[str, ChannelSource | None] = {PRIMARY: primary}
    for tile_id, tile in (declaration.secondary_tiles or {}).items():
        name = tile_name(tile_id)
        sources[name] = None if tile.channel is None else as_source(platform, tile.channel, name)
    given: dict[str, PushChannel] = {}
    errors: dict[str, ChannelError] = {}
    known = remembered.get(platform)
    known = known if isinstance(known, dict) else {}
    for name, source in sources.items():
        try:
            left = None if deadline is None else max(0.0, deadline - monotonic())
            channel = (
                None if source is None else ask(source, platform, name, seconds=left, known=known.get(name))
            )
        except ChannelError as error:
            without_locals(error)
            errors[name] = error
            continue
        if channel is not None:
            given[name] = channel
        else:
            errors[name] = _nothing_given(name, has_source=source is not None)
    return Readings(given, errors)


def _nothing_given(name: str, *, has_source: bool) -> ChannelError:
    if has_source:
        return ChannelError(
            f"{name}: there is no push channel yet", "it is read again at the next attempt", pending=True
        )
    return ChannelError(
        f"{name}: this process declares no source for its push channel, so that one it had before stays, and "
        "without one it is left out",
        "declare the tile with its channel to change that",
        pending=True,
    )


def without_refused(readings: Readings, platform: Platform, state: State) -> Readings:
    """Give what the channel sources gave, without the channels that must not be sent."""
    if not state.foreign and not state.expired:
        return readings
    given, errors = dict(readings.given), dict(readings.errors)
    for name, channel in readings.given.items():
        refusal = why_refused(platform, channel, state)
        if refusal is not None:
            del given[name]
            errors[name] = ChannelError(
                f"{name}: {fingerprint(channel)} {refusal}", WAIT_FOR_ANOTHER, pending=True
            )
    return Readings(given, errors)


WAIT_FOR_ANOTHER: Final = "wait until the platform gives another"


def why_refused(platform: Platform, channel: PushChannel, state: State) -> str | None:
    """Tell why a channel must not be sent; None where it may."""
    identity = identity_of_channel(platform, channel)
    for refused, why in (
        (state.foreign, "is that of the machine from which this disk was copied"),
        (state.expired, "is marked as expired by the hub"),
    ):
        # An older version may have written them down in another spelling.
        if refused and identity in {identity_of_channel(platform, text) for text in refused}:
            return why
    return None


def remembered_channels(
    platform: Platform, stored: Mapping[str, Any], *, besides: Collection[str] = ()
) -> dict[str, PushChannel]:
    """Give the channels of this platform that the sources gave before, besides some."""
    channels: dict[str, PushChannel] = {}
    handles = stored.get(platform)
    for name, raw in handles.items() if isinstance(handles, dict) else ():
        if name in besides:
            continue
        try:
            channels[name] = read_channel(platform, raw, name)
        except ConfigurationError:  # a damaged entry is no channel; its source will give it again
            continue
    return channels


def channels_of(installation: Installation) -> dict[str, PushChannel]:
    """Give the channels that an installation holds, by name."""
    channels: dict[str, PushChannel] = {PRIMARY: installation.push_channel}
    for tile_id, tile in installation.secondary_tiles.items():
        channels[tile_name(tile_id)] = str(tile.channel)
    return channels


def channels_to_json(platform: Platform, channels: Mapping[str, PushChannel]) -> JsonObject:
    """Give the form in which channels are remembered."""
    return {str(platform): {name: channel_to_json(channel) for name, channel in channels.items()}}


def known_channels(state: State) -> Iterator[tuple[Platform, PushChannel]]:
    """Give the channels that a device has, or had: at the hub, or from its sources."""
    raw: list[tuple[object, Any]] = [
        (platform, channel)
        for platform, handles in state.channels.items()
        if isinstance(handles, dict)
        for channel in handles.values()
    ]
    record = InstallationRecord.of(state.accepted)
    if record is not None:
        channels = channels_of(record.installation).values()
        raw += [(record.installation.platform, channel) for channel in channels]
    for row in rows_in(state.accepted).values():
        if row.row is not None:
            raw.append((row.row.get("platform"), row.row.get("channel")))
    for number, (name, channel) in enumerate(raw):
        if (name, channel) in raw[:number]:  # most are known twice
            continue
        try:
            platform = Platform.parse(name)
            yield platform, read_channel(platform, channel, PRIMARY)
        except ConfigurationError:  # a damaged entry says nothing
            continue
