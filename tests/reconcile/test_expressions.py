"""What is told of expressions in templates, once, and what is refused; marks before bodies."""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator
from typing import Any

import pytest

from nhagent import HubClient, Installation, SecondaryTile, Template
from nhagent.emulator import Emulator
from nhagent.errors import ConfigurationError
from nhagent.template_expressions import doubts, fault_of
from tests.device_under_test import PLAIN, TOAST, Device, respell
from tests.work import Counted, work_of

from .test_what_is_no_handle import GOOD, of

WHOLE = [
    "$(m)", "$(m, 20)", ".(m, 20)", "%(m)", "#(m)", "$( m )", "$(m:{none})", "$(m:{a)b\\}c})",
    "{'Hello ' + $(m)}",
    "{$(a) + \" 'and' \" + .(b, 5)}", "{'it''s'}", "$(a) + $(b)", "Hello $(m", "100 %", "",
    " #FF0000", "a{b}",
]  # fmt: skip
DOUBTFUL = [
    "$(m) and more", "#FF0000", "{'x' + $(m)", "{name}", "{}", "$5", "...", "%", "%(m, 5)", "#(m, 5)", ".(m)",
    "$(m, )", "$(m, five)", "$(a b)", "$()", "{'a' 'b'}", "{'a' + #(n)}", "{''}", "{'a}", "$(m:{none)",
]  # fmt: skip
UNCLOSED = ["$(m", ".(m, 20", "%(m", "#(m", "$(m:{none}", "$(m:{none", "{'Hello ' + $(m}", "$(m + $(n"]
TOAST_XML = {"X-WNS-Type": "wns/toast"}


@pytest.fixture
def notification_hub() -> Iterator[Emulator]:
    """A hub that takes what the service's own library refuses; what the service does is not recorded."""
    with Emulator("emulated-hub", lenient=True) as hub:
        yield hub


def alert(platform: str, value: str) -> Template:
    """A template of this platform with one value."""
    if platform in {"wns", "mpns"}:
        from xml.sax.saxutils import escape, quoteattr

        headers = TOAST_XML if platform == "wns" else {"X-WindowsPhone-Target": "toast"}
        return Template(f"<t><a b={quoteattr(value)}/><c>{escape(value)}</c></t>", headers)
    text = json.dumps({"message": {"data": [{"n": 1, "t": value}]}})
    return Template(text)


def told(caplog: pytest.LogCaptureFixture) -> list[str]:
    """The warnings about expressions since they were last asked for."""
    found = [record.getMessage() for record in caplog.records if "expression" in record.getMessage()]
    assert all(
        record.levelno == logging.WARNING for record in caplog.records if "express" in record.getMessage()
    )
    caplog.clear()
    return found


@pytest.mark.parametrize("value", WHOLE)
def test_whole_expressions_and_literals_are_told_nothing_of(value: str) -> None:
    assert fault_of(value) is None


@pytest.mark.parametrize("value", DOUBTFUL)
@pytest.mark.parametrize("platform", ["wns", "mpns", "fcmv1", "apns"])
def test_a_value_that_begins_like_an_expression_is_told_once_by_template_and_value(
    device: Device, caplog: pytest.LogCaptureFixture, platform: str, value: str
) -> None:
    device.channel = GOOD[platform]
    mine = of(platform, templates={"plain": alert(platform, "$(m)"), "alert": alert(platform, value)})
    assert device.start(**mine).outcome == "registered"
    warnings = told(caplog)
    assert len(warnings) == (2 if platform in {"wns", "mpns"} else 1)
    assert all(warning.startswith("templates['alert']: ") and repr(value) in warning for warning in warnings)
    assert device.start(**mine).outcome == "unchanged"
    device.channel = GOOD[platform] + "AB"
    assert device.start(**mine).outcome == "updated"
    assert told(caplog) == []


