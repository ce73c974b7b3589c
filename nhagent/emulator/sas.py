"""Shared access signatures: the hub's access rules, and the tokens that are signed with their keys.

The five official clients disagree about the resource that they sign: scheme, port, query, case, coding and
depth all differ. What they share is that the signature covers the resource exactly as the header has it.
"""

from __future__ import annotations

import base64
import hmac
import re
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from urllib.parse import unquote, unquote_plus

from nhagent.emulator.http_messages import Refused

LISTEN_RULE = "DefaultListenSharedAccessSignature"
"""The rule whose key devices use."""
FULL_RULE = "DefaultFullSharedAccessSignature"
"""The rule whose key backends use."""
RIGHTS = frozenset({"Listen", "Send", "Manage"})
"""Every right that a rule can grant."""

_RULE_NAME = re.compile(r"[-A-Za-z0-9!()*+,._]{1,256}")
_SCHEME = "sharedaccesssignature"
_URI = re.compile(r"(?:[a-z][a-z0-9+.-]*://)?([^/?#]*)([^?#]*)")
_PORT = re.compile(r":\d*$")


@dataclass(frozen=True, slots=True)
class AccessRule:
    """A named key and the rights that it grants.

    Attributes:
        key: the key's text.
        rights: some of `RIGHTS`.
    """

    key: str = field(repr=False)
    rights: frozenset[str]

    @classmethod
    def new(cls, rights: Iterable[str]) -> AccessRule:
        """Make a rule with a random key of the form that the service gives: 44 characters of base64."""
        return cls(base64.b64encode(secrets.token_bytes(32)).decode(), frozenset(rights))


def new_rules(further: Mapping[str, Iterable[str]]) -> dict[str, AccessRule]:
    """Make the two rules that every new hub has, and further ones.

    Args:
        further: the rights of each further rule, by its name.

    Raises:
        ValueError: an invalid name or right.
    """
    rules = {LISTEN_RULE: AccessRule.new(["Listen"]), FULL_RULE: AccessRule.new(RIGHTS)}
    for name, given in further.items():
        rights = frozenset([given] if isinstance(given, str) else given)
        if not _RULE_NAME.fullmatch(name) or name in rules:
            raise ValueError(f"{name!r} is not a valid name for a further rule.")
        if not rights <= RIGHTS:
            raise ValueError(f"The rights of {name!r} are among {', '.join(sorted(RIGHTS))}.")
        rules[name] = AccessRule.new(rights)
    return rules


@dataclass(frozen=True, slots=True)
class Token:
    """A token as its sender wrote it, not yet verified.

    Attributes:
        resource: ``sr`` as it stands in the header, percent-coded.
        signature: ``sig``, decoded to base64.
        expiry: ``se`` as it stands in the header.
        key_name: the name of the rule whose key signed it, as it claims.
        host: the resource's host, without its port, in lower case.
        path: the resource's path, decoded, in lower case, ending in ``/``.
    """

    resource: str
    signature: str = field(repr=False)
    expiry: str
    key_name: str
    host: str
    path: str

    @classmethod
    @lru_cache(maxsize=1024)  # devices send the same token many times
    def read(cls, header: str | None, *, lenient: bool = False) -> Token:
        """Read the token in an Authorization header. Its fields may stand in any order.

        Args:
            header: the header's value; None where there is no such header.
            lenient: take a space in the signature, or an uncoded ``+``, for the ``+`` that the sender meant.

        Raises:
            Refused: 401, there is no header or it is not a token.
        """
        if header is None or not header.strip():
            raise Refused(401, "MissingToken: The authorization header was not found.")
        scheme, _, text = header.strip().partition(" ")
        if scheme.lower() != _SCHEME:
            raise _malformed(
                "The credentials contained in the authorization header are not in the WRAP format."
            )
        fields: dict[str, str] = {}
        for part in text.strip().split("&"):
            # Some senders leave the signature's trailing "=" uncoded: only the first one separates.
            name, divider, value = part.partition("=")
            if not divider or name in fields:
                raise _malformed("The token is not a list of fields.")
            fields[name] = value
        for name in ("sr", "sig", "se", "skn"):
            if not fields.get(name):
                raise _malformed(f"The field '{name}' is missing.")
        if not re.fullmatch(r"\d{1,15}", fields["se"], re.ASCII):
            raise _malformed("The field 'se' is not a number of seconds.")
        # Like any form's field: an uncoded "+" is a space, which no signature has.
        signature = unquote_plus(fields["sig"])
        if lenient:
            signature = signature.replace(" ", "+")
        match = _URI.match(unquote_plus(fields["sr"]).lower())
        if match is None or not match[1]:
            raise _malformed("The field 'sr' is not an address.")
        host, path = _PORT.sub("", match[1]), match[2].rstrip("/") + "/"
        return cls(fields["sr"], signature, fields["se"], unquote(fields["skn"]), host, path)

    def verify(self, key: str | None, *, host: str, path: str, now: float) -> None:
        """Check that the token was signed with the key, covers the request and has not expired.

        Args:
            key: the key's text; None when there is no rule of that name.
            host: the request's Host header; its port is ignored.
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
        """Return whether the request lies at or below the resource: namespace, hub, or deeper."""
        if self.host != _PORT.sub("", host.lower()):
            return False
        # A resource may have been coded from the path as sent, or from what it decodes to.
        requested = path.lower().rstrip("/") + "/"
        return requested.startswith(self.path) or unquote(requested).lower().startswith(self.path)


@lru_cache(maxsize=1024)
def _signature(key: str, resource: str, expiry: str) -> bytes:
    """Sign with the key's text as it stands: it is not decoded from base64."""
    return base64.b64encode(hmac.digest(key.encode(), f"{resource}\n{expiry}".encode(), "sha256"))


def _malformed(reason: str) -> Refused:
    return Refused(401, f"MalformedToken: {reason}")
