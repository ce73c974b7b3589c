"""A start of nhagent through the library."""

import sys

from nhagent import Agent

OUTCOMES = {"first": "registered", "unchanged": "unchanged", "rotated": "updated"}


def main() -> None:
    job, style, connection, trusted, folder, handle = sys.argv[1:]
    report = Agent(
        app="a",
        hub="h",
        platform="gcm",
        channel=handle,
        connection_string=connection,
        ca_bundle=trusted or None,
        state_dir=folder,
        style="registration" if style == "registration" else "installation",
    ).start()
    assert report.outcome == OUTCOMES[job], report
