from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from nhagent.emulator import Emulator
from tests.emulator.caller import Caller

from .sending import alert, device, notify, toast_to


class PushService(ThreadingHTTPServer):
    """A platform's push service on loopback, which keeps what it is sent."""

    def __init__(self) -> None:
        self.seen: list[tuple[str, dict[str, str], str]] = []
        self.status = 200
        super().__init__(("127.0.0.1", 0), _Exchange)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}"


class _Exchange(BaseHTTPRequestHandler):
    server: PushService

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"])).decode()
        self.server.seen.append((self.path, dict(self.headers.items()), body))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """No-op."""


@pytest.fixture
def push_service() -> Iterator[PushService]:
    with PushService() as server:
        thread = threading.Thread(target=server.serve_forever, args=(0.05,))
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@pytest.fixture
def delivering() -> Iterator[Emulator]:
    with Emulator("my-hub", deliver=True) as emulator:
        yield emulator


def outcome(emulator: Emulator) -> str | None:
    """The outcome of the latest send's only message, waited for."""
    emulator._parts().changes.wait_for(lambda: emulator.deliveries()[-1].matched[0].outcome, 60)
    return emulator.deliveries()[-1].matched[0].outcome


def test_a_channel_on_loopback_is_posted_to_as_windows_push_service_is(
    delivering: Emulator, push_service: PushService
) -> None:
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        channel = {"pushChannel": f"{push_service.url}/?token=1"}
        assert backend.put(device("i", templates={"t": alert()}, **channel)).status == 200
        toast_to(backend, body="<toast>1</toast>")
        assert outcome(delivering) == "delivered: 200"
        assert notify(backend, "template", {"m": "x"}).status == 201
        assert outcome(delivering) == "delivered: 200"
    (path, headers, body), (_, filled_headers, filled) = push_service.seen
    assert (path, body, headers["X-WNS-Type"]) == ("/?token=1", "<toast>1</toast>", "wns/toast")
    assert filled == "<toast><text>x</text></toast>"
    assert (filled_headers["X-WNS-Type"], filled_headers["Content-Type"]) == ("wns/toast", "text/xml")


def test_a_token_that_is_an_address_on_loopback_is_posted_to_as_fcm_is(
    delivering: Emulator, push_service: PushService
) -> None:
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        token = f"{push_service.url}/v1/projects/p/messages:send"
        phone = {"installationId": "i", "platform": "fcmv1", "pushChannel": token}
        assert backend.put(phone).status == 200
        for body in ('{"message":{"data":{"a":"b"}}}', '{"data":{"a":"b"}}', '["x"]'):
            assert notify(backend, "fcmv1", body).status == 201
            assert outcome(delivering) == "delivered: 200"
    messages = [json.loads(body)["message"] for _, _, body in push_service.seen]
    assert messages[0] == messages[1] == {"data": {"a": "b"}, "token": token}
    assert messages[2] == {"data": {"body": '["x"]'}, "token": token}


def test_a_handle_that_the_push_service_calls_dead_is_marked_as_expired(
    delivering: Emulator, push_service: PushService
) -> None:
    push_service.status = 410
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        assert backend.put(device("i", pushChannel=f"{push_service.url}/")).status == 200
        toast_to(backend)
        assert outcome(delivering) == "refused: 410"
        delivering._parts().changes.wait_for(
            lambda: delivering.contents()["installations"][0]["pushChannelExpired"], 60
        )
        assert delivering.contents()["installations"][0]["pushChannelExpired"] is True


def test_a_push_service_that_does_not_answer_is_told_of_in_the_delivery(delivering: Emulator) -> None:
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        assert backend.put(device("i", pushChannel="http://127.0.0.1:1/")).status == 200
        toast_to(backend)
        assert str(outcome(delivering)).startswith("not delivered: ")


def test_a_test_send_tells_what_the_push_service_answered(
    delivering: Emulator, push_service: PushService
) -> None:
    push_service.status = 500
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        assert backend.put(device("i", pushChannel=f"{push_service.url}/")).status == 200
        reply = notify(backend, "windows", "<toast/>", headers={"X-WNS-Type": "wns/toast"}, query="&test")
    assert "<Success>0</Success><Failure>1</Failure>" in reply.text
    assert "did not take it: refused: 500" in reply.text


def test_nothing_leaves_the_emulator_unless_it_is_told_to(
    emulator: Emulator, backend: Caller, push_service: PushService
) -> None:
    assert backend.put(device("i", pushChannel=f"{push_service.url}/")).status == 200
    reply = notify(backend, "windows", "<toast/>", headers={"X-WNS-Type": "wns/toast"}, query="&test")
    assert "<Success>1</Success>" in reply.text
    assert emulator.deliveries()[0].matched[0].outcome is None
    assert push_service.seen == []


@pytest.mark.parametrize(
    "channel",
    ["http://192.0.2.1:80/", "https://127.0.0.1:1/", "http://127.0.0.1.example.com:80/", "http://127.0.0.1/"],
)
def test_only_plain_addresses_on_loopback_with_a_port_are_posted_to(
    delivering: Emulator, channel: str
) -> None:
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        assert backend.put(device("i", pushChannel=channel)).status == 200
        notify(backend, "windows", "<toast/>", headers={"X-WNS-Type": "wns/toast"}, query="&test")
    assert delivering.deliveries()[0].matched[0].outcome is None


def test_no_device_makes_the_emulator_post_to_its_own_routes(delivering: Emulator) -> None:
    with Caller(delivering.endpoint, delivering.full, "my-hub") as backend:
        channel = f"{delivering.endpoint}/_emulator/clock"
        phone = {"installationId": "i", "platform": "fcmv1", "pushChannel": channel}
        assert backend.put(phone).status == 200
        notify(backend, "fcmv1", '{"message":{"offset":1}}', query="&test")
    assert delivering.deliveries()[0].matched[0].outcome is None
