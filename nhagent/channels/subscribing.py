"""Connect to a push service, subscribe there, and give back what is not wanted any more.

Whatever is asked of the push service is on disk before, and what it has given before anybody uses it. The
former subscription stays until the hub has accepted the new one, and is then written down to be dropped.
"""

from __future__ import annotations

from contextlib import contextmanager
from typing import TYPE_CHECKING, Final

from nhagent.channels.autopush import Connection, Refused
from nhagent.channels.dialing import DIAL_SECONDS, Dial
from nhagent.channels.keeping import Keeper
from nhagent.channels.losses import Cause, Lost
from nhagent.channels.web_socket import opened
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.logs import Log
from nhagent.push_channels import BrowserChannel

if TYPE_CHECKING:
    from collections.abc import Iterator

    from nhagent.channels.pace import Pace
    from nhagent.channels.store import Home
    from nhagent.channels.subscription import Subscription

CONFLICT: Final = 409
"""The status of a push service that knows a channel id already, as somebody else's."""
_WITHOUT_KEY: Final = "/wpush/v1/"
"""In the address of a subscription for which the push service has not taken a VAPID key."""

_log = Log(__name__)


class Subscriber(Keeper):
    """A device's way to its push service. Any thread may use it.

    Args:
        server: the push service's address.
        vapid: the VAPID public key.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.
        home: where it belongs.
    """

    def __init__(self, server: str, vapid: str, ca_bundle: str | None, home: Home) -> None:
        super().__init__(server, vapid, home)
        self._ca_bundle = ca_bundle
        self._dial: Dial | None = None
        self._live: Connection | None = None

    @contextmanager
    def connected(
        self, pace: Pace, seconds: float = DIAL_SECONDS, *, patience: float = DIAL_SECONDS
    ) -> Iterator[Connection]:
        """Connect, say who we are, and subscribe where there is no subscription, in a ``with`` block.

        Args:
            pace: by what time is told.
            seconds: how long it may take until the push service has answered.
            patience: how long to wait for another thread that is connected.

        Raises:
            Busy: that thread still is: it may have brought what is wanted.
            Lost: there is no connection.
            ChannelError: the push service refuses, or gives what is no subscription.
            ConfigurationError: a setting is wrong, or websocket-client is missing.
            NhagentError: what is kept cannot be read or written.
        """
        with self._alone(patience), self.held():
            self._read()
            with self._greeted(self.server, pace, seconds) as connection:
                former = self.kept.current_for(self.server, self.vapid)
                if former is None:
                    self._subscribe(connection)
                self.is_new = former is None
                self._live = connection
                try:
                    yield connection
                finally:
                    self._live = None

    def drop_former(self, pace: Pace, seconds: float = DIAL_SECONDS) -> None:
        """Give back every subscription that is written down for it, through whatever connection there is.

        Raises:
            Lost: a push service does not answer; what it knows stays written down.
            NhagentError: as `connected`.
        """
        live = self._live
        if live is not None:
            self._drop(live, self.server)
            if not any(each.is_dropped for each in self.kept.leftovers):
                return
        # What another push service knows must wait where a thread is connected to this one.
        with self._alone(seconds if live is None else 0.0), self.held():
            self._read()
            self._keep(self.kept.without_old(self._home.clock()))
            failure: Lost | None = None
            for server in dict.fromkeys(each.server for each in self.kept.leftovers if each.is_dropped):
                try:
                    with self._greeted(server, pace, seconds) as connection:
                        self._drop(connection, server)
                except Lost as lost:  # the others are given back all the same
                    failure = lost
            if failure is not None:
                raise failure

    def stop(self) -> None:
        """End whatever it waits for, in whichever thread."""
        dial, live = self._dial, self._live
        if live is not None:
            live.close()
        if dial is not None:
            dial.stop()

    @contextmanager
    def _greeted(self, server: str, pace: Pace, seconds: float) -> Iterator[Connection]:
        """Connect to a push service and say who we are; where it has forgotten us, all there is lost."""
        uaid = self.kept.uaids.get(server)
        if uaid is None and server != self.server:  # nobody knows any more who we were
            self._keep(self.kept.without_server(server))
            raise Lost(Cause.REFUSED, f"{server}: who this device was there is lost")
        self._dial = dial = Dial(server, self._ca_bundle, seconds)
        pace.check()
        try:
            connection = Connection(opened(server, dial), wait=pace.wait_for, lived=pace.lived)
            try:
                try:
                    given = connection.hello(uaid)
                except Refused as refused:
                    raise Lost(Cause.REFUSED, f"{server}: {refused}") from None
                if given != uaid:
                    self._take_name(server, uaid, given)
                yield connection
            finally:
                connection.close()
        finally:
            self._dial = None

    def _take_name(self, server: str, former: str | None, given: str) -> None:
        with self._lock:
            if former is not None:
                _log.warning(
                    "the push service %s has forgotten this device, and every message for it", server
                )
                self.kept = self.kept.without_server(server)
            self.kept = self.kept.changed(uaids={**self.kept.uaids, server: given})
            if former is not None:
                self._write()

    def _subscribe(self, connection: Connection) -> None:
        """Ask for a subscription: its id and keys are on disk before, its address right after."""
        pending = self.kept.pending
        if pending is None or not pending.is_for(self.server, self.vapid):
            self._prepare()
        with self._lock:
            self._write()
            pending = self.kept.pending
        assert pending is not None
        try:
            endpoint = connection.register(pending.channel_id, self.vapid)
        except Refused as refused:
            if refused.status == CONFLICT:  # another time under another id
                self._keep(self.kept.changed(pending=None))
            raise ChannelError(
                f"push service {self.server}: gives no subscription ({refused})",
                "check vapid_public_key; nhagent tries again",
                pending=refused.status >= 500,  # noqa: PLR2004
            ) from None
        self._check(endpoint, pending)
        self._keep(self.kept.with_endpoint(endpoint))

    def _check(self, endpoint: str, pending: Subscription) -> None:
        """Check what the push service gave as an address: senders will send there."""
        try:
            BrowserChannel(endpoint, pending.p256dh, pending.auth)
        except ConfigurationError as error:
            raise ChannelError(
                f"push service {self.server}: {error.fact}", "use another push service"
            ) from None
        if _WITHOUT_KEY in endpoint:
            raise ChannelError(
                f"push service {self.server}: took no VAPID key, so that anybody could send",
                "use a push service that takes one",
            )

    def _drop(self, connection: Connection, server: str) -> None:
        """Give back what is to be dropped at one push service, each struck out when that has answered."""
        for each in self.kept.leftovers:
            if each.is_dropped and each.server == server:
                try:
                    connection.unregister(each.channel_id)
                except Refused as refused:  # it does not know it, or never will
                    _log.info("push service %s: %s to giving a subscription back", server, refused)
                self._keep(self.kept.without(each.channel_id))
