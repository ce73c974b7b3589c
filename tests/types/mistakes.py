"""What a type checker must refuse: each line that ends with the word has one mistake."""

from __future__ import annotations

import asyncio

from nhagent import Agent, AsyncAgent, HubClient, Installation, Registration, Template
from nhagent.emulator import Emulator


def agent_of(text: str) -> None:
    Agent(app="a", hub="h", platform="fcmv2", channel="c")  # mistake
    Agent(app="a", hub="h", platform=text, channel="c")  # mistake
    Agent(app="a", hub="h", platform="wns", channel="c", style="both")  # mistake
    Agent(app="a", hub="h", platform="wns", channel=5)  # mistake
    Agent(app="a", hub="h", platform="wns", channel="c", user=text)  # mistake
    Agent("a", hub="h", platform="wns", channel="c")  # mistake
    Agent(hub="h", platform="wns", channel="c")  # mistake
    agent = Agent(app="a", hub="h", platform="wns", channel="c")
    agent.start(30)  # mistake
    agent.update(tags="kitchen", user="ann")  # mistake
    agent.live()  # mistake
    print(agent.start().failed_sources)  # mistake
    AsyncAgent(app="a", hub="h", platform="fcmv2", channel="c")  # mistake
    AsyncAgent(app="a", platform="wns", channel="c")  # mistake


def hub_of(client: HubClient, emulator: Emulator) -> None:
    Installation("a", "fcmv2", "c")  # mistake
    Installation("a", "gcm", "c").tags = ("b",)  # mistake
    Registration("gcm", "c", registration_id="1")  # mistake
    Template("{}").tags.append("a")  # mistake
    row, _ = client.get_registration("1")  # mistake
    client.put_installation(Installation("a", "gcm", "c")).status  # mistake
    client.registrations_by_channel("c", platform="fcmv2")  # mistake
    client.create_or_update_registration("1", Registration("gcm", "c"))  # mistake
    client.get_registration("1").registration_id.nothing  # mistake
    client.last_reply.status  # mistake
    client.allow(5)  # mistake
    emulator.fail(5)  # mistake


async def in_asyncio(agent: AsyncAgent) -> None:
    asyncio.create_task(agent.start).cancel()  # mistake
    with agent.keep_fresh():  # mistake
        pass
