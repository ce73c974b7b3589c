"""Subscribe to a UnifiedPush distributor of a desktop, and take what it hands on (D-Bus, interface 2).

Anybody on a session bus can call anybody. What a stranger says of endpoints and messages is not taken: only
the unique bus name counts that had the distributor's name when we registered with it.
"""

from __future__ import annotations

from base64 import urlsafe_b64encode
from contextlib import contextmanager
from hashlib import blake2b
from typing import TYPE_CHECKING, Any, Final, NoReturn

from nhagent.channels.autopush import Notification
from nhagent.channels.keeping import Keeper
from nhagent.channels.losses import Cause, Lost
from nhagent.channels.session_bus import BUS, Incoming, Refusal, SessionBus, values_in
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.logs import Log
from nhagent.push_channels import BrowserChannel

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from nhagent.channels.pace import Pace
    from nhagent.channels.store import Home

PREFIX: Final = "org.unifiedpush.Distributor."
DISTRIBUTOR: Final = "org.unifiedpush.Distributor2"
DISTRIBUTOR_PATH: Final = "/org/unifiedpush/Distributor"
CONNECTOR: Final = "org.unifiedpush.Connector2"
CONNECTOR_PATH: Final = "/org/unifiedpush/Connector"
ENDPOINT_SECONDS: Final = 20.0
"""How long a distributor may take to tell the address of a subscription."""
LOOK_SECONDS: Final = 30.0
"""Longest wait for something to arrive, after which time is looked at again."""
MAX_MESSAGE_BYTES: Final = 4096
MAX_UNANSWERED: Final = 256
MAX_TEXT: Final = 2048
_DENIED: Final = "org.freedesktop.DBus.Error.AccessDenied"
_UNKNOWN: Final = "org.freedesktop.DBus.Error.UnknownMethod"
_REASONS: Final = {
    "INTERNAL_ERROR": ("failed inside", "it is asked again", True),
    "NETWORK": ("has no network", "it is asked again", True),
    "ACTION_REQUIRED": ("wants somebody to do something first", "open it, and look what it asks", False),
    "VAPID_REQUIRED": ("wants a VAPID key, and did not take ours", "check vapid_public_key", False),
    "UNAUTHORIZED": ("does not serve this program", "allow it in the distributor's settings", False),
}
"""Why a distributor gives no subscription: what is so, what to do, and whether waiting helps."""

_log = Log(__name__)


