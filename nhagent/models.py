"""What a device tells a hub about itself: platform, push channel, tags, templates, secondary tiles.

Frozen values, validated where they are made: each `ConfigurationError` names the field, the value and the
rule. What a hub answered is not judged by these rules: such values are made with ``from_hub=True``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import InitVar, dataclass, field
from datetime import UTC, datetime
from enum import StrEnum
from types import MappingProxyType
from typing import Any, Final, TypeAlias

from nhagent import validation
from nhagent.errors import ConfigurationError

_HEX: Final = re.compile(r"(?:[0-9A-Fa-f]{2})+")
_BASE64: Final = re.compile(r"[A-Za-z0-9+/_\-]+=*")


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

        Raises:
            ConfigurationError: the service has no such platform.
        """
        try:
            return cls(str(text).strip().lower())
        except ValueError:
            hint = '; Firebase is "fcmv1"' if str(text).lower() in {"fcm", "firebase"} else ""
            known = ", ".join(cls)
            raise ConfigurationError(
                f"platform {validation.shown(text)}: unknown; give one of {known}{hint}"
            ) from None


@dataclass(frozen=True, slots=True, repr=False)
class BrowserChannel:
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
    from_hub: InitVar[bool] = False

    def __post_init__(self, from_hub: bool) -> None:
        if from_hub:
            return
        if not validation.is_text(self.endpoint) or not self.endpoint.startswith("https://"):
            raise ConfigurationError("browser channel: its endpoint must be an https:// URL")
        for name, key in (("p256dh", self.p256dh), ("auth", self.auth)):
            if not isinstance(key, str) or _BASE64.fullmatch(key) is None:
                raise ConfigurationError(f"browser channel: its {name} must be base64url text")

    def __repr__(self) -> str:
        return f"<browser channel {fingerprint(self)}>"

    @classmethod
    def parse(cls, value: object, *, from_hub: bool = False) -> BrowserChannel:
        """Read a subscription, flat or as ``PushSubscription.toJSON()`` gives it: a mapping or its JSON text.

        Raises:
            ConfigurationError: a part is missing or of the wrong kind.
        """
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
        missing = [name for name in ("endpoint", "p256dh", "auth") if not parts.get(name)]
        if missing:
            raise ConfigurationError(
                f"browser channel: {', '.join(missing)} missing; give the object that "
                "PushSubscription.toJSON() returns"
            )
        return cls(parts["endpoint"], parts["p256dh"], parts["auth"], from_hub=from_hub)


PushChannel: TypeAlias = str | BrowserChannel
RawChannel: TypeAlias = str | BrowserChannel | Mapping[str, object] | None
"""What a channel source may give; None where the platform has not given a handle yet."""


@dataclass(frozen=True, slots=True)
class Template:
    """A template that the hub fills in for this device.

    Attributes:
        body: the platform's notification with template expressions: XML for wns and mpns (unless raw),
            a JSON object for the others.
        headers: for wns (``X-WNS-Type`` is required), mpns (``X-WindowsPhone-Target``) and apns (``apns-…``).
        tags: tags of this template alone, beside those of the device.
        expiry: apns only: when Apple may drop the notification; a constant or a template expression.

    Raises:
        ConfigurationError: a field breaks a rule that holds on every platform.
    """

    body: str
    headers: Mapping[str, str] = field(default_factory=dict)
    tags: Sequence[str] = ()
    expiry: str | None = None
    from_hub: InitVar[bool] = False

    def __post_init__(self, from_hub: bool) -> None:
        if not from_hub:
            if not validation.is_text(self.body) or not self.body.strip():
                raise ConfigurationError("template body: empty or no text; a template needs a body")
            if self.expiry is not None and not validation.is_text(self.expiry):
                raise ConfigurationError(f"template expiry {validation.shown(self.expiry)}: must be text")
            validation.check_texts("template headers", self.headers)
            object.__setattr__(self, "tags", validation.checked_tags("template tags", self.tags))
        object.__setattr__(self, "headers", MappingProxyType(dict(self.headers)))


@dataclass(frozen=True, slots=True)
class SecondaryTile:
    """A secondary tile of a wns app: its own push channel, with its own tags and templates.

    Attributes:
        channel: in a declaration the tile's PNS handle or a callable that gives it (None: keep what was
            seen before); in an `Installation` the handle itself.
        tags: tags of this tile.
        templates: templates of this tile, by name.
        push_channel_expired: read-only: the platform service has reported the handle dead.

    Raises:
        ConfigurationError: a field breaks a rule.
    """

    channel: str | Callable[[], RawChannel] | None = field(default=None, repr=False)
    tags: Sequence[str] = ()
    templates: Mapping[str, Template] = field(default_factory=dict)
    push_channel_expired: bool = False
    from_hub: InitVar[bool] = False

    def __post_init__(self, from_hub: bool) -> None:
        if not from_hub:
            object.__setattr__(self, "tags", validation.checked_tags("secondary tile tags", self.tags))
            check_templates("secondary tile templates", self.templates, None, self.tags)
        object.__setattr__(self, "templates", MappingProxyType(dict(self.templates)))


