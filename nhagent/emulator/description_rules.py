"""What a registration may contain, with the service's own words where a report has them."""

from __future__ import annotations

from collections.abc import Iterator

from .descriptions import Description
from .messages import Refused
from .rules import TEMPLATE_NAME_LENGTH, has_wns_type
from .tags import size_errors, tag_errors


def check(description: Description) -> None:
    """See that the hub can take this description.

    Raises:
        Refused: 400 with the first fault.
    """
    for error in _errors(description):
        raise Refused(400, error)


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
