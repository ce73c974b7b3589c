"""Validate a registration's description, in the service's own words where a report has them."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nhagent.emulator.atom.descriptions import Description
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.validation.tags import size_errors, tag_errors

TEMPLATE_NAME_LENGTH = 200
"""Longest name of a template, in characters."""


def validate_description(description: Description) -> None:
    """Check that the hub can accept a description.

    Raises:
        Refused: 400, with the first error.
    """
    for error in _errors(description):
        raise Refused(400, error)


def has_wns_type(headers: Mapping[str, str]) -> bool:
    """Return whether a template's headers name the kind of notification, which WNS requires."""
    return any(name.lower() == "x-wns-type" and value.strip() for name, value in headers.items())


def _errors(description: Description) -> Iterator[str]:
    kind, values = description.kind, description.values
    for name in kind.handle:
        if not values[name].strip():
            yield f"'{name}' is required."
    yield from tag_errors(description.tags)
    yield from size_errors(description.tags)
    if not kind.is_template:
        return
    if not values["BodyTemplate"].strip():
        yield "'BodyTemplate' is required."
    if len(values.get("TemplateName", "")) > TEMPLATE_NAME_LENGTH:
        yield f"The template name is longer than {TEMPLATE_NAME_LENGTH} characters."
    if kind.platform == "wns" and not has_wns_type(description.headers):
        yield "The WNS template registration is missing the X-WNS-Type header."
    for name, value in description.headers.items():
        if not name.strip() or not value.strip():
            yield f"The header '{name}' is empty."
