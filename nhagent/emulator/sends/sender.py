"""Sends notifications to the devices that they are meant for, and keeps what was delivered."""

from __future__ import annotations

from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.sends.delivery import Deliveries, Why


class Sender:
    """Sends notifications.

    Args:
        hub: holds the devices.
        deliveries: where every send is kept.
        push: passes messages on to browsers.

    Attributes:
        deliveries: as given.
    """

    def __init__(self, hub: Hub, deliveries: Deliveries, push: PushFront) -> None:
        self.deliveries = deliveries
        self._hub = hub
        self._push = push

    def why_not(self, delivery_id: str, installation: str) -> Why | None:
        """Return why an installation received nothing; None where it received something.

        Args:
            delivery_id: the notification's id.
            installation: the id of the installation, which is looked at as it is now.

        Raises:
            KeyError: there is no such delivery, or no such installation.
        """
        raise KeyError(f"There is no delivery '{delivery_id}'.")
