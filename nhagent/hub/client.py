"""A client of a notification hub, for devices, backends and tools: one method per operation.

Every call is one request: nothing here waits or tries again (a list asks page after page, and
`HubClient.modify_registration` reads again on a conflict). Life cycle: make a client, call it from any
thread, close it (or use it as a context manager).
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime
from types import TracebackType
from typing import Self

from nhagent.hub.connection import EXCHANGE_SECONDS, ConnectionString
from nhagent.hub.exchange import HubExchange, TokenSource
from nhagent.hub.operations import HubOperations
from nhagent.hub.send_operations import SendOperations
from nhagent.secret import NO_LOCALS, hidden


class HubClient(HubOperations, SendOperations):
    """A notification hub's REST interface. Each thread that uses it at the same time has its own connection.

    Args:
        connection_string: text, a `ConnectionString`, or a callable giving a SAS token (then ``endpoint`` is
            needed). Any access policy is taken; an installation needs the Listen right.
        hub: the hub's name.
        endpoint: the namespace's address, in place of the connection string's.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.
        timeout: seconds for one whole exchange.
        clock: gives the time, aware; tokens are signed by it.

    Raises:
        ConfigurationError: an argument is wrong; nothing was sent.
    """

    def __init__(
        self,
        connection_string: str | ConnectionString | TokenSource,
        hub: str,
        *,
        endpoint: str | None = None,
        ca_bundle: str | None = None,
        timeout: float = EXCHANGE_SECONDS,
        clock: Callable[[], datetime] | None = None,
    ) -> None:
        credential = hidden(connection_string)
        del connection_string  # a traceback would show it
        with NO_LOCALS:
            exchange = HubExchange(
                credential,
                hub,
                endpoint=endpoint,
                ca_bundle=ca_bundle,
                timeout=timeout,
                clock=clock or (lambda: datetime.now(UTC)),
            )
        super().__init__(exchange)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def __repr__(self) -> str:
        return f"<client of {self.place}>"

    @property
    def requests_sent(self) -> int:
        """How many requests this client has sent."""
        return self._exchange.requests_sent

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the hub's clock was ahead of ours at its last reply, or None before the first."""
        return self._exchange.clock_skew

    def close(self) -> None:
        """Close the connections to the hub."""
        self._exchange.close()
