"""Decrypt what arrives by Web Push, and make the keys that it is encrypted for (RFC 8291, RFC 8188).

Both encodings are read: ``aes128gcm``, whose parameters stand before the records, and the older ``aesgcm``,
whose parameters a push service hands on beside the body.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF

from nhagent.values import Value
from nhagent.web_push_keys import AUTH_BYTES, POINT_BYTES, decoded, encoded

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

AES128GCM: Final = "aes128gcm"
AESGCM_OF_OLD: Final = "aesgcm"
MAX_BYTES: Final = 16 * 1024
"""Longest encrypted body; push services take less than 6 KiB."""
SALT_BYTES: Final = 16
TAG_BYTES: Final = 16
NONCE_BYTES: Final = 12
PRIVATE_BYTES: Final = 32
_SIZE_BYTES: Final = 4
_SMALLEST_RECORD: Final = TAG_BYTES + 2
_DEFAULT_RECORD: Final = 4096
_LAST, _OTHER = 2, 1
"""What stands behind the text of the last record, and of the others."""


class Undecryptable(ValueError):
    """A message is not encrypted for these keys, or not as the standards have it."""


class Keys(Value):
    """The keys of one Web Push subscription.

    Attributes:
        private: the private key, 32 bytes in base64url without padding.
        p256dh: its public key, 65 bytes likewise.
        auth: the secret that the sender knows, too, 16 bytes likewise.
    """

    private: str
    p256dh: str
    auth: str
    _hidden = frozenset({"private", "auth"})


def new_keys() -> Keys:
    """Make the keys of a new subscription."""
    private, public = new_pair()
    return Keys(private, public, encoded(os.urandom(AUTH_BYTES)))


def new_pair() -> tuple[str, str]:
    """Make a private key of the curve P-256 and its public key, both in base64url without padding."""
    private = ec.generate_private_key(ec.SECP256R1())
    number = private.private_numbers().private_value
    return encoded(number.to_bytes(PRIVATE_BYTES, "big")), encoded(_point_of(private.public_key()))


def decrypt(body: bytes, keys: Keys, encoding: str = AES128GCM, headers: Mapping[str, str] = {}) -> bytes:
    """Decrypt one message.

    Args:
        body: what arrived.
        keys: the subscription's.
        encoding: ``aes128gcm`` or ``aesgcm``.
        headers: with ``aesgcm``, the headers ``encryption`` and ``crypto_key`` that came with it.

    Raises:
        Undecryptable: it is not encrypted for these keys, or malformed.
    """
    if len(body) > MAX_BYTES:
        raise Undecryptable(f"{len(body)} bytes are longer than any message")
    try:
        if encoding == AES128GCM:
            return _decrypt_aes128gcm(body, keys)
        if encoding == AESGCM_OF_OLD:
            return _decrypt_aesgcm(body, keys, headers)
    except InvalidTag:
        raise Undecryptable("it is encrypted for other keys, or was changed on the way") from None
    raise Undecryptable("its content encoding is unknown")


def _decrypt_aes128gcm(body: bytes, keys: Keys) -> bytes:
    """Decrypt RFC 8188: salt, record size and the sender's key stand before the records."""
    begin = SALT_BYTES + _SIZE_BYTES + 1
    if len(body) < begin + POINT_BYTES or body[begin - 1] != POINT_BYTES:
        raise Undecryptable("its header is cut short, or names no key")
    salt, size = body[:SALT_BYTES], int.from_bytes(body[SALT_BYTES : begin - 1], "big")
    sender, records = body[begin : begin + POINT_BYTES], body[begin + POINT_BYTES :]
    private = _private_key(keys)
    material = _derived(
        _shared(private, sender),
        _known(keys.auth),
        b"WebPush: info\0" + _point_of(private.public_key()) + sender,
        32,
    )
    key = _derived(material, salt, b"Content-Encoding: aes128gcm\0", 16)
    nonce = _derived(material, salt, b"Content-Encoding: nonce\0", NONCE_BYTES)
    parts: list[bytes] = []
    for record, is_last in _records(records, size, len(records)):
        text = AESGCM(key).decrypt(_numbered(nonce, len(parts)), record, None).rstrip(b"\0")
        if not text or text[-1] != (_LAST if is_last else _OTHER):
            raise Undecryptable("one of its records does not end as its place demands")
        parts.append(text[:-1])
    return b"".join(parts)


