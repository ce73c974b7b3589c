"""What was sent: a list beside the message that is read."""

from __future__ import annotations

import json

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
    panes,
)
from nhagent.emulator.page.html import Child, Markup, element
from nhagent.emulator.page.previews import preview_of
from nhagent.emulator.sends.delivery import Delivery, Match, Why

_COMMAND = """nhagent hub send --broadcast --property message="Dinner is ready"
# or, with any client, POST {endpoint}/{hub}/messages"""


def view(visit: Visit) -> Markup:
    """Return the view."""
    found = _filtered(visit)
    chosen = visit.parts.sender.deliveries.find(visit.query.get("delivery", "")) if found else None
    filter_ = filter_form(visit.query.get("filter", ""), "Filter: a tag, a device, a word  ( / )")
    return panes(
        ("Deliveries", "The delivery that is read"),
        [filter_, _list(visit, found, chosen)],
        _reader(visit, chosen) if chosen else None,
        "Choose a delivery.",
    )


def _filtered(visit: Visit) -> list[Delivery]:
    """Return the deliveries that match the filter, newest first."""
    wanted = visit.query.get("filter", "").strip().lower()
    newest = reversed(visit.parts.sender.deliveries.entries())
    return [delivery for delivery in newest if not wanted or wanted in _searched(delivery)]


def _searched(delivery: Delivery) -> str:
    devices = " ".join(f"{match.installation or match.registration}" for match in delivery.matched[:1000])
    return f"{delivery.format} {delivery.expression or ''} {delivery.sent_body} {devices}".lower()


def _list(visit: Visit, found: list[Delivery], chosen: Delivery | None) -> Markup:
    if not found:
        if visit.query.get("filter"):
            return element("p", "Nothing matches the filter.", class_="hint")
        endpoint = visit.address()["endpoint"]
        words = "Nothing was sent yet. This sends to every template:"
        return empty(words, _COMMAND.format(endpoint=endpoint, hub=visit.parts.hub.name))
    at = visit.number("page")
    shown = found[at * PAGE_SIZE : (at + 1) * PAGE_SIZE]
    wanted = visit.query.get("filter")
    rows = [
        element(
            "li",
            element(
                "a",
                element("span", delivery.at[11:19], class_="time", title=delivery.at),
                element("span", _to(delivery), class_="to"),
                element("span", _count(delivery), class_="count" if delivery.matched else "count none"),
                element("span", _summary(delivery), class_="summary"),
                href=visit.link("", delivery=delivery.id, filter=wanted, page=at or None),
                aria_current="true" if chosen and chosen.id == delivery.id else None,
            ),
        )
        for delivery in shown
    ]
    return element(
        "div",
        element("ul", rows, class_="rows", id="rows"),
        pager(visit, "", at=at, total=len(found), filter=wanted),
        form("clear-deliveries", button("Remove all")),
    )


def _to(delivery: Delivery) -> str:
    if delivery.target == "direct":
        return "direct"
    return delivery.expression or "everybody"


def _count(delivery: Delivery) -> str:
    devices = {match.installation or match.registration for match in delivery.matched}
    return counted(len(devices), "device")


def _summary(delivery: Delivery) -> str:
    body = delivery.matched[0].body if delivery.matched else delivery.sent_body
    preview = preview_of(body)
    return " · ".join(part for part in (delivery.format, preview.title, preview.text) if part)[:200]


def _reader(visit: Visit, delivery: Delivery) -> list[Child]:
    at = visit.number("match")
    chosen = delivery.matched[at] if at < len(delivery.matched) else None
    return [
        element(
            "a", "← All deliveries", href=visit.link("", filter=visit.query.get("filter")), class_="back"
        ),
        element("h2", _to(delivery)),
        element(
            "p",
            f"{delivery.format}{', a test' if delivery.test else ''}, {delivery.at}, {_count(delivery)}, ",
            element("code", delivery.id),
            class_="facts",
        ),
        _message(chosen) if chosen else element("p", "No device receives this.", class_="hint"),
        _receivers(visit, delivery, at) if len(delivery.matched) > 1 else None,
        _others(visit, delivery),
        block("What was sent", _pretty(delivery.sent_body)),
    ]


