"""Keeps the subscriptions of a push channel: read, written, and held against other processes and threads."""

from __future__ import annotations

from contextlib import ExitStack, contextmanager
from threading import RLock
from typing import TYPE_CHECKING
from uuid import uuid4

from nhagent.channels.losses import Cause, Lost
from nhagent.channels.store import CHANNEL
from nhagent.channels.subscription import Subscription, Subscriptions
from nhagent.interruption import acquired
from nhagent.logs import Log

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nhagent.channels.store import Home

_log = Log(__name__)


class Busy(Lost):
    """Another thread of this process is connected."""


class Keeper:
    """Keeps the subscriptions of a device at one push service. Any thread may use it.

    Args:
        server: the push service's address, or whatever stands for it.
        vapid: the VAPID public key.
        home: where it belongs.

    Attributes:
        server: as given.
        vapid: as given.
        kept: all that is kept, as last read or written.
        is_new: whether the latest connection has brought a new subscription.
    """

    def __init__(self, server: str, vapid: str, home: Home) -> None:
        self.server = server
        self.vapid = vapid
        self._home = home
        self._lock = RLock()  # of what is kept
        self._network = RLock()  # one connection of this process at a time
        self._holding = 0
        self._held = ExitStack()
        self.kept = Subscriptions()
        self.is_new = False

    @contextmanager
    def held(self) -> Iterator[None]:
        """Keep other processes from the push service, in a ``with`` block; blocks may lie in each other.

        Raises:
            StateLocked: another process is connected.
            StateUnwritable: the state folder cannot be used.
        """
        with self._lock:
            if not self._holding:
                self._held.enter_context(self._home.store.hold())
            self._holding += 1
        try:
            yield
        finally:
            with self._lock:
                self._holding -= 1
                if not self._holding:
                    self._held.close()

    def accepted(self) -> None:
        """Write down that the hub has accepted the subscription in use: the former ones are to be dropped."""
        with self.held(), self._lock:
            self._read()
            self._keep(self.kept.former_dropped())

    def unwanted(self) -> None:
        """Write down that no subscription is wanted any more."""
        with self.held(), self._lock:
            self._read()
            self._keep(self.kept.all_dropped())

    @contextmanager
    def _alone(self, seconds: float) -> Iterator[None]:
        """Keep other threads from connecting.

        Raises:
            Busy: another one is at it for longer.
        """
        if not acquired(self._network, seconds):
            raise Busy(Cause.UNREACHABLE, "another thread is connected")
        try:
            yield
        finally:
            self._network.release()

    def _prepare(self) -> None:
        from nhagent.channels.encryption import new_keys

        keys = new_keys()
        subscription = Subscription(
            channel_id=str(uuid4()),
            server=self.server,
            vapid=self.vapid,
            p256dh=keys.p256dh,
            auth=keys.auth,
            since=self._home.clock().isoformat(),
        )
        with self._lock:
            self.kept = self.kept.with_new(subscription, keys.private)

    def _read(self) -> None:
        """Read what is kept, with its secrets; without these its subscriptions are of no use."""
        store = self._home.store
        with self._lock:
            document = store.load(CHANNEL) or {}
            secrets = store.secrets_of(document)
            self.kept = Subscriptions.read(document, secrets)
            if self.kept.all and secrets is None:
                _log.warning("the keys of this device's push channel are lost: it gets another one")
                self.kept = Subscriptions()

    def _keep(self, kept: Subscriptions) -> None:
        """Take over what is kept from now on, and write it where it is not what was."""
        with self._lock:
            before, self.kept = self.kept, kept
            if kept != before:
                self._write()

    def _write(self) -> None:
        self._home.store.save(CHANNEL, self.kept.to_document(), self.kept.to_secrets())