def _decrypt_aesgcm(body: bytes, keys: Keys, headers: Mapping[str, str]) -> bytes:
    """Decrypt the draft that came before RFC 8291: the parameters are in headers, the padding is in front."""
    encryption, crypto_key = _parameters(headers, "encryption"), _parameters(headers, "crypto_key")
    salt, sender = decoded(encryption.get("salt")), decoded(crypto_key.get("dh"))
    if salt is None or len(salt) != SALT_BYTES or sender is None or len(sender) != POINT_BYTES:
        raise Undecryptable("its headers lack the salt, or the sender's key")
    size = encryption.get("rs", str(_DEFAULT_RECORD))
    if not size.isascii() or not size.isdecimal() or len(size) > len(str(2**32)):
        raise Undecryptable("its record size is no number")
    private = _private_key(keys)
    ours = _point_of(private.public_key())
    length = POINT_BYTES.to_bytes(2, "big")
    context = b"P-256\0" + length + ours + length + sender
    material = _derived(_shared(private, sender), _known(keys.auth), b"Content-Encoding: auth\0", 32)
    key = _derived(material, salt, b"Content-Encoding: aesgcm\0" + context, 16)
    nonce = _derived(material, salt, b"Content-Encoding: nonce\0" + context, NONCE_BYTES)
    parts: list[bytes] = []
    for record, _ in _records(body, int(size) + TAG_BYTES, len(body)):
        text = AESGCM(key).decrypt(_numbered(nonce, len(parts)), record, None)
        padding = int.from_bytes(text[:2], "big")
        if len(text) < 2 + padding or text[2 : 2 + padding].strip(b"\0"):
            raise Undecryptable("the padding of one of its records is malformed")
        parts.append(text[2 + padding :])
    return b"".join(parts)


def _records(body: bytes, size: int, length: int) -> Iterator[tuple[bytes, bool]]:
    """Part a body into its records; each with whether it is the last."""
    if size < _SMALLEST_RECORD or not body:
        raise Undecryptable("its records are too small, or missing")
    for start in range(0, length, size):
        record = body[start : start + size]
        if len(record) < _SMALLEST_RECORD - 1:
            raise Undecryptable("its last record is cut short")
        yield record, start + size >= length


def _parameters(headers: Mapping[str, str], name: str) -> dict[str, str]:
    """Read the parameters of a header such as ``dh=…;keyid=…, p256ecdsa=…``: the first of each name."""
    found: dict[str, str] = {}
    for part in headers.get(name, "").replace(",", ";").split(";"):
        key, _, value = part.partition("=")
        found.setdefault(key.strip().lower(), value.strip().strip('"'))
    return found


def _private_key(keys: Keys) -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(_known(keys.private), "big")
    try:
        return ec.derive_private_key(number, ec.SECP256R1())
    except ValueError:
        raise Undecryptable("the private key that was kept is not one") from None


def _shared(private: ec.EllipticCurvePrivateKey, sender: bytes) -> bytes:
    try:
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), sender)
    except ValueError:
        raise Undecryptable("the sender's key is not a point of the curve") from None
    return private.exchange(ec.ECDH(), public)


def _known(key: str) -> bytes:
    found = decoded(key)
    if found is None:
        raise Undecryptable("the keys that were kept are damaged")
    return found


def _point_of(public: ec.EllipticCurvePublicKey) -> bytes:
    """Write a point without compression, by hand: the library's module for it takes 2 MB."""
    numbers = public.public_numbers()
    return b"\x04" + b"".join(number.to_bytes(PRIVATE_BYTES, "big") for number in (numbers.x, numbers.y))


def _derived(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def _numbered(nonce: bytes, number: int) -> bytes:
    return (int.from_bytes(nonce, "big") ^ number).to_bytes(NONCE_BYTES, "big")
