"""Sockets beneath requests: one connection, which another thread can cut at any time, verified by TLS.

`nhagent.hub.transport` mounts the adapter on a session of requests; nothing else uses it. The classes of
connections are those that requests brings along: nhagent does not depend on urllib3 itself.
"""

from __future__ import annotations

import errno
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from http.client import HTTPException, HTTPResponse
from time import monotonic
from typing import Any, Final

from requests.adapters import HTTPAdapter
from requests.exceptions import InvalidProxyURL

from nhagent.addresses import Address, addresses_of, in_turn
from nhagent.ca_bundle import check_usual_bundle, read_ca_bundle, unusable
from nhagent.errors import ConfigurationError
from nhagent.hub.causes import cause_of

CONNECT_SECONDS: Final = 10.0
"""Timeout of making a connection, to whichever address, within that of the whole exchange."""
LEAST_SECONDS: Final = 0.1
"""What every address gets of that time, however little is left."""
_BLANK_LINES: Final = (b"\r\n", b"\n")
_TOO_LATE: Final = "the connection came too late"
_SWALLOWED: Final = {errno.EPIPE, errno.ECONNRESET, errno.EPROTOTYPE}
"""What urllib3 overlooks while a request is sent, since a reply may have come all the same: not yet."""


class MalformedHead(HTTPException):
    """A line of a reply's head is not a header."""


class CheckedReply(HTTPResponse):
    """A reply whose head is read whole, or refused: of a malformed one urllib3 would log what is left.

    Cookies are left out: requests would keep them, and send them back.
    """

    def begin(self) -> None:
        source: Any = self.fp
        head: Any = _Head(source)
        self.fp = head
        try:
            super().begin()
        finally:
            if self.fp is head:
                self.fp = source
        if head.last not in _BLANK_LINES:
            # Python takes what was cut off after a whole line for a whole head, and a 204 needs no more.
            raise OSError("the reply broke off within its head")
        left = str(self.headers.get_payload())
        if left and not left.endswith("\n\r\n"):
            raise OSError("the reply broke off within its head")
        if left or self.headers.defects:
            raise MalformedHead
        del self.headers["Set-Cookie"], self.headers["Set-Cookie2"]


class _Head:
    """Remembers the last line of a head that was read.

    Args:
        source: what it is read from.
    """

    def __init__(self, source: Any) -> None:
        self._source = source
        self.last = b""

    def readline(self, limit: int = -1) -> bytes:
        self.last = self._source.readline(limit)
        return self.last

    def __getattr__(self, name: str) -> Any:
        return getattr(self._source, name)


