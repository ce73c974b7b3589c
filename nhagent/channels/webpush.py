"""A push channel that a program obtains by itself: a Web Push subscription of Mozilla's push service.

A push service that speaks autopush's protocol gives any client a subscription, without an account. A hub
sends to it as platform ``browser``. What arrives is encrypted for this device, and decrypted by it alone.

Mozilla runs its service for Firefox: there is no contract with us, and it may change, or refuse us. A fleet
should ask Mozilla, or run autopush of its own.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nhagent import validation
from nhagent.channels.push_settings import MOZILLA, checked_public_key, checked_server
from nhagent.channels.subscribed import SubscribedChannel
from nhagent.errors import ChannelError
from nhagent.secret import hiding_arguments

if TYPE_CHECKING:
    import os

    from nhagent.channels.store import Home
    from nhagent.channels.subscribing import Subscriber

REACH_SECONDS: Final = 10.0
"""How long it may take to reach the push service."""


class WebPushChannel(SubscribedChannel):
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
        self._ca_bundle = ca_bundle
        super().__init__(app, state_dir)

    def __repr__(self) -> str:
        return f"<web push channel of {self._server}>"

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

    def _check_installed(self) -> None:
        from nhagent.channels.web_socket import check_installed

        check_installed()

    def _made(self, home: Home) -> Subscriber:
        from nhagent.channels.subscribing import Subscriber

        return Subscriber(self._server, self._vapid, self._ca_bundle, home)
