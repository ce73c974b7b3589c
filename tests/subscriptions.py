"""Web Push subscriptions whose keys are keys: points of the curve P-256 and secrets of 16 bytes."""

from __future__ import annotations

from base64 import b64decode, urlsafe_b64encode

_P = 2**256 - 2**224 + 2**192 + 2**96 - 1
_B = 0x5AC635D8AA3A93E7B3EBBD55769886BC651D06B0CC53B0F63BCE3C3E27D2604B


def text_of(key: bytes) -> str:
    """A key as browsers write it."""
    return urlsafe_b64encode(key).decode().rstrip("=")


def public_key(beginning: str) -> str:
    """A public key whose text begins so: with B, and a character from A to P."""
    assert beginning[0] == "B"
    assert "A" <= beginning[1] <= "P"
    start = b64decode(beginning + "A" * (88 - len(beginning)))[1:33]
    x = int.from_bytes(start, "big")
    while True:
        square = (x**3 - 3 * x + _B) % _P
        y = pow(square, (_P + 1) // 4, _P)
        if y * y % _P == square:
            return text_of(b"\x04" + x.to_bytes(32, "big") + y.to_bytes(32, "big"))
        x += 1


P256DH, OTHER_P256DH = public_key("BP/+"), public_key("BOther")
"""The first has characters in which the two alphabets of base64 differ."""
AUTH, OTHER_AUTH = text_of(b"\xfb\xff" * 8), text_of(b"another secret..")
KEYS = {"p256dh": P256DH, "auth": AUTH}
