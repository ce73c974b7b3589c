"""What an installation may contain, with the service's own words where a recording or report has them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from .installation import BROWSER_MEMBERS
from .messages import Refused

Json = dict[str, Any]

TAG_LENGTH = 120
"""Characters."""
TAGS_SIZE = 8000
"""Bytes of the comma-joined tags of any registration that the installation makes, `$` tags included."""
TEMPLATE_NAME_LENGTH = 200
"""Characters."""

_TAG = re.compile(r"[-_@#.:a-zA-Z0-9]+")
_PATCHED_TAG = re.compile(r"[-_@#.:,a-zA-Z0-9]+")
_USER_ID = re.compile(r"[-_@#.:=a-zA-Z0-9]+")


def check(installation: Json, *, patched: bool = False) -> None:
    """See that the hub can take this installation.

    Args:
        installation: in the hub's form.
        patched: it results from a PATCH. The service was seen to store a patched tag with commas in it, as
            one tag.

    Raises:
        Refused: 400 with one line for each fault.
    """
    errors = list(_errors(installation, _PATCHED_TAG if patched else _TAG))
    if errors:
        raise Refused(400, "\r\n".join(["Installation validation failed with following error(s):", *errors]))


def _errors(installation: Json, tag_form: re.Pattern[str]) -> Iterator[str]:
    yield from _channel_errors(installation, "'PushChannel'")
    user_id = installation.get("userId")
    if user_id is not None and not _USER_ID.fullmatch(user_id):
        yield "'UserId' has characters other than alphanumeric, -, _, @, #, ., : and =."
    own = _own_tags(installation)
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
    """The faults of what device and tile have in common."""
    tags = holder.get("tags", [])
    yield from _tag_errors(tags, tag_form)
    yield from _size_errors([*own, *tags])
    for name, template in holder.get("templates", {}).items():
        if not name or len(name) > TEMPLATE_NAME_LENGTH:
            yield f"The template name '{name}' is not 1 to {TEMPLATE_NAME_LENGTH} characters long."
        if "body" not in template:
            yield f"'Body' of the template '{name}' is required."
        if platform == "wns" and not _has_wns_type(template):
            yield f"The template '{name}' is missing the X-WNS-Type header."
        # The service itself tags a template with its name, which need not be a tag that a client may send.
        named = [tag for tag in template["tags"] if tag != name]
        yield from _tag_errors(named, tag_form)
        yield from _size_errors([*own, *tags, *template["tags"]])


def _tag_errors(tags: list[str], form: re.Pattern[str]) -> Iterator[str]:
    if any(tag.startswith("$") for tag in tags):
        yield "Tags can not start with $"
    invalid = [tag for tag in tags if not tag.startswith("$") and not form.fullmatch(tag)]
    if invalid:
        yield (
            f"An invalid tag(s) '{','.join(invalid)}' was supplied. "
            "Valid tag characters are alphanumeric, _, @, -, ., : and #"
        )
    for tag in tags:
        if len(tag) > TAG_LENGTH:
            yield f"The tag '{tag}' is longer than {TAG_LENGTH} characters."


def _size_errors(tags: list[str]) -> Iterator[str]:
    size = len(",".join(tags).encode())
    if size > TAGS_SIZE:
        yield (
            "Registration Tags serialized size is more than maximum supported value. "
            f"Actual Size: '{size}' and Max Allowed Size: '{TAGS_SIZE}'"
        )


def _own_tags(installation: Json) -> list[str]:
    """The tags by which the hub itself marks every registration of an installation."""
    own = [f"$InstallationId:{{{installation['installationId']}}}"]
    if "userId" in installation:
        own.append(f"$UserId:{{{installation['userId']}}}")
    return own


def _has_wns_type(template: Json) -> bool:
    return any(
        name.lower() == "x-wns-type" and value.strip() for name, value in template.get("headers", {}).items()
    )