@dataclass(frozen=True, slots=True)
class Installation:
    """One device as an Azure Notification Hub holds it.

    Source: REST reference, "Create or Overwrite an Installation" and "Installation properties".

    Attributes:
        installation_id: the device's own, lasting id.
        platform: which platform notification service reaches it.
        push_channel: its PNS handle.
        tags, user_id, push_variables, templates: what sends are routed and filled in by.
        secondary_tiles: wns only, by tile id.
        expiration_time: when the hub forgets it; None: never. Aware.
        push_channel_expired: read-only: the platform service has reported the handle dead.

    Raises:
        ConfigurationError: a field breaks a rule; nothing was made.
    """

    installation_id: str
    platform: Platform
    push_channel: PushChannel = field(repr=False)
    tags: Sequence[str] = ()
    user_id: str | None = None
    push_variables: Mapping[str, str] = field(default_factory=dict)
    templates: Mapping[str, Template] = field(default_factory=dict)
    secondary_tiles: Mapping[str, SecondaryTile] = field(default_factory=dict)
    expiration_time: datetime | None = None
    push_channel_expired: bool = False
    from_hub: InitVar[bool] = False

    def __post_init__(self, from_hub: bool) -> None:
        if not from_hub:
            validation.check_installation_id(self.installation_id)
            object.__setattr__(self, "platform", Platform.parse(self.platform))
            channel = read_channel(self.platform, self.push_channel, "push_channel")
            object.__setattr__(self, "push_channel", channel)
            object.__setattr__(self, "tags", validation.checked_tags("tags", self.tags))
            validation.check_user_id("" if self.user_id is None else self.user_id)
            validation.check_push_variables(self.push_variables)
            check_templates("templates", self.templates, self.platform, self.tags)
            check_tiles(self.platform, self.secondary_tiles)
            self._check_channels_differ()
            _check_moment("expiration_time", self.expiration_time)
        for name in ("push_variables", "templates", "secondary_tiles"):
            object.__setattr__(self, name, MappingProxyType(dict(getattr(self, name))))

    def _check_channels_differ(self) -> None:
        owners: dict[PushChannel, str] = {self.push_channel: "the device"}
        for tile_id, tile in self.secondary_tiles.items():
            name = f"secondary_tiles[{tile_id!r}]"
            channel = read_channel(self.platform, tile.channel, f"{name}.channel")
            if channel in owners:
                raise ConfigurationError(
                    f"{name}.channel {fingerprint(channel)}: is the push channel of {owners[channel]} too; "
                    "every tile has one of its own"
                )
            owners[channel] = name


@dataclass(frozen=True, slots=True)
class Registration:
    """A push channel with its tags, and with one template or none (then it is called native).

    Source: REST reference, "Create a registration".

    Attributes:
        platform: which platform notification service reaches the device.
        channel: the PNS handle; for baidu ``USER-CHANNEL``.
        tags, push_variables: what sends are routed and filled in by.
        template: what the hub fills in; None: native. Its own tags are not used: a registration has one list.
        template_name: the template's name, if it has one.
        secondary_tile_name: wns and mpns: the tile that the channel belongs to.
        registration_id, etag, expiration_time: read-only: the hub's. The ETag is its bare counter.

    Raises:
        ConfigurationError: a field breaks a rule; nothing was made.
    """

    platform: Platform
    channel: PushChannel = field(repr=False)
    tags: Sequence[str] = ()
    push_variables: Mapping[str, str] = field(default_factory=dict)
    template: Template | None = None
    template_name: str | None = None
    secondary_tile_name: str | None = None
    registration_id: str | None = None
    etag: str | None = None
    expiration_time: datetime | None = None
    from_hub: InitVar[bool] = False

    def __post_init__(self, from_hub: bool) -> None:
        if not from_hub:
            object.__setattr__(self, "platform", Platform.parse(self.platform))
            object.__setattr__(self, "channel", read_channel(self.platform, self.channel, "channel"))
            object.__setattr__(self, "tags", validation.checked_tags("tags", self.tags))
            validation.check_push_variables(self.push_variables)
            if self.platform is Platform.BAIDU and "-" not in str(self.channel):
                raise ConfigurationError("channel: a baidu handle is USER-CHANNEL, and this one has no -")
            if self.template is not None:
                check_templates("template", {self.template_name or "unnamed": self.template}, self.platform)
            elif self.template_name is not None:
                raise ConfigurationError("template_name: there is no template that it could name")
            if self.secondary_tile_name is not None:
                validation.check_name("secondary_tile_name", self.secondary_tile_name)
        object.__setattr__(self, "push_variables", MappingProxyType(dict(self.push_variables)))


