"""Reading and judging a shared access signature.

The five official clients disagree about the resource that they sign: scheme, port, query, case, coding and
depth all differ. What they share is that the signature covers the resource exactly as the header has it.
"""

from __future__ import annotations

import base64
import hmac
import re
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

from .messages import Refused

_SCHEME = "sharedaccesssignature"
_URI = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?([^/?#]*)([^?#]*)")
_PORT = re.compile(r":\d*$")


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its sender wrote it, not yet believed."""

    resource: str
    """`sr` as it stands in the header, percent-coded."""
    signature: str = field(repr=False)
    """`sig`, decoded to base64."""
    expiry: str
    """`se` as it stands in the header."""
    key_name: str
    host: str
    """Of the resource, without its port, lower case."""
    path: str
    """Of the resource, decoded, lower case, ending in `/`."""

    @classmethod
    @lru_cache(maxsize=1024)  # devices send a token many times
    def read(cls, header: str | None) -> Token:
        """The token in an Authorization header; its fields may stand in any order.

        Raises:
            Refused: 401, there is no header or it is no token.
        """
        if header is None or not header.strip():
            raise Refused(401, "MissingToken: The authorization header was not found.")
        scheme, _, text = header.strip().partition(" ")
        if scheme.lower() != _SCHEME:
            raise _malformed("The authorization scheme is not SharedAccessSignature.")
        fields: dict[str, str] = {}
        for part in text.strip().split("&"):
            # Some senders leave the signature's trailing "=" uncoded: only the first one divides.
            name, divider, value = part.partition("=")
            if not divider or name in fields:
                raise _malformed("The token is not a list of fields.")
            fields[name] = value
        for name in ("sr", "sig", "se", "skn"):
            if not fields.get(name):
                raise _malformed(f"The field '{name}' is missing.")
        if not re.fullmatch(r"\d{1,15}", fields["se"], re.ASCII):
            raise _malformed("The field 'se' is not a number of seconds.")
        # Base64 holds "+" and never a space, whichever of the two an uncoded "+" was taken for on its way.
        signature = unquote(fields["sig"]).replace(" ", "+")
        match = _URI.match(unquote_plus(fields["sr"]).lower())
        if match is None or not match[1]:
            raise _malformed("The field 'sr' is not an address.")
        host, path = _PORT.sub("", match[1]), match[2].rstrip("/") + "/"
        return cls(fields["sr"], signature, fields["se"], unquote(fields["skn"]), host, path)

    def verify(self, key: str | None, *, host: str, path: str, now: float) -> None:
        """Believe the token, or say why not.

        Args:
            key: the key's text, or None when there is no key of that name.
            host: the request's Host header; its port is not looked at.
            path: the request's path as sent.
            now: the emulator's time, seconds since 1970.

        Raises:
            Refused: 401, in this order: signature, audience, expiry.
        """
        if key is None or not hmac.compare_digest(
            _signature(key, self.resource, self.expiry), self.signature.encode()
        ):
            raise Refused(401, "InvalidSignature: The token has an invalid signature.")
        if not self._covers(host, path):
            raise Refused(
                401, "InvalidAudience: The authorization header contains a token for another resource."
            )
        if now >= int(self.expiry):
            raise Refused(401, "ExpiredToken: ")

    def _covers(self, host: str, path: str) -> bool:
        """Whether the request lies at or below the resource: namespace, hub, or deeper."""
        if self.host != _PORT.sub("", host.lower()):
            return False
        # A resource may have been coded from the path as sent, or from what it decodes to.
        requested = path.lower().rstrip("/") + "/"
        return requested.startswith(self.path) or unquote(requested).lower().startswith(self.path)


@lru_cache(maxsize=1024)
def _signature(key: str, resource: str, expiry: str) -> bytes:
    """The key signs with its text as it stands: it is not decoded from base64."""
    return base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), "sha256"))


def _malformed(reason: str) -> Refused:
    return Refused(401, f"MalformedToken: {reason}")
