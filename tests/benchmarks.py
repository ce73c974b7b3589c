"""Speed, as ratios measured side by side in one run: ``python -m tests.benchmarks``. Nothing is asserted."""

from __future__ import annotations

import http.client
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from nhagent import Agent, ConnectionString
from nhagent.emulator import Emulator

ROUNDS = 15
REQUESTS = 1500

UNCHANGED = """
import sys
from nhagent import Agent
listen, folder = sys.argv[1:]
report = Agent(
    app="a", hub="h", platform="gcm", channel="handle", connection_string=listen, state_dir=folder
).start()
assert report.outcome == "unchanged", report
"""


CONFIG = """
app = "a"
hub = { name = "h" }
device = { platform = "gcm" }
channel = { value = "handle" }
"""


def cpu_of(*arguments: str) -> float:
    """CPU milliseconds of one process."""
    if sys.platform == "win32":
        raise OSError("Windows counts no children's time")
    import resource

    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *arguments], check=True, stdout=subprocess.DEVNULL)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return (after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime) * 1000


def starts() -> None:
    """An unchanged start, against bare Python and against importing what a script by hand would import."""
    with Emulator("h") as hub, tempfile.TemporaryDirectory() as folder:
        Agent(
            app="a", hub="h", platform="gcm", channel="handle", connection_string=hub.listen, state_dir=folder
        ).start()
        config = os.path.join(folder, "config.toml")
        with open(config, "w") as file:
            file.write(CONFIG)
        os.environ |= {"NHAGENT_CONNECTION_STRING": hub.listen, "NHAGENT_STATE_DIR": folder}
        contestants = {
            "python -c pass": ("-c", "pass"),
            "unchanged start, library": ("-c", UNCHANGED, hub.listen, folder),
            "unchanged start, command": ("-m", "nhagent", "register", "--config", config),
            "import requests": ("-c", "import requests"),
        }
        os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
        for arguments in contestants.values():
            cpu_of(*arguments)
        times: dict[str, list[float]] = {name: [] for name in contestants}
        for _ in range(ROUNDS):  # in turn, so that the machine's moods are shared
            for name, arguments in contestants.items():
                times[name].append(cpu_of(*arguments))
    bare = statistics.median(times["python -c pass"])
    for name, values in times.items():
        middle = statistics.median(values)
        print(f"{name:<28}{middle:8.1f} ms CPU {middle / bare:6.2f} x bare")


class Bare(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_PUT(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(200)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: Any) -> None:
        """Silence, as the emulator keeps it."""


def requests_per_second(authority: str, headers: dict[str, str]) -> float:
    connection = http.client.HTTPConnection(authority)
    body = json.dumps({"installationId": "device", "platform": "gcm", "pushChannel": "handle"})
    began = time.perf_counter()
    for _ in range(REQUESTS):
        connection.request("PUT", "/h/installations/device?api-version=2020-06", body, headers)
        reply = connection.getresponse()
        reply.read()
        assert reply.status == 200
    connection.close()
    return REQUESTS / (time.perf_counter() - began)


def emulator() -> None:
    """Requests a second of the emulator, against a bare http.server that checks and keeps nothing."""
    bare = ThreadingHTTPServer(("127.0.0.1", 0), Bare)
    threading.Thread(target=bare.serve_forever, daemon=True).start()
    with Emulator("h") as hub:
        from datetime import UTC, datetime

        token = ConnectionString.parse(hub.listen).token(hub.endpoint, datetime.now(UTC))
        rates: list[tuple[float, float]] = [
            (
                requests_per_second(f"127.0.0.1:{bare.server_port}", {}),
                requests_per_second(hub.endpoint.removeprefix("http://"), {"Authorization": token}),
            )
            for _ in range(5)
        ]
    bare.shutdown()
    bare.server_close()
    bare_rate, rate = (statistics.median(column) for column in zip(*rates, strict=True))
    print(f"{'bare http.server, PUT':<28}{bare_rate:8.0f} requests/s")
    print(f"{'emulator, PUT installation':<28}{rate:8.0f} requests/s {rate / bare_rate:6.2f} x bare")


def main() -> None:
    benchmarks: list[Callable[[], None]] = [starts, emulator]
    for benchmark in benchmarks:
        print((benchmark.__doc__ or "").splitlines()[0])
        benchmark()
        print()


if __name__ == "__main__":
    main()