def _check_moment(name: str, moment: object) -> None:
    if moment is None:
        return
    try:
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise ConfigurationError(f"{name}: has no time zone, or is no time; give an aware datetime")
        moment.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{name}: is beyond the calendar; give a year from 1 to 9999") from None


def fingerprint(channel: PushChannel) -> str:
    """A short mark by which a push channel can be told in logs and messages without giving it away."""
    from hashlib import sha256

    text = channel if isinstance(channel, str) else f"{channel.endpoint}\n{channel.p256dh}\n{channel.auth}"
    return f"#{sha256(text.encode()).hexdigest()[:8]}"


def marks_of(channels: Iterable[PushChannel]) -> dict[str, str]:
    """The texts by which push channels could be recognised, each with the fingerprint to show instead."""
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
    """What makes two push channels the same: Apple's tokens in any case, subscriptions by their endpoint."""
    text = channel.endpoint if isinstance(channel, BrowserChannel) else channel
    return text.upper() if platform is Platform.APNS else text


def read_channel(platform: Platform, raw: object, name: str) -> PushChannel:
    """Read what was given as a push channel of this platform.

    Args:
        platform: the device's platform.
        raw: a PNS handle as text; for browser a `BrowserChannel`, a mapping or its JSON text.
        name: what to call it in an error.

    Raises:
        ConfigurationError: it is no push channel of this platform.
    """
    if platform is Platform.BROWSER:
        return raw if isinstance(raw, BrowserChannel) else BrowserChannel.parse(raw)
    if not isinstance(raw, str):
        raise ConfigurationError(
            f"{name}: {type(raw).__name__}; platform {platform} has its PNS handle as text"
        )
    handle = raw.strip()
    if not handle:
        raise ConfigurationError(f"{name}: empty; give the PNS handle that the platform service issued")
    if validation.has_control_characters(handle):
        raise ConfigurationError(
            f"{name}: holds a line break or control character; give one PNS handle alone"
        )
    if platform is Platform.APNS and _HEX.fullmatch(handle) is None:
        raise ConfigurationError(
            f"{name} {fingerprint(handle)}: is not an Apple device token; one is hexadecimal digits in pairs"
        )
    return handle


def check_templates(
    name: str, templates: object, platform: Platform | None, device_tags: Sequence[str] = ()
) -> None:
    """Check templates by name, and against the rules of their platform where that is known.

    Raises:
        ConfigurationError: a template breaks a rule.
    """
    if not isinstance(templates, Mapping):
        raise ConfigurationError(f"{name}: give a mapping from name to Template")
    for key, template in templates.items():
        validation.check_name(name, key)
        if not isinstance(template, Template):
            raise ConfigurationError(f"{name}[{key!r}]: is not a Template; make one with Template(body=…)")
        if len({*device_tags, *template.tags}) > validation.MAX_TAGS:
            raise ConfigurationError(
                f"{name}[{key!r}].tags: with those of the device more than {validation.MAX_TAGS}, "
                "the hub's limit"
            )
        if platform is not None:
            validation.check_template(
                f"{name}[{key!r}]", platform, template.body, template.headers, template.expiry
            )


def check_tiles(platform: Platform, tiles: object) -> None:
    """Check secondary tiles by id, and that the platform has any.

    Raises:
        ConfigurationError: a tile breaks a rule.
    """
    if not isinstance(tiles, Mapping):
        raise ConfigurationError("secondary_tiles: give a mapping from tile id to SecondaryTile")
    if tiles and platform is not Platform.WNS:
        raise ConfigurationError(f"secondary_tiles: platform {platform} has none; only wns does")
    for tile_id, tile in tiles.items():
        validation.check_name("secondary_tiles", tile_id)
        if not isinstance(tile, SecondaryTile):
            raise ConfigurationError(
                f"secondary_tiles[{tile_id!r}]: is not a SecondaryTile; make one with SecondaryTile(…)"
            )
        check_templates(f"secondary_tiles[{tile_id!r}].templates", tile.templates, platform, tile.tags)


def unvalidated(kind, **fields):  # type: ignore
    return kind(**fields, from_hub=True)


def altered(value, **changes):  # type: ignore
    from dataclasses import replace

    return replace(value, **changes, from_hub=True)
