"""What an app declares its device to be, and how that is kept.

A parameter that is given is the truth at every start; one left None means what was declared before. The
stored form is the service's own JSON, without channels: these are remembered beside it, by platform and name
(``channel``, ``tiles.NAME``), as their sources gave them last.
"""

from __future__ import annotations

from nhagent import validation
from nhagent.channels.source import as_source
from nhagent.device.document import Latest, Malformed
from nhagent.errors import ConfigurationError
from nhagent.hub.installations import templates_from_json, templates_to_json
from nhagent.logs import Log
from nhagent.models import (
    Installation,
    SecondaryTile,
    altered,
    check_channels_differ,
    check_templates,
    check_tiles,
    unvalidated,
)
from nhagent.values import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from typing import Any, Final

    from nhagent.device.document import JsonObject
    from nhagent.models import Platform, PushChannel, Template

PRIMARY: Final = "channel"
"""The name that the device's own push channel goes by."""
_STORED: Final = {
    "tags": "tags",
    "templates": "templates",
    "user_id": "userId",
    "push_variables": "pushVariables",
    "secondary_tiles": "secondaryTiles",
}
"""The stored name of each field."""


_log = Log(__name__)


def tile_name(tile_id: str) -> str:
    """Give the name that a tile's channel goes by."""
    return f"tiles.{tile_id}"


class Declaration(Value):
    """What the hub shall know of the device beside its channels; None: as declared before.

    Attributes:
        tags: tags of the device.
        templates: templates by name.
        user_id: who uses it; empty: nobody.
        push_variables: values for the templates' expressions, by name.
        secondary_tiles: tiles by id.
    """

    tags: tuple[str, ...] | None = None
    templates: Mapping[str, Template] | None = None
    user_id: str | None = None
    push_variables: Mapping[str, str] | None = None
    secondary_tiles: Mapping[str, SecondaryTile] | None = None

    @classmethod
    def names(cls) -> tuple[str, ...]:
        """Give the names of its fields, which are those of the agent's arguments."""
        return cls._fields

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
        if user_id is not None:
            validation.check_user_id(user_id)
        if push_variables is not None:
            validation.check_push_variables(push_variables)
        if templates is not None:
            check_templates("templates", templates, platform, listed or ())
        if secondary_tiles is not None:
            check_tiles(platform, secondary_tiles)
            for tile_id, tile in secondary_tiles.items():
                if tile.channel is not None:
                    as_source(platform, tile.channel, tile_name(tile_id))
        return cls(listed, templates, user_id, push_variables, secondary_tiles)

    def rechecked(self, platform: Platform) -> Declaration:
        """Give this declaration, checked; as `checked`."""
        return Declaration.checked(platform, **vars(self))

    @property
    def is_complete(self) -> bool:
        """Whether nothing in it means "as declared before"."""
        return None not in vars(self).values()

    @property
    def has_tags(self) -> bool:
        """Whether any tag is declared: of the device, of a tile or of a template."""
        owners: list[Any] = [*(self.templates or {}).values(), *(self.secondary_tiles or {}).values()]
        for tile in (self.secondary_tiles or {}).values():
            owners += tile.templates.values()
        return bool(self.tags) or any(owner.tags for owner in owners)

    def over(self, stored: Declaration) -> Declaration:
        """Give this declaration, with what it leaves open taken from what was declared before."""
        given = {name: part for name, part in vars(self).items() if part is not None}
        return stored.changed(**given) if given else stored

    def adds_to(self, given: Declaration) -> bool:
        """Whether it holds parts that another declaration leaves open."""
        parts = vars(given)
        return None in [parts[name] for name, part in vars(self).items() if part is not None]

    def left_to_disk(self, changes: Declaration) -> Declaration:
        """Give this declaration, once changes to it are on disk: what they touch means "as declared before".

        Tiles stay, since their channel sources cannot be stored.
        """
        touched = {name: None for name, part in vars(changes).items() if part is not None}
        if "secondary_tiles" in touched:
            return self.changed(**{**touched, "secondary_tiles": changes.secondary_tiles})
        return self.changed(**touched)

    def without_tags(self) -> Declaration:
        """Give this declaration where the backend owns all tags: of the device, of tiles and of templates."""

        def bare(templates: Mapping[str, Template]) -> dict[str, Template]:
            return {name: altered(template, tags=()) for name, template in templates.items()}

        templates, tiles = self.templates, self.secondary_tiles
        return self.changed(
            tags=None,
            templates=None if templates is None else bare(templates),
            secondary_tiles=None
            if tiles is None
            else {
                tile_id: altered(tile, tags=(), templates=bare(tile.templates))
                for tile_id, tile in tiles.items()
            },
        )

    def without_user_id(self) -> Declaration:
        """Give this declaration for records that carry none: one from before the change of style goes."""
        return self.changed(user_id="") if self.user_id else self

    def to_json(self) -> JsonObject:
        """Give the stored form: what is declared, without channels."""
        document: JsonObject = {}
        for name, part in vars(self).items():
            if part is not None:
                document[_STORED[name]] = _to_json(name, part)
        return document

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Declaration:
        """Read the stored form.

        Raises:
            Malformed: it is not what was stored.
        """
        declaration: Declaration = _latest(document) if document else _NOTHING
        return declaration

    @classmethod
    def of(cls, installation: Installation) -> Declaration:
        """Tell what must have been declared for the hub to hold this."""
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
        """Give the installation that this makes with these channels; a tile without a channel is left out.

        Raises:
            ConfigurationError: two channels are equal.
        """
        tiles: dict[str, SecondaryTile] = {}
        for tile_id, tile in (self.secondary_tiles or {}).items():
            channel = channels.get(tile_name(tile_id))
            if isinstance(channel, str):
                tiles[tile_id] = altered(tile, channel=channel)
        installation = unvalidated(  # its parts were checked as they were declared, and given
            Installation,
            installation_id=installation_id,
            platform=platform,
            push_channel=channels[PRIMARY],
            tags=self.tags or (),
            user_id=self.user_id or None,
            push_variables=self.push_variables or EMPTY,
            templates=self.templates or EMPTY,
            secondary_tiles=tiles,
        )
        check_channels_differ(installation)
        return installation


