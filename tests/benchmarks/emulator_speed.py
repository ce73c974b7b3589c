"""The emulator's own speed, in this process: against a bare ``http.server``, and with many devices."""

from __future__ import annotations

import http.client
import json
import threading
import time
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nhagent import ConnectionString
from nhagent.emulator import Emulator
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import print_figures, print_notes

_RATES = 5
"""How often each of two servers is sent requests."""
_DEVICES = (1_000, 100_000)
_PUT = "/h/installations/device?api-version=2020-06"
_BODY = json.dumps({"installationId": "device", "platform": "gcm", "pushChannel": "handle"})


def emulator(settings: Settings) -> None:
    """Requests a second of the emulator, its start in process, and sends to one tag among many devices."""
    _puts(settings)
    print()
    starts: list[float] = []
    for number in range(settings.rounds):
        began = time.perf_counter()
        with Emulator("h") as hub:
            starts.append((time.perf_counter() - began) * 1000)
            assert _put_once(hub) == 200, number
    print_figures("ms", {"emulator, start in process": starts}, "emulator, start in process")
    print()
    _sends(settings)
    print_notes(["the emulator runs from the sources, in the process that measures"])


class _Bare(BaseHTTPRequestHandler):
    """What answers a PUT, and checks and keeps nothing."""

    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silence, as the emulator keeps it."""


def _puts(settings: Settings) -> None:
    bare = ThreadingHTTPServer(("127.0.0.1", 0), _Bare)
    threading.Thread(target=bare.serve_forever, daemon=True).start()
    names = ("bare http.server, PUT", "emulator, PUT of an installation")
    rates: dict[str, list[float]] = {name: [] for name in names}
    with Emulator("h") as hub:
        for _ in range(_RATES):
            rates[names[0]].append(
                _requests_per_second(f"127.0.0.1:{bare.server_port}", {}, settings.requests)
            )
            rates[names[1]].append(
                _requests_per_second(_authority_of(hub), _token_of(hub, hub.listen), settings.requests)
            )
        assert len(hub.log()) == _RATES * settings.requests
        assert [held["pushChannel"] for held in hub.contents()["installations"]] == ["handle"]
    bare.shutdown()
    bare.server_close()
    print_figures("requests/s", rates, names[0])


def _requests_per_second(authority: str, headers: dict[str, str], requests: int) -> float:
    connection = http.client.HTTPConnection(authority)
    began = time.perf_counter()
    for _ in range(requests):
        connection.request("PUT", _PUT, _BODY, headers)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200
    connection.close()
    return requests / (time.perf_counter() - began)


def _put_once(hub: Emulator) -> int:
    connection = http.client.HTTPConnection(_authority_of(hub))
    connection.request("PUT", _PUT, _BODY, _token_of(hub, hub.listen))
    status = connection.getresponse().status
    connection.close()
    return status


def _sends(settings: Settings) -> None:
    """Send to one tag that ten devices have, among 1,000 and among 100,000."""
    rows: dict[str, list[float]] = {}
    for devices in _DEVICES:
        with Emulator("h") as hub:
            hub.restore({"installations": [_device(number, devices) for number in range(devices)]})
            rows[f"send to one tag among {devices:,}"] = _milliseconds_per_send(hub, settings.requests // 5)
            assert [len(delivery.matched) for delivery in hub.deliveries()[-1:]] == [10]
    print_figures("ms", rows, next(iter(rows)))


def _device(number: int, devices: int) -> dict[str, object]:
    is_one_of_ten = number % (devices // 10) == 0
    return {
        "installationId": str(number),
        "platform": "gcm",
        "pushChannel": f"handle-{number}",
        "tags": ["everybody", "ten"] if is_one_of_ten else ["everybody"],
    }


def _milliseconds_per_send(hub: Emulator, sends: int) -> list[float]:
    headers = {
        **_token_of(hub, hub.full),
        "ServiceBusNotification-Format": "gcm",
        "ServiceBusNotification-Tags": "ten",
    }
    connection = http.client.HTTPConnection(_authority_of(hub))
    times = []
    for _ in range(sends):
        began = time.perf_counter()
        connection.request("POST", "/h/messages?api-version=2020-06", '{"data":{}}', headers)
        reply = connection.getresponse()
        reply.read()
        times.append((time.perf_counter() - began) * 1000)
        assert reply.status == 201
    connection.close()
    return times


def _authority_of(hub: Emulator) -> str:
    return hub.endpoint.removeprefix("http://")


def _token_of(hub: Emulator, connection: str) -> dict[str, str]:
    return {"Authorization": ConnectionString.parse(connection).token(hub.endpoint, datetime.now(UTC))}
