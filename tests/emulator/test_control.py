from __future__ import annotations

from email.message import Message
from typing import Any

import pytest

from nhagent.emulator import Emulator, LogEntry
from nhagent.emulator.callers import is_loopback
from nhagent.emulator.control.control import Control
from nhagent.emulator.http_messages import Request

from .caller import Caller, wns

LISTEN = "DefaultListenSharedAccessSignature"


def test_the_log_tells_what_was_asked_and_what_was_answered(emulator: Emulator, hub: Caller) -> None:
    hub.put(wns())
    hub.send("GET", "/My-Hub/installations/a%2Fb?x=%24&api-version=2020-06")
    hub.send("DELETE", "/my-hub/installations/i", sign_it=False)
    expected = [
        LogEntry("PUT", "/my-hub/installations/i", "api-version=2020-06", 200, LISTEN),
        LogEntry("GET", "/My-Hub/installations/a%2Fb", "x=%24&api-version=2020-06", 404, LISTEN),
        LogEntry("DELETE", "/my-hub/installations/i", "", 401, None),
    ]
    assert emulator.log() == expected
    reply = hub.control("GET", "/log")
    assert reply.headers["Content-Type"] == "application/json"
    assert reply.json == [
        {
            "method": entry.method,
            "path": entry.path,
            "query": entry.query,
            "status": entry.status,
            "key": entry.key,
        }
        for entry in expected
    ]
    assert hub.control("DELETE", "/log").status == 200
    assert emulator.log() == []


def test_bodies_are_known_in_process_only(emulator: Emulator, hub: Caller) -> None:
    hub.send("PUT", "/my-hub/installations/i?api-version=2020-06", b'{"secret": 1}')
    hub.get()
    assert emulator.bodies() == [b'{"secret": 1}', b""]
    assert "secret" not in hub.control("GET", "/log").text
    emulator.clear_log()
    assert emulator.bodies() == []


def test_the_contents_are_every_installation_as_get_answers_it(emulator: Emulator, hub: Caller) -> None:
    hub.put({**wns(), "installationId": "b"})
    hub.put({**wns(), "installationId": "a"})
    expected = {"hub": "my-hub", "installations": [hub.get("b").json, hub.get("a").json], "registrations": []}
    assert emulator.contents() == expected
    assert hub.control("GET", "/hubs/MY-hub").json == expected
    assert hub.control("GET", "/hubs/other").status == 404


def test_faults_are_ordered_and_cleared(emulator: Emulator, hub: Caller) -> None:
    fault = {
        "match": "GET",
        "status": 503,
        "times": 2,
        "headers": {"Retry-After": "9"},
        "body": "x",
        "delay": 0,
    }
    assert hub.control("POST", "/faults", {**fault, "cut_after": None}).status == 200
    reply = hub.get()
    assert (reply.status, reply.headers["Retry-After"], reply.body) == (503, "9", b"x")
    assert hub.control("DELETE", "/faults").status == 200
    assert hub.get().status == 404


def test_the_hub_forgets_an_installation(hub: Caller) -> None:
    hub.put(wns())
    assert hub.control("POST", "/forget", {"installation": "i"}).status == 200
    assert hub.get().status == 404
    reply = hub.control("POST", "/forget", {"installation": "i"})
    assert reply.status == 404
    assert "'i'" in reply.json["error"]


def test_the_clock_is_set_not_added_to(hub: Caller) -> None:
    for _ in range(2):
        assert hub.control("POST", "/clock", {"offset": -86400 * 365 * 20}).status == 200
    assert " 2006 " in hub.get().headers["Date"] or " 200" in hub.get().headers["Date"]
    hub.control("POST", "/clock", {"offset": 0})
    assert hub.get().status == 404


def test_control_requests_are_neither_signed_nor_logged(emulator: Emulator, hub: Caller) -> None:
    for route in ("/log", "/hubs/my-hub", "/nothing"):
        hub.control("GET", route)
    assert emulator.log() == []


