"""Validate tags, in the service's own words, and name those that the hub sets itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

TAG = re.compile(r"[-_@#.:a-zA-Z0-9]+")
"""A tag in a PUT or POST."""
PATCHED_TAG = re.compile(r"[-_@#.:,a-zA-Z0-9]+")
"""A tag set by PATCH, which may have commas."""
TAG_LENGTH = 120
"""Longest tag, in characters."""
TAGS_SIZE = 8000
"""Largest size of the comma-joined tags of one registration in bytes, ``$`` tags included."""


def tag_errors(tags: list[str], form: re.Pattern[str] = TAG) -> Iterator[str]:
    """Yield the errors in tags that a client gave.

    Args:
        tags: the tags.
        form: what each must match.
    """
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


def size_errors(tags: list[str]) -> Iterator[str]:
    """Yield an error if the tags of one registration are too large together."""
    size = len(",".join(tags).encode())
    if size > TAGS_SIZE:
        yield (
            "Registration Tags serialized size is more than maximum supported value. "
            f"Actual Size: '{size}' and Max Allowed Size: '{TAGS_SIZE}'"
        )


def own_tags(installation: Json) -> list[str]:
    """Return the tags that the hub itself sets on every registration of an installation."""
    own = [f"$InstallationId:{{{installation['installationId']}}}"]
    if "userId" in installation:
        own.append(f"$UserId:{{{installation['userId']}}}")
    return own
