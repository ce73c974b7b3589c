"""What arrives by Web Push is decrypted as RFC 8291 and RFC 8188 have it, and as the draft before them."""

from __future__ import annotations

import os
from base64 import urlsafe_b64decode

import pytest
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.hkdf import HKDF
from hypothesis import given
from hypothesis import strategies as st

from nhagent import web_push_keys
from nhagent.channels.encryption import (
    MAX_BYTES,
    Keys,
    Undecryptable,
    decrypt,
    new_keys,
    new_pair,
)

KEYS = new_keys()
OTHERS = new_keys()
SALT = bytes(range(16))


def from_base64url(text: str) -> bytes:
    return urlsafe_b64decode(text + "=" * (-len(text) % 4))


def derived(material: bytes, salt: bytes, info: bytes, length: int) -> bytes:
    return HKDF(hashes.SHA256(), length, salt, info).derive(material)


def point(key: ec.EllipticCurvePrivateKey) -> bytes:
    return key.public_key().public_bytes(
        serialization.Encoding.X962, serialization.PublicFormat.UncompressedPoint
    )


class Sender:
    """A sender's own code: what it makes must be read, whatever its records look like."""

    def __init__(self, to: Keys) -> None:
        self.key = ec.generate_private_key(ec.SECP256R1())
        self.point = point(self.key)
        self.to = from_base64url(to.p256dh)
        self.auth = from_base64url(to.auth)
        public = ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), self.to)
        self.shared = self.key.exchange(ec.ECDH(), public)

    def aes128gcm(self, parts: list[bytes], *, size: int, padding: int = 0, delimiters: bytes = b"") -> bytes:
        """Encrypt in records; each part but the last fills one."""
        material = derived(self.shared, self.auth, b"WebPush: info\0" + self.to + self.point, 32)
        key = derived(material, SALT, b"Content-Encoding: aes128gcm\0", 16)
        nonce = int.from_bytes(derived(material, SALT, b"Content-Encoding: nonce\0", 12), "big")
        delimiters = delimiters or b"\1" * (len(parts) - 1) + b"\2"
        body = SALT + size.to_bytes(4, "big") + b"\x41" + self.point
        for number, part in enumerate(parts):
            text = part + delimiters[number : number + 1] + bytes(padding)
            body += AESGCM(key).encrypt((nonce ^ number).to_bytes(12, "big"), text, None)
        return body

    def aesgcm(self, parts: list[bytes], *, padding: int = 0) -> tuple[bytes, dict[str, str]]:
        context = b"P-256\0\0\x41" + self.to + b"\0\x41" + self.point
        material = derived(self.shared, self.auth, b"Content-Encoding: auth\0", 32)
        key = derived(material, SALT, b"Content-Encoding: aesgcm\0" + context, 16)
        nonce = int.from_bytes(derived(material, SALT, b"Content-Encoding: nonce\0" + context, 12), "big")
        body = b""
        for number, part in enumerate(parts):
            text = padding.to_bytes(2, "big") + bytes(padding) + part
            body += AESGCM(key).encrypt((nonce ^ number).to_bytes(12, "big"), text, None)
        size = len(parts[0]) + padding + 2
        headers = {
            "encryption": f"keyid=p256dh;salt={web_push_keys.encoded(SALT)};rs={size}",
            "crypto_key": f"keyid=p256dh;dh={web_push_keys.encoded(self.point)},p256ecdsa=BNone",
        }
        return body, headers


def test_the_example_of_rfc_8291_is_decrypted() -> None:
    keys = Keys(
        "q1dXpw3UpT5VOmu_cf_v6ih07Aems3njxI-JWgLcM94",
        "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4",
        "BTBZMqHH6r4Tts7J_aSIgg",
    )
    body = from_base64url(
        "DGv6ra1nlYgDCS1FRnbzlwAAEABBBP4z9KsN6nGRTbVYI_c7VJSPQTBtkgcy27mlmlMoZIIgDll6e3vCYLocInmYWAmS6TlzAC8wEqKK"
        "6PBru3jl7A_yl95bQpu6cVPTpK4Mqgkf1CXztLVBSt2Ks3oZwbuwXPXLWyouBWLVWGNWQexSgSxsj_Qulcy4a-fN"
    )
    assert decrypt(body, keys) == b"When I grow up, I want to be a watermelon"


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.integers(0, 20))
def test_several_records_are_put_together(parts: list[bytes], padding: int) -> None:
    full = max(map(len, parts))
    parts = [part.ljust(full, b"x") for part in parts]
    size = full + 1 + padding + 16
    assert decrypt(Sender(KEYS).aes128gcm(parts, size=size, padding=padding), KEYS) == b"".join(parts)


