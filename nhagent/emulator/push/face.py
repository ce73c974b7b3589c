"""What users of the emulator see of its push service."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any

from nhagent.emulator.channels import read_subscription
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.push.front import PushFront

if TYPE_CHECKING:
    from nhagent.emulator.hub.installations import Installations
    from nhagent.emulator.push.sender import Posted
    from nhagent.emulator.push.service import PushService


class WithPushService(ABC):
    """The part of an emulator that is its push service. It is there from its first use on."""

    _push_was_used = False

    @property
    def push(self) -> str:
        """Where devices connect to the push service: a ``ws://`` URL, with TLS ``wss://``."""
        return self._push_front().url

    @property
    def push_service(self) -> PushService:
        """The push service, to be looked into and made to go wrong."""
        return self._push_front().service

    @property
    def vapid_public_key(self) -> str:
        """The public key of the hub's browser credential: 87 characters of base64url."""
        return self._push_front().pair.public

    @property
    def vapid_private_key(self) -> str:
        """The private key of the same, for other senders: 43 characters."""
        return self._push_front().pair.private

    def send_push(self, installation: str, body: str, *, ttl: int = 3600) -> Posted:
        """Send an encrypted message to an installation of platform ``browser``, as the hub does.

        Args:
            installation: its id.
            body: the message.
            ttl: how long the push service keeps it for a device that is away, in seconds.

        Returns:
            What the push service answered.

        Raises:
            KeyError: the hub holds no such installation.
            ValueError: its channel is not a subscription of the emulator's push service.
            OSError: the push service does not answer.
        """
        return self._push_front().send(self._subscription_of(installation), body, ttl)

    def push_state(self) -> dict[str, Any]:
        """Return what the push service holds, as ``GET /_emulator/push-service`` answers it.

        Returns:
            ``users`` by uaid, each with ``channels`` (VAPID keys by channel id), ``stored`` (versions of the
            messages that wait) and ``connected``; ``connections``, the uaid of each that is open, None before
            its hello; ``posts``, how many messages senders have posted.
        """
        return self._push_front().held()

    @abstractmethod
    def _push_front(self) -> PushFront: ...

    @abstractmethod
    def _subscription_of(self, installation: str) -> dict[str, Any]: ...


def subscription_in(installations: Installations, installation: str) -> dict[str, Any]:
    """Return the subscription of an installation.

    Raises:
        KeyError: there is no such installation.
        ValueError: it is of another platform.
    """
    try:
        held = json.loads(installations.get(installation))
    except Refused as refused:
        raise KeyError(installation) from refused
    channel = read_subscription(held.get("pushChannel"))
    if str(held.get("platform")).lower() != "browser" or channel is None:
        raise ValueError(f"installation {installation!r} is not of platform browser.")
    return channel