class DistributorSubscriber(Keeper):
    """A program's way to the distributor of the desktop. Any thread may use it.

    Args:
        service: the program's own name on the bus.
        vapid: the VAPID public key.
        home: where it belongs.
    """

    def __init__(self, service: str, vapid: str, home: Home) -> None:
        super().__init__(service, vapid, home)
        self._bus: SessionBus | None = None

    @contextmanager
    def connected(
        self, pace: Pace, seconds: float = ENDPOINT_SECONDS, *, patience: float = ENDPOINT_SECONDS
    ) -> Iterator[DistributorConnection]:
        """Connect to the bus and register with the distributor, in a ``with`` block.

        Args:
            pace: by what time is told.
            seconds: how long the distributor may take to tell an address.
            patience: how long to wait for another thread that is connected.

        Raises:
            Busy: that thread still is.
            Lost: there is no bus, or no distributor on it.
            ChannelError: the distributor gives no subscription.
            NhagentError: what is kept cannot be read or written.
        """
        with self._alone(patience), self.held():
            self._read()
            former = self.kept.current_for(self.server, self.vapid)
            pace.check()
            self._bus = bus = SessionBus(pace.wait_for)
            try:
                connection = DistributorConnection(self, bus, pace)
                connection.register(seconds)
                self.is_new = self.kept.current_for(self.server, self.vapid) != former
                yield connection
            finally:
                self._bus = None
                bus.close()

    def drop_former(self, pace: Pace, seconds: float = ENDPOINT_SECONDS) -> None:  # noqa: ARG002 - each call has its time
        """Give back every subscription that is written down for it.

        Raises:
            Lost: the distributor does not answer; what it knows stays written down.
        """
        dropped = [each for each in self.kept.leftovers if each.is_dropped]
        if not dropped:
            return
        with self.held():
            bus = SessionBus(pace.wait_for)
            try:
                distributor = found_distributor(bus)
                for each in dropped:
                    try:
                        given = {"token": ("s", each.channel_id)}
                        bus.call(distributor, DISTRIBUTOR_PATH, DISTRIBUTOR, "Unregister", "a{sv}", (given,))
                    except Refusal as refusal:  # it does not know it, or never will
                        _log.info("%s: %s to giving a subscription back", distributor, refusal)
                    self._keep(self.kept.without(each.channel_id))
            finally:
                bus.close()

    def stop(self) -> None:
        """End whatever it waits for, in whichever thread."""
        bus = self._bus
        if bus is not None:
            bus.close()

    def token(self) -> str:
        """Give the token to register with: that of the subscription in use, else of one on its way."""
        current = self.kept.current_for(self.server, self.vapid)
        if current is not None:
            return current.channel_id
        pending = self.kept.pending
        if pending is None or not pending.is_for(self.server, self.vapid):
            self._prepare()
            self._write()
            pending = self.kept.pending
        assert pending is not None
        return pending.channel_id

    def take_endpoint(self, token: str, endpoint: str) -> bool:
        """Take the address that the distributor tells; gives whether it is another one than before.

        Raises:
            ChannelError: it is no address.
        """
        kept = self.kept
        known = next((each for each in kept.all if each.channel_id == token), None)
        if known is None or known.endpoint == endpoint or len(endpoint) > MAX_TEXT:
            return False
        try:
            BrowserChannel(endpoint, known.p256dh, known.auth)
        except ConfigurationError as error:
            raise ChannelError(f"unified push: {error.fact}", "use another distributor") from None
        if kept.pending is not None and kept.pending.channel_id == token:
            self._keep(kept.with_endpoint(endpoint))
        elif kept.current is not None and kept.current.channel_id == token:
            self._keep(kept.changed(current=kept.current.changed(endpoint=endpoint)))
        else:
            return False
        return True

    def lose(self, token: str) -> bool:
        """Take note that the distributor has ended a subscription; gives whether it was the one in use."""
        current = self.kept.current
        if current is None or current.channel_id != token:
            return False
        self._keep(self.kept.changed(current=None))
        return True

    def announce(self) -> None:
        """There is a new push channel."""
        self._home.on_channel()


