"""Settings of Web Push channels, checked where they are given."""

from __future__ import annotations

from typing import Final
from urllib.parse import urlsplit

from nhagent import validation, web_push_keys
from nhagent.errors import ConfigurationError
from nhagent.loopback import is_loopback

MOZILLA: Final = "wss://push.services.mozilla.com/"
"""Mozilla's push service."""
PRIVATE_BYTES: Final = 32
"""Of a private key."""


def checked_public_key(key: object) -> str:
    """Give a VAPID public key in base64url without padding.

    Raises:
        ConfigurationError: it is none.
    """
    found = web_push_keys.decoded(key)
    if found is not None and web_push_keys.is_public_key(found):
        return web_push_keys.encoded(found)
    if found is not None and len(found) == PRIVATE_BYTES:
        raise ConfigurationError(
            "vapid_public_key: looks like the private key, which belongs into the hub alone",
            "give the public one; where devices had this one, make another pair with nhagent vapid",
        )
    raise ConfigurationError(
        "vapid_public_key: is not a public key, 65 bytes in base64url",
        "copy it from the hub's browser credential, or make a pair with nhagent vapid",
    )


def checked_server(server: object) -> str:
    """Check the push service's address.

    Raises:
        ConfigurationError: it is none, or what is said there could be read on the way.
    """
    validation.check_setting("server", server)
    text = str(server)
    try:
        parts = urlsplit(text)
        is_address = parts.scheme in {"ws", "wss"} and parts.hostname and parts.port != 0
        is_address = is_address and not (parts.query or parts.fragment or "@" in parts.netloc)
        is_address = is_address and text.isascii() and text.isprintable() and " " not in text
        is_safe = parts.scheme != "ws" or is_loopback(text)
    except ValueError:
        is_address = is_safe = False
    if not is_address:
        raise ConfigurationError(
            f"server {validation.shown(server)}: is not a push service's address",
            f"give one such as {MOZILLA}",
        )
    if not is_safe:
        raise ConfigurationError(
            f"server {validation.shown(server)}: ws:// is for loopback alone", "use wss://"
        )
    return text
