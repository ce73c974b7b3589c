"""Speed, as ratios measured side by side in one run: ``python -m tests.benchmarks``. Nothing is asserted.

What is measured is a wheel, plainly installed in an environment of its own. An editable install doubles the
time of bare Python, and so flatters every ratio to it. ``--python PATH`` names an environment that is there.
"""

from __future__ import annotations

import argparse
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
from pathlib import Path
from typing import Any

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from nhagent import Agent, ConnectionString
from nhagent.emulator import Emulator
from tests import wheel

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
device = { platform = "gcm" }
channel = { value = "handle" }
[hub]
name = "h"
"""

WEB_PUSH = """
app = "a"
device = {{ tags = [] }}
channel = {{ webpush = {{ vapid_public_key = "{key}", server = "{server}", ca_bundle = "{ca}" }} }}
receive = {{ command = ["true"] }}
[hub]
name = "h"
ca_bundle = "{ca}"
"""

FIRST = """
import sys, tempfile, uuid
from nhagent import Agent
listen, ca, folder = sys.argv[1:]
report = Agent(
    app="a", hub="h", platform="gcm", channel=str(uuid.uuid4()), connection_string=listen, ca_bundle=ca,
    state_dir=tempfile.mkdtemp(dir=folder)
).start()
assert report.outcome == "registered", report
"""

# What one would write for the same two requests: a list of the channel's registrations, and the installation.
BY_HAND = """
import base64, hashlib, hmac, json, sys, time, urllib.parse, uuid
import xml.etree.ElementTree as ElementTree
import requests
listen, ca, folder = sys.argv[1:]
parts = dict(part.split("=", 1) for part in listen.split(";"))
base = parts["Endpoint"].replace("sb://", "https://") + "h"
session = requests.Session()
device, handle = str(uuid.uuid4()), str(uuid.uuid4())
def token(url):
    expiry, audience = int(time.time()) + 300, urllib.parse.quote(url.lower(), safe="")
    key = parts["SharedAccessKey"].encode()
    signature = base64.b64encode(hmac.new(key, f"{audience}\\n{expiry}".encode(), hashlib.sha256).digest())
    return (
        f"SharedAccessSignature sr={audience}&sig={urllib.parse.quote(signature, safe='')}&se={expiry}"
        f"&skn={parts['SharedAccessKeyName']}"
    )
url = base + "/registrations"
reply = session.get(
    url, params={"api-version": "2020-06", "$filter": f"GcmRegistrationId eq '{handle}'"},
    headers={"Authorization": token(url)}, timeout=30, verify=ca
)
reply.raise_for_status()
assert not ElementTree.fromstring(reply.content).findall("{http://www.w3.org/2005/Atom}entry")
url = f"{base}/installations/{device}"
session.put(
    url, params={"api-version": "2020-06"}, headers={"Authorization": token(url)}, timeout=30, verify=ca,
    json={"installationId": device, "platform": "gcm", "pushChannel": handle}
).raise_for_status()
with open(f"{folder}/{device}", "w") as file:
    file.write(device)
