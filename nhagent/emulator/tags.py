"""Which tags a registration may carry, in the service's own words, and those that the hub gives itself."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

Json = dict[str, Any]

TAG = re.compile(r"[-_@#.:a-zA-Z0-9]+")
PATCHED_TAG = re.compile(r"[-_@#.:,a-zA-Z0-9]+")
TAG_LENGTH = 120
"""Characters."""
TAGS_SIZE = 8000
"""Bytes of the comma-joined tags of one registration, `$` tags included."""


def tag_errors(tags: list[str], form: re.Pattern[str] = TAG) -> Iterator[str]:
    """What is wrong with tags that a client gave."""
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
    """Whether all tags of one registration are too many."""
    size = len(",".join(tags).encode())
    if size > TAGS_SIZE:
        yield (
            "Registration Tags serialized size is more than maximum supported value. "
            f"Actual Size: '{size}' and Max Allowed Size: '{TAGS_SIZE}'"
        )


def own_tags(installation: Json) -> list[str]:
    """The tags by which the hub itself marks every registration of an installation."""
    own = [f"$InstallationId:{{{installation['installationId']}}}"]
    if "userId" in installation:
        own.append(f"$UserId:{{{installation['userId']}}}")
    return own
