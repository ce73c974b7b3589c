"""Send to a subscription as a hub does: encrypted for the device (RFC 8291), signed (RFC 8292), posted."""

from __future__ import annotations

import http.client
import os
import ssl
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nhagent.emulator.push.vapid import Pair, decoded

SECONDS = 10.0
"""How long a post may take."""
TTL = 3600
"""How long the push service keeps what is sent, in seconds, where nobody says."""
RECORD = 4096
TOKEN_SECONDS = 12 * 3600
SUBJECT = "mailto:emulator@localhost"


@dataclass(frozen=True, slots=True)
class Posted:
    """What the push service has answered.

    Attributes:
        status: the HTTP status: 201 where it was taken, 404 or 410 where the subscription is gone.
        body: the answer's.
    """

    status: int
    body: str


def encrypted(text: bytes, p256dh: str, auth: str) -> bytes:
    """Encrypt a message in one record of ``aes128gcm``.

    Raises:
        ValueError: they are not keys, or the text is too long for one record.
    """
    if len(text) + 1 + 16 > RECORD:
        raise ValueError(f"the message has {len(text)} bytes, more than one record takes.")
    point, secret, salt = decoded(p256dh), decoded(auth), os.urandom(16)
    receiver = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), point)
    own = ec.generate_private_key(ec.SECP256R1())
    sender = own.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )
    material = _derived(own.exchange(ec.ECDH(), receiver), secret, b"WebPush: info\0" + point + sender, 32)
    key = _derived(material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(material, salt, b"Content-Encoding: nonce\0", 12)
    head = salt + RECORD.to_bytes(4, "big") + bytes([len(sender)]) + sender
    return head + AESGCM(key).encrypt(nonce, text + b"\2", None)


def post(
    subscription: Mapping[str, Any],
    text: bytes,
    pair: Pair,
    *,
    ca: str | None = None,
    ttl: int = TTL,
    now: Callable[[], float] = time.time,
) -> Posted:
    """Send a message to a subscription.

    Args:
        subscription: with ``endpoint``, ``p256dh`` and ``auth``.
        text: the message.
        pair: the VAPID pair.
        ca: the authority that the push service's certificate is from; None: the usual ones.
        ttl: how long the push service keeps it, in seconds.
        now: gives the time by which the token is dated.

    Raises:
        ValueError: the subscription is none.
        OSError: the push service cannot be reached.
    """
    endpoint = urlsplit(str(subscription["endpoint"]))
    body = encrypted(text, str(subscription["p256dh"]), str(subscription["auth"]))
    audience = f"{endpoint.scheme}://{endpoint.netloc}"
    headers = {
        "TTL": str(ttl),
        "Content-Encoding": "aes128gcm",
        "Content-Type": "application/octet-stream",
        "Authorization": pair.authorization(audience, SUBJECT, now() + TOKEN_SECONDS),
    }
    host, port = endpoint.hostname or "", endpoint.port
    connection: http.client.HTTPConnection
    if endpoint.scheme == "https":
        context = ssl.create_default_context(cafile=ca)
        connection = http.client.HTTPSConnection(host, port, timeout=SECONDS, context=context)
    else:
        connection = http.client.HTTPConnection(host, port, timeout=SECONDS)
    try:
        connection.request("POST", endpoint.path, body, headers)
        reply = connection.getresponse()
        return Posted(reply.status, reply.read(1 << 16).decode(errors="replace"))
    except http.client.HTTPException as error:
        raise OSError(f"no answer from the push service ({type(error).__name__})") from error
    finally:
        connection.close()


def _derived(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)