class Adapter(HTTPAdapter):
    """Keeps hold of the socket in use, so that a deadline can cut it, and keeps queries out of all logs.

    A connection lets go of its socket when a reply says that it is the last one, long before that is read.

    A list by channel has a PNS handle in its query, and urllib3 shows what it is asked for in logs and
    exceptions. So it is asked for the path alone; the query is put behind it where the request is written.

    Args:
        context: the TLS settings, from `tls_context`.

    Attributes:
        is_cut: no connection may be made now, and none that is still being made may be used.
        query: with its question mark, what is put behind the path that is asked for.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._connection: Any = None
        self._socket: Any = None
        self._family: int | None = None
        self.is_cut = False
        self.query = ""
        self._socket_class = type("Socket", (_Cuttable, socket.socket), {"adapter": self})
        context.sslsocket_class = type("TlsSocket", (_Cuttable, ssl.SSLSocket), {"adapter": self})
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def request_url(self, *args: Any, **keywords: Any) -> str:
        path, mark, query = super().request_url(*args, **keywords).partition("?")
        self.query = mark + query
        return path

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """As in its base, but a $REQUESTS_CA_BUNDLE that could block or fill memory is refused."""
        try:
            super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        except OSError as error:
            raise unusable(verify, error) from None
        if conn.ca_certs:
            check_usual_bundle(conn.ca_certs)

    def cut(self) -> None:
        """End the exchange under way, whatever it waits for, from another thread."""
        self.is_cut = True
        for sock in (self._socket, getattr(self._connection, "sock", None)):
            if sock is not None:
                try:
                    # A TLS socket's own shutdown would drop its TLS while another thread reads through it.
                    socket.socket.shutdown(sock, socket.SHUT_RDWR)
                except OSError:  # it is closed already
                    pass

    def watch(self, connection: Any, connect: Callable[[], None]) -> None:
        """Let a connection be made, unless time is up: within a TLS handshake there is nothing to cut."""
        self._connection, self._socket = connection, None
        try:
            connect()
        except OSError as error:
            if error.errno not in _SWALLOWED:
                raise
            raise ConnectionAbortedError(errno.ECONNABORTED, error.strerror) from error
        self._socket = connection.sock
        if self.is_cut:
            connection.close()
            raise TimeoutError(_TOO_LATE)

    def reach(self, host: str, port: int, timeout: float | None, options: Iterable[Any]) -> socket.socket:
        """Try one address of a host after the other, within one time.

        Each gets half of what is left of it, the last one all: an address that swallows whatever is sent
        there, as those of IPv6 do on many networks, leaves time for the others.
        """
        failure: OSError = TimeoutError(_TOO_LATE)
        seconds = CONNECT_SECONDS if timeout is None else timeout
        ends = monotonic() + seconds
        found = in_turn(self.addresses(host, port, seconds), self._family)
        for others, address in zip(range(len(found) - 1, -1, -1), found, strict=True):
            left = ends - monotonic()
            share = max(left / 2 if others else left, LEAST_SECONDS)
            try:
                return self._connected(address, share, timeout, options)
            except OSError as error:  # among them a machine without IPv6
                failure = error
                if self.is_cut:
                    break
        raise failure

    def addresses(self, host: str, port: int, seconds: float) -> list[Address]:
        """Look up a host's addresses, for so many seconds at most."""
        return addresses_of(host, port, socket.AF_UNSPEC, seconds=seconds, is_over=lambda: self.is_cut)

    def _connected(
        self, found: Address, seconds: float, timeout: float | None, options: Iterable[Any]
    ) -> socket.socket:
        family, kind, protocol, _, address = found
        sock: socket.socket = self._socket_class(family, kind, protocol)
        self._socket = sock  # kept before it is connected: a cut ends that too
        try:
            for option in options:
                sock.setsockopt(*option)
            sock.settimeout(seconds)
            if self.is_cut:
                raise TimeoutError(_TOO_LATE)
            sock.connect(address)
            sock.settimeout(timeout)
        except OSError:
            sock.close()
            raise
        self._family = family
        return sock

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **keywords)
        self._watch_connections_of(self.poolmanager)

    def proxy_manager_for(self, proxy: Any, **keywords: Any) -> Any:
        if str(proxy).lower().startswith("socks"):
            raise InvalidProxyURL  # its connections could not be cut; ours would go around it
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **keywords)
        self._watch_connections_of(manager)
        return manager

    def _watch_connections_of(self, manager: Any) -> None:
        usual: Mapping[str, Any] = manager.pool_classes_by_scheme
        manager.pool_classes_by_scheme = {
            scheme: pool if issubclass(pool.ConnectionCls, _Watched) else self._watched(pool)
            for scheme, pool in usual.items()
        }

    def _watched(self, pool: Any) -> Any:
        """Make the class of pools whose connections can be cut, and show no query."""
        connection = type("Connection", (_Watched, pool.ConnectionCls), {"adapter": self})
        return type("Pool", (pool,), {"ConnectionCls": connection})


class _Cuttable:
    """The part of a socket that reads nothing once its adapter is cut.

    What still comes in after a shutdown is read all the same: who sends without end would not be cut off.
    """

    adapter: Adapter

    def recv_into(self, *args: Any, **keywords: Any) -> int:
        if self.adapter.is_cut:
            raise TimeoutError(_TOO_LATE)
        received: int = super().recv_into(*args, **keywords)  # type: ignore[misc]
        return received

    def recv(self, *args: Any, **keywords: Any) -> bytes:
        """As in its base; ``ssl`` reads so from a peer that has gone, and would leave the socket open."""
        try:
            received: bytes = super().recv(*args, **keywords)  # type: ignore[misc]
        except OSError:
            self.close()  # type: ignore[attr-defined]
            raise
        return received


class _Watched:
    """The part of a connection of urllib3 that lets its adapter cut it."""

    adapter: Adapter
    response_class = CheckedReply
    debuglevel = 0  # of another value http.client prints the token, whoever set it

    def connect(self) -> None:
        self.adapter.watch(self, super().connect)  # type: ignore[misc]

    def _new_conn(self: Any) -> socket.socket:
        adapter: Adapter = self.adapter
        return adapter.reach(self._dns_host, self.port, self.timeout, self.socket_options or ())

    def putrequest(self, method: str, url: str, *args: Any, **keywords: Any) -> None:
        super().putrequest(method, url + self.adapter.query, *args, **keywords)  # type: ignore[misc]


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Make the settings of TLS. Requests adds the usual certificate authorities to them.

    Args:
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.

    Returns:
        The settings.

    Raises:
        ConfigurationError: the CA bundle cannot be read.
    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)  # unlike urllib3's it obeys no $SSLKEYLOGFILE
    context.minimum_version = ssl.TLSVersion.TLSv1_2
    if ca_bundle is not None:
        text = read_ca_bundle(ca_bundle)  # by itself TLS would wait for whatever has that name
        try:
            context.load_verify_locations(cadata=text)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"ca_bundle {ca_bundle!r}: cannot be read as PEM ({cause_of(error)})",
                "give a file of PEM certificates, and check the path",
            ) from None
    return context
