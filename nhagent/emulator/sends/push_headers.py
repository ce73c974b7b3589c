"""What a push service is told beside a message: the headers that come of a send, or of a template."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from nhagent.emulator.atom.descriptions import Description
from nhagent.emulator.clock import seconds_in
from nhagent.emulator.sends.send import Send
from nhagent.emulator.sends.template_language import evaluate

_SPELLINGS = {
    name.lower(): name
    for name in (
        *("X-WNS-Type", "X-WNS-Cache-Policy", "X-WNS-TTL", "X-WNS-Tag", "X-WNS-Group", "X-WNS-SuppressPopup"),
        *("X-WNS-RequestForStatus", "X-WNS-Match"),
        *("X-WindowsPhone-Target", "X-NotificationClass", "X-MessageID"),
        *("X-Baidu-Message-Type", "TTL", "Urgency", "Topic"),
    )
}
_PREFIXES = ("x-wns-", "x-windowsphone-", "x-baidu-", "apns-")
_APNS_EXPIRY = "servicebusnotification-apns-expiry"
_APNS_PRIORITY = "x-apns-priority"


def is_for_push_service(name: str) -> bool:
    """Return whether a header of a send concerns the push service.

    Args:
        name: in lower case.
    """
    return name in _SPELLINGS or name.startswith(_PREFIXES) or name in (_APNS_EXPIRY, _APNS_PRIORITY)


def native_headers(send: Send) -> dict[str, str]:
    """Return the headers of a native message."""
    found: dict[str, str] = {}
    for name, value in send.headers.items():
        if name == _APNS_EXPIRY:
            found["apns-expiration"] = _seconds(value)
        elif name == _APNS_PRIORITY:
            found["apns-priority"] = value
        elif is_for_push_service(name):
            found[_SPELLINGS.get(name, name)] = value
    if "content-type" in send.headers:
        found["Content-Type"] = send.headers["content-type"]
    return found


def template_headers(description: Description, properties: Mapping[str, str], body: str) -> dict[str, str]:
    """Return the headers of a message that comes of a template.

    Args:
        description: the template's registration.
        properties: the message's, by name in lower case.
        body: the message's.
    """
    return dict(_of_template(description, properties)) | {"Content-Type": _content_type(description, body)}


def _of_template(description: Description, properties: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    for name, value in description.headers.items():
        yield _SPELLINGS.get(name.lower(), name), evaluate(value, properties)
    values = description.values
    if values.get("Expiry"):
        yield "apns-expiration", _seconds(evaluate(values["Expiry"], properties))
    if values.get("Priority"):
        yield "apns-priority", evaluate(values["Priority"], properties)
    if values.get("MessageType"):
        yield "X-Baidu-Message-Type", str(values["MessageType"])


def _content_type(description: Description, body: str) -> str:
    if any(value.lower() == "wns/raw" for value in description.headers.values()):
        return "application/octet-stream"
    return "text/xml" if body.lstrip().startswith("<") else "application/json"


def _seconds(text: str) -> str:
    """Write a date as Apple's push service has it: seconds since 1970. Other text stays."""
    try:
        return str(int(seconds_in(text)))
    except ValueError:
        return text
