"""Connection strings are read tolerantly and never shown; tokens are signed narrowly."""

from __future__ import annotations

import base64
import gc
import hashlib
import hmac
from datetime import UTC, datetime
from functools import partial
from http.client import IncompleteRead
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st
from urllib3.exceptions import HTTPError

from nhagent import ConnectionString, HubClient, Platform
from nhagent.device import credential_sources, paths
from nhagent.errors import ConfigurationError, CredentialError, HubUnavailable, NhagentError
from nhagent.hub.connection import _parts_of
from nhagent.session.credential_chain import CredentialChain

KEY = "c2VjcmV0LWtleS0xMjM0NTY3ODkwMTIzNDU2Nzg5MDE="
HOST = "ns.servicebus.windows.net"
NS = f"https://{HOST}"
LISTEN = f"Endpoint=sb://ns.servicebus.windows.net/;SharedAccessKeyName=listen;SharedAccessKey={KEY}"
NOW = datetime(2026, 1, 2, 3, 4, 5, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "endpoint", "path"),
    [
        (LISTEN, NS, None),
        (f"  {LISTEN};\n", NS, None),
        (f'"{LISTEN}"', NS, None),
        (f"{LISTEN};EntityPath=my-hub", NS, "my-hub"),
        (";".join(reversed(LISTEN.split(";"))), NS, None),
        (LISTEN.replace("Endpoint", "endPOINT").replace("sb://", "SB://"), NS, None),
        (LISTEN.replace(f"sb://{HOST}/", "https://hub.local:8443"), "https://hub.local:8443", None),
        (LISTEN.replace(f"sb://{HOST}/", "http://127.0.0.1:80/"), "http://127.0.0.1", None),
        (LISTEN.replace(f"sb://{HOST}/", HOST), NS, None),
        (LISTEN.replace("windows.net/", "windows.net//"), NS, None),
        (LISTEN.replace("ns.servicebus.windows.net", "[::1]:5"), "https://[::1]:5", None),
        (LISTEN.replace(";", " ; "), NS, None),
        (LISTEN.replace(";", ";\r\n"), NS, None),
        (f'"{LISTEN}";', NS, None),
        (f"'{LISTEN};'\n", NS, None),
        (f"\ufeff{LISTEN}", NS, None),
        (f'\ufeff "\ufeff{LISTEN};" ;\n', NS, None),
        (f"\xef\xbb\xbf{LISTEN}", NS, None),
        (f"\u201c{LISTEN}\u201d\xa0", NS, None),
    ],
)  # fmt: skip
def test_every_shipped_form_is_read(text: str, endpoint: str, path: str | None) -> None:
    read = ConnectionString.parse(text)
    assert (read.endpoint, read.key_name, read.key.reveal(), read.entity_path) == (
        endpoint,
        "listen",
        KEY,
        path,
    )


@pytest.mark.parametrize(
    ("text", "names"),
    [
        ("", "Endpoint is missing"),
        ("hello", "part 1 is not"),
        (LISTEN.replace("Endpoint=", "Endpoint"), "part 1 is not"),
        (LISTEN.replace("SharedAccessKeyName=listen;", ""), "SharedAccessKeyName is missing"),
        (LISTEN.replace(KEY, ""), "SharedAccessKey is missing"),
        (LISTEN + ";SharedAccessKey=other", "SharedAccessKey is given twice"),
        (LISTEN.replace(KEY, KEY * 9), "SharedAccessKey has more than 256"),
        (LISTEN.replace("sb://ns.", "ftp://ns."), "is not the address of a namespace"),
        (LISTEN.replace(f"sb://{HOST}/", "sb://"), "is not the address of a namespace"),
        (LISTEN.replace("windows.net/", "windows.net:port/"), "is not the address of a namespace"),
        (LISTEN.replace("sb://", "sb:/"), "is not the address of a namespace"),
        (LISTEN.replace("sb://", "https:/"), "is not the address of a namespace"),
        (LISTEN.replace("sb://", "sb//"), "is not the address of a namespace"),
        (LISTEN.replace("sb://ns", "sb://me@ns"), "is not the address of a namespace"),
        (LISTEN.replace("sb://", "http://"), "plain http is for loopback"),
        (LISTEN.replace("sb://ns", "http://127.0.0.1.evil"), "plain http is for loopback"),
        (LISTEN.replace(f"sb://{HOST}", "http://127.999.999.999"), "plain http is for loopback"),
        (LISTEN.replace(f"sb://{HOST}", "http://127.0.0.256:80"), "plain http is for loopback"),
        (LISTEN.replace(f"sb://{HOST}", "http://127.0.0.08"), "plain http is for loopback"),
        (LISTEN.replace(f"sb://{HOST}", "http://127.0.0.-1"), "plain http is for loopback"),
        (LISTEN.replace(f"sb://{HOST}", "http://127.0.0.\N{ARABIC-INDIC DIGIT ONE}"), "plain http is for"),
    ],
)
def test_malformed_connection_string_names_the_fault_and_not_the_key(text: str, names: str) -> None:
    with pytest.raises(ConfigurationError, match=names) as caught:
        ConnectionString.parse(text)
    assert KEY not in str(caught.value)


