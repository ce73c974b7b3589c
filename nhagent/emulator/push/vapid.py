"""Who may send: tokens that are signed with the private key of a channel's VAPID pair (RFC 8292)."""

from __future__ import annotations

import json
from base64 import urlsafe_b64decode, urlsafe_b64encode
from typing import Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.asymmetric.utils import decode_dss_signature, encode_dss_signature

LONGEST_SECONDS = 24 * 3600
"""The furthest that a token may end in the future."""
_NUMBER = 32


class InvalidVapid(Exception):
    """The sender does not show that it may send."""


def encoded(data: bytes) -> str:
    """Write base64url without padding."""
    return urlsafe_b64encode(data).decode().rstrip("=")


def decoded(text: str) -> bytes:
    """Read base64url with or without padding.

    Raises:
        ValueError: it is none.
    """
    bare = text.rstrip("=")
    return urlsafe_b64decode(bare + "=" * (-len(bare) % 4))


class Pair:
    """A VAPID pair.

    Args:
        private: the private key in base64url; None: a new one.
    """

    def __init__(self, private: str | None = None) -> None:
        if private is None:
            self._key = ec.generate_private_key(ec.SECP256R1())
        else:
            self._key = ec.derive_private_key(int.from_bytes(decoded(private), "big"), ec.SECP256R1())

    @property
    def private(self) -> str:
        """The private key, 43 characters."""
        return encoded(self._key.private_numbers().private_value.to_bytes(_NUMBER, "big"))

    @property
    def public(self) -> str:
        """The public key, 87 characters."""
        public = self._key.public_key()
        return encoded(
            public.public_bytes(serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint)
        )

    def authorization(self, audience: str, subject: str, expires: float) -> str:
        """Make the Authorization header of a post."""
        claims = {"aud": audience, "exp": int(expires), "sub": subject}
        signed = ".".join(
            encoded(json.dumps(part).encode()) for part in ({"typ": "JWT", "alg": "ES256"}, claims)
        )
        r, s = decode_dss_signature(self._key.sign(signed.encode(), ec.ECDSA(hashes.SHA256())))
        signature = encoded(r.to_bytes(_NUMBER, "big") + s.to_bytes(_NUMBER, "big"))
        return f"vapid t={signed}.{signature},k={self.public}"


def check(authorization: str | None, crypto_key: str | None, key: str, origin: str, now: float) -> None:
    """Check that a post may be made to a channel.

    Args:
        authorization: the header of that name.
        crypto_key: likewise; the older form has the public key in it.
        key: the public key that the channel was registered with; empty: any key may send.
        origin: the push service's own.
        now: seconds since 1970.

    Raises:
        InvalidVapid: it may not.
    """
    token, public = _parts(authorization or "", crypto_key or "")
    if key and public.rstrip("=") != key:
        raise InvalidVapid("the key is not the one that the channel was registered with")
    signed, _, signature = token.rpartition(".")
    try:
        header, claims = (json.loads(decoded(part)) for part in signed.split("."))
        raw = decoded(signature)
        point = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), decoded(public))
    except (ValueError, RecursionError) as error:  # it may nest without end
        raise InvalidVapid("the token cannot be read") from error
    if not isinstance(header, dict) or not isinstance(claims, dict) or header.get("alg") != "ES256":
        raise InvalidVapid("the token is not signed with ES256")
    if len(raw) != 2 * _NUMBER:
        raise InvalidVapid("the signature is not one of ES256")
    numbers = (int.from_bytes(raw[:_NUMBER], "big"), int.from_bytes(raw[_NUMBER:], "big"))
    try:
        point.verify(encode_dss_signature(*numbers), signed.encode(), ec.ECDSA(hashes.SHA256()))
    except InvalidSignature as error:
        raise InvalidVapid("the signature is wrong") from error
    _check_claims(claims, origin, now)


def _check_claims(claims: dict[str, Any], origin: str, now: float) -> None:
    expires = claims.get("exp")
    if claims.get("aud") != origin:
        raise InvalidVapid(f"the token is for '{claims.get('aud')}', not for {origin}")
    if not isinstance(expires, int | float) or isinstance(expires, bool):
        raise InvalidVapid("the token does not say when it ends")
    if not now < expires <= now + LONGEST_SECONDS:
        raise InvalidVapid("the token has ended, or ends later than in 24 hours")


def _parts(authorization: str, crypto_key: str) -> tuple[str, str]:
    """Return the token and the public key of either form."""
    scheme, _, rest = authorization.strip().partition(" ")
    if scheme.lower() == "vapid":
        values = _values(rest)
        return values.get("t", ""), values.get("k", "")
    if scheme.lower() in {"webpush", "bearer"}:
        return rest.strip(), _values(crypto_key).get("p256ecdsa", "")
    raise InvalidVapid("there is no token")


def _values(text: str) -> dict[str, str]:
    """Read ``a=b,c=d;e=f``."""
    pairs = (part.partition("=") for part in text.replace(";", ",").split(","))
    return {name.strip().lower(): value.strip().strip('"') for name, _, value in pairs}
