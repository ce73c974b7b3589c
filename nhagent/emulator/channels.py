"""Push channels: the forms in which the service keeps, compares and returns them."""

from __future__ import annotations

import re
from typing import Any
from urllib.parse import quote

from nhagent.emulator.atom.descriptions import BROWSER_MEMBERS
from nhagent.emulator.json_text import NotJson, read_json

URI_PLATFORMS = frozenset({"wns", "mpns"})
"""The platforms whose channels are addresses."""

_DEFAULT_PORTS = {"http": 80, "https": 443}
_LAST_PORT = 65535
_ADDRESS = re.compile(
    r"(https?)://((?:[^/?#@\\\s]*@)?)(\[[0-9a-f:.]+\]|[^/?#@:\\\s\[\]<>\"^`{|}%]+)(?::([0-9]*))?(?=[/?#]|\Z)",
    re.IGNORECASE | re.ASCII,
)
_APPLE_TOKEN = re.compile(r"(?:[0-9a-fA-F]{2})+")
# What .NET leaves as it is after the host; "%" because it does not code twice.
_KEPT = "!#$%&'()*+,-./:;=?@[]_~"


def absolute_uri(text: str) -> str | None:
    """Write an address as .NET's ``Uri.AbsoluteUri`` has it, which is how the service keeps channels.

    Scheme and host are in lower case, the scheme's own port is left out, and an empty path is ``/``.

    Args:
        text: what a client wrote.

    Returns:
        None when it is not an absolute http or https address.
    """
    text = text.strip()
    match = _ADDRESS.match(text)
    if match is None:
        return None
    scheme, user, host, digits = match[1].lower(), match[2], match[3].lower(), (match[4] or "").lstrip("0")
    if len(digits) > len(str(_LAST_PORT)) or int(digits or "0") > _LAST_PORT:
        return None
    port = f":{digits}" if digits and int(digits) != _DEFAULT_PORTS[scheme] else ""
    rest = text[match.end() :]
    rest = rest if rest.startswith("/") else "/" + rest
    return f"{scheme}://{user}{host}{port}{quote(rest, safe=_KEPT)}"


def kept_uri(platform: str, channel: str) -> str:
    """Return a channel as the hub keeps it; one that is not valid for its platform as it came."""
    return (absolute_uri(channel) or channel) if platform in URI_PLATFORMS else channel


def is_apple_token(text: str) -> bool:
    """Return whether a text is hexadecimal digits, two for each byte."""
    return _APPLE_TOKEN.fullmatch(text) is not None


def read_subscription(channel: Any) -> dict[str, Any] | None:
    """Return the known members of a browser's channel.

    Args:
        channel: an object, as JavaScript sends it, or its JSON as text, as .NET and Java send it.

    Returns:
        Those of `BROWSER_MEMBERS` that are there, in that order; None when it is not an object.
    """
    if isinstance(channel, str):
        try:
            channel = read_json(channel)
        except NotJson:
            return None
    if not isinstance(channel, dict):
        return None
    members = {str(name).lower(): value for name, value in channel.items()}
    return {name: members[name] for name in BROWSER_MEMBERS if members.get(name) not in (None, "")}
