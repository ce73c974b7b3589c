"""The keys of a Web Push subscription, whoever encoded them (RFC 8291, section 3.1).

Browsers give base64url without padding; other programs write plain base64, or pad it. The service's samples
pass on what browsers give, so that this is the form that is kept and sent.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_IN_BASE64: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/")
_LONGEST: Final = 256
"""Characters of a key with whatever padding: no key has half of them."""
AUTH_BYTES: Final = 16
POINT_BYTES: Final = 65
_UNCOMPRESSED: Final = 4
_COORDINATE_BYTES: Final = 32
# The curve P-256: y² = x³ - 3x + b modulo p (SEC 2, 2.4.2).
_P: Final = 0xFFFFFFFF00000001000000000000000000000000FFFFFFFFFFFFFFFFFFFFFFFF
_B: Final = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def decoded(key: object) -> bytes | None:
    """Decode a key in either alphabet, padded or not.

    Args:
        key: what was given as one.

    Returns:
        Its bytes; None where it is not base64.
    """
    if not isinstance(key, str) or len(key) > _LONGEST:
        return None
    text = key.strip().rstrip("=").replace("-", "+").replace("_", "/")
    if not text or not _IN_BASE64.issuperset(text):
        return None
    try:
        return a2b_base64(text + "=" * (-len(text) % 4))
    except Error:  # a single character is left over
        return None


def encoded(key: bytes) -> str:
    """Write a key as browsers do: base64url without padding."""
    return b2a_base64(key, newline=False).decode().rstrip("=").replace("+", "-").replace("/", "_")


def is_public_key(key: bytes) -> bool:
    """Tell whether bytes are a point of the curve P-256, written without compression."""
    if len(key) != POINT_BYTES or key[0] != _UNCOMPRESSED:
        return False
    x = int.from_bytes(key[1 : 1 + _COORDINATE_BYTES], "big")
    y = int.from_bytes(key[1 + _COORDINATE_BYTES :], "big")
    return x < _P and y < _P and (y * y - x * x * x + 3 * x - _B) % _P == 0
