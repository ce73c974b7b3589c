"""What a device asks of a notification hub, over an exchange that somebody else looks after."""

from __future__ import annotations

from nhagent.hub.installation_operations import InstallationOperations
from nhagent.hub.registration_operations import RegistrationOperations
from nhagent.hub.replies import HubReply
from nhagent.hub.way import Way

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime


class HubOperations(InstallationOperations, RegistrationOperations):
    """What a device asks of a notification hub: one method per operation.

    Args:
        exchange: the way to the hub.
    """

    def __init__(self, exchange: Way) -> None:
        self._exchange = exchange

    @property
    def place(self) -> str:
        """The hub and where it is, to be shown."""
        return self._exchange.place

    @property
    def can_list(self) -> bool:
        """Whether the hub can be asked for a list: a token may be for one installation alone.

        Raises:
            CredentialError: the token callable failed, or gave no token.
        """
        return self._exchange.covers("registrations")

    @property
    def last_reply(self) -> HubReply | None:
        """The facts about the last exchange that this thread has made; None: no reply came."""
        return self._exchange.of_thread.last_reply

    @property
    def server_time(self) -> datetime | None:
        """The hub's clock at that exchange; None: it did not tell."""
        reply = self.last_reply
        return None if reply is None else reply.server_time
