"""What an app declares its device to be, and how that is kept.

A parameter that is given is the truth at every start; one left None means what was declared before. The
stored form is the service's own JSON, without channels: these are remembered beside it, by platform and name
(``channel``, ``tiles.NAME``), as their sources gave them last.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from typing import Any, Final

from nhagent import validation
from nhagent.channels.simple import ChannelSource, as_source, ask
from nhagent.device.state import JsonObject, Malformed
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.hub.installations import channel_to_json, templates_from_json, templates_to_json
from nhagent.models import (
    Installation,
    Platform,
    PushChannel,
    SecondaryTile,
    Template,
    altered,
    check_templates,
    check_tiles,
    read_channel,
    unvalidated,
)

PRIMARY: Final = "channel"


def tile_name(tile_id: str) -> str:
    """The name that a tile's channel goes by."""
    return f"tiles.{tile_id}"


@dataclass(frozen=True, slots=True)
class Declaration:
    """What the hub shall know of the device beside its channels; None: as declared before.

    Raises:
        ConfigurationError: a field breaks a rule of its platform (see `checked`).
    """

    tags: tuple[str, ...] | None = None
    templates: Mapping[str, Template] | None = None
    user_id: str | None = None
    push_variables: Mapping[str, str] | None = None
    secondary_tiles: Mapping[str, SecondaryTile] | None = None

    @classmethod
    def checked(
        cls,
        platform: Platform,
        *,
        tags: Iterable[str] | None = None,
        templates: Mapping[str, Template] | None = None,
        user_id: str | None = None,
        push_variables: Mapping[str, str] | None = None,
        secondary_tiles: Mapping[str, SecondaryTile] | None = None,
    ) -> Declaration:
        """Check a declaration against the rules of its platform.

        Raises:
            ConfigurationError: the first rule that is broken, by field, value and rule.
        """
        listed = None if tags is None else validation.checked_tags("tags", tags)
        validation.check_user_id("" if user_id is None else user_id)
        validation.check_push_variables({} if push_variables is None else push_variables)
        check_templates("templates", {} if templates is None else templates, platform, listed or ())
        check_tiles(platform, {} if secondary_tiles is None else secondary_tiles)
        for tile_id, tile in (secondary_tiles or {}).items():
            if tile.channel is not None:
                as_source(platform, tile.channel, tile_name(tile_id))
        return cls(listed, templates, user_id, push_variables, secondary_tiles)

    def rechecked(self, platform: Platform) -> Declaration:
        """This declaration, checked; as `checked`."""
        return Declaration.checked(
            platform,
            tags=self.tags,
            templates=self.templates,
            user_id=self.user_id,
            push_variables=self.push_variables,
            secondary_tiles=self.secondary_tiles,
        )

    @property
    def is_complete(self) -> bool:
        """Whether nothing in it means "as declared before"."""
        return all(getattr(self, part.name) is not None for part in fields(self))

    def over(self, stored: Declaration) -> Declaration:
        """This declaration, with what it leaves open taken from what was declared before."""
        return Declaration(
            tags=stored.tags if self.tags is None else self.tags,
            templates=stored.templates if self.templates is None else self.templates,
            user_id=stored.user_id if self.user_id is None else self.user_id,
            push_variables=stored.push_variables if self.push_variables is None else self.push_variables,
            secondary_tiles=stored.secondary_tiles if self.secondary_tiles is None else self.secondary_tiles,
        )

    def without_tags(self) -> Declaration:
        """This declaration where the backend owns all tags: of the device, of tiles and of templates."""

        def bare(templates: Mapping[str, Template]) -> dict[str, Template]:
            return {name: altered(template, tags=()) for name, template in templates.items()}

        tiles = self.secondary_tiles
        return replace(
            self,
            tags=None,
            templates=None if self.templates is None else bare(self.templates),
            secondary_tiles=None
            if tiles is None
            else {
                tile_id: altered(tile, tags=(), templates=bare(tile.templates))
                for tile_id, tile in tiles.items()
            },
        )

    def without_user_id(self) -> Declaration:
        """This declaration for registrations, which carry none: one from before the change of style goes."""
        return replace(self, user_id="") if self.user_id else self

    def left_to_disk(self, changes: Declaration) -> Declaration:
        """This declaration, once changes to it are on disk: what they touch means "as declared before".

        Tiles stay, since their channel sources cannot be stored.
        """
        return Declaration(
            tags=self.tags if changes.tags is None else None,
            templates=self.templates if changes.templates is None else None,
            user_id=self.user_id if changes.user_id is None else None,
            push_variables=self.push_variables if changes.push_variables is None else None,
            secondary_tiles=self.secondary_tiles
            if changes.secondary_tiles is None
            else changes.secondary_tiles,
        )

    def to_json(self) -> JsonObject:
        """The stored form: what is declared, without channels."""
        document: JsonObject = {}
        if self.tags is not None:
            document["tags"] = list(self.tags)
        if self.templates is not None:
            document["templates"] = templates_to_json(self.templates)
        if self.user_id is not None:
            document["userId"] = self.user_id
        if self.push_variables is not None:
            document["pushVariables"] = dict(self.push_variables)
        if self.secondary_tiles is not None:
            document["secondaryTiles"] = {
                tile_id: {"tags": list(tile.tags), "templates": templates_to_json(tile.templates)}
                for tile_id, tile in self.secondary_tiles.items()
            }
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Declaration:
        """Read the stored form.

        Raises:
            Malformed: it is not what was stored.
        """
        try:
            tags, templates = document.get("tags"), document.get("templates")
            variables, tiles = document.get("pushVariables"), document.get("secondaryTiles")
            user_id = document.get("userId")
            validation.check_user_id("" if user_id is None else user_id)
            validation.check_push_variables({} if variables is None else variables)
            return cls(
                tags=None if tags is None else _texts(tags),
                templates=None if templates is None else _templates(templates),
                user_id=user_id,
                push_variables=variables,
                secondary_tiles=None
                if tiles is None
                else {
                    tile_id: unvalidated(
                        SecondaryTile,
                        tags=_texts(tile.get("tags", ())),
                        templates=_templates(tile.get("templates", {})),
                    )
                    for tile_id, tile in tiles.items()
                },
            )
        except (AttributeError, KeyError, TypeError, ValueError, ConfigurationError) as error:
            raise Malformed(f"the declaration: {error}") from None

    @classmethod
    def of(cls, installation: Installation) -> Declaration:
        """What must have been declared for the hub to hold this."""
        return cls(
            tags=tuple(installation.tags),
            templates=installation.templates,
            user_id=installation.user_id or "",
            push_variables=installation.push_variables,
            secondary_tiles={
                tile_id: altered(tile, channel=None) for tile_id, tile in installation.secondary_tiles.items()
            },
        )

    def installation(
        self, installation_id: str, platform: Platform, channels: Mapping[str, PushChannel]
    ) -> Installation:
        """The installation that this makes with these channels; a tile without a channel is left out.

        Raises:
            ConfigurationError: two channels are equal.
        """
        tiles: dict[str, SecondaryTile] = {}
        for tile_id, tile in (self.secondary_tiles or {}).items():
            channel = channels.get(tile_name(tile_id))
            if isinstance(channel, str):
                tiles[tile_id] = altered(tile, channel=channel)
        return Installation(
            installation_id=installation_id,
            platform=platform,
            push_channel=channels[PRIMARY],
            tags=self.tags or (),
            user_id=self.user_id or None,
            push_variables=self.push_variables or {},
            templates=self.templates or {},
            secondary_tiles=tiles,
        )


