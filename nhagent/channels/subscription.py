"""What is kept of a device's Web Push subscriptions: the one in use, one on its way, and those to be dropped.

A channel id is on disk before it is sent, and stays there until the push service has given the channel back:
there is no subscription that nobody knows.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, Final

from nhagent.values import EMPTY, Value

if TYPE_CHECKING:
    from collections.abc import Mapping

    from nhagent.channels.encryption import Keys

LEFTOVER_LIFE: Final = timedelta(days=60)
"""After so long a push service has forgotten whoever did not say hello."""
MAX_LEFTOVERS: Final = 20
"""How many subscriptions are kept to be dropped; the oldest go first."""


class Subscription(Value):
    """One subscription, without its private key.

    Attributes:
        channel_id: its id at the push service.
        server: the push service's address.
        vapid: whose messages it takes: the VAPID public key.
        p256dh: its own public key.
        auth: the secret that its senders know.
        endpoint: its address; empty until the push service has given one.
        since: when it was made, in ISO 8601.
        is_dropped: it has a successor that the hub has accepted.
    """

    channel_id: str
    server: str
    vapid: str
    p256dh: str
    auth: str
    since: str
    endpoint: str = ""
    is_dropped: bool = False
    _hidden = frozenset({"auth", "endpoint"})

    def is_for(self, server: str, vapid: str) -> bool:
        """Whether it is what these settings ask for."""
        return (self.server, self.vapid) == (server, vapid)


class Subscriptions(Value):
    """All that is kept.

    Attributes:
        current: the one in use.
        pending: one that is on its way.
        leftovers: former ones, which the push service may still know.
        uaids: who we are at each push service, by its address.
        private: the private keys, by channel id.
    """

    current: Subscription | None = None
    pending: Subscription | None = None
    leftovers: tuple[Subscription, ...] = ()
    uaids: Mapping[str, str] = EMPTY
    private: Mapping[str, str] = EMPTY
    _hidden = frozenset({"uaids", "private"})

    @classmethod
    def read(cls, document: Mapping[str, Any], secrets: Mapping[str, Any] | None) -> Subscriptions:
        """Read what was kept; what is damaged counts as absent.

        Args:
            document: what `to_document` made.
            secrets: what `to_secrets` made; None where they are not needed, or lost.
        """
        leftovers = document.get("leftovers")
        found = [_read(item) for item in leftovers] if isinstance(leftovers, list) else []
        known = secrets or {}
        return cls(
            current=_read(document.get("current")),
            pending=_read(document.get("pending")),
            leftovers=tuple([each for each in found if each is not None]),
            uaids=_texts(known.get("uaids")),
            private=_texts(known.get("private")),
        )

    def to_document(self) -> dict[str, Any]:
        """Give what is kept in a file."""
        return {
            "current": None if self.current is None else _written(self.current),
            "pending": None if self.pending is None else _written(self.pending),
            "leftovers": [_written(each) for each in self.leftovers],
        }

    def to_secrets(self) -> dict[str, Any]:
        """Give what is kept in a key ring: no more than belongs to subscriptions that are known."""
        known = {each.channel_id for each in self.all}
        servers = {each.server for each in self.all}
        return {
            "uaids": {server: uaid for server, uaid in self.uaids.items() if server in servers},
            "private": {name: key for name, key in self.private.items() if name in known},
        }

    def current_for(self, server: str, vapid: str) -> Subscription | None:
        """Give the one in use, if it is what these settings ask for."""
        current = self.current
        return current if current is not None and current.is_for(server, vapid) else None

    @property
    def all(self) -> tuple[Subscription, ...]:
        """Every subscription that the push services may know."""
        first = [each for each in (self.current, self.pending) if each is not None]
        return (*first, *self.leftovers)

    def with_new(self, subscription: Subscription, private: str) -> Subscriptions:
        """Give what is kept while a new one is on its way."""
        former = () if self.pending is None else (self.pending.changed(is_dropped=True),)
        return self.changed(
            pending=subscription,
            leftovers=_newest((*self.leftovers, *former)),
            private={**self.private, subscription.channel_id: private},
        )

    def with_endpoint(self, endpoint: str) -> Subscriptions:
        """Give what is kept once the push service has given the pending one its address."""
        assert self.pending is not None
        former = () if self.current is None else (self.current,)
        return self.changed(
            current=self.pending.changed(endpoint=endpoint),
            pending=None,
            leftovers=_newest((*self.leftovers, *former)),
        )

    def without(self, channel_id: str) -> Subscriptions:
        """Give what is kept without one that the push service has given back."""
        return self.changed(
            leftovers=tuple([each for each in self.leftovers if each.channel_id != channel_id])
        )

    def without_server(self, server: str) -> Subscriptions:
        """Give what is kept where a push service has forgotten us, and all that we had there."""
        current, pending = self.current, self.pending
        return self.changed(
            current=None if current is not None and current.server == server else current,
            pending=None if pending is not None and pending.server == server else pending,
            leftovers=tuple([each for each in self.leftovers if each.server != server]),
            uaids={name: uaid for name, uaid in self.uaids.items() if name != server},
        )

    def all_dropped(self) -> Subscriptions:
        """Give what is kept where nothing is wanted any more."""
        return self.changed(
            current=None,
            pending=None,
            leftovers=tuple([each.changed(is_dropped=True) for each in self.all]),
        )

    def former_dropped(self) -> Subscriptions:
        """Give what is kept once the hub has accepted the current one."""
        return self.changed(leftovers=tuple([each.changed(is_dropped=True) for each in self.leftovers]))

    def without_old(self, now: datetime) -> Subscriptions:
        """Give what is kept without leftovers that every push service has forgotten by itself."""
        return self.changed(leftovers=tuple([each for each in self.leftovers if not _is_old(each, now)]))

    def keys_of(self, channel_id: str) -> Keys | None:
        """Give the keys of a subscription, or None where it is not known."""
        private = self.private.get(channel_id)
        found = next((each for each in self.all if each.channel_id == channel_id), None)
        if found is None or private is None:
            return None
        from nhagent.channels.encryption import Keys

        return Keys(private, found.p256dh, found.auth)


def _newest(leftovers: tuple[Subscription, ...]) -> tuple[Subscription, ...]:
    return leftovers[-MAX_LEFTOVERS:]


def _is_old(subscription: Subscription, now: datetime) -> bool:
    try:
        since = datetime.fromisoformat(subscription.since)
        return now - since > LEFTOVER_LIFE
    except (ValueError, TypeError, OverflowError):
        return True


def _written(subscription: Subscription) -> dict[str, Any]:
    return {name: getattr(subscription, name) for name in Subscription._fields}


def _read(item: object) -> Subscription | None:
    if not isinstance(item, dict):
        return None
    given = {name: item.get(name) for name in Subscription._fields}
    is_dropped = given.pop("is_dropped")
    if not all(isinstance(value, str) for value in given.values()) or not isinstance(is_dropped, bool):
        return None
    return Subscription(**given, is_dropped=is_dropped)  # type: ignore[arg-type]


def _texts(given: object) -> dict[str, str]:
    if not isinstance(given, dict):
        return {}
    return {name: text for name, text in given.items() if isinstance(text, str)}
