"""A kiosk that is taken away after the season: its record goes by itself, and nobody has to clean up.

With `expires_after` the hub drops the device once it was not heard of for that long. Every refresh moves the
end; a kiosk that is switched on again after it is registered again, under the same id.

    HUB=my-hub NHAGENT_CONNECTION_STRING=… HANDLE=… python kiosk.py          # one start
    HUB=my-hub NHAGENT_CONNECTION_STRING=… HANDLE=… python kiosk.py stay     # until Ctrl-C
"""

from __future__ import annotations

import os
import sys
import time
from datetime import timedelta

from nhagent import Agent, Report

SEASON = timedelta(days=14)


def tell(report: Report) -> None:
    until = "unknown" if report.refresh_due is None else f"{report.refresh_due:%Y-%m-%d %H:%M} UTC"
    print(f"{report.outcome}; written again at {until}")


def main() -> None:
    agent = Agent(
        app="kiosk",
        hub=os.environ.get("HUB", "my-hub"),
        platform="fcmv1",
        channel=lambda: os.environ.get("HANDLE"),
        tags=["kiosk", "pier:7"],
        expires_after=SEASON,
        # As often as a kiosk may miss some refreshes and still be there.
        refresh_every=SEASON / 7,
        # The storage is a RAM disk: the id has to come from the machine.
        installation_id="machine",
    )
    tell(agent.start(timeout=30))
    if sys.argv[1:] == ["stay"]:
        with agent.keep_fresh():
            while True:
                time.sleep(3600)


if __name__ == "__main__":
    main()
