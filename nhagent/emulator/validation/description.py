"""Validate a registration's description, in the service's own words where a report has them."""

from __future__ import annotations

from collections.abc import Iterator

from nhagent.emulator.atom.descriptions import Description
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.validation.channel import channel_errors
from nhagent.emulator.validation.tags import size_errors, tag_errors
from nhagent.emulator.validation.templates import template_errors

TEMPLATE_NAME_LENGTH = 200
"""Longest name of a template, in characters."""


def validate_description(description: Description, *, lenient: bool = False) -> None:
    """Check that the hub can accept a description.

    Args:
        description: as it was read.
        lenient: accept handles and templates that the service refuses for their form.

    Raises:
        Refused: 400, with the first error.
    """
    for error in _errors(description, lenient=lenient):
        raise Refused(400, error)


def _errors(description: Description, *, lenient: bool) -> Iterator[str]:
    kind, values = description.kind, description.values
    for name in kind.handle:
        if not values[name].strip():
            yield f"'{name}' is required."
    if not lenient:
        yield from channel_errors(kind.platform, description.channel)
    yield from tag_errors(description.tags)
    yield from size_errors(description.tags)
    if not kind.is_template:
        return
    body = values["BodyTemplate"]
    if not body.strip():
        yield "'BodyTemplate' is required."
    if len(values.get("TemplateName", "")) > TEMPLATE_NAME_LENGTH:
        yield f"The template name is longer than {TEMPLATE_NAME_LENGTH} characters."
    if any(not name.strip() for name in description.headers):
        yield "A header has no name."
    if not lenient:
        yield from template_errors(
            kind.platform, body, description.headers, values.get("Expiry"), values.get("Priority")
        )
