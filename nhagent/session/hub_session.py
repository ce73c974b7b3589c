"""A device's way to its hub: the connection, opened with a key of the credential chain.

The HTTP stack is imported only to send. A 401 is met once by the hub's clock, and then by another key; a 403
by another key.
"""

from __future__ import annotations

from threading import current_thread

from nhagent.errors import Forbidden, HubUnavailable, Unauthorized, refuses_key
from nhagent.interruption import check
from nhagent.session.hub_clock import HubClock

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from threading import Thread
    from typing import Any, Protocol, TypeVar

    from nhagent.hub.operations import HubOperations
    from nhagent.hub.way import Way
    from nhagent.models import PushChannel

    _T = TypeVar("_T")


else:
    Protocol = object


class Keys(Protocol):
    """Finds what a device is known by: its keys of a hub, or its token at a backend.

    Attributes:
        current: what is in use, with its ``name`` and its ``key``; None before it was looked for.
    """

    current: Any

    @property
    def endpoint(self) -> str | None:
        """The address of the namespace or backend, where it was given."""

    @property
    def address(self) -> str | None:
        """The base URL, as far as it is known."""

    @property
    def files(self) -> tuple[str, ...]:
        """The files that it may come from."""

    def namespace(self) -> str | None:
        """Give the place to register at, as far as it is known without opening a key ring."""

    def namespace_at_any_cost(self, seconds: float | None = None) -> str:
        """Give the place to register at, from a key ring if from nowhere else."""

    def replace_refused(self, error: Unauthorized | Forbidden) -> None:
        """Turn to another one; raises the error where there is none."""


class HubSession:
    """A device's way to its hub.

    Args:
        chain: finds the key to send with.
        hub: the hub's name.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.
        clock: gives the time, aware.

    Raises:
        ConfigurationError: the CA bundle cannot be read, or is not a PEM bundle.
    """

    def __init__(
        self,
        chain: Keys,
        hub: str,
        *,
        ca_bundle: str | None,
        clock: Callable[[], datetime],
    ) -> None:
        self.chain = chain
        self.clock = HubClock(clock)
        self._hub = hub
        if ca_bundle is not None:
            from nhagent.ca_bundle import read_ca_bundle

            read_ca_bundle(ca_bundle)  # refused before the first request, and without loading TLS for it
        self._ca_bundle = ca_bundle
        self._exchange: Way | None = None
        self._operations: HubOperations | None = None
        self._user: Thread | None = None
        self._cut: set[Thread] = set()
        self._sent_before = 0
        self._signed_again = False
        self._channels: Callable[[], Iterable[PushChannel]] = tuple

    @property
    def requests_sent(self) -> int:
        """How many requests were sent since the last `close`."""
        return self._sent_before + (0 if self._exchange is None else self._exchange.requests_sent)

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the hub's clock was ahead of ours at its last reply since the last `close`."""
        self._look_at_clock()
        return self.clock.skew

    @property
    def ahead(self) -> int:
        """The whole seconds by which the hub's clock is ahead of ours; 0 where the two are close."""
        self._look_at_clock()
        return self.clock.ahead

    def now(self) -> datetime:
        """Give the time by the hub's clock, as far as this process has seen it; else by ours."""
        if self._exchange is not None:
            self._look_at_clock()
        return self.clock.now()

    def open(self, seconds: float | None = None) -> HubOperations:
        """Give what can be asked of the hub; the same until `close`.

        Args:
            seconds: for an exchange, where that is less than usual, and for a list, from now on.

        Raises:
            HubUnavailable: the thread that asks was cut.
        """
        if self._operations is None or self._exchange is None:
            self._operations = self._opened()
        if seconds is not None and self._exchange is not None:
            self._exchange.allow(seconds)
        if self._cut and self.is_cut:  # looked at last: a cut that comes later finds the exchange
            check()
            raise HubUnavailable(
                "the background thread was stopped: it sends nothing any more", "start again"
            )
        return self._operations

    def _opened(self) -> HubOperations:
        from nhagent.hub.connection import EXCHANGE_SECONDS
        from nhagent.hub.exchange import HubExchange
        from nhagent.hub.operations import HubOperations

        if self.chain.current is None:
            self.chain.namespace_at_any_cost()
        assert self.chain.current is not None
        self._user = current_thread()
        self._exchange = HubExchange(
            self.chain.current.key,
            self._hub,
            endpoint=self.chain.endpoint,
            ca_bundle=self._ca_bundle,
            timeout=EXCHANGE_SECONDS,
            clock=self.clock.signing_time,
        )
        self._exchange.channels = self._channels
        return HubOperations(self._exchange)

    def hide(self, channels: Callable[[], Iterable[PushChannel]]) -> None:
        """Keep the device's push channels out of every error, whoever quotes them.

        Args:
            channels: gives them; called only where there is something to redact.
        """
        self._channels = channels
        if self._exchange is not None:
            self._exchange.channels = channels

    def forget(self) -> None:
        """Let go of the connection without a word to the hub: it is another process's."""
        self._exchange = self._operations = None

    def close(self) -> None:
        """Close the connection to the hub, and read the credential again next time."""
        self._let_go()
        self.chain.current = None
        self._sent_before = 0
        self._signed_again = False

    def cut(self, thread: Thread) -> None:
        """End the exchange that a thread has under way, from another one, and let it begin none any more."""
        self._cut = {cut for cut in self._cut if cut.is_alive()} | {thread}
        exchange, user = self._exchange, self._user
        if exchange is not None and user is thread:
            exchange.cut()

    @property
    def is_cut(self) -> bool:
        """Whether the thread that asks was cut."""
        return bool(self._cut) and current_thread() in self._cut

    def authorized(self, ask: Callable[[], _T]) -> _T:
        """Ask the hub; after a 401 once more by its clock, then with each other key of the credential chain.

        After a 403 the other keys are tried at once. What `ask` has read is read again each time.

        Raises:
            Unauthorized, Forbidden: nothing helped. They name the sources that hold refused keys.
        """
        while True:
            try:
                return ask()
            except Unauthorized as error:
                self._look_at_clock()
                if self.clock.skew is None or self.chain.current is None:
                    raise
                if not self.clock.explains_refusal:
                    self.chain.replace_refused(error)
                elif self._signed_again:
                    raise
                else:
                    self._signed_again = True
                    self.clock.follow()
                self._let_go()
            except Forbidden as error:
                if not refuses_key(error) or self.chain.current is None:
                    raise
                self.chain.replace_refused(error)
                self._let_go()

    def _look_at_clock(self) -> None:
        if self._exchange is not None:
            self.clock.observe(self._exchange.clock_skew)

    def _let_go(self) -> None:
        self._look_at_clock()
        self.clock.forget_connection()
        if self._exchange is not None:
            self._sent_before += self._exchange.requests_sent
            self._exchange.close()
        self._exchange = self._operations = None
