"""Tell whether a URL points at this machine itself, where plain text may travel."""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_LOOPBACK_NETWORK: Final = "127"
_PARTS_OF_IPV4: Final = 4
_OCTETS: Final = frozenset(map(str, range(256)))


def is_loopback(url: str) -> bool:
    """Tell whether a URL points at this machine itself."""
    from urllib.parse import urlsplit

    return is_loopback_host(urlsplit(url).hostname or "")


def is_loopback_host(host: str) -> bool:
    """Tell whether a host in lower case is this machine itself."""
    parts = host.split(".")
    # Others, as 127.0.0.256 or 127.0.0.08, are names, which the DNS resolves to whatever it likes.
    is_address = len(parts) == _PARTS_OF_IPV4 and parts[0] == _LOOPBACK_NETWORK and _OCTETS.issuperset(parts)
    return is_address or host in {"localhost", "::1"}
