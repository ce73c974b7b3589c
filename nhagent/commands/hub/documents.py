"""Registrations as JSON: what ``hub list``, ``show`` and ``export`` print, and an emulator's seed has."""

from __future__ import annotations

from hashlib import sha256

from nhagent.hub.atom import kind_of
from nhagent.hub.installations import channel_to_json, to_json
from nhagent.models import BrowserChannel, Platform, altered, fingerprint

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, Final

    from nhagent.hub.held import HeldRegistration
    from nhagent.models import Installation, PushChannel

_MASKED_HOST: Final = "https://masked.example/"


def of_registration(registration: HeldRegistration, *, channel: object) -> dict[str, Any]:
    """Write a registration; what it does not have is left out.

    Args:
        registration: as the hub holds it.
        channel: what stands for its push channel.
    """
    template = registration.template
    facts: dict[str, Any] = {
        "registrationId": registration.registration_id,
        "etag": registration.etag,
        "kind": kind_of(registration),
        "platform": registration.platform.value,
        "channel": channel,
        "tags": list(registration.tags),
        "templateName": registration.template_name,
        "bodyTemplate": None if template is None else template.body,
        "headers": {} if template is None else dict(template.headers),
        "expiry": None if template is None else template.expiry,
        "pushVariables": dict(registration.push_variables),
        "secondaryTileName": registration.secondary_tile_name,
    }
    return {name: fact for name, fact in facts.items() if fact}


def listed(registration: HeldRegistration) -> dict[str, Any]:
    """Write a registration for a list: its push channel as a fingerprint, and its installation."""
    facts = of_registration(registration, channel=fingerprint(registration.channel))
    return {**facts, "installationId": registration.installation_id}


def exported(registration: HeldRegistration, *, masked: bool) -> dict[str, Any]:
    """Write a registration for an export, with its push channel or what masks that."""
    channel = registration.channel
    shown = mask(registration.platform, channel) if masked else channel
    facts = of_registration(registration, channel=channel_to_json(shown))
    # The service's own tags cannot be given.
    facts["tags"] = [tag for tag in registration.tags if not tag.startswith("$")]
    return facts


def exported_installation(installation: Installation, *, masked: bool) -> dict[str, Any]:
    """Write an installation for an export."""
    if masked:
        tiles = {
            tile_id: altered(tile, channel=mask(installation.platform, str(tile.channel)))
            for tile_id, tile in installation.secondary_tiles.items()
        }
        channel = mask(installation.platform, installation.push_channel)
        installation = altered(installation, push_channel=channel, secondary_tiles=tiles)
    document = to_json(installation)
    return document | ({"pushChannelExpired": True} if installation.push_channel_expired else {})


def mask(platform: Platform, channel: PushChannel) -> PushChannel:
    """Give a push channel that stands for another one: of its form, and the same each time."""
    if isinstance(channel, BrowserChannel):
        # The keys are public; without the endpoint nothing can be sent.
        return altered(channel, endpoint=_MASKED_HOST + _mark(channel.endpoint))
    mark = _mark(channel)
    if platform in {Platform.WNS, Platform.MPNS}:
        return _MASKED_HOST + mark
    if platform is Platform.APNS:
        return mark.upper()
    return f"{mark[:20]}-{mark[20:40]}" if platform is Platform.BAIDU else f"masked-{mark}"


def _mark(text: str) -> str:
    return sha256(text.encode("utf-8", "surrogatepass")).hexdigest()
