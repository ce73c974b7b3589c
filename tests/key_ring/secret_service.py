"""A real Secret Service: gnome-keyring on a D-Bus session of its own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from typing import NoReturn

import pytest

from .machine import SECONDS, Machine

SECRET_SERVICE = "keyring.backends.SecretService.Keyring"
PASSWORD = "open sesame"  # with an empty one gnome-keyring would not encrypt
PROGRAMS = ("dbus-run-session", "dbus-send", "gnome-keyring-daemon")

# The session says its address, then the daemon's process id, and lasts until its standard input ends.
UNLOCKED = """
printf %s "$PASSWORD" | gnome-keyring-daemon --unlock --components=secrets >&2 || exit 1
for _ in $(seq 500); do
  daemon=$(dbus-send --session --print-reply=literal --dest=org.freedesktop.DBus / \
    org.freedesktop.DBus.GetConnectionUnixProcessID string:org.freedesktop.secrets) && break
  sleep 0.02
done
[ -n "$daemon" ] || exit 1
echo "$DBUS_SESSION_BUS_ADDRESS" ${daemon##* }
cat >/dev/null
"""
LOCKED = """
echo "$DBUS_SESSION_BUS_ADDRESS"
cat >/dev/null
"""
EMPTY_BUS = """
<busconfig>
  <type>session</type>
  <listen>unix:tmpdir=FOLDER</listen>
  <policy context="default">
    <allow send_destination="*" eavesdrop="true"/><allow eavesdrop="true"/><allow own="*"/>
  </policy>
</busconfig>
"""


@dataclass(frozen=True)
class Session:
    """A session bus.

    Attributes:
        daemon: the process id of the key ring that was unlocked on it; 0 where none was.
    """

    _process: subprocess.Popen[str]
    daemon: int

    def end(self) -> None:
        """End the bus, and all that is on it. Again is no harm."""
        assert self._process.stdin is not None
        self._process.stdin.close()
        self._process.wait(SECONDS)


def unlocked_session(machine: Machine) -> AbstractContextManager[Session]:
    """A session with a key ring that its owner unlocked; made if there was none."""
    return _session(machine, UNLOCKED)


def locked_session(machine: Machine) -> AbstractContextManager[Session]:
    """A session in which nobody unlocked a key ring, as a service or one who logs in over ssh has it."""
    return _session(machine, LOCKED)


def session_without_a_secret_service(machine: Machine) -> AbstractContextManager[Session]:
    """A session on whose bus nothing is and nothing can be started."""
    config = machine.folder / "bus.conf"
    config.write_text(EMPTY_BUS.replace("FOLDER", str(machine.runtime)))
    return _session(machine, LOCKED, f"--config-file={config}")


@contextmanager
def _session(machine: Machine, script: str, *options: str) -> Iterator[Session]:
    require_secret_service()
    machine.runtime.mkdir(mode=0o700)
    log = machine.folder / "session.log"
    with (
        open(log, "w") as stderr,
        subprocess.Popen(
            ["dbus-run-session", *options, "--", "sh", "-c", script],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=stderr,
            text=True,
            env={**machine.environment, "PASSWORD": PASSWORD},
            start_new_session=True,
        ) as process,
    ):
        assert process.stdout is not None
        said = process.stdout.readline().split()
        session = Session(process, int(said[1]) if len(said) > 1 else 0)
        try:
            if not said:
                _cannot(f"gnome-keyring does not run here: {log.read_text()}")
            machine.environment["DBUS_SESSION_BUS_ADDRESS"] = said[0]
            yield session
        finally:
            machine.environment.pop("DBUS_SESSION_BUS_ADDRESS", None)
            session.end()
            shutil.rmtree(machine.runtime, ignore_errors=True)


def require_secret_service() -> None:
    """Skip the test when there is no gnome-keyring; under `NHAGENT_CI=1` fail it."""
    if sys.platform != "linux":
        pytest.skip("the Secret Service is Linux's")
    for program in PROGRAMS:
        if shutil.which(program) is None:
            _cannot(f"{program} is not installed: apt-get install gnome-keyring dbus")


def _cannot(reason: str) -> NoReturn:
    if os.environ.get("NHAGENT_CI") == "1":
        pytest.fail(reason)
    pytest.skip(reason)
