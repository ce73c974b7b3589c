"""What a registration can say: the types of description and their elements in the contract's order.

The table below is the service's data contract. Reading, writing and checking all follow it.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any, Self

HEADERS = {"WnsHeaders": "WnsHeader", "MpnsHeaders": "MpnsHeader", "ApnsHeaders": "ApnsHeader"}
"""The elements that hold headers, and the element of each single one."""
OWN_ELEMENTS = frozenset({"ETag", "ExpirationTime", "RegistrationId"})
"""Clients may send these; the hub knows them better."""

COMPACT = json.JSONEncoder(ensure_ascii=False, separators=(",", ":"))
"""Writes JSON as the hub keeps and shows it."""

# A question mark: the element may be absent.
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
    """One element of a description."""

    name: str
    required: bool


@dataclass(frozen=True, slots=True)
class Kind:
    """One type of description: a platform's native one, or its template."""

    name: str
    """`Windows`, `WindowsTemplate`, …: the type's name without `RegistrationDescription`."""
    platform: str
    """As installations name it: `wns`, …"""
    handle: tuple[str, ...]
    """The elements that together address the device."""
    elements: tuple[Element, ...]
    """All, in the contract's order."""

    @property
    def is_template(self) -> bool:
        return self.name.endswith("Template")

    @property
    def headers(self) -> str | None:
        """The element that holds headers, or None."""
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
TEMPLATE = {kind.platform: kind for kind in KINDS.values() if kind.is_template}


@dataclass(frozen=True, slots=True)
class Description:
    """What one registration says."""

    kind: Kind
    values: dict[str, Any]
    """By element: Tags a list, PushVariables and headers an object, the others text; absent ones left out."""

    @classmethod
    def from_json(cls, text: str) -> Self:
        name, values = json.loads(text)
        return cls(KINDS[name], values)

    def to_json(self) -> str:
        return COMPACT.encode([self.kind.name, self.values])

    @property
    def tags(self) -> list[str]:
        found: list[str] = self.values.get("Tags", [])
        return found

    @property
    def headers(self) -> dict[str, str]:
        found: dict[str, str] = self.values.get(self.kind.headers or "", {})
        return found

    @property
    def handle(self) -> str:
        """By which it is looked up, and devices are counted: a browser's is its endpoint."""
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
        """What of a browser's handle is not in `handle`; empty on other platforms."""
        return (
            "" if self.kind.platform != "browser" else handle_keys(*map(self.values.get, ("P256DH", "Auth")))
        )

    @property
    def channel(self) -> str | dict[str, str]:
        """The handle as an installation writes it."""
        if self.kind.platform == "browser":
            return {name.lower(): self.values[name] for name in self.kind.handle}
        return "-".join(self.values[name] for name in self.kind.handle)


def handle_keys(p256dh: Any, auth: Any) -> str:
    """A browser's two keys in one text."""
    return f"{p256dh}\n{auth}"


@dataclass(frozen=True, slots=True)
class Registration:
    """A description that the hub keeps."""

    id: str
    etag: int
    """Counts its writes."""
    description: Description
    expiration: str | None
    """When an installation says when it ends; None is never."""
    installation: str | None
    """The id of the installation that it stands for, or None."""