@given(st.lists(st.binary(min_size=1, max_size=40), min_size=1, max_size=5), st.integers(0, 20))
def test_several_records_of_the_older_encoding_are_put_together(parts: list[bytes], padding: int) -> None:
    full = max(map(len, parts))
    parts = [part.ljust(full, b"x") for part in parts]
    body, headers = Sender(KEYS).aesgcm(parts, padding=padding)
    assert decrypt(body, KEYS, "aesgcm", headers) == b"".join(parts)


def test_an_empty_message_is_one() -> None:
    assert decrypt(Sender(KEYS).aes128gcm([b""], size=4096), KEYS) == b""
    body, headers = Sender(KEYS).aesgcm([b""])
    assert decrypt(body, KEYS, "aesgcm", {**headers, "encryption": headers["encryption"] + "0"}) == b""


@given(st.integers(0, 10_000), st.integers(0, 7))
def test_a_bit_that_was_flipped_on_the_way_is_noticed(place: int, bit: int) -> None:
    body = bytearray(Sender(KEYS).aes128gcm([b"the text"], size=4096))
    body[place % len(body)] ^= 1 << bit
    try:
        assert decrypt(bytes(body), KEYS) == b"the text"  # a larger record size says the same
    except Undecryptable:
        pass
    else:
        assert place % len(body) in range(16, 20)


@pytest.mark.parametrize("encoding", ["aes128gcm", "aesgcm", "identity", ""])
@given(
    body=st.binary(max_size=200),
    headers=st.dictionaries(st.sampled_from(["encryption", "crypto_key"]), st.text()),
)
def test_whatever_arrives_is_decrypted_or_refused(
    encoding: str, body: bytes, headers: dict[str, str]
) -> None:
    with pytest.raises(Undecryptable):
        decrypt(body, KEYS, encoding, headers)


def test_what_was_sent_to_another_device_is_refused() -> None:
    body = Sender(OTHERS).aes128gcm([b"not for us"], size=4096)
    with pytest.raises(Undecryptable, match="other keys"):
        decrypt(body, KEYS)


@pytest.mark.parametrize(
    ("parts", "delimiters"),
    [([b"one", b"two"], b"\2\2"), ([b"one", b"two"], b"\1\1"), ([b"one"], b"\1"), ([b"one"], b"\3")],
    ids=["two last ones", "none is the last", "the only one is not the last", "neither"],
)
def test_records_that_were_cut_off_or_moved_are_noticed(parts: list[bytes], delimiters: bytes) -> None:
    body = Sender(KEYS).aes128gcm(parts, size=3 + 1 + 16, delimiters=delimiters)
    with pytest.raises(Undecryptable, match="place"):
        decrypt(body, KEYS)


def test_a_body_longer_than_any_message_is_not_looked_at() -> None:
    with pytest.raises(Undecryptable, match="longer"):
        decrypt(os.urandom(MAX_BYTES + 1), KEYS)


@pytest.mark.parametrize("size", [0, 17, 2**32 - 1])
def test_a_record_size_that_no_sender_means_does_no_harm(size: int) -> None:
    body = Sender(KEYS).aes128gcm([b"text"], size=size)
    if size < 18:
        with pytest.raises(Undecryptable):
            decrypt(body, KEYS)
    else:
        assert decrypt(body, KEYS) == b"text"


def test_a_pair_is_a_private_key_and_its_point() -> None:
    private, public = new_pair()
    assert (len(private), len(public)) == (43, 87)
    number = int.from_bytes(from_base64url(private), "big")
    assert point(ec.derive_private_key(number, ec.SECP256R1())) == from_base64url(public)
    assert new_pair() != (private, public)


def test_keys_do_not_show() -> None:
    assert KEYS.private not in repr(KEYS)
    assert KEYS.auth not in repr(KEYS)