@pytest.mark.parametrize(
    ("method", "route", "body", "status"),
    [
        ("POST", "/faults", "{", 400),
        ("POST", "/faults", [], 400),
        ("POST", "/faults", None, 400),
        ("POST", "/faults", {}, 400),
        ("POST", "/faults", {"match": "*"}, 400),
        ("POST", "/faults", {"match": "*", "status": "500"}, 400),
        ("POST", "/faults", {"match": "*", "status": True}, 400),
        ("POST", "/faults", {"match": "*", "status": 500, "times": 1.5}, 400),
        ("POST", "/faults", {"match": "*", "status": 500, "headers": {"A": 1}}, 400),
        ("POST", "/faults", {"match": "*", "status": 500, "colour": 1}, 400),
        ("POST", "/faults", {"match": "*", "status": 99}, 400),
        ("POST", "/faults", '{"match": "*", "delay": NaN}', 400),
        ("POST", "/forget", {}, 400),
        ("POST", "/forget", {"installation": 1}, 400),
        ("POST", "/forget", {"registration": 1}, 400),
        ("POST", "/forget", {"registration": "1", "gone": 1}, 400),
        ("POST", "/forget", {"registration": "1", "installation": "i"}, 400),
        ("POST", "/forget", {"installation": "i", "gone": True}, 400),
        ("POST", "/forget", {"registration": "1"}, 404),
        ("POST", "/faults", '{"match": "*", "status": 500, "body": "\\ud800"}', 400),
        ("POST", "/faults", {"match": "*", "delay": 10**400}, 400),
        ("POST", "/faults", {"match": "*", "delay": 1e300}, 400),
        ("POST", "/faults", {"match": "*", "drip": 1e12}, 400),
        ("POST", "/faults", '{"match": "*", "drip": 1e999}', 400),
        ("POST", "/faults", "[" * 100_000, 400),
        ("POST", "/faults", '{"match": ' + "[" * 900 + "]" * 900 + "}", 400),
        ("POST", "/faults", b'{"match": "\xff", "status": 500}', 400),
        ("POST", "/forget", '{"installation": "\\udfff"}', 400),
        ("POST", "/forget", '{"registration": "\\ud800", "gone": true}', 400),
        ("POST", "/expire", {}, 400),
        ("POST", "/expire", {"installation": 1}, 400),
        ("POST", "/expire", {"registration": "1", "installation": "i"}, 400),
        ("POST", "/expire", {"installation": "i", "tile": "t"}, 400),
        ("POST", "/expire", {"installation": "i"}, 404),
        ("POST", "/expire", {"registration": "1"}, 404),
        ("POST", "/expire", '{"registration": "\\ud800"}', 400),
        ("GET", "/expire", None, 405),
        ("POST", "/clock", {"offset": 10**400}, 400),
        ("POST", "/clock", {}, 400),
        ("POST", "/clock", {"offset": "1"}, 400),
        ("POST", "/clock", {"offset": 1e300}, 400),
        ("POST", "/clock", '{"offset": Infinity}', 400),
        ("POST", "/clock", {"offset": 1, "unit": "s"}, 400),
        ("PUT", "/log", None, 405),
        ("GET", "/faults", None, 405),
        ("DELETE", "/hubs/my-hub", None, 405),
        ("GET", "/nothing", None, 404),
    ],
)
def test_a_wrong_control_request_is_answered_with_the_reason(
    hub: Caller, method: str, route: str, body: Any, status: int
) -> None:
    reply = hub.control(method, route, body)
    assert reply.status == status
    assert list(reply.json) == ["error"]


def test_control_routes_are_closed_to_other_machines(emulator: Emulator) -> None:
    control = Control(emulator._parts())
    for peer, status in [("192.0.2.1", 403), ("127.0.0.1", 200)]:
        headers = Message()
        headers["Host"] = "localhost"
        request = Request("GET", "/_emulator/log", "", headers, b"", peer)
        assert control.answer(request).reply.status == status


def test_the_control_routes_are_listed(hub: Caller) -> None:
    for path in ("", "/"):
        listed = hub.control("GET", path).json["routes"]
        assert {"method": "GET", "path": "/_emulator/log", "summary": "the requests so far"} in listed


@pytest.mark.parametrize(
    ("peer", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("::ffff:127.0.0.1", True),
        ("192.0.2.1", False),
        ("::ffff:192.0.2.1", False),
        ("fe80::1%eth0", False),
        ("", False),
    ],
)
def test_this_machines_addresses_are_known(peer: str, own: bool) -> None:
    assert is_loopback(peer) is own
