"""Which tags a user's devices may have.

A tag without a colon is free. One with a colon means somebody, or something, in particular: ``username:anna``
is anna's alone, ``topic:…`` and others are the user's to whom they were given. The hub compares tags in any
case, and so does every rule here.

More than the list of tags decides what reaches a device: tiles and templates have tags too, a template
without tags has its name for one, and a send may go to a user id.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

from nhagent import Installation, SecondaryTile

from .problems import Problem
from .tables import User

TOPIC = "topic:"


def is_reserved(tag: str) -> bool:
    """Whether a tag is for those alone to whom it was given."""
    return ":" in tag


def own_tag(user: User) -> str:
    """Give the tag by which a user is reached."""
    return f"username:{user.name}"


def added_tags(user: User) -> list[str]:
    """Give the tags that the server puts on every device of a user."""
    return [own_tag(user), *(kept.tag for kept in user.tags if kept.tag.startswith(TOPIC))]


def allowed_tags(user: User) -> set[str]:
    """Give the reserved tags that a user may have, in lower case."""
    return {own_tag(user), *(kept.tag for kept in user.tags)}


def check(installation: Installation, user: User) -> None:
    """Refuse what is not this user's.

    Raises:
        Problem: 403.
    """
    check_tags(_all_tags(installation), user)
    if installation.user_id and installation.user_id.lower() != user.name:
        raise Problem(403, "user_not_allowed", "The userId is not this user's.")


def check_tags(tags: Iterable[str], user: User) -> None:
    """Refuse reserved tags that this user was not given.

    Raises:
        Problem: 403, with the tags that are the reason.
    """
    allowed = allowed_tags(user)
    refused = {tag for tag in tags if is_reserved(tag) and tag.lower() not in allowed}
    if refused:
        raise Problem(403, "tags_not_allowed", "These tags are not this user's.", tags=sorted(refused))


def with_added(tags: Iterable[str], user: User | None) -> list[str]:
    """Give a list of tags with those that the server adds, each once; it adds nothing for nobody."""
    unique: dict[str, str] = {}
    for tag in (*tags, *([] if user is None else added_tags(user))):
        unique.setdefault(tag.lower(), tag)
    return [*unique.values()]


def without_names(document: dict[str, Any]) -> dict[str, Any]:
    """Leave out the tags that the hub has made of templates' names, which nobody has asked for.

    Args:
        document: an installation, or a tile, as `Installation.to_dict` gives it.
    """
    left = dict(document)
    if "secondaryTiles" in left:
        left["secondaryTiles"] = {name: without_names(tile) for name, tile in left["secondaryTiles"].items()}
    if "templates" in left:
        left["templates"] = {
            name: {key: part for key, part in template.items() if key != "tags" or part != [name]}
            for name, template in left["templates"].items()
        }
    return left


def left_to(tags: Iterable[str], user: User | None) -> list[str]:
    """Give the tags that a user may have; None: nobody."""
    allowed = set() if user is None else allowed_tags(user)
    return [tag for tag in tags if not is_reserved(tag) or tag.lower() in allowed]


def without_others(document: dict[str, Any], user: User | None) -> dict[str, Any]:
    """Take out of an installation what a user may not have, such as all that belonged to the user before.

    Args:
        document: an installation as `Installation.to_dict` gives it.
        user: None takes out all that is reserved.
    """
    left = _stripped(document, user)
    if user is None or str(left.get("userId", "")).lower() != user.name:
        left.pop("userId", None)
    return left


def _stripped(part: dict[str, Any], user: User | None) -> dict[str, Any]:
    left = dict(part)
    if "tags" in left:
        left["tags"] = left_to(left["tags"], user)
    if "templates" in left:
        templates = {name: _stripped(template, user) for name, template in left["templates"].items()}
        left["templates"] = {
            name: template
            for name, template in templates.items()
            if template.get("tags") or left_to([name], user)
        }
    if "secondaryTiles" in left:
        left["secondaryTiles"] = {
            tile_id: _stripped(tile, user) for tile_id, tile in left["secondaryTiles"].items()
        }
    return left


def _all_tags(installation: Installation) -> Iterator[str]:
    parts: list[Installation | SecondaryTile] = [installation, *installation.secondary_tiles.values()]
    for part in parts:
        yield from part.tags
        for name, template in part.templates.items():
            yield from template.tags or (name,)  # the hub makes a tag of its name
