"""``nhagent emulator``: a notification hub on this machine until a signal ends it."""

from __future__ import annotations

import errno
import signal
import socket
import sqlite3
import sys
from dataclasses import asdict, dataclass
from datetime import datetime
from importlib.util import find_spec
from threading import Event
from typing import TYPE_CHECKING, Final

from nhagent.commands.output import as_json as json_line
from nhagent.commands.output import print_line
from nhagent.errors import ConfigurationError
from nhagent.loopback import is_loopback
from nhagent.visible import visible

if TYPE_CHECKING:
    from nhagent.emulator import Emulator, LogEntry

LOOK_SECONDS: Final = 0.5
"""Longest single wait for a signal: on Windows a signal does not interrupt a wait."""


@dataclass(frozen=True, slots=True)
class EmulatorOptions:
    """What the emulator is started with, as `nhagent.emulator.Emulator` has it.

    Attributes:
        hub: the hub's name.
        host: the address to listen on.
        port: the port to listen on; 0: any free one.
        data: the SQLite file.
        tls: whether it serves https.
        certificate: what is wrong with its certificate.
        rate: requests a second above which it answers 429; None: no limit.
        lenient: whether it takes much that the service refuses.
        deliver: whether it posts to channels on loopback.
        seed: the file that fills an empty hub; None: none.
    """

    hub: str
    host: str
    port: int
    data: str
    tls: bool
    certificate: str
    rate: float | None
    lenient: bool
    deliver: bool = False
    seed: str | None = None


def serve(
    options: EmulatorOptions, *, as_json: bool, push_service: bool = False, tells_requests: bool = False
) -> None:
    """Serve until SIGTERM or SIGINT; print on stdout how to reach the hub.

    Args:
        options: what the emulator is started with.
        as_json: print one line of JSON rather than lines for people.
        push_service: run a push service too.
        tells_requests: print a line for each request on stderr.

    Raises:
        ConfigurationError: it cannot listen there, or not use the data file.
    """
    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    emulator = started(options, push_service=push_service, tells_requests=tells_requests)
    try:
        _tell(emulator, as_json=as_json, push_service=push_service)
        while not ended.wait(LOOK_SECONDS):
            pass
    finally:
        emulator.close()


def started(options: EmulatorOptions, *, push_service: bool, tells_requests: bool) -> Emulator:
    """Start an emulator.

    Args:
        options: what it is started with.
        push_service: its push service is wanted too.
        tells_requests: print a line for each request on stderr.

    Raises:
        ConfigurationError: it cannot listen there, or not use the data file.
    """
    from nhagent.emulator import Emulator

    if push_service and find_spec("wsproto") is None:
        raise ConfigurationError(
            "emulator: its push service needs wsproto", "pip install 'nhagent[emulator]'"
        )
    on_request = _tell_request if tells_requests else None
    try:
        return Emulator(**asdict(options), on_request=on_request).start()
    except (OSError, ValueError, OverflowError, sqlite3.Error) as error:
        place = f"emulator at {options.host}:{options.port}"
        code = error.errno if isinstance(error, OSError) else None
        if code == errno.EADDRINUSE:
            raise ConfigurationError(
                f"{place}: another program listens on port {options.port}",
                "end that program, or name another port (--port 0 takes any that is free)",
            ) from error
        if code == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
            raise ConfigurationError(
                f"{place}: '{options.host}' is not an address of this machine", "correct --host"
            ) from error
        fact = str(error).rstrip(".")
        if isinstance(error, OSError) and error.filename is not None:
            fact = f"{error.filename}: {error.strerror}"
        raise ConfigurationError(f"emulator: cannot be started: {fact}", "correct what it names") from error


def variables(emulator: Emulator, *, push_service: bool) -> dict[str, str]:
    """Return the environment variables by which a command finds the hub.

    Args:
        emulator: it runs.
        push_service: name its push service too.
    """
    found = {
        "NOTIFICATION_HUB": emulator.hub,
        "NOTIFICATION_HUB_ENDPOINT": emulator.endpoint,
        "NOTIFICATION_HUB_LISTEN": emulator.listen,
        "NOTIFICATION_HUB_FULL": emulator.full,
    }
    if emulator.ca is not None:
        found["NOTIFICATION_HUB_CA"] = emulator.ca
    if push_service:
        found["NOTIFICATION_HUB_PUSH"] = emulator.push
        found["NOTIFICATION_HUB_VAPID_PUBLIC_KEY"] = emulator.vapid_public_key
    return found


def _tell_request(entry: LogEntry) -> None:
    status = entry.status or "reset"
    line = f"{datetime.now():%H:%M:%S} {entry.method} {entry.path} {status} {entry.key or '-'}"  # noqa: DTZ005
    # In one piece, as many threads write.
    sys.stderr.write(visible(line) + "\n")
    sys.stderr.flush()


def _tell(emulator: Emulator, *, as_json: bool, push_service: bool) -> None:
    facts: dict[str, str | None] = {
        "endpoint": emulator.endpoint,
        "hub": emulator.hub,
        "listen": emulator.listen,
        "full": emulator.full,
        "ca": emulator.ca,
        "ui": emulator.ui if is_loopback(emulator.endpoint) else None,
    }
    if push_service:
        facts |= {"push": emulator.push, "vapid_public_key": emulator.vapid_public_key}
    if as_json:
        print_line(json_line(facts))
    else:
        width = 2 + max(map(len, facts))
        print("\n".join(f"{name + ':':<{width}}{fact}" for name, fact in facts.items() if fact), flush=True)
    if emulator.ca is None and not is_loopback(emulator.endpoint):
        print(
            f"nhagent emulator: {emulator.endpoint} is plain http, which nhagent takes "
            "to loopback alone: on another machine it refuses this address",
            file=sys.stderr,
        )
