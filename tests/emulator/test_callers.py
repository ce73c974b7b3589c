"""Who may use the control routes, and that nobody else changes or reads anything."""

from __future__ import annotations

import http.client
import json
from urllib.parse import urlsplit

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.callers import is_loopback_host

from .caller import HANG_SECONDS, Answer, Caller, wns

FAULT = json.dumps({"match": "*", "status": 500})
JSON = ("Content-Type", "application/json")
CHANGES = [
    ("POST", "/_emulator/faults", FAULT),
    ("POST", "/_emulator/forget", json.dumps({"installation": "i"})),
    ("POST", "/_emulator/forget", json.dumps({"registration": "1-2-3", "gone": True})),
    ("POST", "/_emulator/clock", json.dumps({"offset": 3600})),
    ("DELETE", "/_emulator/log", ""),
    ("DELETE", "/_emulator/faults", ""),
]


def ask(
    emulator: Emulator, method: str, target: str, body: str, *headers: tuple[str, str], host: bool = True
) -> Answer:
    """One request with just these headers, which may repeat. `host`: with the address as Host."""
    address = urlsplit(emulator.endpoint)
    connection = http.client.HTTPConnection(address.hostname or "", address.port, timeout=HANG_SECONDS)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        if host:
            connection.putheader("Host", address.netloc)
        for name, value in headers:
            connection.putheader(name, value)
        connection.putheader("Content-Length", str(len(body)))
        connection.endheaders(body.encode())
        response = connection.getresponse()
        return Answer(response.status, response.headers, response.read())
    finally:
        connection.close()


def own(emulator: Emulator) -> str:
    return urlsplit(emulator.endpoint).netloc


@pytest.mark.parametrize(("method", "target", "body"), CHANGES)
@pytest.mark.parametrize(
    ("host", "headers", "status"),
    [
        pytest.param(None, [("Origin", "https://evil.example"), JSON], 403, id="cross-site"),
        pytest.param(None, [("Origin", "null"), JSON], 403, id="sandboxed frame"),
        pytest.param(None, [("Origin", ""), JSON], 403, id="empty origin"),
        pytest.param(None, [("Origin", "http://localhost:1"), JSON], 403, id="another port"),
        pytest.param("evil.example", [JSON], 403, id="DNS rebinding"),
        pytest.param("evil.example", [("Origin", "http://evil.example"), JSON], 403, id="rebound page"),
        pytest.param("127.0.0.1.evil.example", [JSON], 403, id="begins as loopback"),
        pytest.param("127.999.999.999", [JSON], 403, id="no address"),
        pytest.param("", [JSON], 403, id="empty host"),
        pytest.param("localhost", [("Host", "evil.example"), JSON], 403, id="two hosts"),
    ],
)
def test_a_page_of_the_web_changes_nothing(
    emulator: Emulator,
    hub: Caller,
    method: str,
    target: str,
    body: str,
    host: str | None,
    headers: list[tuple[str, str]],
    status: int,
) -> None:
    hub.put(wns())
    emulator.fail("PATCH", status=503)
    before = emulator.log(), emulator.contents()
    reply = ask(
        emulator,
        method,
        target,
        body,
        ("Host", own(emulator) if host is None else host),
        *headers,
        host=False,
    )
    assert reply.status == status
    assert reply.json["error"].startswith("Control routes ")
    assert not [name for name in reply.headers if name.lower().startswith("access-control-")]
    assert (emulator.log(), emulator.contents()) == before
    assert hub.get().status == 200
    assert hub.patch().status == 503


@pytest.mark.parametrize(("method", "target", "body"), [change for change in CHANGES if change[2]])
@pytest.mark.parametrize(
    "types",
    [
        ["text/plain"],
        ["application/x-www-form-urlencoded"],
        ["multipart/form-data; boundary=x"],
        ["text/plain; application/json"],
        ["text/plain;charset=application/json"],
        ["application/json, text/plain"],
        ["application/json", "text/plain"],
        ["application/jsonp"],
        [""],
        [],
    ],
)
def test_a_body_that_a_form_could_send_changes_nothing(
    emulator: Emulator, hub: Caller, method: str, target: str, body: str, types: list[str]
) -> None:
    hub.put(wns())
    reply = ask(emulator, method, target, body, *(("Content-Type", value) for value in types))
    assert (reply.status, list(reply.json)) == (415, ["error"])
    assert hub.get().status == 200


