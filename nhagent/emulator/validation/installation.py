"""Validate an installation, in the service's own words where a recording or report has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nhagent.emulator.atom.descriptions import BROWSER_MEMBERS
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.validation.description import TEMPLATE_NAME_LENGTH, has_wns_type
from nhagent.emulator.validation.tags import PATCHED_TAG, TAG, own_tags, size_errors, tag_errors

Json = dict[str, Any]

_USER_ID = re.compile(r"[-_@#.:=a-zA-Z0-9]+")


def validate_installation(installation: Json, *, patched: bool = False) -> None:
    """Check that the hub can accept an installation.

    Args:
        installation: in the hub's form.
        patched: it results from a PATCH. The service was seen to store a patched tag with commas in it as one
            tag.

    Raises:
        Refused: 400, with one line for each error.
    """
    errors = list(_errors(installation, PATCHED_TAG if patched else TAG))
    if errors:
        raise Refused(400, "\r\n".join(["Installation validation failed with following error(s):", *errors]))


def _errors(installation: Json, tag_form: re.Pattern[str]) -> Iterator[str]:
    yield from _channel_errors(installation, "'PushChannel'")
    user_id = installation.get("userId")
    if user_id is not None and not _USER_ID.fullmatch(user_id):
        yield "'UserId' has characters other than alphanumeric, -, _, @, #, ., : and =."
    own = own_tags(installation)
    yield from _tag_and_template_errors(installation, installation["platform"], own, tag_form)
    tiles = installation.get("secondaryTiles", {})
    if tiles and installation["platform"] != "wns":
        yield "'SecondaryTiles' is supported only on platform 'wns'."
    for name, tile in tiles.items():
        yield from _channel_errors(tile, f"'PushChannel' of the secondary tile '{name}'")
        yield from _tag_and_template_errors(tile, installation["platform"], own, tag_form)


def _channel_errors(holder: Json, what: str) -> Iterator[str]:
    channel = holder.get("pushChannel")
    if channel is None:
        yield f"{what} is required."
    elif isinstance(channel, dict):
        yield from (f"{what} has no '{name}'." for name in BROWSER_MEMBERS if name not in channel)


def _tag_and_template_errors(
    holder: Json, platform: str, own: list[str], tag_form: re.Pattern[str]
) -> Iterator[str]:
    """Yield the errors in the parts that device and tile have in common."""
    tags = holder.get("tags", [])
    yield from tag_errors(tags, tag_form)
    yield from size_errors([*own, *tags])
    for name, template in holder.get("templates", {}).items():
        if not name or len(name) > TEMPLATE_NAME_LENGTH:
            yield f"The template name '{name}' is not 1 to {TEMPLATE_NAME_LENGTH} characters long."
        if "body" not in template:
            yield f"'Body' of the template '{name}' is required."
        if platform == "wns" and not has_wns_type(template.get("headers", {})):
            yield f"The template '{name}' is missing the X-WNS-Type header."
        # The service itself tags a template with its name, which need not be a valid tag.
        named = [tag for tag in template["tags"] if tag != name]
        yield from tag_errors(named, tag_form)
        yield from size_errors([*own, *tags, *template["tags"]])