@pytest.mark.parametrize(
    "odd", ["\n", " ", "\t", "\xa0", "\u200b", "\u2060", "\ufeff", "\x00", "\u3164", "é"]
)
@pytest.mark.parametrize("part", [KEY, "listen"])
def test_character_inside_a_key_or_its_name_that_nobody_sees_is_refused(odd: str, part: str) -> None:
    name = "SharedAccessKey" if part == KEY else "SharedAccessKeyName"
    with pytest.raises(ConfigurationError, match=f"{name} holds white space, or") as caught:
        ConnectionString.parse(LISTEN.replace(part, f"{part[:3]}{odd}{part[3:]}"))
    assert KEY[:8] not in str(caught.value)


@pytest.mark.parametrize("odd", ["\n", " ", "\u200b"])
def test_character_inside_an_address_that_nobody_sees_is_refused(odd: str) -> None:
    with pytest.raises(ConfigurationError, match="is not the address of a namespace"):
        ConnectionString.parse(LISTEN.replace("ns.", f"n{odd}s."))


@pytest.mark.parametrize(
    "address", ["127.0.0.1", "127.255.255.255:8080", "127.0.0.0", "[::1]:1", "localhost"]
)
def test_plain_http_is_taken_to_loopback(address: str) -> None:
    read = ConnectionString.parse(LISTEN.replace(f"sb://{HOST}", f"http://{address}"))
    assert read.endpoint == f"http://{address}"


_ADDRESS_PARTS = st.lists(
    st.sampled_from(["sb", "https", "http", "://", "NS", "ns.azure", "127.0.0.1", "[::1]", ":", "0", "443",
                     "65535", "65536", "00080", "٣", "/", "//", "h/", "?q", "#f", "@", "%", ".", "-", "\\"]),
    max_size=8,
)  # fmt: skip


@given(_ADDRESS_PARTS.map("".join))
def test_address_of_the_usual_form_is_read_as_the_standard_library_reads_it(address: str) -> None:
    try:
        parts = urlsplit(address)
        expected = None if "@" in parts.netloc else (parts.scheme, parts.hostname or "", parts.port)
    except ValueError:
        expected = None
    try:
        read = _parts_of(address)
    except ValueError:
        read = None
    assert read == expected


@given(st.text())
def test_whatever_text_is_given_is_read_or_refused_in_words(text: str) -> None:
    try:
        ConnectionString.parse(text)
    except ConfigurationError as error:
        assert str(error).startswith("connection string: ")


@given(st.text(st.characters(min_codepoint=33, max_codepoint=126, exclude_characters=";\"'"), min_size=1))
def test_any_key_survives_the_round_and_signs_what_the_service_checks(key: str) -> None:
    read = ConnectionString.parse(LISTEN.replace(KEY, key[:256]))
    assert read.key.reveal() == key[:256]
    kind, _, fields = read.token("https://NS.servicebus.windows.net/Hub/installations/a%20b", NOW).partition(
        " "
    )
    assert kind == "SharedAccessSignature"
    raw = dict(part.split("=", 1) for part in fields.split("&"))
    signed = hmac.new(
        read.key.reveal().encode(), f"{raw['sr']}\n{raw['se']}".encode(), hashlib.sha256
    ).digest()
    assert base64.b64decode(unquote(raw["sig"])) == signed
    assert unquote(raw["sr"]) == "https://ns.servicebus.windows.net/hub/installations/a%20b"
    assert int(raw["se"]) == int(NOW.timestamp()) + 300
    assert dict(parse_qsl(fields))["skn"] == "listen"


