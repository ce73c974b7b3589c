"""What goes wrong next, and what time it is at the hub."""

from __future__ import annotations

from dataclasses import fields
from datetime import UTC, datetime
from math import isinf
from typing import Any

from nhagent.emulator.faults import Fault
from nhagent.emulator.page.frame import Visit, button, counted, form
from nhagent.emulator.page.html import Markup, element

PRESETS: dict[str, tuple[str, dict[str, Any]]] = {
    "away": ("The hub is away: 503 for three requests", {"match": "*", "status": 503, "times": 3}),
    "throttled": (
        "Throttled: 429, again after 10 seconds",
        {"match": "*", "status": 429, "headers": {"Retry-After": "10"}},
    ),
    "unauthorized": ("The token is refused: 401", {"match": "*", "status": 401}),
    "quota": (
        "The namespace is full: 403",
        {
            "match": "*",
            "status": 403,
            "body": "<Error><Code>403</Code><Detail>QuotaExceeded</Detail></Error>",
        },
    ),
    "lost": ("A write is carried out, and its reply is lost", {"match": "PUT", "reset": "after"}),
    "reset": ("The connection is reset before anything", {"match": "*", "reset": "before"}),
    "slow": ("Slow: five seconds for each of five replies", {"match": "*", "delay": 5.0, "times": 5}),
    "cut": ("The reply breaks off", {"match": "*", "cut_after": 120}),
    "portal": (
        "A captive portal answers",
        {
            "match": "*",
            "status": 200,
            "headers": {"Content-Type": "text/html"},
            "body": "<html>Sign in</html>",
        },
    ),
    "late": ("A write takes effect five seconds after its reply", {"match": "PUT", "late": 5.0}),
    "ignored": ("A PUT is answered with 200 and does nothing", {"match": "PUT", "ignored": "always"}),
    "chance": (
        "Every third request fails with 500, by chance",
        {"match": "*", "status": 500, "probability": 0.33},
    ),
}
"""What people most want to go wrong: in words, and as the members of a fault."""
CLOCKS = {
    "an hour ahead": 3600,
    "a day ahead": 86400,
    "91 days ahead": 91 * 86400,
    "an hour behind": -3600,
    "this machine's time": 0,
}
"""Offsets of the clock that are offered, in seconds."""


def view(visit: Visit) -> Markup:
    """Return the view."""
    waiting = visit.parts.faults.waiting()
    return element(
        "div",
        element("h2", "Goes wrong next"),
        element(
            "ol", [element("li", _told(fault, left)) for fault, left in waiting], class_="rows", id="rows"
        )
        if waiting
        else element("p", "Nothing goes wrong.", class_="hint"),
        form("clear-faults", button("Nothing more"), back="faults") if waiting else None,
        element("h2", "Let something go wrong"),
        element(
            "div",
            [
                form("fault", button(words), back="faults", preset=name)
                for name, (words, _) in PRESETS.items()
            ],
            class_="presets",
        ),
        element("p", "Others: POST /_emulator/faults, or hub.fail(…).", class_="hint"),
        _clock_forms(visit),
        class_="one",
    )


def _clock_forms(visit: Visit) -> list[Markup]:
    offset = element("input", name="offset", type="number", step="any", value="0")
    offered = [
        form("clock", button(words.capitalize()), back="faults", offset=str(seconds))
        for words, seconds in CLOCKS.items()
    ]
    return [
        element("h2", "The hub's clock"),
        element("p", _clock(visit), id="clock"),
        element("div", offered, class_="presets"),
        form("clock", element("label", "Seconds ahead ", offset), button("Set"), back="faults"),
    ]


def _told(fault: Fault, left: float) -> str:
    names = (field.name for field in fields(fault) if field.name not in ("match", "times"))
    defaults = Fault("*")
    changed = [
        f"{name} {getattr(fault, name)}" for name in names if getattr(fault, name) != getattr(defaults, name)
    ]
    times = "every time" if isinf(left) else counted(int(left), "time")
    return f"{fault.match}: {', '.join(changed)} ({times})"


def _clock(visit: Visit) -> str:
    offset = visit.parts.clock.offset
    now = datetime.fromtimestamp(visit.parts.clock.now(), UTC)
    side = "ahead of" if offset > 0 else "behind"
    against = f"{abs(offset):,.0f} s {side} this machine's" if offset else "this machine's"
    return f"{now:%Y-%m-%d %H:%M:%S} UTC, {against}"
