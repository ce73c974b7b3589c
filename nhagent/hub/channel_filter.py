"""The ``$filter`` of a list by push channel, in the two forms that clients of the service write.

The .NET and Java clients ask for ``ChannelUri`` on every platform, with a subscription as JSON. The clients
of Android, iOS and JavaScript ask for the platform's own fields, of which the REST reference names three.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nhagent.hub.installations import channel_to_json, compact
from nhagent.models import BrowserChannel, Platform, identity_of_channel

if TYPE_CHECKING:
    from nhagent.models import PushChannel

_OF_ANY_PLATFORM: Final = "ChannelUri"
_FIELDS: Final = {
    Platform.APNS: "DeviceToken",
    Platform.GCM: "GcmRegistrationId",
    Platform.FCMV1: "FcmV1RegistrationId",
    Platform.ADM: "AdmRegistrationId",
    Platform.XIAOMI: "XiaomiRegistrationId",
    Platform.BAIDU: "BaiduUserId-BaiduChannelId",
}
HAVE_TWO_FORMS: Final = frozenset({*_FIELDS, Platform.BROWSER})
"""The platforms whose own field is another than that of any platform."""


def by_own_field(channel: PushChannel, platform: Platform | None) -> str:
    """Write the filter that asks for the platform's own field.

    Args:
        channel: the push channel.
        platform: its platform; None: it is not known, and the field of any platform is asked for.
    """
    if isinstance(channel, BrowserChannel):
        parts = (("Endpoint", channel.endpoint), ("P256DH", channel.p256dh), ("Auth", channel.auth))
        return " and ".join(_clause(field, value) for field, value in parts)
    field = _OF_ANY_PLATFORM if platform is None else _FIELDS.get(platform, _OF_ANY_PLATFORM)
    return _clause(field, _kept(channel, platform))


def by_uri(channel: PushChannel, platform: Platform | None) -> str:
    """Write the filter that asks for the field of any platform; see `by_own_field`."""
    if isinstance(channel, BrowserChannel):
        return _clause(_OF_ANY_PLATFORM, compact(channel_to_json(channel)).decode())
    return _clause(_OF_ANY_PLATFORM, _kept(channel, platform))


def _kept(handle: str, platform: Platform | None) -> str:
    """Give a handle as the service keeps and compares it."""
    return handle if platform is None else identity_of_channel(platform, handle)


def _clause(field: str, value: str) -> str:
    """Write one clause; a quote in a value is doubled, as OData has it."""
    return f"{field} eq '" + value.replace("'", "''") + "'"