class DistributorConnection:
    """The program on the bus, registered with a distributor.

    Args:
        subscriber: what is kept.
        bus: the connection.
        pace: by what time is told.

    Raises:
        ChannelError: another process has the program's name.
        Lost: there is no distributor.
    """

    def __init__(self, subscriber: DistributorSubscriber, bus: SessionBus, pace: Pace) -> None:
        self._subscriber = subscriber
        self._bus = bus
        self._pace = pace
        self._calls: dict[str, Incoming] = {}
        self._early: list[Notification] = []
        if not bus.own(subscriber.server):
            raise ChannelError(
                f"unified push: another program has the name {subscriber.server} on the session bus",
                "stop it, or give this one a name of its own",
            )
        self._name = found_distributor(bus)
        bus.follow_owner_of(self._name)
        self._owner: str | None = None

    def register(self, seconds: float) -> None:
        """Register, and wait until the address is known.

        Raises:
            ChannelError: the distributor refuses.
            Lost: it does not answer.
        """
        self._owner = None
        self._bus.start(self._name)
        self._owner = self._bus.owner_of(self._name)
        if self._owner is None:
            raise Lost(Cause.UNREACHABLE, f"{self._name} is not on the session bus")
        subscriber = self._subscriber
        given = {
            "service": ("s", subscriber.server),
            "token": ("s", subscriber.token()),
            "description": ("s", f"push messages for {subscriber.server}"),
            "vapid": ("s", subscriber.vapid),
        }
        try:
            body, sender = self._bus.call(
                self._owner, DISTRIBUTOR_PATH, DISTRIBUTOR, "Register", "a{sv}", (given,)
            )
        except Refusal as refusal:
            raise ChannelError(
                f"unified push: {self._name} does not take registrations ({refusal})",
                "use a distributor that speaks interface 2 of UnifiedPush",
            ) from None
        if sender != self._owner:
            raise Lost(Cause.ENDED, "somebody else has answered in the place of the distributor")
        self._check(values_in(body))
        until = self._pace.lived() + seconds
        while subscriber.kept.current_for(subscriber.server, subscriber.vapid) is None:
            if self._pace.lived() > until:
                raise Lost(Cause.SILENT, f"{self._name} told no address within {seconds:g} s")
            self._take(self._bus.next_incoming(1.0))

    def listen(self, arrived: Callable[[Notification], object], seconds: float) -> NoReturn:
        """Give every message to somebody who must be quick.

        Args:
            arrived: is given each; whatever it raises ends this.
            seconds: after which it is registered again.

        Raises:
            Lost: the bus is gone, or that time is over.
            ChannelError: the distributor refuses.
        """
        until = self._pace.lived() + seconds
        while True:
            while self._early:
                arrived(self._early.pop(0))
            if self._pace.lived() >= until:
                raise Lost(Cause.RENEWED, "it is registered again from time to time")
            self._take(self._bus.next_incoming(LOOK_SECONDS))

    def acknowledge(self, notification: Notification, code: int) -> None:  # noqa: ARG002 - the bus has no codes
        """Answer the call that brought a message."""
        call = self._calls.pop(notification.version, None)
        if call is not None:
            told = values_in(call.body).get("id")
            self._bus.answer(call, {"id": ("s", told)} if isinstance(told, str) else {})

    def discard(self, channel_id: str) -> None:
        """Do nothing: a token that nobody knows here was answered already."""

    def _check(self, told: Mapping[str, Any]) -> None:
        if told.get("success") == "REGISTRATION_SUCCEEDED":
            return
        reason = told.get("reason")
        fact, hint, passes = _REASONS.get(str(reason), ("gives no subscription", "look into its log", True))
        raise ChannelError(f"unified push: {self._name} {fact}", hint, pending=passes)

    def _take(self, incoming: Incoming | None) -> None:
        if incoming is None:
            return
        if not incoming.is_call:
            self._take_signal(incoming)
        elif incoming.path != CONNECTOR_PATH or incoming.interface != CONNECTOR:
            self._bus.refuse(incoming, _UNKNOWN, "there is no such method")
        elif self._owner is None or incoming.sender != self._owner:
            _log.warning(
                "a stranger on the session bus (%s) called %s: refused", incoming.sender, incoming.member
            )
            self._bus.refuse(incoming, _DENIED, "only the distributor may call this")
        else:
            self._take_call(incoming, values_in(incoming.body))

    def _take_call(self, incoming: Incoming, given: Mapping[str, Any]) -> None:
        token = given.get("token")
        if incoming.member == "NewEndpoint" and isinstance(token, str):
            endpoint = given.get("endpoint")
            self._bus.answer(incoming, {})
            if isinstance(endpoint, str):
                had = self._subscriber.kept.current is not None
                if self._subscriber.take_endpoint(token, endpoint) and had:
                    self._subscriber.announce()
        elif incoming.member == "Message" and isinstance(token, str):
            self._take_message(incoming, token, given)
        elif incoming.member == "Unregistered":
            self._bus.answer(incoming, {})
            if isinstance(token, str) and self._subscriber.lose(token):
                raise Lost(Cause.ENDED, "the distributor has ended the subscription")
        else:
            self._bus.refuse(incoming, _UNKNOWN, "there is no such method")

    def _take_message(self, incoming: Incoming, token: str, given: Mapping[str, Any]) -> None:
        content = given.get("message")
        if isinstance(content, list):
            content = bytes(content)
        if not isinstance(content, bytes) or len(content) > MAX_MESSAGE_BYTES:
            self._bus.answer(incoming, {})
            return
        # The id may be missing, or another message's; no content is encrypted to the same bytes twice.
        version = blake2b(content, digest_size=16).hexdigest()
        data = urlsafe_b64encode(content).decode()
        self._calls[version] = incoming
        if len(self._calls) > MAX_UNANSWERED:  # the app has no room: whoever waited for these has given up
            del self._calls[next(iter(self._calls))]
        self._early.append(Notification(token, version, data, {"encoding": "aes128gcm"}))

    def _take_signal(self, incoming: Incoming) -> None:
        """Follow the distributor's name to another owner, and register with that."""
        if (
            incoming.sender != BUS
            or incoming.member != "NameOwnerChanged"
            or incoming.body[:1] != (self._name,)
        ):
            return
        owner = incoming.body[2]
        if owner and owner != self._owner:
            self.register(ENDPOINT_SECONDS)
        elif not owner:
            self._owner = None


def found_distributor(bus: SessionBus) -> str:
    """Find a distributor: of several the first by name, so that it is the same each time.

    Raises:
        Lost: there is none.
    """
    names = sorted(name for name in bus.names() if name.startswith(PREFIX))
    if not names:
        raise Lost(Cause.UNREACHABLE, "there is no UnifiedPush distributor on the session bus")
    return names[0]