def _message(match: Match) -> Markup:
    preview = preview_of(match.body)
    channel = match.channel if isinstance(match.channel, str) else match.channel.get("endpoint", "")
    facts = {
        "device": match.installation or "a registration of its own",
        "registration": match.registration,
        "template": match.template,
        "tile": match.tile,
        "channel": channel,
        "outcome": match.outcome,
    }
    return element(
        "article",
        element(
            "div",
            element("b", preview.title) if preview.title else None,
            element("span", preview.text),
            class_=f"toast {match.platform}",
            id="rendered",
        ),
        element(
            "dl",
            [(element("dt", name), element("dd", value)) for name, value in facts.items() if value],
            class_="facts",
        ),
        block("Raw", _pretty(match.body), id="raw"),
        block("Headers", "\n".join(f"{name}: {value}" for name, value in match.headers.items()) or "none"),
    )


def _receivers(visit: Visit, delivery: Delivery, at: int) -> Markup:
    begin = at // PAGE_SIZE * PAGE_SIZE
    links = [
        element(
            "a",
            match.installation or match.registration,
            f" ({match.platform}{', ' + match.template if match.template else ''})",
            href=visit.link("", delivery=delivery.id, match=number),
            aria_current="true" if number == at else None,
        )
        for number, match in enumerate(delivery.matched[begin : begin + PAGE_SIZE], begin)
    ]
    before = visit.link("", delivery=delivery.id, match=max(0, begin - PAGE_SIZE)) if begin else None
    end = begin + PAGE_SIZE
    after = visit.link("", delivery=delivery.id, match=end) if end < len(delivery.matched) else None
    return element(
        "details",
        element("summary", f"{len(delivery.matched)} messages"),
        element("ul", [element("li", link) for link in links], class_="receivers"),
        element("a", "← before", href=before) if before else None,
        element("a", "after →", href=after) if after else None,
        open=True,
        id="receivers",
    )


def _others(visit: Visit, delivery: Delivery) -> Markup | None:
    asked = visit.query.get("why", "").strip()
    return element(
        "section",
        element("h3", "Why others did not receive it"),
        element(
            "table",
            element("thead", element("tr", [element("th", name) for name in ("device", "reason")])),
            element("tbody", [_why(delivery, why) for why in delivery.why]),
        )
        if delivery.why
        else element("p", "There were no others.", class_="hint"),
        element(
            "form",
            element("input", type="hidden", name="delivery", value=delivery.id),
            element(
                "input", name="why", value=asked, placeholder="Another installation's id", aria_label="Device"
            ),
            button("Ask"),
            method="get",
        ),
        _answer(visit, delivery, asked) if asked else None,
        class_="why",
        id="why",
    )


def _answer(visit: Visit, delivery: Delivery, installation: str) -> Markup:
    try:
        why = visit.parts.sender.why_not(delivery.id, installation)
    except KeyError as error:
        return element("p", str(error.args[0]), class_="hint")
    if why is None:
        return element("p", f"{installation} received it.", class_="hint")
    return element("table", element("tbody", _why(delivery, why)))


def _why(delivery: Delivery, why: Why) -> Markup:
    return element(
        "tr",
        element("td", why.installation or why.registration),
        element("td", why.reason, _marked(delivery.expression or "", why.term) if why.term else None),
    )


def _marked(expression: str, term: str) -> Markup:
    """Show a tag expression with the part that is not true."""
    before, found, after = expression.partition(term)
    if not found:
        return element("code", element("mark", term))
    return element("code", before, element("mark", term), after)


def _pretty(body: str) -> str:
    try:
        document = json.loads(body)
    except (ValueError, RecursionError):
        return body
    return json.dumps(document, indent=2, ensure_ascii=False) if isinstance(document, dict | list) else body