def warn_of_former_user(before: Declaration, given: Declaration) -> None:
    """Warn where another user gets what the former one declared: whoever signs out leaves nothing behind."""
    if not before.user_id or given.user_id in {None, before.user_id}:
        return
    kept = {"tags": before.tags, "push variables": before.push_variables}
    named = {"tags": given.tags, "push variables": given.push_variables}
    remain = " and ".join(name for name, part in kept.items() if part and named[name] is None)
    if remain:
        _log.warning("user_id changes, and %s of the former user remain: give them too", remain)


def _read(document: Mapping[str, Any]) -> Declaration:
    parts: dict[str, Any] = {}
    try:
        for name, stored in _STORED.items():
            part = document.get(stored)
            parts[name] = None if part is None else _READERS[name](part)
    except (AttributeError, KeyError, TypeError, ValueError, ConfigurationError) as error:
        raise Malformed(f"the declaration: {error}") from None
    return Declaration(**parts)


_latest: Final = Latest(_read)
_NOTHING: Final = Declaration()


def listed_tags(tags: Iterable[str | Iterable[str]]) -> list[str]:
    """Give tags that were given one by one or in lists.

    Raises:
        ConfigurationError: one of them is neither.
    """
    listed: list[str] = []
    for part in tags:
        if isinstance(part, str):
            listed.append(part)
        elif hasattr(part, "__iter__"):
            listed += part
        else:
            raise ConfigurationError(
                f"tags {validation.shown(part)}: is not text", "give tags, or lists of tags"
            )
    return listed


def _to_json(name: str, part: Any) -> Any:
    if name == "tags":
        return list(part)
    if name == "templates":
        return templates_to_json(part)
    if name == "secondary_tiles":
        return {
            tile_id: {"tags": list(tile.tags), "templates": templates_to_json(tile.templates)}
            for tile_id, tile in part.items()
        }
    return part if isinstance(part, str) else dict(part)


def _texts(value: object) -> tuple[str, ...]:
    if not isinstance(value, list | tuple) or not all(map(validation.is_text, value)):
        raise Malformed("not a list of texts")
    return tuple(value)


def _templates(documents: Mapping[str, object]) -> dict[str, Template]:
    templates = templates_from_json(documents)
    for name, template in templates.items():
        validation.check_texts("headers", template.headers)
        _texts(template.tags)
        if not validation.is_text(template.body) or not (
            template.expiry is None or validation.is_text(template.expiry)
        ):
            raise Malformed("a template's body or expiry is not text")
        if template.body.startswith(validation.BYTE_ORDER_MARK):  # kept by an older version
            body = template.body.removeprefix(validation.BYTE_ORDER_MARK)
            templates[name] = altered(template, body=body)
    return templates


def _tiles(documents: Mapping[str, Mapping[str, Any]]) -> dict[str, SecondaryTile]:
    return {
        tile_id: unvalidated(
            SecondaryTile,
            tags=_texts(tile.get("tags", ())),
            templates=_templates(tile.get("templates", {})),
        )
        for tile_id, tile in documents.items()
    }


def _user_id(value: str) -> str:
    validation.check_user_id(value)
    return value


def _push_variables(value: Mapping[str, str]) -> Mapping[str, str]:
    validation.check_push_variables(value)
    return value


_READERS: Final[Mapping[str, Any]] = {
    "tags": _texts,
    "templates": _templates,
    "user_id": _user_id,
    "push_variables": _push_variables,
    "secondary_tiles": _tiles,
}
