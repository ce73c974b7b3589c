from __future__ import annotations

import http.client
import threading
import time

import pytest

from nhagent.emulator import Emulator
from nhagent.emulator.rest.gateway import TokenBucket

from .caller import HANG_SECONDS, Caller, still_serving, wns


def test_a_fault_with_a_status_answers_instead_of_the_hub(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", status=503)
    reply = hub.put(wns())
    assert reply.status == 503
    assert reply.text.startswith("<Error><Code>503</Code><Detail>")
    assert reply.headers["TrackingId"] in reply.text
    assert hub.get().status == 404
    assert hub.put(wns()).status == 200


def test_a_fault_is_spent_after_its_times_and_faults_queue(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", status=500, times=2)
    emulator.fail("*", status=429)
    assert [hub.put(wns()).status for _ in range(4)] == [500, 500, 429, 200]


def test_the_oldest_fault_that_matches_strikes(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("DELETE", status=500)
    emulator.fail("*", status=503)
    assert hub.get().status == 503
    assert hub.delete().status == 500


@pytest.mark.parametrize(
    ("match", "struck"),
    [
        ("PUT", True),
        ("put", True),
        ("*", True),
        ("PUT /installations/i", True),
        ("* INSTALLATIONS", True),
        ("PUT a b", True),
        ("PUT a%20b", True),
        ("GET", False),
        ("PUT /my-hub", False),
        ("PUT other", False),
        ("PUT api-version", False),
    ],
)
def test_a_fault_matches_method_and_part_of_the_path(
    emulator: Emulator, hub: Caller, match: str, struck: bool
) -> None:
    emulator.fail(match, status=500)
    assert (hub.put({**wns(), "installationId": "i a b"}).status == 500) is struck


def test_a_fault_brings_its_own_headers_and_body(emulator: Emulator, hub: Caller) -> None:
    headers = {"Content-Type": "text/html", "Retry-After": "7"}
    emulator.fail("*", status=200, headers=headers, body="<html>login é</html>")
    reply = hub.get()
    assert (reply.status, reply.text) == (200, "<html>login é</html>")
    assert reply.headers.get_all("Content-Type") == ["text/html"]
    assert reply.headers["Retry-After"] == "7"
    emulator.fail("*", status=500, body="")
    assert hub.get().body == b""
    emulator.fail("*", status=204, body="not sent")
    assert hub.get().status == 204
    assert hub.get().status == 404


def test_a_fault_may_lie_about_the_length(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("*", status=200, headers={"content-length": "100"}, body="short", cut_after=10_000)
    with pytest.raises(http.client.IncompleteRead):
        hub.get()


def test_a_delayed_reply_is_logged_and_carried_out_before_it_is_sent(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", delay=3600)
    ends: list[object] = []

    def ask() -> None:
        try:
            ends.append(hub.put(wns()).status)
        except (http.client.HTTPException, OSError) as error:
            ends.append(error)

    thread = threading.Thread(target=ask)
    thread.start()
    while not emulator.log():
        time.sleep(0.005)
    assert emulator.contents()["installations"][0]["installationId"] == "i"
    assert not ends, "the reply is held back"
    emulator.close()
    thread.join(HANG_SECONDS)
    assert len(ends) == 1


def test_a_delayed_reply_comes(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", delay=0.01)
    assert hub.put(wns()).status == 200
    assert hub.get().status == 200


def test_a_reply_is_cut_although_the_request_was_carried_out(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("PUT", cut_after=0)
    with pytest.raises(http.client.RemoteDisconnected):
        hub.put(wns())
    assert [entry.status for entry in emulator.log()] == [200]
    hub.connection.close()
    emulator.fail("GET", cut_after=400)
    with pytest.raises((http.client.IncompleteRead, http.client.RemoteDisconnected)):
        hub.get()
    hub.connection.close()
    assert hub.get().status == 200


def test_a_cut_within_the_head_leaves_the_status_only(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=500, cut_after=len("HTTP/1.1 500 Inter"))
    hub.connection.request("GET", "/my-hub/installations/i", headers={"Authorization": hub.token()})
    sock = hub.connection.sock
    assert sock is not None
    received = b""
    while piece := sock.recv(100):
        received += piece
    assert received == b"HTTP/1.1 500 Inter"
    hub.connection.close()


def test_closing_does_not_wait_for_a_delay() -> None:
    emulator = Emulator().start()
    with Caller(emulator.endpoint, emulator.listen, emulator.hub) as hub:
        emulator.fail("*", delay=3600)
        failed: list[BaseException] = []

        def ask() -> None:
            try:
                hub.get()
            except (http.client.HTTPException, OSError) as error:
                failed.append(error)

        thread = threading.Thread(target=ask)
        thread.start()
        while not emulator.log():
            time.sleep(0.005)
        emulator.close()
        thread.join(HANG_SECONDS)
        assert failed
        assert not still_serving()


def test_faults_are_cleared(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("*", status=500, times=100)
    emulator.clear_faults()
    assert hub.get().status == 404


def test_a_fault_strikes_before_the_token_is_looked_at(emulator: Emulator, hub: Caller) -> None:
    emulator.fail("GET", status=503)
    assert hub.send("GET", "/other", sign_it=False).status == 503


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"status": 199},
        {"status": 600},
        {"status": 500, "times": 0},
        {"delay": -1},
        {"delay": float("nan")},
        {"cut_after": -1},
        {"headers": {"A": "b"}, "delay": 1},
        {"status": 500, "headers": {"A": "b\r\nC: d"}},
        {"status": 500, "headers": {"A b": "c"}},
    ],
)
def test_a_fault_that_cannot_be_is_refused(emulator: Emulator, wrong: dict[str, object]) -> None:
    with pytest.raises(ValueError):
        emulator.fail("*", **wrong)  # type: ignore[arg-type]
    with pytest.raises(ValueError):
        emulator.fail(" ", status=500)


def test_above_the_rate_the_hub_throttles() -> None:
    # One request in eleven days: no machine is so slow that a second one is allowed.
    with Emulator(rate=1e-6) as emulator, Caller(emulator.endpoint, emulator.listen, emulator.hub) as hub:
        replies = [hub.get() for _ in range(5)]
        assert [reply.status for reply in replies] == [404, 429, 429, 429, 429]
        for throttled in replies[1:]:
            assert throttled.headers["Retry-After"] == "1"
            assert throttled.text.startswith("<Error><Code>429</Code>")
        assert hub.control("GET", "/log").status == 200
    with Emulator(rate=5) as emulator, Caller(emulator.endpoint, emulator.listen, emulator.hub) as hub:
        assert {hub.get().status for _ in range(5)} == {404}


def test_the_rate_allows_as_many_at_once_and_more_after_a_while() -> None:
    now = 1000.0
    bucket = TokenBucket(5, lambda: now)
    assert [bucket.take() for _ in range(10)] == [True] * 5 + [False] * 5
    now += 0.25
    assert [bucket.take() for _ in range(2)] == [True, False]
    now += 3600
    assert [bucket.take() for _ in range(10)] == [True] * 5 + [False] * 5
