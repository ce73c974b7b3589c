"""Find the devices that a send is meant for, and say why others are not."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from itertools import islice

from nhagent.emulator.atom.descriptions import Registration
from nhagent.emulator.channels import read_subscription
from nhagent.emulator.registration_table import ChannelQuery, RegistrationTable
from nhagent.emulator.sends.delivery import Match, Why
from nhagent.emulator.sends.push_headers import native_headers, template_headers
from nhagent.emulator.sends.send import PLATFORMS, TEMPLATE, Handle, Send, properties_in
from nhagent.emulator.sends.tag_expressions import TagExpression, read_tag_expression
from nhagent.emulator.sends.template_language import fill_in

MOST_WHY = 50
"""Devices that receive nothing of which a delivery says why."""
_PAGE = 60
_PAGES = 8
"""Pages of registrations that are looked at for that, so that a send costs no more in a large hub."""


def matches_of(send: Send, expression: TagExpression | None, table: RegistrationTable) -> list[Match]:
    """Return the messages that a send comes to, in the order in which the devices were created.

    Args:
        send: checked.
        expression: from `expression_in`.
        table: the hub's registrations.
    """
    if send.handles:
        return [_direct(send, handle, table) for handle in send.handles]
    properties = properties_in(send) if send.format == TEMPLATE else {}
    return [
        _message(send, registration, properties)
        for registration in _candidates(expression, table)
        if _is_sort(send, registration)
        and not registration.expired
        and (expression is None or expression.holds(_tags(registration)))
    ]


def reasons_in(
    send: Send, expression: TagExpression | None, table: RegistrationTable, matched: Iterable[Match]
) -> Iterator[Why]:
    """Yield why devices receive nothing, the first of them in the order in which they were created.

    Args:
        send: not a direct one.
        expression: from `expression_in`.
        table: the hub's registrations.
        matched: what others receive.
    """
    reached = {match.installation or match.registration for match in matched}
    devices: dict[str, list[Registration]] = {}
    place: int | None = 0
    for _ in range(_PAGES):
        if place is None or len(devices) > MOST_WHY:
            break
        page = table.all(place, _PAGE)
        place = page.last
        for registration in page.registrations:
            device = registration.installation or registration.id
            if device not in reached:
                devices.setdefault(device, []).append(registration)
    for registrations in islice(devices.values(), MOST_WHY):
        yield reason_for(send, expression, registrations)


def reason_for(send: Send, expression: TagExpression | None, registrations: list[Registration]) -> Why:
    """Return why a device receives nothing.

    Args:
        send: what was sent.
        expression: the send's; None for a broadcast.
        registrations: all of the device; at least one.
    """
    first = registrations[0]
    installation = first.installation
    whose = (installation, None if installation else first.id)
    sort = [registration for registration in registrations if _is_sort(send, registration)]
    if not sort:
        return Why(*whose, _sort_is_missing(send, registrations), None)
    alive = [registration for registration in sort if not registration.expired]
    if not alive:
        return Why(*whose, "Its channel has expired.", None)
    for registration in alive:
        if expression is not None and not expression.holds(_tags(registration)):
            term = expression.failing(_tags(registration))
            return Why(*whose, f"Its tags do not match '{term}'.", term)
    return Why(*whose, "It was not there when this was sent.", None)


def expression_in(send: Send) -> TagExpression | None:
    """Return a send's tag expression; None where it has none.

    Raises:
        Refused: 400, it is not valid.
    """
    return None if send.expression is None else read_tag_expression(send.expression)


def _candidates(expression: TagExpression | None, table: RegistrationTable) -> list[Registration]:
    """Return the registrations that can match: of a tag that they need, where the expression has one."""
    needed = None if expression is None else expression.needed(table.count_of_tag)
    return table.every() if needed is None else table.of_any_tag(needed)


def _is_sort(send: Send, registration: Registration) -> bool:
    kind = registration.description.kind
    if send.format == TEMPLATE:
        return kind.is_template
    return not kind.is_template and kind.platform == PLATFORMS[send.format]


def _sort_is_missing(send: Send, registrations: list[Registration]) -> str:
    platform = registrations[0].description.kind.platform
    if send.format == TEMPLATE:
        return "It has no template."
    wanted = PLATFORMS[send.format]
    if platform != wanted:
        return f"Its platform is {platform}, not {wanted}."
    return "It has only templates, and this is a native notification."


def _message(send: Send, registration: Registration, properties: dict[str, str]) -> Match:
    description = registration.description
    values = description.values
    if description.kind.is_template:
        variables = {name.lower(): value for name, value in values.get("PushVariables", {}).items()}
        everything = variables | properties
        body = fill_in(values["BodyTemplate"], everything)
        headers = template_headers(description, everything, body)
    else:
        body, headers = send.text, native_headers(send)
    return Match(
        installation=registration.installation,
        registration=registration.id,
        platform=description.kind.platform,
        channel=description.channel,
        body=body,
        headers=headers,
        template=values.get("TemplateName"),
        tile=values.get("SecondaryTileName"),
    )


def _direct(send: Send, handle: Handle, table: RegistrationTable) -> Match:
    """Return the message to a handle that the sender named, whether or not it is registered."""
    platform = PLATFORMS[send.format]
    key = handle if isinstance(handle, str) else handle["endpoint"]
    known = table.of_channel(ChannelQuery((key,), (platform,), any_case=True), 0, 1).registrations
    channel = handle
    if platform == "browser" and isinstance(handle, str):
        channel = read_subscription(handle) or handle
    return Match(
        installation=known[0].installation if known else None,
        registration=known[0].id if known else "",
        platform=platform,
        channel=channel,
        body=send.text,
        headers=native_headers(send),
    )


def _tags(registration: Registration) -> set[str]:
    return {tag.lower() for tag in registration.description.tags}
