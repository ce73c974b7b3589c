"""The frame around every view: navigation, connection strings, what concerns the whole hub, and the keys."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlencode

from nhagent.emulator.page.html import Child, Markup, document, element
from nhagent.emulator.parts import Parts

HOME = "/_emulator/ui/"
MOST_DIGITS = 9
"""Digits of a number in a query that is believed."""
PAGE_SIZE = 50
"""Rows of a list on one page."""
VIEWS = (
    ("", "Deliveries"),
    ("hub", "Hub"),
    ("requests", "Requests"),
    ("faults", "Faults and clock"),
    ("send", "Send"),
)
"""The views: where below `HOME`, and what they are called."""
_KEYS = (
    ("j / k", "next, previous"),
    ("Enter", "open"),
    ("Esc", "back to the list"),
    ("/", "filter"),
    ("s", "send"),
    ("?", "these keys"),
)


@dataclass(frozen=True, slots=True)
class Visit:
    """One look at a view.

    Attributes:
        parts: of the emulator.
        query: the query's first values, by name.
        address: gives the endpoint and the connection strings, by name.
    """

    parts: Parts
    query: dict[str, str]
    address: Callable[[], dict[str, str]]

    def number(self, name: str, default: int = 0) -> int:
        """Return a number of the query; the default where there is none."""
        given = self.query.get(name, "")
        return int(given) if given.isascii() and given.isdigit() and len(given) <= MOST_DIGITS else default

    def link(self, view: str, **query: str | int | None) -> str:
        """Return the address of a view, with a query."""
        kept = {name: value for name, value in query.items() if value not in (None, "")}
        return f"{HOME}{view}" + (f"?{urlencode(kept)}" if kept else "")


def framed(visit: Visit, view: str, main: Markup, problem: str | None = None) -> bytes:
    """Write a page.

    Args:
        visit: the look.
        view: one of `VIEWS`.
        main: what it shows.
        problem: what went wrong with what was asked for; None: nothing.
    """
    title = dict(VIEWS)[view]
    head = element(
        "head",
        element("meta", charset="utf-8"),
        element("meta", name="viewport", content="width=device-width, initial-scale=1"),
        element("meta", name="color-scheme", content="light dark"),
        element("title", f"{title} · {visit.parts.hub.name}"),
        element("link", rel="icon", href="data:,"),
        element("link", rel="stylesheet", href=f"{HOME}style.css"),
        element("script", type="module", src=f"{HOME}page.js"),
    )
    body = element(
        "body",
        element("a", "Skip to the content", href="#main", class_="skip"),
        element(
            "header",
            element(
                "div",
                element("strong", visit.parts.hub.name, class_="name"),
                element("span", "live", id="live", class_="live", role="status"),
                class_="title",
            ),
            element(
                "nav",
                [
                    element("a", name, href=HOME + path, aria_current="page" if path == view else None)
                    for path, name in VIEWS
                ],
                aria_label="Views",
            ),
            _whole_hub(visit),
        ),
        element("p", problem, class_="problem", role="alert") if problem else None,
        element("main", main, id="main", tabindex="-1", data_count=visit.parts.changes.count),
        _help(),
    )
    return document("en", head, body)


def form(action: str, *children: Child, back: str = "", **hidden: str | None) -> Markup:
    """Make a form that asks for something to be done.

    Args:
        action: what, see `nhagent.emulator.page.actions`.
        children: its fields and its button.
        back: the view to return to, with its query.
        hidden: further values.
    """
    fields = {"action": action, "back": back, **hidden}
    return element(
        "form",
        [
            element("input", type="hidden", name=name, value=value)
            for name, value in fields.items()
            if value is not None
        ],
        children,
        method="post",
        action=f"{HOME}do",
    )


def button(label: str, **attributes: str | bool | None) -> Markup:
    """Make a button that sends its form."""
    return element("button", label, type="submit", **attributes)


def pager(visit: Visit, view: str, *, at: int, total: int, **query: str | int | None) -> Markup | None:
    """Make the links to the pages beside this one; None where this is the only one.

    Args:
        visit: the look.
        view: which one.
        at: the page's number, from 0.
        total: rows in all.
        query: the rest of the query.
    """
    if total <= PAGE_SIZE:
        return None
    last = (total - 1) // PAGE_SIZE
    shown = f"{at * PAGE_SIZE + 1} to {min(total, (at + 1) * PAGE_SIZE)} of {total}"
    return element(
        "p",
        element("a", "← before", href=visit.link(view, page=at - 1, **query), rel="prev") if at else None,
        element("span", shown),
        element("a", "after →", href=visit.link(view, page=at + 1, **query), rel="next")
        if at < last
        else None,
        class_="pager",
    )


def filter_form(value: str, placeholder: str) -> Markup:
    """Make the form that filters a list."""
    field = element(
        "input",
        type="search",
        name="filter",
        id="filter",
        value=value,
        placeholder=placeholder,
        aria_label="Filter",
    )
    return element("form", field, button("Filter"), method="get", class_="filter")


def panes(names: tuple[str, str], rows: list[Child], reader: list[Child] | None, hint: str) -> Markup:
    """Make a list beside what is read of it.

    Args:
        names: of the list and of the reader, for those who do not see them.
        rows: the list.
        reader: what is read; None where nothing was chosen yet.
        hint: what to do then.
    """
    return element(
        "div",
        element("section", rows, class_="list", aria_label=names[0]),
        element(
            "section",
            reader or element("p", hint, class_="hint"),
            class_="reader",
            aria_label=names[1],
            id="reader",
        ),
        class_="two" + (" reading" if reader else ""),
    )


def counted(number: int, word: str) -> str:
    """Write a number of things."""
    return f"{number} {word}{'' if number == 1 else 's'}"


def block(title: str, content: str, **attributes: str) -> Markup:
    """Make a titled block of text as it is."""
    return element("section", element("h3", title), element("pre", content, **attributes), class_="block")


def empty(words: str, command: str) -> Markup:
    """Make what an empty view shows: what would fill it."""
    return element("div", element("p", words), element("pre", command), class_="empty")


def _whole_hub(visit: Visit) -> Markup:
    strings = [
        (
            element("dt", name),
            element("dd", element("code", value, id=f"connect-{name}"), copier(f"connect-{name}")),
        )
        for name, value in visit.address().items()
    ]
    upload = element("input", type="file", name="snapshot", accept=".json,application/json", required=True)
    return element(
        "div",
        _menu("connect", "Connect", element("dl", strings)),
        _menu(
            "state",
            "State",
            element(
                "a", "Take a snapshot", href="/_emulator/snapshot", download=f"{visit.parts.hub.name}.json"
            ),
            element(
                "form",
                element("label", "Restore one ", upload),
                button("Restore"),
                method="post",
                enctype="multipart/form-data",
                action=f"{HOME}restore",
            ),
            form("reset", button("Reset: empty everything", class_="danger")),
        ),
        class_="whole",
    )


def _menu(name: str, title: str, *children: Child) -> Markup:
    return element(
        "details", element("summary", title), element("div", children, class_="menu"), id=name, name="menus"
    )


def copier(source: str) -> Markup:
    """Make a button that copies the text of an element."""
    return element("button", "Copy", type="button", data_copy=source)


def _help() -> Markup:
    return element(
        "dialog",
        element("h2", "Keys"),
        element("dl", [(element("dt", element("kbd", key)), element("dd", what)) for key, what in _KEYS]),
        element("form", element("button", "Close"), method="dialog"),
        id="help",
        aria_label="Keys",
    )