def test_key_is_in_no_repr_or_str() -> None:
    read = ConnectionString.parse(LISTEN)
    for shown in (repr(read), str(read), f"{read}", repr([read])):
        assert KEY not in shown
    assert "listen" in repr(read)


@pytest.mark.parametrize(
    "name", ["DefaultFullSharedAccessSignature", "RootManageSharedAccessKey", "manage", "my-FULL-key"]
)
def test_key_that_may_do_more_than_listen_is_refused_for_a_device_alone(name: str) -> None:
    text = LISTEN.replace("=listen", f"={name}")

    def device(*, allow: bool) -> CredentialChain:
        return CredentialChain("app", "hub", text, endpoint=None, allow_full_access=allow)

    with pytest.raises(CredentialError, match=name) as caught:
        device(allow=False)
    assert KEY not in str(caught.value)
    assert device(allow=True).namespace() == "ns.servicebus.windows.net"
    HubClient(text, "hub").close()


def test_connection_string_of_another_hub_is_refused() -> None:
    with pytest.raises(ConfigurationError, match='is for hub "one", not "two"'):
        HubClient(f"{LISTEN};EntityPath=one", "two")


@pytest.mark.parametrize("hub", ["", "a//b", "a b", "../x", "x/..", "x?y", 5])
def test_wrong_hub_name_is_refused(hub: str) -> None:
    with pytest.raises(ConfigurationError, match="not a hub name"):
        HubClient(LISTEN, hub)


def test_token_callable_needs_an_endpoint_and_a_token() -> None:
    with pytest.raises(ConfigurationError, match="endpoint: needed"):
        HubClient(lambda: "SharedAccessSignature sr=x", "hub")
    for token, words in (
        ("not a token", "gave no SAS token"),
        ("SharedAccessSignature sr=ä", "gave no SAS token"),
    ):
        with (
            HubClient(partial(str, token), "hub", endpoint="http://127.0.0.1:9") as hub,
            pytest.raises(CredentialError, match=words) as caught,
        ):
            hub.delete_installation("x")
        assert "sr=ä" not in str(caught.value)


@pytest.mark.parametrize(
    ("error", "kind"),
    [
        (OSError("away"), HubUnavailable),
        (IncompleteRead(b""), HubUnavailable),
        (HTTPError("away"), HubUnavailable),
        (KeyError("token"), CredentialError),
    ],
    ids=["away", "http.client", "urllib3", "bug"],
)
def test_token_callable_that_fails_is_told_as_what_it_is(error: Exception, kind: type[Exception]) -> None:
    def token() -> str:
        raise error

    with (
        HubClient(token, "hub", endpoint="http://127.0.0.1:9") as hub,
        pytest.raises(kind, match="the token callable"),
    ):
        hub.delete_installation("x")


@pytest.mark.filterwarnings("error")
def test_token_callable_that_is_a_coroutine_function_is_told() -> None:
    async def token() -> str:
        return "SharedAccessSignature sr=x"

    source: Any = token
    with (
        HubClient(source, "hub", endpoint="http://127.0.0.1:9") as hub,
        pytest.raises(CredentialError, match="is a coroutine function; give a plain one"),
    ):
        hub.delete_installation("x")
    gc.collect()


def test_connection_string_in_a_wrong_place_is_not_shown() -> None:
    for wrong in (
        lambda: HubClient(LISTEN, LISTEN),
        lambda: HubClient(LISTEN, "hub", endpoint=LISTEN),
        lambda: Platform.parse(LISTEN),
        lambda: credential_sources.find_in_file({"NHAGENT_CONNECTION_STRING_FILE": LISTEN}),
        lambda: paths.state_folder(LISTEN, {}),
    ):
        with pytest.raises(NhagentError) as caught:
            wrong()
        assert KEY not in str(caught.value)


def test_text_with_ways_of_its_own_is_read_as_the_text_that_it_is() -> None:
    class Odd(str):
        __slots__ = ()

        def strip(self, *_: object) -> str:
            raise RuntimeError

        split = lower = partition = strip  # type: ignore[assignment]

    assert ConnectionString.parse(Odd(LISTEN)) == ConnectionString.parse(LISTEN)
