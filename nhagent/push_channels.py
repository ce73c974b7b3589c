"""Platforms and push channels: what they are, how they are read, and how they are told apart and shown.

`nhagent.models` has the public names of this module too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.values import Validated, unvalidated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, TypeAlias

_IN_BASE64: Final = validation.LETTERS_AND_DIGITS | set("+/_-")
_AS_THE_BROWSER_GIVES_IT: Final = "give the object that PushSubscription.toJSON() returns"


class Platform(StrEnum):
    """The platform notification service (PNS) that reaches the device."""

    WNS = "wns"
    APNS = "apns"
    FCMV1 = "fcmv1"
    GCM = "gcm"
    MPNS = "mpns"
    ADM = "adm"
    BAIDU = "baidu"
    BROWSER = "browser"
    XIAOMI = "xiaomi"

    @classmethod
    def parse(cls, text: object) -> Platform:
        """Read a platform's name without regard to case: the service's clients write ``fcmV1`` and ``fcmv1``.

        Args:
            text: the name.

        Returns:
            The platform.

        Raises:
            ConfigurationError: the service has no such platform.
        """
        try:
            return cls(str(text).strip().lower())
        except ValueError:
            is_firebase = str(text).lower() in {"fcm", "firebase"}
            raise ConfigurationError(
                f"platform {validation.shown(text)}: unknown",
                'give "fcmv1" for Firebase' if is_firebase else f"give one of {', '.join(cls)}",
            ) from None


class BrowserChannel(Validated):
    """A Web Push subscription: the push channel of platform ``browser``.

    Attributes:
        endpoint: the push service's https URL for this subscription.
        p256dh: the subscription's public key, base64url.
        auth: the subscription's secret, base64url.

    Raises:
        ConfigurationError: a part is of the wrong kind.
    """

    endpoint: str
    p256dh: str
    auth: str

    def _validate(self) -> None:
        if not validation.is_text(self.endpoint) or not self.endpoint.startswith("https://"):
            raise ConfigurationError(
                "browser channel: its endpoint must be an https:// URL", _AS_THE_BROWSER_GIVES_IT
            )
        validation.check_no_hub_secret("browser channel: its endpoint", self.endpoint)
        for name, key in (("p256dh", self.p256dh), ("auth", self.auth)):
            bare = key.rstrip("=") if isinstance(key, str) else ""
            if not bare or not _IN_BASE64.issuperset(bare):
                raise ConfigurationError(
                    f"browser channel: its {name} must be base64url text", _AS_THE_BROWSER_GIVES_IT
                )

    def __repr__(self) -> str:
        return f"<browser channel {fingerprint(self)}>"

    @classmethod
    def parse(cls, value: object) -> BrowserChannel:
        """Read a subscription, flat or as ``PushSubscription.toJSON()`` gives it.

        Args:
            value: a mapping, or its JSON text. Names are read without regard to case.

        Returns:
            The push channel.

        Raises:
            ConfigurationError: a part is missing or of the wrong kind.
        """
        return cls(**_parts_of_subscription(value))


PushChannel: TypeAlias = str | BrowserChannel
RawChannel: TypeAlias = str | BrowserChannel | Mapping[str, object] | None
"""What a channel source may give; None where the platform has not given a PNS handle yet."""


def unvalidated_subscription(value: object) -> BrowserChannel:
    """Read a subscription that a hub sent, or that goes to one as it is: its parts are not validated.

    Args:
        value: as for `BrowserChannel.parse`.

    Returns:
        The push channel.

    Raises:
        ConfigurationError: a part is missing.
    """
    return unvalidated(BrowserChannel, **_parts_of_subscription(value))


def _parts_of_subscription(value: object) -> dict[str, Any]:
    if isinstance(value, str):
        try:
            value = json.loads(value)
        except (ValueError, RecursionError):
            value = None
    parts: dict[str, Any] = {}
    if isinstance(value, Mapping):
        keys = value.get("keys")
        nested = keys if isinstance(keys, Mapping) else {}
        parts = {str(name).lower(): part for name, part in (*value.items(), *nested.items())}
    names = ("endpoint", "p256dh", "auth")
    missing = [name for name in names if not parts.get(name)]
    if missing:
        raise ConfigurationError(f"browser channel: {', '.join(missing)} missing", _AS_THE_BROWSER_GIVES_IT)
    return {name: parts[name] for name in names}


def read_channel(platform: Platform, raw: object, name: str) -> PushChannel:
    """Read what was given as a push channel of this platform.

    Args:
        platform: the device's platform.
        raw: a PNS handle as text; for browser a `BrowserChannel`, a mapping or its JSON text.
        name: what to call it in an error.

    Returns:
        The push channel, without blanks around it.

    Raises:
        ConfigurationError: not a push channel of this platform.
    """
    if platform is Platform.BROWSER:
        return raw if isinstance(raw, BrowserChannel) else BrowserChannel.parse(raw)
    if not isinstance(raw, str):
        raise ConfigurationError(
            f"{name}: {type(raw).__name__}", f"give the PNS handle of platform {platform} as text"
        )
    handle = raw.strip()
    if not handle:
        raise ConfigurationError(f"{name}: empty", "give the PNS handle that the platform service issued")
    if not validation.CONTROL_CHARACTERS.isdisjoint(handle):
        raise ConfigurationError(
            f"{name}: holds a line break or control character", "give one PNS handle alone"
        )
    validation.check_no_hub_secret(name, handle)
    if platform is Platform.APNS and (len(handle) % 2 or not validation.HEX_DIGITS.issuperset(handle)):
        raise ConfigurationError(
            f"{name} {fingerprint(handle)}: is not an Apple device token",
            "give the token as hexadecimal digits, two a byte",
        )
    return handle


def fingerprint(channel: PushChannel) -> str:
    """Give a short mark that tells a push channel in logs and messages without giving it away.

    Args:
        channel: the push channel.

    Returns:
        ``#`` and the first eight hexadecimal digits of a SHA-256.
    """
    from hashlib import sha256

    text = channel if isinstance(channel, str) else f"{channel.endpoint}\n{channel.p256dh}\n{channel.auth}"
    return f"#{sha256(text.encode()).hexdigest()[:8]}"


def marks_of(channels: Iterable[PushChannel]) -> dict[str, str]:
    """Give the texts by which push channels could be recognised, to be redacted.

    Args:
        channels: the push channels.

    Returns:
        Each text, with the fingerprint to show in its place.
    """
    marks: dict[str, str] = {}
    for channel in channels:
        parts = (
            (channel.endpoint, channel.p256dh, channel.auth)
            if isinstance(channel, BrowserChannel)
            else (channel,)
        )
        marks |= dict.fromkeys(filter(None, parts), fingerprint(channel))
    return marks


def identity_of_channel(platform: Platform, channel: PushChannel) -> str:
    """Give the text that is equal for two push channels if they are the same one.

    Args:
        platform: the platform of both.
        channel: one of them.

    Returns:
        A subscription's endpoint; of Apple's tokens, which are equal in any case, the upper case.
    """
    text = channel.endpoint if isinstance(channel, BrowserChannel) else channel
    return text.upper() if platform is Platform.APNS else text
