"""Platforms and push channels: what they are, how they are read, and how they are told apart and shown.

`nhagent.models` has the public names of this module too.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from enum import StrEnum

from nhagent import validation
from nhagent.documents import Model
from nhagent.errors import ConfigurationError
from nhagent.values import unvalidated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, Final, TypeAlias

URI_PLATFORMS: Final = frozenset({"wns", "mpns"})
"""The platforms whose handles are addresses."""
_IN_PLAIN_HOSTS: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-.")
_IN_PLAIN_PATHS: Final = validation.LETTERS_AND_DIGITS | set("-_~/.?=&+%;:,@!$'()*")
_PLAIN_HANDLE: Final = 40
"""A handle of so many characters is no word; `nhagent.handle_validation` looks at shorter ones."""
_KEY_CHARACTERS: Final = {"p256dh": 87, "auth": 22}
"""Length of a subscription's keys as they are kept: base64url of 65 and of 16 bytes, without padding."""
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


class BrowserChannel(Model):
    """A Web Push subscription: the push channel of platform ``browser``.

    Attributes:
        endpoint: the push service's https URL for this subscription.
        p256dh: the subscription's public key, a point of the curve P-256 in 65 bytes.
        auth: the subscription's secret, 16 bytes.

    The keys are given in either alphabet of base64, padded or not, and kept as base64url without padding.

    Raises:
        ConfigurationError: a part is of the wrong kind, or the endpoint is that of a removed subscription.
    """

    endpoint: str
    p256dh: str
    auth: str

    def _validate(self) -> None:
        if not validation.is_text(self.endpoint) or not _is_safe(self.endpoint):
            raise ConfigurationError(
                "browser channel: its endpoint must be an https:// URL", _AS_THE_BROWSER_GIVES_IT
            )
        validation.check_no_hub_secret("browser channel: its endpoint", self.endpoint)
        from nhagent import web_push_keys
        from nhagent.absolute_uri import absolute_uri
        from nhagent.handle_validation import is_dead_address

        if absolute_uri(self.endpoint) is None or is_dead_address(self.endpoint):
            raise ConfigurationError(
                "browser channel: its endpoint leads nowhere: the browser has removed the subscription",
                "subscribe again, and give the new one",
            )
        public, secret = web_push_keys.decoded(self.p256dh), web_push_keys.decoded(self.auth)
        if public is None or not web_push_keys.is_public_key(public):
            raise ConfigurationError(
                "browser channel: its p256dh is not a public key, 65 bytes in base64url",
                _AS_THE_BROWSER_GIVES_IT,
            )
        if secret is None or len(secret) != web_push_keys.AUTH_BYTES:
            raise ConfigurationError(
                "browser channel: its auth is not a secret of 16 bytes in base64url", _AS_THE_BROWSER_GIVES_IT
            )
        fields = self.__dict__
        fields["p256dh"], fields["auth"] = web_push_keys.encoded(public), web_push_keys.encoded(secret)

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


def _is_safe(endpoint: str) -> bool:
    """Whether what is sent to an endpoint is encrypted on its way, or stays on this machine."""
    if not endpoint.startswith("http://"):
        return endpoint.startswith("https://")
    from nhagent.loopback import is_loopback

    try:
        return is_loopback(endpoint)
    except ValueError:  # brackets that hold no address
        return False


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
            value = json.loads(value.strip().removeprefix(validation.BYTE_ORDER_MARK))
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