def listed_tags(tags: Iterable[str | Iterable[str]]) -> list[str]:
    """Tags given one by one or in lists.

    Raises:
        ConfigurationError: one of them is neither.
    """
    listed: list[str] = []
    for part in tags:
        if isinstance(part, str):
            listed.append(part)
        elif isinstance(part, Iterable):
            listed += part
        else:
            raise ConfigurationError(f"tags {validation.shown(part)}: a tag is text")
    return listed


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(validation.is_text(item) for item in value):
        raise Malformed("no list of texts")
    return tuple(value)


def _templates(documents: Mapping[str, object]) -> dict[str, Template]:
    templates = templates_from_json(documents)
    for template in templates.values():
        validation.check_texts("headers", template.headers)
        _texts(template.tags)
        if not validation.is_text(template.body) or not (
            template.expiry is None or validation.is_text(template.expiry)
        ):
            raise Malformed("a template's body or expiry is no text")
    return templates


@dataclass(frozen=True, slots=True)
class Asked:
    """What the channel sources said.

    Attributes:
        given: the channels that were given, by name.
        errors: why others were not.
    """

    given: Mapping[str, PushChannel] = field(default_factory=dict, repr=False)
    errors: Mapping[str, ChannelError] = field(default_factory=dict)


def ask_sources(platform: Platform, primary: ChannelSource, declaration: Declaration) -> Asked:
    """Ask every channel source once. One that fails does not keep the others from being asked."""
    sources: dict[str, ChannelSource | None] = {PRIMARY: primary}
    for tile_id, tile in (declaration.secondary_tiles or {}).items():
        source = tile.channel
        name = tile_name(tile_id)
        sources[name] = None if source is None else as_source(platform, source, name)
    given: dict[str, PushChannel] = {}
    errors: dict[str, ChannelError] = {}
    for name, source in sources.items():
        try:
            channel = None if source is None else ask(source, platform, name)
        except ChannelError as error:
            errors[name] = error
            continue
        if channel is not None:
            given[name] = channel
        elif source is None:
            errors[name] = ChannelError(
                f"{name}: this process declares no source for its push channel, so that one it had before "
                "stays, and without one it is left out; declare the tile with its channel to change that",
                pending=True,
            )
        else:
            errors[name] = ChannelError(
                f"{name}: there is no push channel yet; it is read again at the next try", pending=True
            )
    return Asked(given, errors)


def remembered_channels(platform: Platform, stored: Mapping[str, Any]) -> dict[str, PushChannel]:
    """The channels of this platform that the sources gave before."""
    channels: dict[str, PushChannel] = {}
    handles = stored.get(platform)
    for name, raw in handles.items() if isinstance(handles, dict) else ():
        try:
            channels[name] = read_channel(platform, raw, name)
        except ConfigurationError:  # a damaged entry is no channel; its source will give it again
            continue
    return channels


def channels_of(installation: Installation) -> dict[str, PushChannel]:
    """The channels that an installation holds, by name."""
    channels: dict[str, PushChannel] = {PRIMARY: installation.push_channel}
    for tile_id, tile in installation.secondary_tiles.items():
        channels[tile_name(tile_id)] = str(tile.channel)
    return channels


def channels_to_json(platform: Platform, channels: Mapping[str, PushChannel]) -> JsonObject:
    """The form in which channels are remembered."""
    return {str(platform): {name: channel_to_json(channel) for name, channel in channels.items()}}