"""


# A process of its own starts and measures the one in question: who forks passes on its own peak of memory.
MEASURE = """
import os, sys
process = os.posix_spawn(sys.argv[1], sys.argv[1:], os.environ)
_, status, used = os.wait4(process, 0)
assert status == 0, sys.argv
print(used.ru_utime + used.ru_stime, used.ru_maxrss, file=sys.stderr)
"""


def cost_of(python: str, *arguments: str) -> tuple[float, float]:
    """CPU milliseconds and peak resident megabytes of one process.

    Args:
        python: the measured interpreter; ``-P`` keeps the sources in the working folder out of its way.
        arguments: what it runs.
    """
    command = [sys.executable, "-S", "-c", MEASURE, python, "-P", *arguments]
    measured = subprocess.run(
        command, check=True, text=True, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
    )
    seconds, kilobytes = measured.stderr.splitlines()[-1].split()
    return float(seconds) * 1000, int(kilobytes) / 1024


def race(python: str, contestants: dict[str, tuple[str, ...]]) -> None:
    """The medians of all, as ratios to the first."""
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)  # an installed package has its bytecode
    for arguments in contestants.values():
        cost_of(python, *arguments)
    costs: dict[str, list[tuple[float, float]]] = {name: [] for name in contestants}
    for _ in range(ROUNDS):  # in turn, so that the machine's moods are shared
        for name, arguments in contestants.items():
            costs[name].append(cost_of(python, *arguments))
    middle = {
        name: tuple(statistics.median(column) for column in zip(*rows, strict=True))
        for name, rows in costs.items()
    }
    first_cpu, first_memory = next(iter(middle.values()))
    for name, (cpu, memory) in middle.items():
        print(
            f"{name:<28}{cpu:8.1f} ms CPU {cpu / first_cpu:6.2f} x"
            f"{memory:8.1f} MB peak {memory / first_memory:6.2f} x"
        )


def starts(python: str) -> None:
    """An unchanged start, against bare Python and against importing what a script by hand would import."""
    with Emulator("h") as hub, tempfile.TemporaryDirectory() as folder:
        Agent(
            app="a", hub="h", platform="gcm", channel="handle", connection_string=hub.listen, state_dir=folder
        ).start()
        config = os.path.join(folder, "config.toml")
        with open(config, "w") as file:
            file.write(CONFIG)
        os.environ |= {"NHAGENT_CONNECTION_STRING": hub.listen, "NHAGENT_STATE_DIR": folder}
        race(
            python,
            {
                "python -c pass": ("-c", "pass"),
                "unchanged start, library": ("-c", UNCHANGED, hub.listen, folder),
                "unchanged start, command": ("-m", "nhagent", "register", "--config", config),
                "import requests": ("-c", "import requests"),
            },
        )


def first_starts(python: str) -> None:
    """A first start over TLS, against a script by hand that sends the same two requests."""
    with Emulator("h", tls=True) as hub, tempfile.TemporaryDirectory() as folder:
        ca, trusted = str(hub.ca), os.path.join(folder, "trusted.pem")
        with open(trusted, "w") as file:  # what nhagent trusts: the usual authorities, and this one
            for part in (DEFAULT_CA_BUNDLE_PATH, ca):
                with open(part) as bundle:
                    file.write(bundle.read())
        race(
            python,
            {
                "by hand, on requests": ("-c", BY_HAND, hub.listen, trusted, folder),
                "first start": ("-c", FIRST, hub.listen, ca, folder),
            },
        )
        assert {(entry.method, entry.status) for entry in hub.log()} == {("GET", 200), ("PUT", 200)}


def resident(process: subprocess.Popen[bytes]) -> float:
    """Resident megabytes of a process now."""
    with open(f"/proc/{process.pid}/status") as file:
        [line] = [line for line in file if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024


def receiving(python: str) -> None:
    """Memory of the daemon with a Web Push connection open, against the same."""
    idle = subprocess.Popen([python, "-P", "-c", "import requests, time; time.sleep(60)"])
    with Emulator("h", tls=True) as hub, tempfile.TemporaryDirectory() as folder:
        config = os.path.join(folder, "config.toml")
        with open(config, "w") as file:
            file.write(WEB_PUSH.format(key=hub.vapid_public_key, server=hub.push, ca=hub.ca))
        os.environ |= {"NHAGENT_CONNECTION_STRING": hub.listen, "NHAGENT_STATE_DIR": folder}
        for what in ("just registered", "registered long ago", "after a message"):
            command = [python, "-P", "-m", "nhagent", "run", "--config", config]
            process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
            try:
                for _ in range(100):  # a busy machine takes longer
                    time.sleep(0.3)
                    if any(user["connected"] for user in hub.push_service.state().values()):
                        break
                time.sleep(3)
                if what == "after a message":
                    [held] = hub.contents()["installations"]
                    assert hub.send_push(held["installationId"], "hello").status == 201
                    time.sleep(1)
                    assert hub.push_service.log()[-1]["messageType"] == "ack"
                used, bare = resident(process), resident(idle)
            finally:
                process.kill()
                process.wait()
            name = f"connection open, {what}"
            print(f"{name:<38}{used:6.1f} MB {used / bare:6.2f} x import requests")
    idle.terminate()
    idle.wait()


def daemon(python: str) -> None:
    """Memory of the daemon at rest, against a process that imported requests and does nothing."""
    idle = subprocess.Popen([python, "-P", "-c", "import requests, time; time.sleep(60)"])
    for tls in (False, True):
        with Emulator("h", tls=tls) as hub, tempfile.TemporaryDirectory() as folder:
            config = os.path.join(folder, "config.toml")
            with open(config, "w") as file:
                file.write(CONFIG + (f'ca_bundle = "{hub.ca}"' if tls else ""))
            os.environ |= {"NHAGENT_CONNECTION_STRING": hub.listen, "NHAGENT_STATE_DIR": folder}
            for what in ("just registered", "registered long ago"):
                command = [python, "-P", "-m", "nhagent", "run", "--config", config]
                process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
                time.sleep(4)
                used, bare = resident(process), resident(idle)
                process.terminate()
                process.wait()
                name = f"daemon, {'TLS' if tls else 'plain'}, {what}"
                print(f"{name:<38}{used:6.1f} MB {used / bare:6.2f} x import requests")
            assert len(hub.log()) == 2
    idle.terminate()
    idle.wait()


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


def emulator(_: str) -> None:
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
    began_in: list[float] = []
    while len(began_in) < ROUNDS:
        began = time.perf_counter()
        with Emulator("h"):
            began_in.append(time.perf_counter() - began)
    print(f"{'emulator, start in process':<28}{statistics.median(began_in) * 1000:8.1f} ms")


def sends(_: str) -> None:
    """A send to one tag that ten devices have, among 1,000 and among 100,000."""
    first = 0.0
    for devices in (1_000, 100_000):
        with Emulator("h") as hub:
            hub.restore(
                {
                    "installations": [
                        {
                            "installationId": str(number),
                            "platform": "gcm",
                            "pushChannel": f"handle-{number}",
                            "tags": ["everybody", "ten"] if number % (devices // 10) == 0 else ["everybody"],
                        }
                        for number in range(devices)
                    ]
                }
            )
            took = seconds_per_send(hub)
            assert [len(delivery.matched) for delivery in hub.deliveries()[-1:]] == [10]
        first = first or took
        print(f"{f'one tag among {devices:,}':<28}{took * 1000:8.2f} ms {took / first:6.2f} x")


def seconds_per_send(hub: Emulator) -> float:
    from datetime import UTC, datetime

    headers = {
        "Authorization": ConnectionString.parse(hub.full).token(hub.endpoint, datetime.now(UTC)),
        "ServiceBusNotification-Format": "gcm",
        "ServiceBusNotification-Tags": "ten",
    }
    connection = http.client.HTTPConnection(hub.endpoint.removeprefix("http://"))
    times = []
    for _ in range(REQUESTS // 5):
        began = time.perf_counter()
        connection.request("POST", "/h/messages?api-version=2020-06", '{"data":{}}', headers)
        reply = connection.getresponse()
        reply.read()
        times.append(time.perf_counter() - began)
        assert reply.status == 201
    connection.close()
    return statistics.median(times)


def main() -> None:
    parser = argparse.ArgumentParser(description="Speed, as ratios measured side by side.")
    parser.add_argument("--python", help="interpreter with an installed nhagent; left out: one is made")
    python = parser.parse_args().python
    with tempfile.TemporaryDirectory() as folder:
        run(python or wheel.environment(Path(folder)))


def run(python: str) -> None:
    """Run every benchmark with an interpreter."""
    asked = [python, "-P", "-c", "import nhagent; print(nhagent.__file__)"]
    print(f"measured: {subprocess.check_output(asked, text=True).strip()}\n")
    benchmarks: list[Callable[[str], None]] = [starts, first_starts, daemon, receiving, emulator, sends]
    for benchmark in benchmarks:
        print((benchmark.__doc__ or "").splitlines()[0])
        benchmark(python)
        print()


if __name__ == "__main__":
    main()
