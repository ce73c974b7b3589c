from __future__ import annotations

import json
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent.emulator.sends.template_language import evaluate, fill_in

VALUES = {"name": "Ann Bee", "n": "12.50", "url": "a b&c/é", "quote": "<&\"'>", "long": "abcdefghij"}


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("Hello $(name)", "Hello $(name)"),
        ("$(name)", "Ann Bee"),
        ("$(NAME)", "Ann Bee"),
        ("$( name )", "Ann Bee"),
        ("$(missing)", ""),
        ("$(missing:{a \\} b, (c)})", "a } b, (c)"),
        ("$(name:{unused})", "Ann Bee"),
        ("$(long, 4)", "abcd"),
        ("$(long, 0)", ""),
        ("$(long, 40)", "abcdefghij"),
        (".(long, 4)", "a..."),
        (".(long, 3)", "..."),
        (".(long, 2)", ".."),
        (".(long, 0)", ""),
        (".(long, 10)", "abcdefghij"),
        ("%(url)", "a%20b%26c%2F%C3%A9"),
        ("#(n)", "12.50"),
        ("{'Hi ' + $(name) + \"!\"}", "Hi Ann Bee!"),
        ("{'it''s'}", "it's"),
        ("$(name) + $(n)", "Ann Bee12.50"),
        ("{#(n)}", "12.50"),
        ("$(unclosed", "$(unclosed"),
        ("", ""),
    ],
)
def test_a_value_is_evaluated_as_the_service_does(value: str, expected: str) -> None:
    assert evaluate(value, VALUES) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            '{"aps":{"alert":"$(name)","badge":"#(n)"},"x":1}',
            {"aps": {"alert": "Ann Bee", "badge": 12.5}, "x": 1},
        ),
        ('{"a":["$(name)",true,null,"{#(n)}"]}', {"a": ["Ann Bee", True, None, "12.50"]}),
        ('{"$(name)":"Hello $(name)"}', {"$(name)": "Hello $(name)"}),
        ('{"not a number":"#(name)","missing":"#(x)"}', {"not a number": "Ann Bee", "missing": ""}),
        ('"$(quote)"', "<&\"'>"),
    ],
)
def test_a_json_template_stays_json(body: str, expected: object) -> None:
    assert json.loads(fill_in(body, VALUES)) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("<t>$(quote)</t>", "<t>&lt;&amp;\"'&gt;</t>"),
        ("<t a='$(quote)'/>", '<t a="&lt;&amp;&quot;\'&gt;"/>'),
        ("<t>Hello $(name)</t>", "<t>Hello $(name)</t>"),
        ("<t><u>$(name)</u> $(name)</t>", "<t><u>Ann Bee</u> $(name)</t>"),
        ("<t><![CDATA[$(name)]]></t>", "<t>Ann Bee</t>"),
        ("<t><!-- $(name) --><u/></t>", "<t><!-- $(name) --><u/></t>"),
        ("<x:t xmlns:x='urn:x' x:a='$(name)'/>", '<x:t xmlns:x="urn:x" x:a="Ann Bee"/>'),
        ("<t>#(n)</t>", "<t>12.50</t>"),
        ("<t></t>", "<t/>"),
        ("<?xml version='1.0' encoding='utf-8'?><t/>", '<?xml version="1.0" encoding="utf-8"?><t/>'),
        ("<!DOCTYPE t [<!ENTITY e 'x'>]><t>&e;</t>", "<!DOCTYPE t [<!ENTITY e 'x'>]><t>&e;</t>"),
        ("<broken", "<broken"),
    ],
)
def test_an_xml_template_stays_xml(body: str, expected: str) -> None:
    assert fill_in(body, VALUES) == expected


def test_a_raw_template_is_one_value() -> None:
    assert fill_in("$(name)", VALUES) == "Ann Bee"
    assert fill_in("any text with $(name)", VALUES) == "any text with $(name)"


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\x00"), max_size=30)


@given(TEXTS)
def test_no_message_breaks_a_template(text: str) -> None:
    assert json.loads(fill_in('{"m":"$(m)"}', {"m": text})) == {"m": text}
    filled = ET.fromstring(fill_in('<t a="$(m)">$(m)</t>', {"m": text}))
    # What XML cannot carry is replaced.
    assert len(filled.get("a", "")) == len(text)
    assert len(filled.text or "") == len(text)


@given(TEXTS, TEXTS)
def test_no_template_is_worse_than_left_as_it_is(body: str, text: str) -> None:
    assert isinstance(fill_in(body, {"m": text}), str)
    assert isinstance(evaluate(body, {"m": text}), str)
