"""Registration descriptions: their types, and the elements of each in the order of the data contract.

The table below is the service's data contract. Reader, writer and validation all follow it.
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Self

HEADERS = {"WnsHeaders": "WnsHeader", "MpnsHeaders": "MpnsHeader", "ApnsHeaders": "ApnsHeader"}
"""The elements that hold headers, each with the element of one header."""
OWN_ELEMENTS = frozenset({"ETag", "ExpirationTime", "RegistrationId"})
"""Elements whose values the hub sets. Clients may send them; their values are ignored."""

COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Encoder for the JSON that the hub stores and returns."""

# A question mark marks an optional element.
_BASE = "ETag? ExpirationTime? RegistrationId? Tags? PushVariables?"
_TABLE = (
    ("Windows", "wns", "ChannelUri", "SecondaryTileName?", "BodyTemplate WnsHeaders TemplateName?"),
    ("Mpns", "mpns", "ChannelUri", "SecondaryTileName?", "BodyTemplate MpnsHeaders TemplateName?"),
    ("Apple", "apns", "DeviceToken", "", "BodyTemplate Expiry? TemplateName? Priority? ApnsHeaders?"),
    ("Gcm", "gcm", "GcmRegistrationId", "", "BodyTemplate TemplateName?"),
    ("FcmV1", "fcmv1", "FcmV1RegistrationId", "", "BodyTemplate TemplateName?"),
    ("Adm", "adm", "AdmRegistrationId", "", "BodyTemplate TemplateName?"),
    ("Baidu", "baidu", "BaiduUserId BaiduChannelId", "", "BodyTemplate TemplateName? MessageType?"),
    ("Browser", "browser", "Endpoint P256DH Auth", "", "BodyTemplate TemplateName?"),
    ("Xiaomi", "xiaomi", "XiaomiRegistrationId", "", "BodyTemplate TemplateName?"),
)


@dataclass(frozen=True, slots=True)
class Element:
    """One element of a description.

    Attributes:
        name: its local name.
        required: whether a description must have it.
    """

    name: str
    required: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of description: a platform's native one, or its template.

    Attributes:
        name: the type's name without ``RegistrationDescription``: ``Windows``, ``WindowsTemplate``, …
        platform: as installations name it: ``wns``, …
        handle: the elements that together address the device.
        elements: all elements, in the contract's order.
    """

    name: str
    platform: str
    handle: tuple[str, ...]
    elements: tuple[Element, ...]

    @property
    def is_template(self) -> bool:
        """Whether it describes a template."""
        return self.name.endswith("Template")

    @property
    def headers(self) -> str | None:
        """The element that holds headers; None where the type has no such element."""
        return next((element.name for element in self.elements if element.name in HEADERS), None)


def _kinds() -> dict[str, Kind]:
    kinds = {}
    for name, platform, handle, tile, template in _TABLE:
        for suffix, further in (("", ""), ("Template", template)):
            texts = f"{_BASE} {handle} {tile} {further}".split()
            elements = tuple(Element(text.rstrip("?"), not text.endswith("?")) for text in texts)
            kinds[name + suffix] = Kind(name + suffix, platform, tuple(handle.split()), elements)
    return kinds


KINDS = _kinds()
"""Every type by its name."""
NATIVE = {kind.platform: kind for kind in KINDS.values() if not kind.is_template}
"""The native type of each platform."""
TEMPLATE = {kind.platform: kind for kind in KINDS.values() if kind.is_template}
"""The template type of each platform."""
BROWSER_MEMBERS = tuple(name.lower() for name in NATIVE["browser"].handle)
"""The members of a browser's channel in an installation."""


@dataclass(frozen=True, slots=True)
class Description:
    """The content of one registration.

    Attributes:
        kind: its type.
        values: by element name, without absent elements; Tags is a list, PushVariables and headers are
            objects, the others text.
    """

    kind: Kind
    values: dict[str, Any]

    @classmethod
    def from_json(cls, text: str) -> Self:
        """Read what `to_json` wrote."""
        name, values = json.loads(text)
        return cls(KINDS[name], values)

    def to_json(self) -> str:
        """Write it for the database."""
        return COMPACT.encode([self.kind.name, self.values])

    @property
    def tags(self) -> list[str]:
        """Its tags; empty when it has none."""
        found: list[str] = self.values.get("Tags", [])
        return found

    @property
    def headers(self) -> dict[str, str]:
        """The headers of its template; empty when it has none."""
        found: dict[str, str] = self.values.get(self.kind.headers or "", {})
        return found

    @property
    def handle(self) -> str:
        """The key by which it is looked up and devices are counted; a browser's is its endpoint."""
        first, *rest = [str(self.values[name]) for name in self.kind.handle]
        match self.kind.platform:
            case "apns":
                return first.upper()
            case "baidu":
                return "-".join([first, *rest])
            case _:
                return first

    @property
    def handle_keys(self) -> str:
        """The part of a browser's handle that is not in `handle`; empty on other platforms."""
        return (
            "" if self.kind.platform != "browser" else handle_keys(*map(self.values.get, ("P256DH", "Auth")))
        )

    @property
    def channel(self) -> str | dict[str, str]:
        """The handle in the form that installations use."""
        if self.kind.platform == "browser":
            return {name.lower(): self.values[name] for name in self.kind.handle}
        return "-".join(self.values[name] for name in self.kind.handle)


def handle_keys(p256dh: Any, auth: Any) -> str:
    """Join a browser's two keys into one text."""
    return f"{p256dh}\n{auth}"


def unique_tags(tags: Iterable[str]) -> list[str]:
    """Return the tags, each once. Tags that differ only in case are one; the first spelling stays."""
    unique: dict[str, str] = {}
    for tag in tags:
        unique.setdefault(tag.lower(), tag)
    return list(unique.values())


@dataclass(frozen=True, slots=True)
class Registration:
    """A description that the hub keeps.

    Attributes:
        id: the registration's id.
        etag: the number of its writes.
        description: its content.
        expiration: when it expires, as its installation says; None for never.
        installation: the id of the installation that it was made from, or None.
        expired: whether its channel is dead, so that nothing is sent to it.
    """

    id: str
    etag: int
    description: Description
    expiration: str | None
    installation: str | None
    expired: bool = False
