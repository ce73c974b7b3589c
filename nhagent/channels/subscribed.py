"""Channel sources that subscribe to a push service by themselves: what they have in common.

Called, such a source gives the subscription that this device has, out of one file. Where there is none it
gets one. It receives what is sent there, and gives back what nobody needs any more.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from threading import RLock
from time import monotonic
from typing import TYPE_CHECKING, Final, NoReturn, Protocol

from nhagent import validation
from nhagent.channels.store import Home
from nhagent.errors import ChannelError, ConfigurationError, NhagentError, StateLocked
from nhagent.logs import Log
from nhagent.push_channels import BrowserChannel, Platform, fingerprint
from nhagent.secret import hiding_arguments

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from threading import Event

    from nhagent.channels.autopush import Notification
    from nhagent.channels.messages import Message
    from nhagent.channels.pace import Pace
    from nhagent.channels.receiving import Receiver
    from nhagent.channels.subscription import Subscription, Subscriptions

SUBSCRIBE_SECONDS: Final = 20.0
"""How long a subscription may take where nobody says how long it may."""
LEAST_SECONDS: Final = 5.0
"""The least time for a subscription, however little a start has left."""
LOOK_SECONDS: Final = 0.1
"""How often it is looked at whether another thread has brought a subscription."""
DROP_SECONDS: Final = 10.0
"""How long it may take to give a subscription back."""

_log = Log(__name__)


class Listening(Protocol):
    """A connection on which messages arrive."""

    def listen(self, arrived: Callable[[Notification], object], seconds: float) -> NoReturn:
        """Give every message to somebody, until the connection is lost; see `nhagent.channels.autopush`."""

    def acknowledge(self, notification: Notification, code: int) -> None:
        """Tell that a message has come."""

    def discard(self, channel_id: str) -> None:
        """Give a channel back that nobody knows."""


class Subscribing(Protocol):
    """A way to a push service; see `nhagent.channels.subscribing.Subscriber`."""

    server: str
    kept: Subscriptions
    is_new: bool

    def held(self) -> AbstractContextManager[None]:
        """Keep other processes away."""

    def connected(
        self, pace: Pace, seconds: float = ..., *, patience: float = ...
    ) -> AbstractContextManager[Listening]:
        """Connect, and subscribe where there is no subscription."""

    def drop_former(self, pace: Pace, seconds: float = ...) -> None:
        """Give back what is written down for it."""

    def accepted(self) -> None:
        """Write down that the hub has accepted the subscription in use."""

    def unwanted(self) -> None:
        """Write down that no subscription is wanted any more."""

    def stop(self) -> None:
        """End whatever it waits for."""


class SubscribedChannel(ABC):
    """A channel source that subscribes by itself. It belongs to one agent, or stands alone.

    Args:
        app: the app's name, for use without an agent.
        state_dir: absolute path of the state folder, for use without an agent; None: the usual one.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    platform: Final = Platform.BROWSER
    _server: str
    _vapid: str

    def __init__(self, app: str | None, state_dir: str | os.PathLike[str] | None) -> None:
        if app is not None:
            validation.checked_app_name(app)
        self._app = app
        self._state_dir = state_dir
        self._home: Home | None = None
        self._has_agent = False
        self._subscriber: Subscribing | None = None
        self._receiver: Receiver | None = None
        self._opening = RLock()
        self._is_wanted = True
        self._has_leftovers = False

    def belong_to(self, home: Home) -> None:
        """Belong to an agent from now on.

        Args:
            home: what the agent gives it.

        Raises:
            ConfigurationError: it belongs to an agent already.
        """
        if self._has_agent:
            raise ConfigurationError("web push: the channel belongs to an agent already", "make another one")
        self._home, self._has_agent = home, True

    @hiding_arguments
    def __call__(self) -> BrowserChannel:
        """Give the subscription; where there is none, get one.

        Raises:
            ChannelError: there is none, and none can be had now.
        """
        from nhagent.channels.source import is_only_looking, seconds_left

        found = self._current()
        if found is None and is_only_looking():
            raise ChannelError(
                "web push: there is no subscription yet", "the next start asks for one", pending=True
            )
        self._is_wanted |= not is_only_looking()
        if found is None:
            left = seconds_left()
            found = self._subscribed(SUBSCRIBE_SECONDS if left is None else left)
            receiver = self._receiver
            if receiver is not None:
                receiver.wake()
        return _as_channel(found)

    @hiding_arguments
    def receive(self, on_message: Callable[[Message], object], stop: Event | None = None) -> None:
        """Receive messages, and hand them on in this thread: at least once, in order. Blocks.

        A message is on disk before the push service is told that it came, and stays there until
        ``on_message`` has returned. It is handed on again where that raised, up to five times, and where this
        process died in it.

        Args:
            on_message: takes a message; what it raises counts as a failure.
            stop: ends this once it is set; None: only an exception that no failure is, such as
                KeyboardInterrupt, does.

        Raises:
            ConfigurationError: a library is missing, or it receives already.
            StateLocked: another process receives.
            StateUnwritable: the state folder cannot be used.
        """
        from nhagent.channels.messages import Spool
        from nhagent.channels.receiving import Receiver

        self._check_installed()
        validation.check_callable("on_message", on_message)
        subscriber, home = self._opened(), self._belongs()
        with subscriber.held():
            if self._receiver is not None:
                raise ConfigurationError("web push: the channel receives already", "stop that first")
            self._receiver = Receiver(subscriber, Spool(home.store), home, lambda: self._is_wanted)
            try:
                self._receiver.run(on_message, stop)
            finally:
                self._receiver = None

    @hiding_arguments
    def forget(self) -> None:
        """Give the subscription back to the push service. What was not given back stays written down.

        Raises:
            ChannelError: the push service does not answer; a later call goes on with it.
            StateLocked: another process is connected.
        """
        from nhagent.channels.losses import Lost

        self._is_wanted = False
        if not self._belongs().store.is_begun:
            return
        subscriber = self._opened()
        try:
            subscriber.unwanted()
            subscriber.drop_former(self._pace(), DROP_SECONDS)
        except Lost as lost:
            raise ChannelError(
                f"web push: {self._server} was not told that its subscription is not wanted any more "
                f"({lost.fact})",
                "it is told later: nothing is sent there meanwhile",
            ) from None
        finally:
            subscriber.stop()

    def accepted(self, held: str) -> None:
        """Take note that the hub holds a push channel: the subscriptions before it are given back.

        Args:
            held: the push channel's fingerprint.
        """
        from nhagent.channels.losses import Lost

        if not self._has_leftovers:
            return
        try:
            current = self._current()
            if current is None or fingerprint(_as_channel(current)) != held:
                return
            subscriber = self._opened()
            subscriber.accepted()
            subscriber.drop_former(self._pace(), DROP_SECONDS)
        except (Lost, NhagentError) as error:
            _log.info("a former subscription is given back later: %s", error)

    def _current(self) -> Subscription | None:
        """Give the subscription in use, or None; reads one file, and imports nothing that costs."""
        from nhagent.channels.store import CHANNEL
        from nhagent.channels.subscription import Subscriptions

        kept = Subscriptions.read(self._belongs().store.load(CHANNEL) or {}, None)
        self._has_leftovers = bool(kept.leftovers)
        return kept.current_for(self._server, self._vapid)

    def _subscribed(self, seconds: float) -> Subscription:
        from nhagent.channels.keeping import Busy
        from nhagent.channels.losses import Lost

        found, until = None, monotonic() + max(LEAST_SECONDS, seconds)
        try:
            while found is None and (left := until - monotonic()) > 0:
                try:
                    with self._opened().connected(self._pace(), left, patience=LOOK_SECONDS):
                        pass
                except Busy:  # whoever receives is at it, and brings the same
                    pass
                found = self._current()
        except Lost as lost:
            raise ChannelError(
                f"web push: there is no subscription yet, and {self._server} gives none now ({lost.fact})",
                "check the network; it is asked again",
                pending=True,
            ) from None
        except StateLocked as locked:
            raise ChannelError(locked.fact, locked.hint, pending=True) from None
        if found is None:
            raise ChannelError(
                "web push: there is no subscription yet", "it is asked for again", pending=True
            )
        return found

    def _pace(self) -> Pace:
        from nhagent.channels.pace import Pace

        return Pace(self._belongs().lived, None)

    def _opened(self) -> Subscribing:
        with self._opening:  # two ways to one push service would keep each other from it
            if self._subscriber is None:
                self._subscriber = self._made(self._belongs())
            return self._subscriber

    @abstractmethod
    def _made(self, home: Home) -> Subscribing:
        """Make the way to the push service."""

    @abstractmethod
    def _check_installed(self) -> None:
        """Check that the library is there by which the push service is spoken to.

        Raises:
            ConfigurationError: it is not.
        """

    def _belongs(self) -> Home:
        """Give where it belongs; one that has no agent makes that itself.

        Raises:
            ConfigurationError: it has no agent, and was given neither app nor state_dir.
        """
        with self._opening:
            return self._home_or_own()

    def _home_or_own(self) -> Home:
        if self._home is None:
            if self._app is None and self._state_dir is None:
                raise ConfigurationError(
                    "web push: the channel belongs to no agent, and has no place for its state",
                    "give it to an Agent, or give app or state_dir",
                )
            from importlib import import_module

            # By its name: `nhagent.device` is another package of the same row, which need not know this one.
            alone = import_module("nhagent.device.channel_alone")
            self._home = Home(**alone.world(self._app or "", self._state_dir), on_channel=lambda: None)
        return self._home


def _as_channel(subscription: Subscription) -> BrowserChannel:
    return BrowserChannel(subscription.endpoint, subscription.p256dh, subscription.auth)
