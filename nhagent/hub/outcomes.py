"""What a test send came to, as the hub tells it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nhagent.hub.markup import NotMarkup, parse
from nhagent.hub.texts import quoted
from nhagent.values import Frozen

if TYPE_CHECKING:
    from nhagent.hub.markup import Element

MAX_RESULTS: Final = 1000
MAX_CHARACTERS: Final = 200
_MAX_DIGITS: Final = 9


class NotAnOutcome(ValueError):
    """A document is not the outcome of a send."""


class DeviceOutcome(Frozen):
    """What came of one message.

    Attributes:
        registration_id: the registration that it went to.
        platform: as the service names it: ``windows``, ``apple``, …
        outcome: the push service's word, such as ``The Notification was successfully sent…``.
    """

    registration_id: str
    platform: str
    outcome: str


class SendOutcome(Frozen):
    """What a test send came to.

    Attributes:
        success: how many messages a push service took.
        failure: how many none took.
        results: each of them.
    """

    success: int
    failure: int
    results: tuple[DeviceOutcome, ...] = ()


def read_outcome(document: bytes) -> SendOutcome:
    """Read the document that answers a test send.

    Args:
        document: the reply's body.

    Returns:
        What it says; push channels in it are left out.

    Raises:
        NotAnOutcome: it is not one.
    """
    try:
        root = parse(document)
    except NotMarkup as error:
        raise NotAnOutcome(str(error)) from None
    if root.name != "NotificationOutcome":
        raise NotAnOutcome(f"it is no NotificationOutcome but {quoted(root.name)}")
    parts = {child.name: child for child in root.children}
    results = parts["Results"].children if "Results" in parts else []
    return SendOutcome(
        _count(parts.get("Success")),
        _count(parts.get("Failure")),
        tuple(_device(each) for each in results[:MAX_RESULTS]),
    )


def _device(result: Element) -> DeviceOutcome:
    texts = {child.name: child.text.strip()[:MAX_CHARACTERS] for child in result.children}
    return DeviceOutcome(
        texts.get("RegistrationId", ""),
        texts.get("ApplicationPlatform", ""),
        texts.get("Outcome", ""),
    )


def _count(element: Element | None) -> int:
    text = "" if element is None else element.text.strip()
    return int(text) if text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS else 0
