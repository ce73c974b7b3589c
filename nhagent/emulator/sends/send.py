"""One send: what a backend asks the hub to deliver, and to whom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from nhagent.emulator.http_messages import Refused
from nhagent.emulator.json_text import NotJson, read_json

PLATFORMS = {
    "apple": "apns",
    "gcm": "gcm",
    "fcmv1": "fcmv1",
    "windows": "wns",
    "windowsphone": "mpns",
    "adm": "adm",
    "baidu": "baidu",
    "browser": "browser",
    "xiaomi": "xiaomi",
}
"""The platform of each native format."""
TEMPLATE = "template"
"""The format that goes to templates of every platform."""
BODY_LIMIT = 64 * 1024
"""Largest body, in bytes."""
RAW_LIMIT = 5 * 1024
"""Largest body of a raw notification of Windows, in bytes."""

Handle: TypeAlias = str | dict[str, str]
"""A PNS handle that a direct send names; a browser's is an object, as in an installation."""


@dataclass(frozen=True, slots=True)
class Send:
    """One send.

    Attributes:
        format: a key of `PLATFORMS`, or `TEMPLATE`.
        body: as the sender wrote it. Not in the ``repr``.
        headers: what the sender says to the push services. Names are in lower case.
        expression: which devices are meant; None: all of them, or those of ``handles``.
        handles: the PNS handles of a direct send. Not in the ``repr``.
        test: whether the sender wants to know what came of each message.
    """

    format: str
    body: bytes = field(repr=False)
    headers: Mapping[str, str] = field(default_factory=dict)
    expression: str | None = None
    handles: tuple[Handle, ...] = field(default=(), repr=False)
    test: bool = False

    @property
    def target(self) -> str:
        """``direct``, ``tags`` or ``broadcast``."""
        if self.handles:
            return "direct"
        return "broadcast" if self.expression is None else "tags"

    @property
    def text(self) -> str:
        """The body as text."""
        return self.body.decode("utf-8", "replace")


def as_json(send: Send) -> dict[str, Any]:
    """Return a send as JSON, its body in hexadecimal digits."""
    return {
        "format": send.format,
        "body": send.body.hex(),
        "headers": dict(send.headers),
        "expression": send.expression,
        "handles": list(send.handles),
        "test": send.test,
    }


def send_in(document: dict[str, Any]) -> Send:
    """Return the send that `as_json` wrote.

    Raises:
        ValueError: the document is not one.
    """
    match document:
        case {
            "format": str(kind),
            "body": str(body),
            "headers": dict(headers),
            "expression": str() | None as expression,
            "handles": list(handles),
            "test": bool(test),
        } if all(isinstance(value, str) for value in headers.values()) and all(map(_is_handle, handles)):
            return Send(kind, bytes.fromhex(body), headers, expression, tuple(handles), test)
    raise ValueError("A send has format, body, headers, expression, handles and test.")


def _is_handle(handle: Any) -> bool:
    return isinstance(handle, str) or (
        isinstance(handle, dict) and all(isinstance(value, str) for value in handle.values())
    )


def check_send(send: Send) -> None:
    """Check a send by the service's rules.

    Raises:
        Refused: 400, or 413 for a body that is too large.
    """
    if send.format not in PLATFORMS and send.format != TEMPLATE:
        raise Refused(400, f"The supplied notification format '{send.format}' is not supported.")
    if len(send.body) > BODY_LIMIT:
        raise Refused(413, f"The notification payload is larger than {BODY_LIMIT} bytes.")
    if send.format == TEMPLATE:
        if send.handles:
            raise Refused(400, "A direct send needs the format of a platform, not 'template'.")
        properties_in(send)
    if send.format == "windows":
        kind = send.headers.get("x-wns-type", "").strip()
        if not kind:
            raise Refused(400, "The mandatory HTTP header 'X-WNS-Type' is missing.")
        if kind.lower() == "wns/raw" and len(send.body) > RAW_LIMIT:
            raise Refused(413, f"The raw notification payload is larger than {RAW_LIMIT} bytes.")


def properties_in(send: Send) -> dict[str, str]:
    """Return the properties in the body of a send to templates, by name in lower case.

    Raises:
        Refused: 400, the body is not a JSON object of texts.
    """
    try:
        document: Any = read_json(send.body)
    except NotJson as error:
        raise Refused(400, f"The template notification's body is not JSON. {error}") from error
    if not isinstance(document, dict) or not all(isinstance(value, str) for value in document.values()):
        raise Refused(400, "The template notification's body is not a JSON object whose values are strings.")
    return {name.lower(): value for name, value in document.items()}
