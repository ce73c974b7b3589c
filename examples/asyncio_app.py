"""An asyncio app: register without holding up the event loop, and follow a rotated handle.

HUB=my-hub NHAGENT_CONNECTION_STRING=… python asyncio_app.py
"""

from __future__ import annotations

import asyncio
import os

from nhagent import AsyncAgent, BrowserChannel


class Subscription:
    """A Web Push subscription, as the app's embedded web view hands it over."""

    def __init__(self) -> None:
        self.generation = 1

    async def current(self) -> BrowserChannel:
        return BrowserChannel(
            endpoint=f"https://push.example/subscription/{self.generation}",
            p256dh="BNcRdreALRFXTkOOUHK1EtK2wtaz5Ry4YfYCA_0QTpQtUbVlUls0VJXg7A8u-Ts1XbjhazAkj7I99e8QcYP7DkM",
            auth="tBHItJI5svbpez7KI4CCXg",
        )


async def main() -> None:
    subscription = Subscription()
    async with AsyncAgent(
        app="dashboard",
        hub=os.environ.get("HUB", "my-hub"),
        platform="browser",
        channel=subscription.current,
        tags=["dashboard"],
    ) as agent:
        report, _ = await asyncio.gather(agent.start(timeout=10), other_work())
        print(f"{report.outcome} while the loop went on, requests: {report.requests}")

        subscription.generation += 1
        report = await agent.start(timeout=10)
        print(f"new subscription: {report.outcome}, requests: {report.requests}")


async def other_work() -> None:
    """What the app does meanwhile."""
    for _ in range(3):
        await asyncio.sleep(0.05)
    print("other work done")


if __name__ == "__main__":
    asyncio.run(main())
