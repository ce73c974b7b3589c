"""The form in which the service keeps the channels of wns and mpns: .NET's ``Uri.AbsoluteUri``.

Most channels have that form already, and are not brought here (see `nhagent.push_channels`): a start pays for
neither this module nor ``urllib``.
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_DEFAULT_PORTS: Final = {"http": "80", "https": "443"}
_LAST_PORT: Final = 65535
_DIGITS: Final = frozenset("0123456789")
_IN_ADDRESSES: Final = frozenset("0123456789abcdef:.")
_NOT_IN_HOSTS: Final = frozenset(' \t\r\n"<>[]^`{|}%\\:')
_KEPT: Final = frozenset(
    "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789!#$%&'()*+,-./:;=?@[]_~"
)
"""Characters after the host that .NET leaves as they are; ``%``, because it does not code twice."""


def absolute_uri(text: str) -> str | None:
    """Write an address as .NET's ``Uri.AbsoluteUri`` has it.

    Scheme and host are in lower case, the scheme's own port is left out, an empty path is ``/``, segments
    ``.`` and ``..`` are resolved, and what cannot stand in a URI is percent-encoded.

    Args:
        text: the address, without blanks around it.

    Returns:
        That form; None where the text is not an absolute http or https URI with a host.
    """
    scheme, separator, rest = text.partition("://")
    scheme = scheme.lower()
    if not separator or scheme not in _DEFAULT_PORTS:
        return None
    end = min([place for place in map(rest.find, "/?#\\") if place >= 0], default=len(rest))
    user, at, place = rest[:end].rpartition("@")
    host, port = _host_and_port(place.lower())
    if host is None or port is None or any(character.isspace() for character in user):
        return None
    shown_port = "" if port in {"", _DEFAULT_PORTS[scheme]} else f":{port}"
    return f"{scheme}://{user}{at}{host}{shown_port}{_after_host(rest[end:])}"


def _host_and_port(place: str) -> tuple[str | None, str | None]:
    """Split host and port, both None or one of them where they cannot be that."""
    if place.startswith("["):
        address, bracket, after = place[1:].partition("]")
        if not bracket or not address or not _IN_ADDRESSES.issuperset(address) or after[:1] not in {"", ":"}:
            return None, None
        return f"[{address}]", _port(after[1:])
    host, _, digits = place.partition(":")
    if not host or not _NOT_IN_HOSTS.isdisjoint(host) or any(map(str.isspace, host)):
        return None, None
    return host, _port(digits)


def _port(digits: str) -> str | None:
    """Give a port without leading zeros; None where there can be no such port."""
    if not _DIGITS.issuperset(digits):
        return None
    digits = digits.lstrip("0") or digits[-1:]
    return digits if len(digits) <= len(str(_LAST_PORT)) and int(digits or 0) <= _LAST_PORT else None


def _after_host(rest: str) -> str:
    end = min([place for place in map(rest.find, "?#") if place >= 0], default=len(rest))
    path = _resolved(rest[:end].replace("\\", "/") or "/")
    return "".join(
        character
        if character in _KEPT
        else "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))
        for character in path + rest[end:]
    )


def _resolved(path: str) -> str:
    """Resolve the segments ``.`` and ``..`` of a path that begins with a slash."""
    if "/." not in path:
        return path
    kept: list[str] = []
    segments = path[1:].split("/")
    for segment in segments:
        if segment == "..":
            del kept[-1:]
        elif segment != ".":
            kept.append(segment)
    is_folder = segments[-1] in {".", ".."}
    return "/" + "/".join(kept) + ("/" if is_folder and kept else "")
