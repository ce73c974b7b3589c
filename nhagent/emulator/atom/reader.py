"""Read a registration description from a request's Atom entry.

The service reads by the rules of .NET's DataContractSerializer, and so does strict mode here. It follows the
order of the contract. An element that the rest of the contract does not name is skipped, so an optional
element out of its place is silently lost. One that is named further down is refused if a required element
lies before it.
"""

from __future__ import annotations

from typing import Any

from nhagent.emulator.atom.descriptions import (
    HEADERS,
    KINDS,
    OWN_ELEMENTS,
    Description,
    Element,
    Kind,
    unique_tags,
)
from nhagent.emulator.atom.xml_tree import Node, NotXml, parse
from nhagent.emulator.channels import kept_uri
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.json_text import NotJson, read_json

ATOM = "http://www.w3.org/2005/Atom"
CONTRACT = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
INSTANCE = "http://www.w3.org/2001/XMLSchema-instance"

_SUFFIX = "RegistrationDescription"


def read_description(body: bytes, *, lenient: bool = False) -> Description:
    """Read the description in a request's body.

    Args:
        body: an Atom entry.
        lenient: accept the elements in any order and namespace.

    Raises:
        Refused: 400, it is not XML, not an entry with a known description, or violates the contract.
    """
    try:
        root = parse(body)
    except NotXml as error:
        raise Refused(400, f"The request body is not valid XML. {error}") from error
    content = _content(root, lenient=lenient)
    if content is None or len(content.children) != 1:
        raise _unknown()
    node = content.children[0]
    kind = _kind(node, lenient=lenient)
    found = _in_any_order(node) if lenient else _in_order(node, kind)
    values: dict[str, Any] = {}
    for element in kind.elements:
        member = found.get(element.name)
        if member is None or element.name in OWN_ELEMENTS or _is_nil(member):
            continue
        value = _value(member, element.name, lenient=lenient)
        # An empty element counts as absent, except that empty Tags are one empty tag, which is an error.
        if value or element.name == "Tags":
            values[element.name] = value
    if "ChannelUri" in values:
        values["ChannelUri"] = kept_uri(kind.platform, values["ChannelUri"])
    for element in kind.elements:
        # Which headers a template needs is checked in validation.
        if element.required and element.name not in HEADERS and element.name not in values:
            raise Refused(400, f"'{element.name}' is required.")
    return Description(kind, values)


def _content(root: Node, *, lenient: bool) -> Node | None:
    if not _is(root, ATOM, "entry", lenient=lenient):
        return None
    return next((child for child in root.children if _is(child, ATOM, "content", lenient=lenient)), None)


def _kind(node: Node, *, lenient: bool) -> Kind:
    """Find the type by the element's own name, or by ``i:type`` on the base type, which is .NET's way."""
    if not lenient and node.namespace != CONTRACT:
        raise _unknown()
    name = node.name
    if name == _SUFFIX:
        name = (node.attribute(INSTANCE, "type") or "").strip().rpartition(":")[2]
    kind = KINDS.get(name.removesuffix(_SUFFIX)) if name.endswith(_SUFFIX) else None
    if kind is None:
        raise _unknown()
    return kind


def _in_any_order(node: Node) -> dict[str, Node]:
    found: dict[str, Node] = {}
    for child in node.children:
        found.setdefault(child.name, child)
    return found


def _in_order(node: Node, kind: Kind) -> dict[str, Node]:
    elements = kind.elements
    found: dict[str, Node] = {}
    place = 0
    for child in node.children:
        if child.namespace != CONTRACT:
            continue
        at = next((n for n in range(place, len(elements)) if elements[n].name == child.name), None)
        if at is None:
            continue
        if any(element.required for element in elements[place:at]):
            raise _unexpected("Element", child.name, child.line, child.position, elements[place:])
        found[child.name] = child
        place = at + 1
    if any(element.required for element in elements[place:]):
        raise _unexpected("EndElement", node.name, node.end_line, node.end_position, elements[place:])
    return found


def _unexpected(what: str, name: str, line: int, position: int, left: tuple[Element, ...]) -> Refused:
    """Name, in the service's words, every element that could have stood here, up to the required one."""
    required = next(n for n, element in enumerate(left) if element.required)
    expected = " | ".join(element.name for element in left[: required + 1])
    return _unreadable(
        f"'{what}' '{name}' from namespace '{CONTRACT}' is not expected. Expecting element '{expected}'.",
        line,
        position,
    )


def _unreadable(reason: str, line: int, position: int) -> Refused:
    return Refused(
        400, f"Failed to parse RegistrationDescription Error in line {line} position {position}. {reason}"
    )


def _value(node: Node, name: str, *, lenient: bool) -> Any:
    if name in HEADERS:
        return _headers(node, HEADERS[name], lenient=lenient)
    if node.children:
        raise _unreadable(f"'{name}' holds elements instead of text.", node.line, node.position)
    if name == "Tags":
        return unique_tags(tag.strip() for tag in node.text.split(","))
    if name == "PushVariables":
        return _push_variables(node)
    if name == "MessageType" and node.text.strip() and not node.text.strip().lstrip("-").isdecimal():
        raise _unreadable(f"The value '{node.text}' cannot be parsed as 'Int32'.", node.line, node.position)
    return node.text


def _push_variables(node: Node) -> dict[str, str]:
    if not node.text.strip():
        return {}
    try:
        found = read_json(node.text)
    except NotJson:
        found = None
    if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
        raise _unreadable("'PushVariables' is not a JSON object of strings.", node.line, node.position)
    return found


def _headers(node: Node, one: str, *, lenient: bool) -> dict[str, str]:
    found: dict[str, str] = {}
    for child in node.children:
        if not _is(child, CONTRACT, one, lenient=lenient):
            continue
        parts = {part.name: part.text for part in child.children}
        if "Header" not in parts or "Value" not in parts:
            raise _unreadable(f"'{one}' needs 'Header' and 'Value'.", child.line, child.position)
        found[parts["Header"]] = parts["Value"]
    return found


def _is(node: Node, namespace: str, name: str, *, lenient: bool) -> bool:
    return node.name == name and (lenient or node.namespace == namespace)


def _is_nil(node: Node) -> bool:
    return (node.attribute(INSTANCE, "nil") or "").strip() in ("true", "1")


def _unknown() -> Refused:
    return Refused(400, "The specified resource description is invalid.")
