"""Write registrations as Atom entries, and read entries and feeds of them.

The service reads a description's elements in the order of its contract: a required one out of place is
refused, an optional one is dropped without a word. So the order here is the contract's, for every type. When
reading, both forms of the root are read (``XRegistrationDescription``, and ``RegistrationDescription``
with ``i:type``), and what is ``i:nil`` counts as absent.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from nhagent.errors import ConfigurationError
from nhagent.hub.checked import etag_from, is_registration_id
from nhagent.hub.held import HeldRegistration
from nhagent.hub.markup import Element, NotMarkup, escaped, parse
from nhagent.hub.texts import quoted, split_tags
from nhagent.hub.times import read_moment
from nhagent.logs import Log
from nhagent.models import BrowserChannel, Platform, PushChannel, Registration, Template, unvalidated

_ATOM: Final = "http://www.w3.org/2005/Atom"
_CONNECT: Final = "http://schemas.microsoft.com/netservices/2010/10/servicebus/connect"
_INSTANCE: Final = "http://www.w3.org/2001/XMLSchema-instance"

_KINDS: Final[Mapping[Platform, tuple[str, tuple[str, ...]]]] = {
    Platform.WNS: ("Windows", ("ChannelUri",)),
    Platform.MPNS: ("Mpns", ("ChannelUri",)),
    Platform.APNS: ("Apple", ("DeviceToken",)),
    Platform.GCM: ("Gcm", ("GcmRegistrationId",)),
    Platform.FCMV1: ("FcmV1", ("FcmV1RegistrationId",)),
    Platform.ADM: ("Adm", ("AdmRegistrationId",)),
    Platform.BAIDU: ("Baidu", ("BaiduUserId", "BaiduChannelId")),
    Platform.BROWSER: ("Browser", ("Endpoint", "P256DH", "Auth")),
    Platform.XIAOMI: ("Xiaomi", ("XiaomiRegistrationId",)),
}
_PLATFORMS: Final = {kind: platform for platform, (kind, _) in _KINDS.items()}
_HEADERS: Final = {Platform.WNS: "Wns", Platform.MPNS: "Mpns", Platform.APNS: "Apns"}
_PARTS_OF_TEMPLATES: Final = {Platform.APNS: "Priority", Platform.BAIDU: "MessageType"}
"""Elements that stand between a template's name and its headers."""

_log = Log(__name__)


class NotARegistration(ValueError):
    """A document is not a registration."""


class HeldTemplate(Template):
    """A template as the hub holds it, with what only the registrations of one platform have.

    It goes back with every change of its registration, so that whoever changes something else keeps it.

    Attributes:
        part: the text of the platform's own element, such as an Apple template's priority.
    """

    part: str = ""

    def elements(self, platform: Platform) -> Iterator[tuple[str, str]]:
        """Give the platform's own element with its escaped content."""
        name = _PARTS_OF_TEMPLATES.get(platform)
        if name is not None and self.part:
            yield name, escaped(self.part)


def kind_of(registration: Registration) -> str:
    """Name a registration's kind as the service does, such as ``WindowsTemplate``."""
    kind, _ = _KINDS[registration.platform]
    return f"{kind}{'' if registration.template is None else 'Template'}"


def to_entry(registration: Registration) -> bytes:
    """Write the Atom entry that a POST or PUT sends.

    Args:
        registration: what the hub shall hold.

    Returns:
        The document, in UTF-8. What only the hub can give is left out.

    Raises:
        ConfigurationError: a text holds a character that XML cannot carry.
    """
    name = f"{kind_of(registration)}RegistrationDescription"
    body = "".join(f"<{tag}>{content}</{tag}>" for tag, content in _elements(registration))
    entry = (
        f'<entry xmlns="{_ATOM}"><content type="application/xml">'
        f'<{name} xmlns="{_CONNECT}" xmlns:i="{_INSTANCE}">{body}</{name}></content></entry>'
    ).encode()
    try:
        parse(entry)
    except NotMarkup as error:
        raise ConfigurationError(
            f"registration: holds a character that XML cannot carry ({error})",
            "take it out of the channel, the push variables or the template",
        ) from None
    return entry


def from_entry(document: bytes) -> HeldRegistration:
    """Read the entry that a POST, PUT or GET of one registration answers.

    Args:
        document: the body of the reply.

    Returns:
        The registration as the hub holds it, which is not validated.

    Raises:
        NotARegistration: the document is not one.
    """
    root = _parsed(document)
    if root.name != "entry":
        raise NotARegistration(f"not a registration but an element {quoted(root.name)!r}")
    return _from_entry(root)


def from_feed(document: bytes) -> list[HeldRegistration]:
    """Read the feed that a list answers.

    Args:
        document: the body of the reply.

    Returns:
        The registrations in the feed's order. Those of a kind that is not known are left out.

    Raises:
        NotARegistration: the document is not a feed of registrations.
    """
    root = _parsed(document)
    if root.name != "feed":
        raise NotARegistration(f"not a feed but an element {quoted(root.name)!r}")
    rows: list[HeldRegistration] = []
    for entry in root.children:
        if entry.name != "entry":
            continue
        try:
            rows.append(_from_entry(entry))
        except NotARegistration as error:  # one of an unknown kind must not hide the others
            _log.info("an entry of a list is left out: %s", error)
    return rows


