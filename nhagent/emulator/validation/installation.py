"""Validate an installation, in the service's own words where a recording or report has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from nhagent.emulator.atom.descriptions import BROWSER_MEMBERS
from nhagent.emulator.channels import read_subscription
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.validation.channel import channel_errors
from nhagent.emulator.validation.description import TEMPLATE_NAME_LENGTH
from nhagent.emulator.validation.tags import PATCHED_TAG, TAG, own_tags, size_errors, tag_errors
from nhagent.emulator.validation.templates import template_errors

Json = dict[str, Any]

_USER_ID = re.compile(r"[-_@#.:=a-zA-Z0-9]+")


def validate_installation(installation: Json, *, patched: bool = False, lenient: bool = False) -> None:
    """Check that the hub can accept an installation.

    Args:
        installation: in the hub's form.
        patched: it results from a PATCH. The service was seen to store a patched tag with commas in it as one
            tag.
        lenient: accept channels and templates that the service refuses for their form.

    Raises:
        Refused: 400, with one line for each error.
    """
    errors = list(_errors(installation, PATCHED_TAG if patched else TAG, lenient=lenient))
    if errors:
        raise Refused(400, "\r\n".join(["Installation validation failed with following error(s):", *errors]))


def _errors(installation: Json, tag_form: re.Pattern[str], *, lenient: bool) -> Iterator[str]:
    platform = installation["platform"]
    yield from _channel_errors(installation, platform, "'PushChannel'", lenient=lenient)
    if platform == "gcm" and "pushChannel" not in installation:
        # As reported, though for this platform only.
        yield from ("Value cannot be null.", "Parameter name: gcmRegistrationId")
    user_id = installation.get("userId")
    if user_id is not None and not _USER_ID.fullmatch(user_id):
        yield "'UserId' has characters other than alphanumeric, -, _, @, #, ., : and =."
    own = own_tags(installation)
    yield from _tag_errors(installation, own, tag_form)
    yield from _template_errors(installation, platform, lenient=lenient)
    tiles = installation.get("secondaryTiles", {})
    if tiles and platform != "wns":
        yield "'SecondaryTiles' is supported only on platform 'wns'."
    for name, tile in tiles.items():
        yield from _channel_errors(
            tile, platform, f"'PushChannel' of the secondary tile '{name}'", lenient=lenient
        )
        yield from _tag_errors(tile, own, tag_form)
        yield from _template_errors(tile, platform, lenient=lenient)


def _channel_errors(holder: Json, platform: str, what: str, *, lenient: bool) -> Iterator[str]:
    channel = holder.get("pushChannel")
    if channel is None:
        yield f"{what} is required."
    elif platform == "browser":
        members = read_subscription(channel) or {}
        yield from (f"{what} has no '{name}'." for name in BROWSER_MEMBERS if name not in members)
    elif not lenient:
        yield from channel_errors(platform, channel)


def _tag_errors(holder: Json, own: list[str], tag_form: re.Pattern[str]) -> Iterator[str]:
    """Yield the errors in the tags of device or tile and of its templates."""
    tags = holder.get("tags", [])
    yield from tag_errors(tags, tag_form)
    yield from size_errors([*own, *tags])
    for name, template in holder.get("templates", {}).items():
        # The service itself tags a template with its name, which need not be a valid tag.
        named = [tag for tag in template["tags"] if tag != name]
        yield from tag_errors(named, tag_form)
        yield from size_errors([*own, *tags, *template["tags"]])


def _template_errors(holder: Json, platform: str, *, lenient: bool) -> Iterator[str]:
    for name, template in holder.get("templates", {}).items():
        if not name or len(name) > TEMPLATE_NAME_LENGTH:
            yield f"The template name '{name}' is not 1 to {TEMPLATE_NAME_LENGTH} characters long."
        if "body" not in template:
            yield f"'Body' of the template '{name}' is required."
        if not lenient:
            headers, expiry = template.get("headers", {}), template.get("expiry")
            yield from template_errors(platform, template.get("body"), headers, expiry)