def test_a_body_with_a_delete_is_labelled_too(emulator: Emulator) -> None:
    for target in ("/_emulator/log", "/_emulator/faults"):
        assert ask(emulator, "DELETE", target, "{}", ("Content-Type", "text/plain")).status == 415
        assert ask(emulator, "DELETE", target, "{}", JSON).status == 200


@pytest.mark.parametrize("target", ["/_emulator/log", "/_emulator/hubs/my-hub", "/_emulator/nothing"])
def test_a_rebound_page_reads_nothing(emulator: Emulator, hub: Caller, target: str) -> None:
    hub.put(wns())
    for host in ("evil.example", own(emulator).replace("127.0.0.1", "evil.example")):
        reply = ask(emulator, "GET", target, "", ("Host", host), host=False)
        assert (reply.status, list(reply.json)) == (403, ["error"])
        assert b"notify.windows.com" not in reply.body


def test_the_host_in_a_requests_target_counts_before_the_header(emulator: Emulator) -> None:
    for address in ("evil.example", f"{own(emulator)}@evil.example", f"evil.example\\@{own(emulator)}"):
        assert ask(emulator, "GET", f"http://{address}/_emulator/log", "").status == 403
    target = f"{emulator.endpoint}/_emulator/log"
    assert ask(emulator, "GET", target, "", ("Host", "evil.example"), host=False).status == 200


def test_a_preflight_is_not_answered_with_a_permission(emulator: Emulator) -> None:
    wish = ("Access-Control-Request-Method", "POST"), ("Access-Control-Request-Headers", "content-type")
    for origin, status in (("https://evil.example", 403), (emulator.endpoint, 405)):
        reply = ask(emulator, "OPTIONS", "/_emulator/faults", "", ("Origin", origin), *wish)
        assert reply.status == status
        assert not [name for name in reply.headers if name.lower().startswith("access-control-")]


@pytest.mark.parametrize(
    "types", ["application/json", "Application/JSON; charset=utf-8", "application/json;"]
)
def test_the_emulators_own_page_and_programs_are_answered(emulator: Emulator, types: str) -> None:
    label = ("Content-Type", types)
    assert ask(emulator, "POST", "/_emulator/faults", FAULT, label).status == 200
    origin = ("Origin", emulator.endpoint)
    assert ask(emulator, "POST", "/_emulator/faults", FAULT, label, origin).status == 200
    assert ask(emulator, "GET", "/_emulator/log", "", origin).status == 200


def test_over_tls_the_own_origin_is_https() -> None:
    import ssl

    with Emulator("my-hub", tls=True) as emulator:
        context = ssl.create_default_context(cafile=emulator.ca)
        with Caller(emulator.endpoint, emulator.listen, emulator.hub, context) as hub:
            headers = {"Content-Type": "application/json", "Origin": emulator.endpoint}
            assert hub.control("POST", "/clock", {"offset": 0}, headers).status == 200
            headers["Origin"] = emulator.endpoint.replace("https:", "http:")
            assert hub.control("POST", "/clock", {"offset": 0}, headers).status == 403


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("localhost", True),
        ("LocalHost:8080", True),
        ("localhost:", True),
        ("127.0.0.1", True),
        ("127.0.0.1:1", True),
        ("127.255.255.255:65535", True),
        ("[::1]", True),
        ("[::1]:443", True),
        ("[0:0:0:0:0:0:0:1]", True),
        ("", False),
        (":80", False),
        ("evil.example", False),
        ("localhost.evil.example", False),
        ("evil.localhost", False),
        ("localhost@evil.example", False),
        ("localhost:80@evil.example", False),
        ("localhost:port", False),
        ("localhost, evil.example", False),
        ("localhost/", False),
        ("localhost\n", False),
        ("127.999.999.999", False),
        ("127.0.0.256", False),
        ("127.0.0.08", False),
        ("127.1", False),
        ("127.0.0.1.", False),
        ("127.0.0.1.1", False),
        ("2130706433", False),
        ("0x7f.0.0.1", False),
        ("0.0.0.0", False),
        ("128.0.0.1", False),
        ("127.0.0.\N{SUPERSCRIPT ONE}", False),
        ("127.0.0.\N{ARABIC-INDIC DIGIT ONE}", False),
        ("::1", False),
        ("[127.0.0.1]", False),
        ("[::2]", False),
        ("[::1%lo]", False),
        ("[::1", False),
        ("[]", False),
        ("l\N{LATIN SMALL LETTER LONG S}calhost", False),
    ],
)
def test_hosts_of_this_machine_are_known(host: str, own: bool) -> None:
    assert is_loopback_host(host) is own