def _elements(registration: Registration) -> Iterator[tuple[str, str]]:
    """Give elements with their escaped content, in the order of the contract."""
    if registration.tags:
        yield "Tags", escaped(",".join(registration.tags))
    if registration.push_variables:
        yield "PushVariables", escaped(json.dumps(dict(registration.push_variables), ensure_ascii=False))
    _, names = _KINDS[registration.platform]
    for name, part in zip(names, _handle_parts(registration.channel, len(names)), strict=True):
        yield name, escaped(part)
    if registration.secondary_tile_name is not None:
        yield "SecondaryTileName", escaped(registration.secondary_tile_name)
    if registration.template is not None:
        yield from _template_elements(registration, registration.template)


def _template_elements(registration: Registration, template: Template) -> Iterator[tuple[str, str]]:
    """Give the elements of a template, in the order of the contract."""
    yield "BodyTemplate", escaped(template.body)
    headers = _HEADERS.get(registration.platform)
    if headers in {"Wns", "Mpns"}:
        yield f"{headers}Headers", _headers(headers, template.headers)
    if template.expiry is not None:
        yield "Expiry", escaped(template.expiry)
    if registration.template_name is not None:
        yield "TemplateName", escaped(registration.template_name)
    if isinstance(template, HeldTemplate):
        yield from template.elements(registration.platform)
    if headers == "Apns" and template.headers:
        yield "ApnsHeaders", _headers(headers, template.headers)


def _handle_parts(channel: PushChannel, count: int) -> tuple[str, ...]:
    if isinstance(channel, BrowserChannel):
        return channel.endpoint, channel.p256dh, channel.auth
    return (channel,) if count == 1 else tuple(channel.split("-", 1))


def _headers(kind: str | None, headers: Mapping[str, str]) -> str:
    return "".join(
        f"<{kind}Header><Header>{escaped(name)}</Header><Value>{escaped(value)}</Value></{kind}Header>"
        for name, value in sorted(headers.items(), key=lambda header: header[0].lower())
    )


def _parsed(document: bytes) -> Element:
    try:
        return parse(document)
    except NotMarkup as error:
        raise NotARegistration(str(error)) from None


def _from_entry(entry: Element) -> HeldRegistration:
    content = entry.child("content")
    if content is None or not content.children:
        raise NotARegistration("not a registration: the entry has no content")
    description = content.children[0]
    name = description.name
    if name == "RegistrationDescription":
        name = description.attributes.get("type", "").rpartition(":")[2]
    kind = name.removesuffix("RegistrationDescription")
    is_template = kind.endswith("Template")
    platform = _PLATFORMS.get(kind.removesuffix("Template"))
    if platform is None or kind == name:
        raise NotARegistration(f"not a registration of a known kind: {quoted(name)!r}")
    try:
        return unvalidated(
            HeldRegistration,
            platform=platform,
            channel=_channel(description, platform),
            tags=split_tags(description.child_text("Tags") or ""),
            push_variables=_variables(description.child_text("PushVariables")),
            template=_template(description, platform) if is_template else None,
            template_name=description.child_text("TemplateName") or None,
            secondary_tile_name=description.child_text("SecondaryTileName") or None,
            registration_id=_registration_id(description),
            etag=_etag(entry, description) or "",
            expiration_time=read_moment(description.child_text("ExpirationTime")),
        )
    except NotARegistration:
        raise
    except (ValueError, RecursionError) as error:  # whose text quotes the document
        raise NotARegistration(f"not a registration: a {type(error).__name__} in it") from None


def _channel(description: Element, platform: Platform) -> PushChannel:
    _, names = _KINDS[platform]
    parts = [description.child_text(name) for name in names]
    if any(part is None for part in parts):
        raise NotARegistration(f"not a registration: {' or '.join(names)} is missing")
    texts = [part or "" for part in parts]
    if platform is Platform.BROWSER:
        endpoint, p256dh, auth = texts
        return unvalidated(BrowserChannel, endpoint=endpoint, p256dh=p256dh, auth=auth)
    return "-".join(texts)


def _template(description: Element, platform: Platform) -> Template:
    kind = _HEADERS.get(platform)
    holder = description.child(f"{kind}Headers")
    headers = {
        header.child_text("Header") or "": header.child_text("Value") or ""
        for header in (() if holder is None else holder.children)
    }
    fields: dict[str, Any] = {
        "body": description.child_text("BodyTemplate") or "",
        "headers": headers,
        "expiry": description.child_text("Expiry") if platform is Platform.APNS else None,
    }
    name = _PARTS_OF_TEMPLATES.get(platform, "")
    part = description.child_text(name)
    if not part:
        return unvalidated(Template, **fields)
    return unvalidated(HeldTemplate, **fields, part=part)


def _variables(text: str | None) -> dict[str, str]:
    variables = json.loads(text) if text else {}
    if not isinstance(variables, dict):
        raise NotARegistration("not a registration: its push variables are not an object")
    return {str(name): str(value) for name, value in variables.items()}


def _registration_id(description: Element) -> str:
    registration_id = description.child_text("RegistrationId") or ""
    if registration_id and not is_registration_id(registration_id):
        raise NotARegistration("not a registration: its id cannot be one")
    return registration_id


def _etag(entry: Element, description: Element) -> str | None:
    return etag_from(
        description.child_text("ETag") or entry.attributes.get("etag") or entry.child_text("etag")
    )