def test_only_a_template_that_changed_is_told_of_again(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    tile = SecondaryTile(lambda: device.tile_channel, templates={"front": alert("wns", "#1")})
    mine: dict[str, Any] = {"templates": {"alert": alert("wns", "#FF")}, "secondary_tiles": {"weather": tile}}
    device.start(**mine)
    assert len(told(caplog)) == 4
    mine["templates"] = {**mine["templates"], "news": alert("wns", "$5")}
    device.start(**mine)
    assert {warning[:17] for warning in told(caplog)} == {"templates['news']"}
    agent = device.agent(templates=None, secondary_tiles=None)
    agent.update(templates={"alert": alert("wns", "#FF"), "news": alert("wns", "$6")})
    assert {"'$6'" in warning for warning in told(caplog)} == {True}


def test_plan_says_it_every_time_and_changes_nothing(
    device: Device, caplog: pytest.LogCaptureFixture
) -> None:
    agent = device.agent(templates={"alert": alert("wns", "#FF0000")})
    for _ in range(2):
        agent.plan()
        assert len(told(caplog)) == 2
    assert device.files == {}
    agent.start()
    assert len(told(caplog)) == 2


@pytest.mark.parametrize(
    ("expiry", "is_told"),
    [("soon", True), ("$(e) or so", True), ("0", False), ("2030-01-02T03:04:05Z", False), ("$(e)", False),
     ("Wed, 02 Jan 2030 03:04:05 GMT", False), ("01/02/2030 3:04:05 PM", False), ("12345x", True)],
)  # fmt: skip
def test_an_expiry_that_is_neither_date_nor_expression_is_told(
    device: Device, caplog: pytest.LogCaptureFixture, expiry: str, is_told: bool
) -> None:
    device.channel = GOOD["apns"]
    device.start(**of("apns", templates={"alert": Template('{"aps": {}}', expiry=expiry)}))
    warnings = told(caplog)
    assert len(warnings) == is_told
    assert all(repr(expiry) in warning and "'alert'" in warning for warning in warnings)


@pytest.mark.parametrize("platform", ["wns", "fcmv1", "apns"])
@pytest.mark.parametrize("value", UNCLOSED)
def test_an_expression_that_is_never_closed_is_refused(device: Device, platform: str, value: str) -> None:
    templates = {"alert": alert(platform, value)}
    device.channel = GOOD[platform]
    with pytest.raises(ConfigurationError, match=r"templates\['alert'\]: .*never closed"):
        device.agent(**of(platform, templates=templates))
    with pytest.raises(ConfigurationError, match="never closed"):
        Installation("device", platform, GOOD[platform], templates=templates)  # type: ignore[arg-type]
    agent = device.agent(**of(platform))
    with pytest.raises(ConfigurationError, match="never closed"):
        agent.update(templates=templates)
    assert device.seen() == []


def test_an_expression_that_is_never_closed_is_refused_beside_others_and_elsewhere(device: Device) -> None:
    for template in (
        Template('{"message": {"a": "$(title", "b": "(in brackets))"}}'),
        Template('<t a="$(title"><b>$(c)</b></t>', TOAST_XML),
        Template("<t>$(title</t>", TOAST_XML),
        Template("<t/>", {**TOAST_XML, "X-WNS-Tag": "$(tag"}),
    ):
        platform = "wns" if template.headers else "fcmv1"
        with pytest.raises(ConfigurationError, match="never closed"):
            device.agent(**of(platform, channel=GOOD[platform], templates={"alert": template}))
    with pytest.raises(ConfigurationError, match="never closed"):
        device.agent(
            **of("apns", channel=GOOD["apns"], templates={"alert": Template('{"aps": {}}', expiry="$(e")})
        )


@pytest.mark.parametrize(
    "template",
    [
        Template("any $(thing (at all", {"X-WNS-Type": "wns/raw"}),
        Template("<t>:( and (</t>", TOAST_XML),
        Template("<t>{'costs $(' + $(m)}</t>", TOAST_XML),
        Template("<!DOCTYPE t><t>#FF</t>", TOAST_XML),
    ],
)
def test_what_is_no_expression_is_taken(
    device: Device, caplog: pytest.LogCaptureFixture, template: Template
) -> None:
    assert device.start(**of("wns", templates={"alert": template})).outcome == "registered"
    assert told(caplog) == []


@pytest.mark.parametrize("unit", ["$(", "{'a", "$(a)+", "$(a:{", "''", "\\", "$(a:{})+"])
def test_a_value_twice_as_long_takes_twice_the_work(unit: str) -> None:
    def work(times: int) -> int:
        text = Counted("{" + unit * times)
        return work_of(lambda: fault_of(text))

    work(8)
    little, much = work(2_000), work(4_000)
    assert much < 2.5 * little + 1000


def test_the_project_itself_declares_no_doubtful_template() -> None:
    for platform, template in (("wns", TOAST), ("fcmv1", alert("fcmv1", "$(message)"))):
        assert list(doubts(platform, template.body, template.headers, template.expiry)) == []


def test_a_byte_order_mark_before_a_body_is_dropped(device: Device) -> None:
    for platform, body in (("wns", TOAST.body), ("fcmv1", '{"message": {}}')):
        made = Template(f"\ufeff{body}", TOAST.headers if platform == "wns" else {})
        device.channel = GOOD[platform]
        device.start(**of(platform, templates={"alert": made}))
        [held] = device.held()
        assert held["templates"]["alert"]["body"] == body
        device.seen()
        bare = Template(body, made.headers)
        assert device.start(**of(platform, templates={"alert": bare})).outcome == "unchanged"


def test_a_byte_order_mark_that_an_older_version_kept_is_dropped(device: Device) -> None:
    device.start(**of("wns", templates={"alert": TOAST}))
    path = device.files["state.json"]
    respell(path, '"<toast>', '"\\ufeff<toast>')
    device.seen()
    assert device.start(**of("wns", templates=None)).outcome == "updated"
    assert device.held()[0]["templates"]["alert"]["body"] == TOAST.body


@pytest.mark.parametrize("style", ["installation", "registration"])
def test_remembered_templates_are_checked_when_the_platform_changes(device: Device, style: str) -> None:
    old = Template('{"data": {"text": "$(m)"}}')
    device.channel = GOOD["gcm"]
    device.start(**of("gcm", style=style, templates={"alert": old}))
    device.seen()
    device.channel = GOOD["fcmv1"]
    with pytest.raises(ConfigurationError, match=r"templates\['alert'\]\.body: has no \"message\"") as caught:
        device.start(**of("fcmv1", style=style, templates=None))
    assert "message" in caught.value.hint
    assert device.seen() == []
    new = Template('{"message": {"data": {"text": "$(m)"}}}')
    device.start(**of("fcmv1", style=style, templates={"alert": new}))
    assert device.start(**of("fcmv1", style=style, templates=None)).outcome == "unchanged"


@pytest.mark.parametrize(
    ("before", "after", "template", "words"),
    [
        ("wns", "apns", TOAST, "X-WNS-Type"),
        ("apns", "fcmv1", Template('{"aps": {}}', expiry="0"), "expiry: only apns has one"),
        ("fcmv1", "wns", Template('{"message": {}}'), "X-WNS-Type is missing"),
        ("gcm", "mpns", Template("{}"), "X-WindowsPhone-Target is missing"),
    ],
)
def test_templates_of_another_platform_are_errors_that_name_them(
    device: Device, before: str, after: str, template: Template, words: str
) -> None:
    device.channel = GOOD[before]
    device.start(**of(before, templates={"alert": template}))
    device.seen()
    device.channel = GOOD[after]
    with pytest.raises(ConfigurationError, match=r"templates.'alert'") as caught:
        device.start(**of(after, templates=None))
    assert words.split(":", maxsplit=1)[0].lower() in str(caught.value).lower()
    assert device.seen() == []


def test_a_template_at_the_hub_that_this_platform_cannot_have_is_left_out(
    device: Device, backend: HubClient
) -> None:
    device.channel = GOOD["fcmv1"]
    first = device.start(**of("fcmv1", templates={"alert": alert("fcmv1", "$(m)")}, first_run_list=True))
    body = '{"data": {}}'
    backend.patch_installation(
        str(first.installation_id),
        [{"op": "replace", "path": "/templates/alert/body", "value": body}],
    )
    for path in device.files.values():
        path.unlink()
    mine = {**PLAIN, "platform": "fcmv1", "templates": None, "first_run_list": True}
    assert device.start(**mine).error is None
    assert "templates" not in device.held()[0]
