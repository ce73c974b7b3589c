"""``nhagent emulator``: a notification hub on this machine until a signal ends it."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from dataclasses import asdict, dataclass
from threading import Event
from typing import TYPE_CHECKING, Final

from nhagent.errors import ConfigurationError
from nhagent.loopback import is_loopback

if TYPE_CHECKING:
    from nhagent.emulator import Emulator

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
    """

    hub: str
    host: str
    port: int
    data: str
    tls: bool
    certificate: str
    rate: float | None
    lenient: bool


def serve(options: EmulatorOptions, *, as_json: bool, push_service: bool = False) -> None:
    """Serve until SIGTERM or SIGINT; print on stdout how to reach the hub.

    Args:
        options: what the emulator is started with.
        as_json: print one line of JSON rather than lines for people.
        push_service: run a push service too.

    Raises:
        ConfigurationError: it cannot listen there, or not use the data file.
    """
    from nhagent.emulator import Emulator

    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        emulator = Emulator(**asdict(options)).start()
    except (OSError, ValueError, OverflowError, sqlite3.Error) as error:
        raise ConfigurationError(
            f"emulator at {options.host}:{options.port}: cannot be started: {error}", "correct what it names"
        ) from error
    try:
        _tell(emulator, as_json=as_json, push_service=push_service)
        while not ended.wait(LOOK_SECONDS):
            pass
    finally:
        emulator.close()


def _tell(emulator: Emulator, *, as_json: bool, push_service: bool) -> None:
    facts: dict[str, str | None] = {
        "endpoint": emulator.endpoint,
        "hub": emulator.hub,
        "listen": emulator.listen,
        "full": emulator.full,
        "ca": emulator.ca,
    }
    if push_service:
        facts |= {"push": emulator.push, "vapid_public_key": emulator.vapid_public_key}
    if as_json:
        print(json.dumps(facts), flush=True)
    else:
        width = 2 + max(map(len, facts))
        print("\n".join(f"{name + ':':<{width}}{fact}" for name, fact in facts.items() if fact), flush=True)
    if emulator.ca is None and not is_loopback(emulator.endpoint):
        print(
            f"nhagent emulator: {emulator.endpoint} is plain http, which nhagent takes "
            "to loopback alone: on another machine it refuses this address",
            file=sys.stderr,
        )
