"""Say in words why no reply came: TLS, the network, a proxy, or what answered in the hub's place."""

from __future__ import annotations

from http.client import HTTPException, IncompleteRead
from socket import gaierror
from ssl import SSLError
from time import gmtime, strftime
from typing import Final

from nhagent.ca_bundle import UnusableBundle

MAX_CAUSE_CHARACTERS: Final = 200

# OpenSSL's verification errors: X509_V_ERR_…
_NOT_YET_VALID: Final = 9  # CERT_NOT_YET_VALID
_EXPIRED: Final = 10  # CERT_HAS_EXPIRED
_UNKNOWN_AUTHORITY: Final = {18, 19, 20, 21}  # self-signed, alone or in the chain, or an unknown issuer
_MEND_BUNDLE: Final = (
    "correct or unset $REQUESTS_CA_BUNDLE and $CURL_CA_BUNDLE; where neither is set, install the package "
    "certifi, or the system's certificates, again"
)
_MEND_PROXY: Final = (
    "check $HTTPS_PROXY, $ALL_PROXY and $NO_PROXY, the user and the password in them (percent-encoded), and "
    "the proxy itself; a later attempt may succeed"
)
_ANOTHER_NAME: Final = {62, 64}  # HOSTNAME_MISMATCH, IP_ADDRESS_MISMATCH


def cause_of_tls_failure(error: BaseException) -> tuple[str, str]:
    """Say what TLS had against the other side. A wrong clock of this device is the likeliest of all.

    Args:
        error: what was raised, which may wrap the reason several times over.

    Returns:
        The reason, to follow the words "TLS with HOST failed", and the next step.
    """
    if isinstance(error, UnusableBundle):
        return f"since {error}", _MEND_BUNDLE
    code = getattr(_innermost(error), "verify_code", None)
    today = f"by this device's clock ({strftime('%Y-%m-%d', gmtime())})"
    if code == _NOT_YET_VALID:
        return f"because {today} its certificate is not valid yet", "the clock is probably wrong: set it"
    if code == _EXPIRED:
        return (
            f"because {today} its certificate has expired",
            "set the clock if that is wrong, else find out whose certificate it is: it has to be renewed",
        )
    if code in _ANOTHER_NAME:
        return f"({cause_of(error)})", "check the address, and who answers in the namespace's place"
    if code in _UNKNOWN_AUTHORITY:
        hint = (
            "give that authority's own certificate as ca_bundle if it is to be trusted, else find out who "
            "stands in between"
        )
        return "because its certificate is of an authority that is not known here", hint
    return f"({cause_of(error)})", "check ca_bundle, this device's clock, and who stands in between"


def hint_for(error: BaseException, *, by_proxy: bool = False) -> str:
    """Say what to do where no reply came: whoever asked does not ask again by itself.

    Args:
        error: what was raised, which may wrap the reason several times over.
        by_proxy: this device itself knows and reaches the proxy alone.
    """
    if isinstance(error, UnusableBundle):
        return _MEND_BUNDLE
    if by_proxy:
        return _MEND_PROXY
    if isinstance(_innermost(error), gaierror):
        return (
            "check the host's name in the connection string's Endpoint, and this device's network and DNS; a "
            "later attempt may succeed"
        )
    return "check the network and the hub's address; a later attempt may succeed"


def cause_of(error: BaseException) -> str:
    """Say in one line what went wrong.

    Args:
        error: what was raised, which may wrap the reason several times over.

    Returns:
        The innermost reason, without a proxy's password and without what a server has sent.
    """
    innermost, kind = _innermost(error), type(_innermost(error)).__name__
    if isinstance(innermost, IncompleteRead):
        return "the reply broke off"
    # Two texts quote what could not be read: whatever a server says, and an address with a proxy's password.
    if isinstance(innermost, HTTPException) and not isinstance(innermost, OSError):
        return f"what answers does not speak HTTP as a hub does ({kind})"
    if isinstance(innermost, ValueError) and not isinstance(innermost, SSLError):
        return f"its address, or that of a proxy, cannot be read ({kind})"
    text = getattr(innermost, "strerror", None) or str(innermost) or kind
    line = (str(text).splitlines() or [kind])[0]
    before, slashes, address = line.partition("//")
    address = address.rpartition("@")[2]  # a proxy's address may hold its password
    cause = f"{before}{slashes}{address}"[:MAX_CAUSE_CHARACTERS]
    return f"its name cannot be resolved ({cause})" if isinstance(innermost, gaierror) else cause


def _innermost(error: BaseException) -> BaseException:
    """Give the reason itself: requests and urllib3 wrap it several times over."""
    seen: list[BaseException] = []
    current: object = error
    while isinstance(current, BaseException) and current not in seen:
        seen.append(current)
        inner = getattr(current, "reason", None)
        current = (
            inner
            if isinstance(inner, BaseException)
            else next((part for part in current.args if isinstance(part, BaseException)), current.__cause__)
        )
    return seen[-1]
