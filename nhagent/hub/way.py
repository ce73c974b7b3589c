"""The way to one server: connections for any thread, what each exchange has shown, what no error may show."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import datetime
from functools import partial
from math import inf
from threading import Lock, local
from time import monotonic

from nhagent import validation
from nhagent.errors import HubUnavailable
from nhagent.hub.connection import EXCHANGE_SECONDS
from nhagent.hub.replies import LISTEN, HubReply, read_facts
from nhagent.hub.transport import Request, Response, Transport
from nhagent.models import PushChannel, marks_of
from nhagent.redaction import redacted
from nhagent.values import EMPTY, Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nhagent.hub.client_certificate import ClientCertificate


class HubRequest(Value):
    """What is asked of a hub, or of a backend that stands in its place.

    Attributes:
        method: the HTTP method.
        path: below the hub, percent-encoded: what the token is signed for.
        record: what is asked for, as an error names it.
        body: what is sent; not shown. None: nothing.
        content_type: what the body is labelled as.
        etag: for If-Match: a bare counter or ``*``, or a backend's own; None: the header is left out.
        query: further parts of the query, percent-encoded; not shown, since a list by channel has a handle
            in it.
        channels: the push channels in the request, which no error may show.
        right: the right that it needs: Listen, Send or Manage.
        headers: further ones.
    """

    method: str
    path: str
    record: str
    body: bytes | None = None
    content_type: str = ""
    etag: str | None = None
    query: Sequence[str] = ()
    channels: Sequence[PushChannel] = ()
    right: str = LISTEN
    headers: Mapping[str, str] = EMPTY
    _hidden = frozenset({"body", "query", "channels"})


class _OfThread(local):
    """What each thread has of its own."""

    last_reply: HubReply | None = None
    redact: Callable[[str], str] = staticmethod(redacted)


class Way(ABC):
    """The way to one server, for any thread: each exchange has a connection to itself, kept for later ones.

    Args:
        name: of the server, as an error has it: ``hub "my-hub"``.
        ca_bundle, timeout, clock: as for `nhagent.hub.client.HubClient`.
        certificate: by which this device is known to the server; None: by its token.

    Attributes:
        name: as given.
        channels: gives the push channels that no error may show, beside those of the request itself; called
            only where there is something to redact.
        requests_sent: how many requests were sent.
        clock_skew: seconds that the server's clock was ahead of ours at its last reply, or None.
        of_thread: the facts about this thread's last exchange as ``last_reply``; None where none came.

    Raises:
        ConfigurationError: an argument is wrong; nothing was sent.
    """

    def __init__(
        self,
        name: str,
        *,
        ca_bundle: str | None,
        timeout: float,
        clock: Callable[[], datetime],
        certificate: ClientCertificate | None = None,
    ) -> None:
        self.name = name
        self.channels: Callable[[], Iterable[PushChannel]] = tuple
        self.requests_sent = 0
        self.clock_skew: float | None = None
        self.of_thread = _OfThread()
        self._clock = clock
        self._counting = Lock()
        self._is_cut = False
        self._lists_end = inf
        validation.check_seconds("timeout", timeout)
        self._timeout = timeout
        self._new_transport: Callable[[], Transport] = partial(
            Transport, ca_bundle=ca_bundle, certificate=certificate
        )
        self._transports = [self._new_transport()]
        self._idle = [*self._transports]

    @abstractmethod
    def make(self, request: HubRequest) -> tuple[Response, HubReply]:
        """Make one exchange.

        Args:
            request: what is asked.

        Returns:
            The reply, which is a success, and the facts about the exchange.

        Raises:
            HubError: the server did not do it.
            CredentialError: there is no token that could be sent.
            ConfigurationError: what is asked cannot be sent.
        """

    def covers(self, path: str) -> bool:  # noqa: ARG002 - part of the port
        """Whether what this device is known by may be used for a path, as far as it says so."""
        return True

    def allow(self, seconds: float) -> None:
        """Set how long all that is asked from now on may take, in seconds: an exchange, and a whole list."""
        self._timeout = min(seconds, EXCHANGE_SECONDS)
        self._lists_end = monotonic() + seconds

    def check_time_for_list(self) -> None:
        """Refuse another page once the time of a list is over.

        Raises:
            HubUnavailable: it is over.
        """
        if monotonic() > self._lists_end:
            raise HubUnavailable(
                f"{self.name}: its list takes longer than there is time", "allow more time for it"
            )

    @property
    def place(self) -> str:
        """The server and where it is, to be shown."""
        return self.name

    def cut(self) -> None:
        """End the exchanges under way, from another thread, and let no other begin."""
        self._is_cut = True
        for transport in tuple(self._transports):
            transport.cut()

    def close(self) -> None:
        """Close the connections."""
        for transport in tuple(self._transports):
            transport.close()

    def exchanged(
        self, request: Request, *, secrets: Callable[[], Iterable[str]], channels: Iterable[PushChannel]
    ) -> tuple[Response, HubReply]:
        """Send a request, and take the reply's facts, whatever its status.

        Args:
            request: what goes out.
            secrets: gives what no error may show, where there is something to redact.
            channels: the push channels in it.
        """
        of_thread = self.of_thread
        of_thread.last_reply = None
        of_thread.redact = lambda text: redacted(
            text, secrets=secrets(), marks=marks_of((*channels, *self.channels()))
        )
        sent = self._clock()
        with self._counting:
            self.requests_sent += 1
        try:
            transport = self._idle.pop()
        except IndexError:  # other threads are using all that there are
            transport = self._new_transport()
            self._transports.append(transport)
        transport.timeout = self._timeout
        if self._is_cut:  # looked at last: a cut that comes later finds the transport
            transport.cut()
        try:
            response = transport.send(request)
        finally:
            self._idle.append(transport)
        facts = read_facts(response, sent=sent, received=self._clock())
        self.clock_skew = facts.clock_skew
        of_thread.last_reply = facts
        return response, facts

    def unreadable(self, reply: HubReply, why: str) -> HubUnavailable:
        """Make the error of a 2xx reply whose body cannot be used.

        Args:
            reply: the facts about the exchange.
            why: what is wrong with the body; it may quote it.

        Returns:
            The error, to be raised.
        """
        return HubUnavailable(
            f"{self.name}: the reply ({reply.status}) cannot be read ({self.of_thread.redact(why)})",
            "find out what answers in its place",
            status=reply.status,
            tracking_id=reply.tracking_id,
        )
