"""``nhagent emulator``: a notification hub on this machine until a signal ends it."""

from __future__ import annotations

import json
import signal
import sqlite3
import sys
from threading import Event


def serve(
    *,
    hub: str,
    host: str,
    port: int,
    data: str,
    tls: bool,
    certificate: str,
    rate: float | None,
    lenient: bool,
    as_json: bool,
) -> None:
    """Serve until SIGTERM or SIGINT; says on stdout, in one line of JSON or for people, how to reach it.

    Raises:
        ConfigurationError: it cannot listen there, or not use the data file.
    """
    from nhagent.emulator import Emulator
    from nhagent.errors import ConfigurationError
    from nhagent.hub.connection import is_loopback

    ended = Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: ended.set())
    try:
        emulator = Emulator(
            hub, host=host, port=port, data=data, tls=tls, certificate=certificate, rate=rate, lenient=lenient
        ).start()
    except (OSError, ValueError, OverflowError, sqlite3.Error) as error:
        raise ConfigurationError(f"emulator at {host}:{port}: cannot be started: {error}") from error
    try:
        facts = {
            "endpoint": emulator.endpoint,
            "hub": emulator.hub,
            "listen": emulator.listen,
            "full": emulator.full,
            "ca": emulator.ca,
        }
        if as_json:
            print(json.dumps(facts), flush=True)
        else:
            print("\n".join(f"{name + ':':<10}{fact}" for name, fact in facts.items() if fact), flush=True)
        if not tls and not is_loopback(emulator.endpoint):
            print(
                f"nhagent emulator: {emulator.endpoint} is plain http, which nhagent takes "
                "to loopback alone: on another machine it refuses this address",
                file=sys.stderr,
            )
        # Waits in short spells: on Windows a signal does not interrupt a wait.
        while not ended.wait(0.5):
            pass
    finally:
        emulator.close()
