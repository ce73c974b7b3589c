"""The forms of handles by themselves: .NET's addresses, keys of subscriptions, words for nothing."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nhagent import web_push_keys
from nhagent.absolute_uri import absolute_uri
from nhagent.errors import ConfigurationError
from nhagent.handle_validation import STAND_INS, stands_for_nothing
from nhagent.models import Platform, identity_of_channel, read_channel
from nhagent.push_channels import is_same_channel
from tests.subscriptions import AUTH, P256DH
from tests.work import Counted, work_of

RFC_8291 = "BCVxsr7N_eNgVRqvHtD0zTZsEc6-VV-JvLexhqUzORcxaOzi6-AYWXvTBHm4bjyPjs7Vd8pZGH6SRpkNtoIAiw4"
"""The public key of the example in section 5 of RFC 8291."""


@pytest.mark.parametrize(
    ("text", "form"),
    [
        ("https://some.url", "https://some.url/"),
        ("HTTPS://Some.URL:443/A?B#C", "https://some.url/A?B#C"),
        ("http://x:80?y", "http://x/?y"),
        ("http://x:443/", "http://x:443/"),
        ("https://x:/", "https://x/"),
        ("https://x:08443/", "https://x:8443/"),
        ("https://[2001:DB8::1]:443/", "https://[2001:db8::1]/"),
        ("https://Me:Pass@X/", "https://Me:Pass@x/"),
        ("https://x/a/./b/../c", "https://x/a/c"),
        ("https://x/a/..", "https://x/"),
        ("https://x/../../a", "https://x/a"),
        ("https://x/a?b=/../c", "https://x/a?b=/../c"),
        ("https://x\\a", "https://x/a"),
        ("https://x/%2f%41?t=%3d", "https://x/%2f%41?t=%3d"),
        ('https://x/é{}|^` "<>', "https://x/%C3%A9%7B%7D%7C%5E%60%20%22%3C%3E"),
        ("https://bücher.example", "https://bücher.example/"),
    ],
)  # fmt: skip
def test_an_address_is_written_as_dotnet_does(text: str, form: str) -> None:
    assert absolute_uri(text) == form
    assert absolute_uri(form) == form
    assert read_channel(Platform.WNS, text, "channel") == form
    assert identity_of_channel(Platform.MPNS, text) == form
    assert is_same_channel(Platform.WNS, text, form)


@pytest.mark.parametrize(
    "text",
    ["", "x", "https:", "https://", "https:///x", "https://?x", "https://:80/", "ftp://x/",
     "file:///etc", "//x",
     "https://x:port/", "https://x:65536/", "https://x:-1/", "https://[::1/", "https://[]/", "https://[::1]x/",
     "https://a b/", "https://a{b}/", "mailto:a@b", "https://a@/"],
)  # fmt: skip
def test_what_is_no_address_with_a_host_is_refused(text: str) -> None:
    assert absolute_uri(text) is None


@given(st.text())
def test_whatever_follows_the_host_is_written_once_and_for_all(text: str) -> None:
    form = absolute_uri(f"https://x/{text}")
    assert form is not None
    assert form.isascii()
    assert absolute_uri(form) == form


@pytest.mark.parametrize("unit", ["/..", "/.", "/a/..", "@", "é", "\\", ":"])
def test_an_address_twice_as_long_takes_twice_the_work(unit: str) -> None:
    little, much = (work_of(lambda n=n: absolute_uri(Counted("https://x/" + unit * n))) for n in (1000, 2000))  # type: ignore[misc]
    assert much < 2.5 * little


def test_keys_are_read_in_either_alphabet_padded_or_not() -> None:
    point = web_push_keys.decoded(RFC_8291)
    assert point is not None
    assert web_push_keys.is_public_key(point)
    for key in (P256DH, AUTH, RFC_8291):
        plain = key.replace("-", "+").replace("_", "/")
        for form in (key, plain, f"{key}=", f"{plain}==", f" {plain}\n"):
            raw = web_push_keys.decoded(form)
            assert raw is not None
            assert web_push_keys.encoded(raw) == key


@pytest.mark.parametrize("key", ["", "=", "a", "ä", "a b", "A" * 300, None, 5, b"AAAA", "AA\nAA"])
def test_what_is_not_base64_is_no_key(key: object) -> None:
    assert web_push_keys.decoded(key) is None


@given(st.binary(min_size=64, max_size=64))
def test_bytes_that_are_on_no_curve_are_no_public_key(drawn: bytes) -> None:
    from cryptography.hazmat.primitives.asymmetric import ec

    try:
        ec.EllipticCurvePublicKey.from_encoded_point(ec.SECP256R1(), b"\x04" + drawn)
    except ValueError:
        assert not web_push_keys.is_public_key(b"\x04" + drawn)
    else:
        assert web_push_keys.is_public_key(b"\x04" + drawn)


@pytest.mark.parametrize("word", sorted(STAND_INS))
def test_every_word_stands_for_nothing_in_any_case(word: str) -> None:
    for spelt in (word, word.upper(), word.title(), f"java.io.IOException:{word}"):
        assert stands_for_nothing(spelt)
        with pytest.raises(ConfigurationError):
            read_channel(Platform.FCMV1, spelt, "channel")


@pytest.mark.parametrize(
    "handle",
    ["dQw4:APA91b-good_1x", "a", "token-1", "nullable", "APA91bNull", "x:y", "mi/1==", "e-r-r-o-r", "1",
     "nonesuch",
     "timeout1", "errors", "550e8400-e29b-41d4-a716-446655440000", "a.b~c"],
)  # fmt: skip
@pytest.mark.parametrize("platform", [Platform.FCMV1, Platform.GCM, Platform.ADM, Platform.XIAOMI])
def test_what_no_platform_excludes_passes_however_short(platform: Platform, handle: str) -> None:
    assert read_channel(platform, handle, "channel") == handle
    assert read_channel(platform, f"\ufeff {handle}\n", "channel") == handle


def test_no_error_shows_what_was_given() -> None:
    for platform in Platform:
        for wrong in ("null:s3cr3t-handle here", '"s3cr3t-handle"', "https://s3cr3t-handle.invalid/"):
            with pytest.raises(ConfigurationError) as caught:
                read_channel(platform, wrong, "channel")
            assert "s3cr3t" not in str(caught.value)
