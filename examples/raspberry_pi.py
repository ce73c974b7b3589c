"""A Raspberry Pi, registered with a notification hub and reached through it, by Python alone.

It gets a Web Push subscription from Mozilla's push service, registers that, and does what it is told. The
hub's owner has put a VAPID pair into the hub (``nhagent vapid`` makes one), and gives each device its public
key.

    HUB=my-hub VAPID_PUBLIC_KEY=B… NHAGENT_CONNECTION_STRING=… python raspberry_pi.py

The same without code: raspberry_pi.toml, as /etc/nhagent/config.toml of the unit ../systemd/nhagent.service.
"""

from __future__ import annotations

import os

from nhagent import Agent
from nhagent.channels import Message, WebPushChannel

MOZILLA = "wss://push.services.mozilla.com/"


def act(message: Message) -> None:
    """Do what was sent. A message whose action fails comes again, five times; it is text from outside."""
    print("received:", ascii(message.text), flush=True)


def main() -> None:
    channel = WebPushChannel(os.environ["VAPID_PUBLIC_KEY"], server=os.environ.get("PUSH_SERVICE", MOZILLA))
    agent = Agent(app="raspberry-pi", hub=os.environ["HUB"], channel=channel, tags=["attic"])
    agent.receive(act)  # registers, keeps the registration fresh, and stays


if __name__ == "__main__":
    main()
