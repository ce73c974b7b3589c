"""What the hub holds: each installation with all that belongs to it, and the registrations of clients."""

from __future__ import annotations

import json
from typing import Any

from nhagent.emulator.atom.descriptions import Registration
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.page.frame import (
    PAGE_SIZE,
    Visit,
    block,
    button,
    counted,
    empty,
    filter_form,
    form,
    pager,
)
from nhagent.emulator.page.html import Child, Markup, element

_COMMAND = """nhagent register        # a device whose configuration names this hub
nhagent demo            # or look at one that is made up"""
_MOST_REACHED = 50


def view(visit: Visit) -> Markup:
    """Return the view."""
    wanted, at = visit.query.get("filter", "").strip(), visit.number("page")
    hub = visit.parts.present_hub()
    devices, total = hub.page_of_installations(at * PAGE_SIZE, PAGE_SIZE, wanted)
    rows, lone = hub.page_of_registrations(visit.number("lone") * PAGE_SIZE, PAGE_SIZE, wanted)
    if not total and not lone and not wanted:
        return empty("The hub holds nothing yet.", _COMMAND)
    return element(
        "div",
        filter_form(wanted, "Filter: an id, a tag, a channel  ( / )"),
        _reach(visit),
        element("h2", counted(total, "installation")),
        element("ul", [_installation(visit, device) for device in devices], class_="tree rows", id="rows"),
        pager(visit, "hub", at=at, total=total, filter=wanted),
        [
            element("h2", f"{counted(lone, 'registration')} that clients made"),
            element("ul", [_registration(row) for row in rows], class_="tree"),
            pager(visit, "hub", at=visit.number("lone"), total=lone, filter=wanted),
        ]
        if lone
        else None,
        class_="one",
    )


def _reach(visit: Visit) -> Markup:
    expression = visit.query.get("reach", "")
    return element(
        "section",
        element(
            "form",
            element(
                "label",
                "What a send would reach ",
                element("input", name="reach", value=expression, placeholder="kitchen && !news"),
            ),
            button("Show"),
            method="get",
            class_="reach",
        ),
        _reached(visit, expression) if "reach" in visit.query else None,
    )


def _reached(visit: Visit, expression: str) -> Markup:
    found: dict[str, set[str]] = {}
    try:
        for kind in ("template", "windows", "apple", "fcmv1", "gcm", "browser"):
            for match in visit.parts.sender.reach(kind, expression.strip() or None):
                found.setdefault(match.installation or match.registration, set()).add(kind)
    except Refused as refused:
        return element("p", refused.detail, class_="problem")
    if not found:
        return element("p", "Nobody.", class_="hint")
    shown = [
        element("li", device, element("span", f" {', '.join(sorted(kinds))}", class_="facts"))
        for device, kinds in list(found.items())[:_MOST_REACHED]
    ]
    more = len(found) - len(shown)
    return element(
        "div",
        element("p", f"{counted(len(found), 'device')}:"),
        element("ul", shown),
        element("p", f"and {more} more", class_="hint") if more > 0 else None,
        id="reached",
    )


def _installation(visit: Visit, device: dict[str, Any]) -> Markup:
    device_id = str(device["installationId"])
    made = visit.parts.hub.table.of_installation(device_id).values()
    return _record(
        ("installation", device_id),
        _summary(device_id, device["platform"], device),
        [
            _facts(device),
            [_template(name, template) for name, template in device.get("templates", {}).items()],
            [_tile(name, tile) for name, tile in device.get("secondaryTiles", {}).items()],
            _made(list(made)),
        ],
        gone="404 at its next request",
    )


def _registration(row: dict[str, Any]) -> Markup:
    row_id = str(row["registrationId"])
    return _record(
        ("registration", row_id),
        _summary(row_id, row["kind"], row),
        [
            _channel(row.get("channel")),
            block("Body", str(row["bodyTemplate"])) if "bodyTemplate" in row else None,
        ],
        gone="Gone: 410 from now on",
    )


def _record(named: tuple[str, str], summary: Markup, content: list[Child], *, gone: str) -> Markup:
    """Show a record, folded, and what can be done to it.

    Args:
        named: its kind and its id.
        summary: what is seen while it is folded.
        content: the rest.
        gone: what "gone" means for it.
    """
    kind, record_id = named
    whose = {"back": "hub", kind: record_id}
    buttons = element(
        "div",
        form("expire", button("The channel is dead"), **whose),
        form("forget", button("Forget it"), **whose),
        form("gone", button(gone), **whose),
        class_="buttons",
    )
    return element("li", element("details", summary, content, buttons, id=f"{kind[0]}-{record_id}"))


def _summary(name: str, kind: str, facts: dict[str, Any]) -> Markup:
    return element(
        "summary",
        element("b", name),
        element("span", kind, class_="platform"),
        element("span", "expired", class_="expired") if facts.get("pushChannelExpired") else None,
        _tags(facts.get("tags", [])),
    )


def _channel(channel: Any) -> Markup:
    shown = channel if isinstance(channel, str) else json.dumps(channel)
    return element("dl", element("dt", "push channel"), element("dd", shown), class_="facts")


def _made(registrations: list[Registration]) -> Markup:
    rows = [
        element(
            "li",
            element("code", each.id),
            f" {each.description.kind.name}, ETag {each.etag} ",
            _tags(each.description.tags),
        )
        for each in registrations
    ]
    return element(
        "details", element("summary", f"{len(rows)} registrations that stand for it"), element("ul", rows)
    )


def _facts(device: dict[str, Any]) -> Markup:
    channel = device.get("pushChannel")
    facts = {
        "push channel": channel if isinstance(channel, str) else json.dumps(channel),
        "user": device.get("userId"),
        "expires": device.get("expirationTime"),
        "push variables": json.dumps(device["pushVariables"]) if device.get("pushVariables") else None,
    }
    rows: list[Child] = [
        (element("dt", name), element("dd", value)) for name, value in facts.items() if value
    ]
    return element("dl", rows, class_="facts")


def _template(name: str, template: dict[str, Any]) -> Markup:
    headers = "\n".join(f"{key}: {value}" for key, value in template.get("headers", {}).items())
    return element(
        "details",
        element("summary", "template ", element("b", name), _tags(template.get("tags", []))),
        block("Body", str(template.get("body", ""))),
        block("Headers", headers) if headers else None,
    )


def _tile(name: str, tile: dict[str, Any]) -> Markup:
    return element(
        "details",
        element(
            "summary",
            "tile ",
            element("b", name),
            element("span", "expired", class_="expired") if tile.get("pushChannelExpired") else None,
            _tags(tile.get("tags", [])),
        ),
        _channel(str(tile.get("pushChannel"))),
        [_template(key, template) for key, template in tile.get("templates", {}).items()],
    )


def _tags(tags: list[str]) -> Markup:
    return element("span", [element("span", tag, class_="tag") for tag in tags], class_="tags")
