"""Send something, and see beforehand whom it would reach."""

from __future__ import annotations

from nhagent.emulator.http_messages import Refused
from nhagent.emulator.page.frame import Visit, button, counted, form
from nhagent.emulator.page.html import Markup, element
from nhagent.emulator.sends.send import PLATFORMS

SAMPLES = {
    "template": '{"title": "Dinner", "message": "It is ready"}',
    "windows": '<toast><visual><binding template="ToastText02"><text id="1">Dinner</text>'
    '<text id="2">It is ready</text></binding></visual></toast>',
    "apple": '{"aps": {"alert": {"title": "Dinner", "body": "It is ready"}}}',
    "fcmv1": '{"message": {"notification": {"title": "Dinner", "body": "It is ready"}}}',
    "gcm": '{"data": {"message": "It is ready"}}',
    "browser": '{"title": "Dinner", "message": "It is ready"}',
}
"""A body of each format."""


def view(visit: Visit, problem: str | None = None) -> Markup:
    """Return the view.

    Args:
        visit: the look; its query has the fields.
        problem: why what was asked for was not sent.
    """
    kind = visit.query.get("format", "template")
    expression = visit.query.get("tags", "")
    body = visit.query.get("body") or SAMPLES.get(kind, "{}")
    formats = [
        element("option", name, value=name, selected=name == kind) for name in ("template", *PLATFORMS)
    ]
    tags = element(
        "input",
        name="tags",
        id="tags",
        value=expression,
        placeholder="kitchen && !news",
        autocomplete="off",
    )
    text = element("textarea", body, name="body", id="body", rows=8, spellcheck="false")
    count_again = element(
        "button", "Count again", type="submit", formmethod="get", formaction=visit.link("send")
    )
    return element(
        "div",
        form(
            "send",
            element("label", "Format", element("select", formats, name="format", id="format")),
            element("label", "Tag expression; nothing: everybody", tags),
            element("p", *_reach(visit, kind, expression), id="reach", role="status"),
            element("label", "Body", text),
            element("p", problem, class_="problem", role="alert") if problem else None,
            element("div", button("Send"), count_again, class_="buttons"),
        ),
        class_="one send",
        data_keep="send",
    )


def _reach(visit: Visit, kind: str, expression: str) -> list[str | Markup]:
    try:
        matches = visit.parts.sender.reach(kind, expression.strip() or None)
    except Refused as refused:
        return [element("span", refused.detail, class_="problem")]
    devices = {match.installation or match.registration for match in matches}
    messages = f", {len(matches)} messages" if len(matches) != len(devices) else ""
    return [f"Reaches {counted(len(devices), 'device')}{messages} now."]
