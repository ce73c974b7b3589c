"""What a device tells a hub about itself: platform, push channel, tags, templates, secondary tiles.

Frozen values, validated by their constructors: each `ConfigurationError` names the field, the value and the
rule. What was not declared here, such as a hub's answer, is made by `unvalidated` and `altered`, which do not
apply these rules.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime

from nhagent import validation
from nhagent.documents import Model
from nhagent.errors import ConfigurationError
from nhagent.push_channels import (
    BrowserChannel,
    Platform,
    PushChannel,
    RawChannel,
    fingerprint,
    identity_of_channel,
    is_same_channel,
    marks_of,
    read_channel,
    unvalidated_subscription,
)
from nhagent.values import EMPTY, altered, unvalidated

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Iterable, Sequence
    from typing import ClassVar

    from nhagent.literals import PlatformName
    from nhagent.registrations import Registration

__all__ = [
    "BrowserChannel",
    "Installation",
    "Platform",
    "PlatformName",
    "PushChannel",
    "RawChannel",
    "Registration",
    "SecondaryTile",
    "Template",
    "altered",
    "check_templates",
    "check_tiles",
    "fingerprint",
    "identity_of_channel",
    "is_same_channel",
    "marks_of",
    "read_channel",
    "unvalidated",
    "unvalidated_subscription",
]


class Template(Model):
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
    headers: Mapping[str, str] = EMPTY
    tags: tuple[str, ...] = ()
    expiry: str | None = None
    _mappings = ("headers",)
    if TYPE_CHECKING:  # what may be given is more than what is kept

        def __init__(
            self,
            body: str,
            headers: Mapping[str, str] = EMPTY,
            tags: Iterable[str] = (),
            expiry: str | None = None,
        ) -> None: ...

    def _validate(self) -> None:
        if not validation.is_text(self.body) or not self.body.strip():
            raise ConfigurationError(
                "template body: empty or not text", "give the notification that the hub fills in"
            )
        self.__dict__["body"] = self.body.removeprefix(validation.BYTE_ORDER_MARK)
        if self.expiry is not None and not validation.is_text(self.expiry):
            raise ConfigurationError(
                f"template expiry {validation.shown(self.expiry)}: must be text",
                "give a constant or a template expression",
            )
        validation.check_no_hub_secret("template body, or its expiry", self.body, self.expiry or "")
        validation.check_texts("template headers", self.headers)
        self.__dict__["tags"] = validation.checked_tags("template tags", self.tags)


class SecondaryTile(Model):
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

    channel: str | Callable[[], RawChannel] | None = None
    tags: tuple[str, ...] = ()
    templates: Mapping[str, Template] = EMPTY
    push_channel_expired: bool = False
    _hidden = frozenset({"channel"})
    _mappings = ("templates",)
    _models: ClassVar[Mapping[str, type[Model]]] = {"templates": Template}
    _wire_names: ClassVar[Mapping[str, str]] = {"channel": "push_channel"}
    if TYPE_CHECKING:

        def __init__(
            self,
            channel: str | Callable[[], RawChannel | Awaitable[RawChannel]] | None = None,
            tags: Iterable[str] = (),
            templates: Mapping[str, Template] = EMPTY,
            push_channel_expired: bool = False,
        ) -> None: ...

    def _validate(self) -> None:
        self.__dict__["tags"] = validation.checked_tags("secondary tile tags", self.tags)
        check_templates("secondary tile templates", self.templates, None, self.tags)


class Installation(Model):
    """One device as an Azure Notification Hub holds it.

    Source: REST reference, "Create or Overwrite an Installation" and "Installation properties".

    Attributes:
        installation_id: the device's own, lasting id.
        platform: which platform notification service reaches it.
        push_channel: its PNS handle.
        tags, user_id, push_variables, templates: what sends are routed and filled in by.
        secondary_tiles: wns only, by tile id.
        expiration_time: when the hub forgets it, aware; None: never.
        push_channel_expired: read-only: the platform service has reported the handle dead.

    Raises:
        ConfigurationError: a field breaks a rule.
    """

    installation_id: str
    platform: Platform
    push_channel: PushChannel
    tags: tuple[str, ...] = ()
    user_id: str | None = None
    push_variables: Mapping[str, str] = EMPTY
    templates: Mapping[str, Template] = EMPTY
    secondary_tiles: Mapping[str, SecondaryTile] = EMPTY
    expiration_time: datetime | None = None
    push_channel_expired: bool = False
    _hidden = frozenset({"push_channel"})
    _mappings = ("push_variables", "templates", "secondary_tiles")
    _models: ClassVar[Mapping[str, type[Model]]] = {
        "templates": Template,
        "secondary_tiles": SecondaryTile,
    }
    if TYPE_CHECKING:

        def __init__(
            self,
            installation_id: str,
            platform: Platform | PlatformName,
            push_channel: RawChannel,
            tags: Iterable[str] = (),
            user_id: str | None = None,
            push_variables: Mapping[str, str] = EMPTY,
            templates: Mapping[str, Template] = EMPTY,
            secondary_tiles: Mapping[str, SecondaryTile] = EMPTY,
            expiration_time: datetime | None = None,
            push_channel_expired: bool = False,
        ) -> None: ...

    def _validate(self) -> None:
        fields = self.__dict__
        validation.check_installation_id(self.installation_id)
        fields["platform"] = Platform.parse(self.platform)
        fields["push_channel"] = read_channel(self.platform, self.push_channel, "push_channel")
        fields["tags"] = validation.checked_tags("tags", self.tags)
        validation.check_user_id("" if self.user_id is None else self.user_id)
        validation.check_push_variables(self.push_variables)
        check_templates("templates", self.templates, self.platform, self.tags)
        check_tiles(self.platform, self.secondary_tiles)
        fields["secondary_tiles"] = {
            tile_id: altered(
                tile,
                channel=read_channel(self.platform, tile.channel, f"secondary_tiles[{tile_id!r}].channel"),
            )
            for tile_id, tile in self.secondary_tiles.items()
        }
        check_channels_differ(self)
        _check_moment("expiration_time", self.expiration_time)


def check_channels_differ(installation: Installation) -> None:
    """Check that the device and each of its tiles have a push channel of their own.

    Args:
        installation: its channels as `read_channel` gives them.

    Raises:
        ConfigurationError: two of them are equal.
    """
    owners: dict[PushChannel, str] = {installation.push_channel: "the device"}
    for tile_id, tile in installation.secondary_tiles.items():
        name, channel = f"secondary_tiles[{tile_id!r}]", str(tile.channel)
        if channel in owners:
            raise ConfigurationError(
                f"{name}.channel {fingerprint(channel)}: is the push channel of {owners[channel]} too",
                "every tile has one of its own",
            )
        owners[channel] = name


def _check_moment(name: str, moment: object) -> None:
    if moment is None:
        return
    try:
        if not isinstance(moment, datetime) or moment.tzinfo is None:
            raise ConfigurationError(f"{name}: has no time zone, or is not a time", "give an aware datetime")
        moment.astimezone(UTC)
    except OverflowError:
        raise ConfigurationError(f"{name}: is beyond the calendar", "give a year from 1 to 9999") from None


def check_templates(
    name: str, templates: object, platform: Platform | None, device_tags: Sequence[str] = ()
) -> None:
    """Check templates by name.

    Args:
        name: what to call them in an error.
        templates: what was given as a mapping from name to `Template`.
        platform: whose rules to check them against; None: it is not known yet.
        device_tags: the tags that count with those of each template.

    Raises:
        ConfigurationError: a template breaks a rule.
    """
    if not isinstance(templates, Mapping):
        raise ConfigurationError(f"{name}: not a mapping", "give a mapping from name to Template")
    for key, template in templates.items():
        validation.check_name(name, key)
        place = f"{name}[{key!r}]"
        if not isinstance(template, Template):
            raise ConfigurationError(f"{place}: is not a Template", "make one with Template(body=…)")
        if len({*device_tags, *template.tags}) > validation.MAX_TAGS:
            raise ConfigurationError(
                f"{place}.tags: with those of the device more than {validation.MAX_TAGS}",
                "give fewer: this is the hub's limit",
            )
        if platform is not None:
            from nhagent.template_validation import check_template

            check_template(place, platform, template.body, template.headers, template.expiry)


def check_tiles(platform: Platform, tiles: object) -> None:
    """Check secondary tiles by id, and that the platform has any.

    Args:
        platform: the device's platform.
        tiles: what was given as a mapping from tile id to `SecondaryTile`.

    Raises:
        ConfigurationError: a tile breaks a rule.
    """
    if not isinstance(tiles, Mapping):
        raise ConfigurationError(
            "secondary_tiles: not a mapping", "give a mapping from tile id to SecondaryTile"
        )
    if tiles and platform is not Platform.WNS:
        raise ConfigurationError(
            f"secondary_tiles: platform {platform} has none", "leave them out: only wns has them"
        )
    for tile_id, tile in tiles.items():
        validation.check_name("secondary_tiles", tile_id)
        place = f"secondary_tiles[{tile_id!r}]"
        if not isinstance(tile, SecondaryTile):
            raise ConfigurationError(f"{place}: is not a SecondaryTile", "make one with SecondaryTile(…)")
        check_templates(f"{place}.templates", tile.templates, platform, tile.tags)


def __getattr__(name: str) -> object:
    """Give what an unchanged start does not need."""
    if name == "Registration":
        from nhagent.registrations import Registration

        return Registration
    if name == "PlatformName":
        from nhagent.literals import PlatformName

        return PlatformName
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
