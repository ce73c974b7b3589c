"""What an emulated hub was asked, as lines that a person can read and compare.

``PATCH installations/(ours) replace /pushChannel=2``: the method, the path with names for ids, and the body
without times and without what every request has. Channels are shown without ``https://push.example/``.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any
from urllib.parse import parse_qsl, unquote
from xml.etree import ElementTree as ET

from nhagent import Template
from nhagent.emulator import Emulator
from tests.device_under_test import TOAST

PUSH = "https://push.example/"
BADGE = Template(body="<badge value='$(n)'/>", headers={"X-WNS-Type": "wns/badge"})
LOUD = Template("<toast>{$(message) + '!'}</toast>", {"X-WNS-Type": "wns/toast"}, ["alerts"])
ZERO = Template(body="<badge value='0'/>", headers={"X-WNS-Type": "wns/badge"})
FRONT = Template(body="<tile>$(front)</tile>", headers={"X-WNS-Type": "wns/tile"})
TEMPLATES = {"TOAST": TOAST, "BADGE": BADGE, "LOUD": LOUD, "ZERO": ZERO, "FRONT": FRONT}
ATOM = "{http://www.w3.org/2005/Atom}"


def drain(hub: Emulator, names: Mapping[str, str]) -> list[str]:
    """Every request since it was last asked, oldest first; the log is empty afterwards.

    Args:
        hub: the emulated hub.
        names: what stands for an id.
    """
    lines = []
    for entry, body in zip(hub.log(), hub.bodies(), strict=True):
        path = unquote(entry.path).removeprefix(f"/{hub.hub}/")
        kind, _, key = path.partition("/")
        query = dict(parse_qsl(entry.query))
        assert query.pop("api-version") == "2020-06"
        query.pop("$top", None)
        parts = [entry.method, f"{kind}/({names.get(key, 'unknown')})" if key else kind]
        parts += [_short(text) for text in query.values()]
        parts += _of_body(body, names)
        if entry.status >= 300 or not entry.status:
            parts.append(f"-> {entry.status}")
        lines.append(" ".join(parts))
    hub.clear_log()
    return lines


def _of_body(body: bytes, names: Mapping[str, str]) -> list[str]:
    if not body:
        return []
    if body.startswith(b"<"):
        return _of_entry(ET.fromstring(body))
    document = json.loads(body)
    if isinstance(document, list):
        return ["; ".join(" ".join(_of_operation(part)) for part in document)]
    assert names[document.pop("installationId")]
    return list(_fields("", document))


def _of_operation(operation: dict[str, Any]) -> list[str]:
    fields = _fields(operation["path"], operation["value"]) if "value" in operation else [operation["path"]]
    return [operation["op"], *fields]


def _fields(name: str, value: Any) -> list[str]:
    """A document flat, field by field, in the order of their names: that of a JSON object means nothing."""
    if isinstance(value, str) and value.startswith("{"):  # the service takes an object in a PATCH as text
        return [f"(as text) {field}" for field in _fields(name, json.loads(value))]
    for title, template in TEMPLATES.items():
        wire = {"body": template.body, "headers": dict(template.headers), "tags": list(template.tags)}
        if value == {key: part for key, part in wire.items() if part}:
            return [f"{name}={title}"]
    if isinstance(value, dict) and value:
        dotted = f"{name}." if name else ""
        return [field for key in sorted(value) for field in _fields(f"{dotted}{key}", value[key])]
    if name == "expirationTime":
        return [f"{name}=(time)"]
    return [f"{name}={_short(value)}"]


def _of_entry(entry: ET.Element) -> list[str]:
    """A registration: its kind, and its elements in their order, which the service minds."""
    content = entry.find(f"{ATOM}content")
    assert content is not None
    [description] = content
    fields = []
    for element in description:
        text = element.text or ""
        if len(element):
            text = ",".join(":".join(part.itertext()) for part in element)
        if _name(element) == "PushVariables":
            fields += _fields("PushVariables", dict(sorted(json.loads(text).items())))
            continue
        fields.append(f"{_name(element)}={_short(text)}")
    return [_name(description).removesuffix("RegistrationDescription"), *fields]


def _name(element: ET.Element) -> str:
    return element.tag.rpartition("}")[2]


def _short(value: object) -> str:
    if isinstance(value, list):
        return "[" + ",".join(map(str, value)) + "]"
    text = value if isinstance(value, str) else json.dumps(value)
    for title, template in TEMPLATES.items():
        text = text.replace(template.body, title)
    return text.replace(PUSH, "")
