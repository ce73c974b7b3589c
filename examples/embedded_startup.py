"""An embedded device at start-up: make the hub know it, then go on with the device's own work.

A gateway app has written the device's Firebase token to a file. The connection string comes from the
environment, a file, systemd or the key ring: see the README.

    HUB=my-hub HANDLE_FILE=/run/gateway/fcm-token NHAGENT_CONNECTION_STRING=… python embedded_startup.py
"""

from __future__ import annotations

import os
import sys
from pathlib import Path

from nhagent import Agent, NhagentError, Outcome, Template

HANDLE_FILE = Path(os.environ.get("HANDLE_FILE", "/run/gateway/fcm-token"))


def read_handle() -> str | None:
    """The token as the gateway wrote it last; None while it has not."""
    return HANDLE_FILE.read_text() if HANDLE_FILE.exists() else None


def register() -> None:
    agent = Agent(
        app="greenhouse-sensor",
        hub=os.environ.get("HUB", "my-hub"),
        platform="fcmv1",
        channel=read_handle,
        tags=["greenhouse", "model:gs-2"],
        templates={"alarm": Template(body='{"message": {"notification": {"title": "$(title)"}}}')},
    )
    report = agent.start(timeout=10)
    print(f"{report.outcome}: installation {report.installation_id}, requests: {report.requests}")
    if report.outcome is Outcome.WAITING:
        print(f"not registered yet: {report.error}", file=sys.stderr)


def main() -> int:
    try:
        register()
    except NhagentError as error:  # what a person must mend: no key, a wrong hub, a key that is refused
        print(f"not registered: {error}", file=sys.stderr)
    # The device does its work either way: the next start goes on where this one stopped.
    print("the device's own work")
    return 0


if __name__ == "__main__":
    sys.exit(main())
