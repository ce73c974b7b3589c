"""Memory of the daemon at rest, plain, over TLS, and with a Web Push connection open."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory

from nhagent.emulator import Emulator
from tests.benchmarks.processes import clean_environment
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import print_figures
from tests.events import happens

_CONFIG = """
app = "a"
device = { platform = "gcm" }
channel = { value = "handle" }
[hub]
name = "h"
"""
_WEB_PUSH = """
app = "a"
device = {{ tags = [] }}
channel = {{ webpush = {{ vapid_public_key = "{key}", server = "{server}", ca_bundle = "{ca}" }} }}
receive = {{ command = ["true"] }}
[hub]
name = "h"
ca_bundle = "{ca}"
"""
_IDLE = "import requests, time; time.sleep(600)"
BASELINE = "import requests, and sleep"
JUST, LONG_AGO, AFTER_MESSAGE = "just registered", "registered long ago", "after a message"
_REST_SECONDS = 3.0
"""From what a daemon had to do to its being at rest."""
Rows = dict[str, list[float]]


def memory(settings: Settings) -> None:
    """Resident memory of the daemon at rest, against a process that has imported requests."""
    rows: Rows = {BASELINE: []}
    for _ in range(settings.few_rounds):
        idle = subprocess.Popen([settings.python, "-P", "-c", _IDLE], env=clean_environment())
        try:
            for tls in (False, True):
                _daemon(settings.python, rows, tls=tls)
            _receiving(settings.python, rows)
            rows[BASELINE].append(_resident(idle))
        finally:
            idle.kill()
            idle.wait()
    print_figures("resident MB", rows, BASELINE)


def _daemon(python: str, rows: Rows, *, tls: bool) -> None:
    with Emulator("h", tls=tls) as hub, TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        config.write_text(_CONFIG + (f'ca_bundle = "{hub.ca}"\n' if tls else ""))
        for what in (JUST, LONG_AGO):
            with _running(python, hub, config) as (process, log):
                _wait_until(lambda: "started:" in log.read_text() and len(hub.log()) == 2, process)
                time.sleep(_REST_SECONDS)
                name = f"daemon, {'TLS' if tls else 'plain'}, {what}"
                rows.setdefault(name, []).append(_resident(process))
            # The second has sent nothing more.
            assert [entry.method for entry in hub.log()] == ["GET", "PUT"]


def _receiving(python: str, rows: Rows) -> None:
    with Emulator("h", tls=True) as hub, TemporaryDirectory() as folder:
        config = Path(folder, "config.toml")
        config.write_text(_WEB_PUSH.format(key=hub.vapid_public_key, server=hub.push, ca=hub.ca))
        for what in (JUST, LONG_AGO, AFTER_MESSAGE):
            with _running(python, hub, config) as (process, _):
                _wait_until(lambda: _is_connected(hub), process)
                time.sleep(_REST_SECONDS)
                if what == AFTER_MESSAGE:
                    _send(hub, process)
                rows.setdefault(f"Web Push open, {what}", []).append(_resident(process))
            _wait_until(lambda: not _is_connected(hub))


def _send(hub: Emulator, process: subprocess.Popen[bytes]) -> None:
    """Send a message, and wait until the daemon has taken it."""
    [held] = hub.contents()["installations"]
    assert hub.send_push(held["installationId"], "hello").status == 201
    _wait_until(lambda: hub.push_service.log()[-1]["messageType"] == "ack", process)
    time.sleep(1)


def _is_connected(hub: Emulator) -> bool:
    return any(user["connected"] for user in hub.push_service.state().values())


@contextmanager
def _running(python: str, hub: Emulator, config: Path) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """Run the daemon; give it and the file that it logs to."""
    log = config.with_suffix(".log")
    environment = clean_environment(
        NHAGENT_CONNECTION_STRING=hub.listen, NHAGENT_STATE_DIR=str(config.parent)
    )
    command = [python, "-P", "-m", "nhagent", "run", "--config", str(config)]
    with log.open("wb") as file:
        process = subprocess.Popen(command, stderr=file, env=environment)
    try:
        yield process, log
        assert process.poll() is None, log.read_text()
    finally:
        process.kill()
        process.wait()


def _wait_until(holds: Callable[[], bool], process: subprocess.Popen[bytes] | None = None) -> None:
    """Wait until something holds; a busy machine takes longer.

    Raises:
        AssertionError: it does not happen at all, or the process has ended.
    """

    def has_ended() -> bool:
        return process is not None and process.poll() is not None

    assert happens(lambda: holds() or has_ended()), "it does not happen"
    assert not has_ended(), "the daemon has ended"


def _resident(process: subprocess.Popen[bytes]) -> float:
    """Resident megabytes of a process now."""
    with open(f"/proc/{process.pid}/status") as file:
        [line] = [line for line in file if line.startswith("VmRSS")]
    return int(line.split()[1]) / 1024
