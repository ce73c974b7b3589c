"""A start of nhagent with templates and tiles: ``JOB STYLE CONNECTION TEMPLATES TILES FOLDER HANDLE``."""

import sys

from nhagent import Agent, SecondaryTile, Template

OUTCOMES = {"first": "registered", "unchanged": "unchanged"}


def main() -> None:
    job, style, connection, templates, tiles, folder, handle = sys.argv[1:]
    report = Agent(
        app="a",
        hub="h",
        platform="wns",
        channel=handle,
        templates={
            f"template-{number}": Template(
                f"<toast><text id='1'>$(message{number})</text></toast>", {"X-WNS-Type": "wns/toast"}
            )
            for number in range(int(templates))
        },
        secondary_tiles={
            f"tile-{number}": SecondaryTile(f"{handle}/tile/{number}") for number in range(int(tiles))
        },
        connection_string=connection,
        state_dir=folder,
        style="registration" if style == "registration" else "installation",
    ).start()
    assert report.outcome == OUTCOMES[job], report
