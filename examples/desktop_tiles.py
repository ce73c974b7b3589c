"""A Windows desktop app with two secondary tiles, each with a push channel of its own.

The channels come from Windows: with the package winrt-Windows.Networking.PushNotifications,
``create_push_notification_channel_for_application_async`` gives the app's, and
``create_push_notification_channel_for_secondary_tile_async`` a tile's. Here they are read from the
environment, so that the example runs anywhere.

    HUB=my-hub NHAGENT_CONNECTION_STRING=… CHANNEL=https://… TILE_WEATHER=https://… python desktop_tiles.py
"""

from __future__ import annotations

import os
from collections.abc import Callable

from nhagent import Agent, SecondaryTile, Template

TILE = Template(
    body="<tile><visual><binding template='TileText01'><text id='1'>$(text)</text></binding></visual></tile>",
    headers={"X-WNS-Type": "wns/tile"},
)


def channel(variable: str) -> Callable[[], str | None]:
    """A channel source; a tile that the user has not pinned yet has no channel."""
    return lambda: os.environ.get(variable)


def main() -> None:
    agent = Agent(
        app="city-news",
        hub=os.environ.get("HUB", "my-hub"),
        platform="wns",
        channel=channel("CHANNEL"),
        # No tags here: given ones are the truth at every start, and would undo what the user ticks below.
        templates={"front": TILE},
        secondary_tiles={
            "weather": SecondaryTile(
                channel=channel("TILE_WEATHER"), tags=["weather"], templates={"w": TILE}
            ),
            "traffic": SecondaryTile(channel=channel("TILE_TRAFFIC"), tags=["traffic"]),
        },
        user_id="someone@example.com",
    )
    report = agent.start(timeout=10)
    print(f"{report.outcome}: installation {report.installation_id}")
    for name, reason in report.channel_errors.items():
        print(f"left out for now: {name} ({reason})")

    report = agent.add_tags("sports")  # the user ticked a box: kept on disk for all later starts, then sent
    print(f"with the tag: {report.outcome}")


if __name__ == "__main__":
    main()
