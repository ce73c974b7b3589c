"""A push channel that a program obtains by itself: a Web Push subscription of Mozilla's push service.

A push service that speaks autopush's protocol gives any client a subscription, without an account. A hub
sends to it as platform ``browser``. What arrives is encrypted for this device, and decrypted by it alone.

Mozilla runs its service for Firefox: there is no contract with us, and it may change, or refuse us. A fleet
should ask Mozilla, or run autopush of its own.
"""

from __future__ import annotations

from time import monotonic
from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.channels.push_settings import MOZILLA, checked_public_key, checked_server
from nhagent.channels.store import Home
from nhagent.errors import ChannelError, ConfigurationError, NhagentError, StateLocked
from nhagent.logs import Log
from nhagent.push_channels import BrowserChannel, Platform, fingerprint
from nhagent.secret import hiding_arguments

if TYPE_CHECKING:
    import os
    from collections.abc import Callable
    from threading import Event

    from nhagent.channels.messages import Message
    from nhagent.channels.pace import Pace
    from nhagent.channels.receiving import Receiver
    from nhagent.channels.subscribing import Subscriber
    from nhagent.channels.subscription import Subscription

SUBSCRIBE_SECONDS: Final = 20.0
"""How long a subscription may take where nobody says how long it may."""
LEAST_SECONDS: Final = 5.0
"""The least time for a subscription, however little a start has left."""
LOOK_SECONDS: Final = 0.1
"""How often it is looked at whether another thread has brought a subscription."""
DROP_SECONDS: Final = 10.0
"""How long it may take to give a subscription back."""
REACH_SECONDS: Final = 10.0
"""How long it may take to reach the push service."""

_log = Log(__name__)


class WebPushChannel:
    """A channel source that subscribes to a push service, and receives what is sent there.

    Called, it gives the subscription that this device has; where it has none it gets one, which is the only
    time that a call uses the network. It belongs to one agent, which registers every new subscription, or
    stands alone with ``app`` or ``state_dir``.

    Args:
        vapid_public_key: the public key of the hub's browser credential, 87 characters of base64url; only
            who has the private one can send. ``nhagent vapid`` makes a pair.
        server: the push service's address: ``wss://``, or ``ws://`` to loopback.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.
        app: the app's name, for use without an agent.
        state_dir: absolute path of the state folder, for use without an agent; None: the usual one.

    Raises:
        ConfigurationError: an argument is wrong.
    """

    platform: Final = Platform.BROWSER

    @hiding_arguments
    def __init__(
        self,
        vapid_public_key: str,
        server: str = MOZILLA,
        ca_bundle: str | None = None,
        app: str | None = None,
        state_dir: str | os.PathLike[str] | None = None,
    ) -> None:
        self._vapid = checked_public_key(vapid_public_key)
        self._server = checked_server(server)
        if ca_bundle is not None:
            validation.check_setting("ca_bundle", ca_bundle)
        if app is not None:
            validation.checked_app_name(app)
        self._ca_bundle = ca_bundle
        self._app = app
        self._state_dir = state_dir
        self._home: Home | None = None
        self._has_agent = False
        self._subscriber: Subscriber | None = None
        self._receiver: Receiver | None = None
        self._is_wanted = True
        self._has_leftovers = False

    def __repr__(self) -> str:
        return f"<web push channel of {self._server}>"

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
            ConfigurationError: websocket-client is missing, or it receives already.
            StateLocked: another process receives.
            StateUnwritable: the state folder cannot be used.
        """
        from nhagent.channels.messages import Spool
        from nhagent.channels.receiving import Receiver
        from nhagent.channels.web_socket import check_installed

        check_installed()
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

    def reach(self, seconds: float = REACH_SECONDS) -> None:
        """See whether the push service takes a connection, and end that without a word.

        Args:
            seconds: how long it may take.

        Raises:
            ChannelError: it does not.
            ConfigurationError: websocket-client is missing, or the CA bundle cannot be used.
        """
        from nhagent.channels.dialing import Dial
        from nhagent.channels.losses import Lost
        from nhagent.channels.web_socket import opened

        try:
            opened(self._server, Dial(self._server, self._ca_bundle, seconds)).close()
        except Lost as lost:
            raise ChannelError(
                f"push service {self._server}: takes no connection ({lost.fact})",
                "check the network, the proxy, and server in the configuration",
                pending=True,
            ) from None

    def _current(self) -> Subscription | None:
        """Give the subscription in use, or None; reads one file, and imports nothing that costs."""
        from nhagent.channels.store import CHANNEL
        from nhagent.channels.subscription import Subscriptions

        kept = Subscriptions.read(self._belongs().store.load(CHANNEL) or {}, None)
        self._has_leftovers = bool(kept.leftovers)
        return kept.current_for(self._server, self._vapid)

    def _subscribed(self, seconds: float) -> Subscription:
        from nhagent.channels.losses import Lost
        from nhagent.channels.subscribing import Busy

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

    def _opened(self) -> Subscriber:
        if self._subscriber is None:
            from nhagent.channels.subscribing import Subscriber

            home = self._belongs()
            self._subscriber = Subscriber(self._server, self._vapid, self._ca_bundle, home)
        return self._subscriber

    def _belongs(self) -> Home:
        """Give where it belongs; one that has no agent makes that itself.

        Raises:
            ConfigurationError: it has no agent, and was given neither app nor state_dir.
        """
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
