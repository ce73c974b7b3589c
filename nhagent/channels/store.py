"""What a push channel of nhagent's own is given by whoever makes it: a place for its state, and time."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Protocol

from nhagent.values import Value

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from contextlib import AbstractContextManager
    from datetime import datetime
    from typing import TypeAlias

    Document: TypeAlias = dict[str, Any]

CHANNEL = "channel.json"
MESSAGES = "messages.json"
"""The documents of a push channel: what it is, and what has arrived on it."""


class ChannelStore(Protocol):
    """Keeps what a push channel must remember, beside the device's own state and bound to this machine."""

    @property
    def is_begun(self) -> bool:
        """Whether anything was kept."""

    def load(self, name: str) -> Document | None:
        """Read a document.

        Returns:
            The document; None where there is none, it cannot be read (then it was set aside), or it is
            another machine's.

        Raises:
            StateUnwritable: it is another user's.
        """

    def save(self, name: str, document: Document, secrets: Mapping[str, Any] | None = None) -> None:
        """Write a document durably, its secrets into a key ring where there is one.

        Raises:
            StateUnwritable: it is not on disk.
            KeyringLocked: the key ring may be unlocked later; nothing was written.
        """

    def secrets_of(self, document: Document) -> dict[str, Any] | None:
        """Give the secrets that a document was saved with; None where they are lost.

        Raises:
            CredentialError: the key ring that holds them is locked, or fails.
        """

    def hold(self) -> AbstractContextManager[None]:
        """Keep every other process from connecting, and from writing, in a ``with`` block.

        Raises:
            StateLocked: another process does so.
            StateUnwritable: the state folder cannot be used.
        """


class Home(Value):
    """Where a push channel belongs.

    Attributes:
        store: keeps what it must remember.
        clock: gives the time, aware.
        lived: gives the seconds that have passed, those of a sleeping machine too.
        sleep: waits some seconds in place of the channel's own waits; None: real ones.
        random: gives a number from 0 to 1.
        on_channel: called when there is a new push channel that the hub does not know yet.
    """

    store: ChannelStore
    clock: Callable[[], datetime]
    lived: Callable[[], float]
    sleep: Callable[[float], None] | None
    random: Callable[[], float]
    on_channel: Callable[[], object]
