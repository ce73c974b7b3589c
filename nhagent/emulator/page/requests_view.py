"""What the hub was asked, and what it answered."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime

from nhagent.emulator.log import NOT_CARRIED_OUT, WHOLE_KEPT, Exchange
from nhagent.emulator.page.frame import PAGE_SIZE, Visit, block, button, copier, empty, form, panes
from nhagent.emulator.page.html import Child, Markup, element

_UNTOLD = frozenset({"host", "content-length", "accept-encoding", "connection", "transfer-encoding"})
"""Headers that curl writes by itself."""


def view(visit: Visit) -> Markup:
    """Return the view."""
    before = visit.number("before") or None
    found = visit.parts.log.exchanges(PAGE_SIZE + 1, before)
    if not found and before is None:
        return empty("Nobody has asked anything yet.", "nhagent register")
    chosen = _chosen(visit)
    return panes(
        ("Requests", "The request that is read"),
        [_list(visit, found, chosen)],
        _reader(visit, chosen) if chosen else None,
        "Choose a request.",
    )


def _chosen(visit: Visit) -> Exchange | None:
    try:
        return visit.parts.log.exchange(visit.number("request"))
    except KeyError:
        return None


def _list(visit: Visit, found: list[Exchange], chosen: Exchange | None) -> Markup:
    shown = found[:PAGE_SIZE]
    before = visit.number("before") or None
    rows = [
        element(
            "li",
            element(
                "a",
                element("span", _time(each)[11:19], class_="time"),
                element("span", each.entry.method, class_="method"),
                element(
                    "span",
                    element("span", "strict", class_="expired") if each.strict else None,
                    _status(each),
                    class_=f"status s{each.entry.status // 100}",
                ),
                element("span", each.entry.path, class_="summary"),
                href=visit.link("requests", request=each.number, before=before),
                aria_current="true" if chosen and chosen.number == each.number else None,
            ),
        )
        for each in shown
    ]
    older = visit.link("requests", before=shown[-1].number) if len(found) > PAGE_SIZE else None
    return element(
        "div",
        element("ul", rows, class_="rows", id="rows"),
        element(
            "p",
            element("a", "← newest", href=visit.link("requests")) if before else None,
            element("a", "older →", href=older, rel="next") if older else None,
            class_="pager",
        ),
        element("p", f"The last {WHOLE_KEPT} are kept whole.", class_="hint"),
        form("clear-log", button("Remove all"), back="requests"),
    )


def _reader(visit: Visit, exchange: Exchange) -> list[Child]:
    entry = exchange.entry
    target = entry.path + (f"?{entry.query}" if entry.query else "")
    return [
        element("a", "← All requests", href=visit.link("requests"), class_="back"),
        element("h2", f"{entry.method} {entry.path}"),
        element(
            "p",
            f"{_status(exchange)}, {_time(exchange)}, key {entry.key or 'none'}",
            class_="facts",
        ),
        element(
            "p",
            f"The service would have refused this with {exchange.strict[0]}: {exchange.strict[1]}",
            class_="problem",
            id="strict",
        )
        if exchange.strict
        else None,
        block(
            "Request", f"{entry.method} {target}\n{_headers(dict(exchange.headers))}\n{_shown(exchange.body)}"
        ),
        block(
            "Reply",
            f"{_status(exchange)}\n{_headers(dict(exchange.reply_headers))}\n{_shown(exchange.reply_body)}",
        ),
        element(
            "section",
            element("h3", "As curl"),
            element("pre", _as_curl(visit, exchange, target), id="curl"),
            copier("curl"),
            element("p", "$TOKEN is a SAS token of a client of yours.", class_="hint"),
            class_="block",
        ),
    ]


def _status(exchange: Exchange) -> str:
    status = exchange.entry.status
    return "reset" if status == NOT_CARRIED_OUT else str(status)


def _time(exchange: Exchange) -> str:
    return datetime.fromtimestamp(exchange.at, UTC).strftime("%Y-%m-%dT%H:%M:%SZ")


def _headers(headers: dict[str, str]) -> str:
    return "".join(f"{name}: {value}\n" for name, value in headers.items())


def _shown(body: bytes) -> str:
    return body.decode("utf-8", "replace")


def _as_curl(visit: Visit, exchange: Exchange, target: str) -> str:
    words = ["curl", "-X", exchange.entry.method, visit.address()["endpoint"] + target]
    for name, value in exchange.headers.items():
        if name.lower() not in _UNTOLD:
            words += ["-H", f"{name}: {value}"]
    if exchange.body:
        words += ["--data-binary", _shown(exchange.body)]
    return " ".join(map(shlex.quote, words)) + ' -H "Authorization: $TOKEN"'
