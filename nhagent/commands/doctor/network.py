"""Checks of the network on the way to the hub: DNS, TCP, TLS, or the proxy that stands for them."""

from __future__ import annotations

from socket import AF_UNSPEC, create_connection
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from nhagent.addresses import addresses_of
from nhagent.commands.doctor.findings import Unchecked, Wrong, reason_of
from nhagent.errors import HubUnavailable

if TYPE_CHECKING:
    from nhagent.commands.doctor.findings import Findings

CONNECT_SECONDS: Final = 5.0
"""How long a look-up or a connection may take."""

PORTS: Final = {"http": 80, "https": 443}
NOT_TLS_REASONS: Final = {
    "WRONG_VERSION_NUMBER",
    "HTTP_REQUEST",
    "UNKNOWN_PROTOCOL",
    "PACKET_LENGTH_TOO_LONG",
    "RECORD_LAYER_FAILURE",
}
"""OpenSSL's reasons where the other side's first bytes are those of another protocol."""


def check_dns(findings: Findings) -> str:
    """Look up the host that this device connects to."""
    host, port, called = _nearest(findings)
    try:
        found = addresses_of(host, port or 0, AF_UNSPEC, seconds=CONNECT_SECONDS, is_over=lambda: False)
    except OSError as error:
        whose = "$HTTPS_PROXY" if proxy_in_use(findings) else "the Endpoint of the connection string"
        raise Wrong(
            f"{called} is not found ({reason_of(error)})",
            f"check the network and its DNS servers, and {whose}",
        ) from None
    addresses = dict.fromkeys(str(entry[4][0]) for entry in found)
    return f"{called} is {', '.join(addresses)}"


def check_tcp(findings: Findings) -> str:
    """Connect to that host, and close the connection."""
    findings.need("dns")
    host, port, called = _nearest(findings)
    if port is None:
        raise Unchecked(f"left to {called} without a port")
    began = monotonic()
    try:
        create_connection((host, port), CONNECT_SECONDS).close()
    except OSError as error:
        if proxy_in_use(findings):
            raise Wrong(
                f"{called} cannot be reached ({reason_of(error)})",
                "start the proxy, or correct or unset $HTTPS_PROXY",
            ) from None
        raise Wrong(
            f"{host} port {port} cannot be reached ({reason_of(error)})",
            f"let this device out to port {port}: check the firewall, the route, and $HTTPS_PROXY",
        ) from None
    return f"port {port} answers within {monotonic() - began:.2f} s"


def check_tls(findings: Findings) -> str:
    """Shake hands with the hub's server, and look at its certificate."""
    address = _address(findings)
    findings.need("dns", "tcp")
    proxy = proxy_in_use(findings)
    if proxy:
        raise Unchecked(f"left to the proxy {proxy}, which the environment names")
    if urlsplit(address).scheme == "http":
        return "none: plain http to this machine itself"
    from nhagent.hub.transport import certificate_end

    try:
        connected = create_connection(_host_and_port(address), CONNECT_SECONDS)
    except OSError as error:
        raise Wrong(f"the connection broke off ({reason_of(error)})", "try again") from None
    with connected:
        try:
            end = certificate_end(connected, address, findings.setup.ca_bundle)
        except HubUnavailable as error:
            if getattr(error.__context__, "reason", None) in NOT_TLS_REASONS:
                raise Wrong(
                    f"what answers at {urlsplit(address).netloc} does not speak TLS",
                    "check the Endpoint of the connection string and its port; if they are right, find out "
                    "what stands in between: a captive portal, a proxy, another service",
                ) from None
            raise
    return f"verified; the certificate is good until {end:%Y-%m-%d}"


def proxy_in_use(findings: Findings) -> str | None:
    """Give the proxy through which the namespace is reached, without its password; None: there is none."""
    from nhagent.hub.transport import proxy_of

    return proxy_of(_address(findings))


def _address(findings: Findings) -> str:
    """The namespace's address."""
    address = findings.setup.hub.address
    if address is None:
        findings.need("credentials")
        raise Unchecked("no address is known")
    return address


def _nearest(findings: Findings) -> tuple[str, int | None, str]:
    """Host and port that this device itself connects to, and what they are called."""
    proxy = proxy_in_use(findings)
    if proxy is None:
        host, port = _host_and_port(_address(findings))
        return host, port, host
    called = f"the proxy {proxy}, which the environment names,"
    try:
        parts = urlsplit(f"//{proxy}")
        proxy_port = parts.port
    except ValueError:
        raise Wrong(f"{called} is not an address", "correct $HTTPS_PROXY") from None
    return parts.hostname or "", proxy_port, called


def _host_and_port(address: str) -> tuple[str, int]:
    parts = urlsplit(address)
    return parts.hostname or "", parts.port or PORTS[parts.scheme]