def read_channel(platform: Platform, raw: object, name: str, known: object = None) -> PushChannel:
    """Read what was given as a push channel of this platform.

    Args:
        platform: the device's platform.
        raw: a PNS handle as text; for browser a `BrowserChannel`, a mapping or its JSON text.
        name: what to call it in an error.
        known: the JSON of a subscription that was read before: an equal one is not validated again.

    Returns:
        The push channel as it is kept and sent: without blanks or a byte order mark around it, an Apple
        token in upper case, an address of wns or mpns as .NET's ``Uri.AbsoluteUri`` has it, the keys of a
        subscription in base64url.

    Raises:
        ConfigurationError: not a push channel of this platform.
    """
    if platform is Platform.BROWSER:
        return raw if isinstance(raw, BrowserChannel) else _read_subscription(raw, known)
    if not isinstance(raw, str):
        raise ConfigurationError(
            f"{name}: {type(raw).__name__}", f"give the PNS handle of platform {platform} as text"
        )
    handle = raw.strip()
    if handle.startswith(validation.BYTE_ORDER_MARK):
        handle = handle.lstrip(validation.BYTE_ORDER_MARK).strip()
    if not handle:
        raise ConfigurationError(f"{name}: empty", "give the PNS handle that the platform service issued")
    if not validation.CONTROL_CHARACTERS.isdisjoint(handle):
        raise ConfigurationError(
            f"{name}: holds a line break or control character", "give one PNS handle alone"
        )
    validation.check_no_hub_secret(name, handle)
    if platform is Platform.APNS:
        if len(handle) % 2 or not validation.HEX_DIGITS.issuperset(handle):
            raise ConfigurationError(
                f"{name} {fingerprint(handle)}: is not an Apple device token",
                "give the token as hexadecimal digits, two a byte",
            )
        return handle.upper()
    if _is_plain(platform, handle):
        return handle
    from nhagent.handle_validation import checked_handle

    return checked_handle(name, platform, handle)


def _read_subscription(raw: object, known: object) -> BrowserChannel:
    parts = _parts_of_subscription(raw)
    if (
        parts == known
        and all(len(parts[name]) == length for name, length in _KEY_CHARACTERS.items())
        and ".invalid" not in parts["endpoint"]
    ):
        return unvalidated(BrowserChannel, **parts)
    return BrowserChannel(**parts)


def _is_plain(platform: Platform, handle: str) -> bool:
    """Whether a look is enough to see that text is a handle, in the form that is kept."""
    if platform not in URI_PLATFORMS:
        return (
            len(handle) >= _PLAIN_HANDLE
            and validation.IN_HANDLES.issuperset(handle)
            and platform is not Platform.BAIDU
            and "://" not in handle
            and "xception" not in handle
        )
    scheme, _, rest = handle.partition("://")
    host, slash, path = rest.partition("/")
    return (
        scheme in {"https", "http"}
        and bool(host and slash)
        and _IN_PLAIN_HOSTS.issuperset(host)
        and _IN_PLAIN_PATHS.issuperset(path)
        and "/." not in path
        and not path.startswith(".")
        and not host.endswith("invalid")
    )


def fingerprint(channel: PushChannel) -> str:
    """Give a short mark that tells a push channel in logs and messages without giving it away.

    Args:
        channel: the push channel.

    Returns:
        ``#`` and the first eight hexadecimal digits of a SHA-256.
    """
    from nhagent.hashes import sha256

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
        channel: one of them, in whatever form somebody has written it.

    Returns:
        A subscription's endpoint; an Apple token in upper case; an address of wns or mpns as .NET has it.
    """
    text = channel.endpoint if isinstance(channel, BrowserChannel) else channel
    if platform is Platform.APNS:
        return text.upper()
    if platform not in URI_PLATFORMS or _is_plain(platform, text):
        return text
    from nhagent.absolute_uri import absolute_uri

    return absolute_uri(text) or text


def is_same_channel(platform: Platform, held: PushChannel, ours: PushChannel) -> bool:
    """Tell whether two push channels mean the same; the keys of subscriptions count.

    Args:
        platform: the platform of both.
        held: one of them, in whatever form somebody has written it.
        ours: the other, as `read_channel` gives it.
    """
    if isinstance(held, BrowserChannel) and isinstance(ours, BrowserChannel):
        from nhagent.web_push_keys import decoded

        mine, theirs = ((decoded(channel.p256dh), decoded(channel.auth)) for channel in (ours, held))
        return held.endpoint == ours.endpoint and None not in mine and mine == theirs
    return identity_of_channel(platform, held) == ours
