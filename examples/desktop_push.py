"""A Linux desktop app that is reached through the desktop's UnifiedPush distributor.

The distributor (KDE's, or another) has the connection to a push service; apps share it over the session bus.
The app has a name of its own on the bus. The hub's owner gives the VAPID public key; ``nhagent vapid`` makes
the pair.

    HUB=my-hub VAPID_PUBLIC_KEY=B… NHAGENT_CONNECTION_STRING=… python desktop_push.py
"""

from __future__ import annotations

import asyncio
import os
import sys

from nhagent import AsyncAgent, NhagentError
from nhagent.channels import UnifiedPushChannel


async def main() -> None:
    channel = UnifiedPushChannel(os.environ["VAPID_PUBLIC_KEY"], service="com.example.Weather")
    async with AsyncAgent(app="weather", hub=os.environ["HUB"], channel=channel, tags=["berlin"]) as agent:
        report = await agent.start()
        print(f"{report.outcome}: installation {report.installation_id}", flush=True)
        for reason in report.channel_errors.values():  # no distributor yet: messages come once there is one
            print(f"no push channel yet: {reason}", file=sys.stderr, flush=True)
        async for message in agent.messages():  # done with when the next one is asked for
            print("received:", ascii(message.text), flush=True)


if __name__ == "__main__":
    try:
        asyncio.run(main())
    except NhagentError as error:
        sys.exit(f"not registered: {error}")
