"""Who may use the control routes: programs on this machine, but not the pages in its browsers.

A browser sends requests to this machine's ports for any page of the web. A page cannot choose its Origin.
When it makes its own name resolve to this machine, that name is still in Host. It can label a body as JSON
only after an answer to OPTIONS that allows it, which the emulator never gives.
"""

from __future__ import annotations

import ipaddress
import re

from nhagent.emulator.http_messages import Request

_HOST = re.compile(r"(?:\[([0-9a-f:.]{1,45})\]|([a-z0-9.]{1,15}))(?::\d{0,5})?", re.IGNORECASE | re.ASCII)
_JSON = "application/json"


def refusal_of(request: Request, scheme: str) -> str | None:
    """Return why a request's sender may not use the control routes; None where it may.

    Args:
        request: the request.
        scheme: ``http`` or ``https``, by which the emulator is reached.
    """
    if not is_loopback(request.peer):
        return "Control routes are for callers on this machine."
    hosts = request.headers.get_all("Host", [])
    if len(hosts) != 1 or not is_loopback_host(hosts[0].strip()):
        return (
            "Control routes answer for a loopback Host only (localhost, 127.0.0.1 or [::1], with any port), "
            f"not for '{', '.join(hosts)}'."
        )
    own = f"{scheme}://{hosts[0].strip()}".lower()
    origins = request.headers.get_all("Origin", [])
    if origins and [origin.strip().lower() for origin in origins] != [own]:
        return (
            f"Control routes are for no pages but the emulator's own ({own}), not for '{', '.join(origins)}'."
        )
    return None


def is_labelled_as_json(request: Request) -> bool:
    """Return whether a request's body is labelled ``application/json``, whatever its parameters."""
    types = request.headers.get_all("Content-Type", [])
    return len(types) == 1 and types[0].partition(";")[0].strip().lower() == _JSON


def is_loopback(peer: str) -> bool:
    """Return whether an address is this machine's own.

    Args:
        peer: an IP address. An IPv6 socket shows IPv4 callers as ``::ffff:127.0.0.1``.
    """
    try:
        address = ipaddress.ip_address(peer.partition("%")[0])
    except ValueError:
        return False
    mapped = getattr(address, "ipv4_mapped", None)
    return bool((mapped or address).is_loopback)


def is_loopback_host(host: str) -> bool:
    """Return whether a Host header names this machine itself, without asking the DNS.

    Args:
        host: a name or an address, with or without a port.
    """
    match = _HOST.fullmatch(host)
    if match is None:
        return False
    bracketed, plain = match.groups()
    if bracketed is not None:
        return ":" in bracketed and is_loopback(bracketed)
    return plain.lower() == "localhost" or is_loopback(plain)
