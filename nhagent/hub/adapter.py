"""Sockets beneath requests: one connection, which another thread can cut at any time, verified by TLS.

`nhagent.hub.transport` mounts the adapter on a session of requests; nothing else uses it.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Callable, Iterable
from typing import Any, Final

from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_ import create_urllib3_context

from nhagent.errors import ConfigurationError
from nhagent.hub.addresses import addresses_of
from nhagent.hub.ca_bundle import read_ca_bundle
from nhagent.hub.causes import cause_of
from nhagent.regular_files import check_regular

CONNECT_SECONDS: Final = 10.0
"""Timeout of making a connection, within that of the whole exchange."""
_TOO_LATE: Final = "the connection came too late"


class Adapter(HTTPAdapter):
    """Keeps hold of the socket in use, so that a deadline can cut it, and keeps queries out of all logs.

    A connection lets go of its socket when a reply says that it is the last one, long before that is read.

    A list by channel has a PNS handle in its query, and urllib3 shows what it is asked for in logs and
    exceptions. So it is asked for the path alone; the query is put behind it where the request is written.

    Args:
        context: the TLS settings, from `tls_context`.

    Attributes:
        is_cut: no connection may be made now, and none that is still being made may be used.
    """

    def __init__(self, context: ssl.SSLContext) -> None:
        self._context = context
        self._connection: HTTPConnection | None = None
        self._socket: Any = None
        self.is_cut = False
        self._query = ""
        super().__init__(pool_connections=1, pool_maxsize=1, max_retries=0)

    def request_url(self, *args: Any, **keywords: Any) -> str:
        path, mark, query = super().request_url(*args, **keywords).partition("?")
        self._query = mark + query
        return path

    def cert_verify(self, conn: Any, url: str, verify: Any, cert: Any) -> None:
        """As in its base, but what $REQUESTS_CA_BUNDLE names is refused where reading it could block."""
        super().cert_verify(conn, url, verify, cert)  # type: ignore[no-untyped-call]
        if conn.ca_certs:
            check_regular(conn.ca_certs)

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

    def _watch(self, connection: HTTPConnection, connect: Callable[[], None]) -> None:
        """Let a connection be made, unless time is up: within a TLS handshake there is nothing to cut."""
        self._connection, self._socket = connection, None
        connect()
        self._socket = connection.sock
        if self.is_cut:
            connection.close()
            raise TimeoutError(_TOO_LATE)

    def _reach(self, host: str, port: int, timeout: float | None, options: Iterable[Any]) -> socket.socket:
        """Try one address of a host after the other, for as long as there is time."""
        failure: OSError = TimeoutError(_TOO_LATE)
        found = addresses_of(
            host,
            port,
            allowed_gai_family(),
            seconds=CONNECT_SECONDS if timeout is None else timeout,
            is_over=lambda: self.is_cut,
        )
        for family, kind, protocol, _, address in found:
            # Kept before it is connected: a cut ends that too.
            self._socket = sock = socket.socket(family, kind, protocol)
            try:
                for option in options:
                    sock.setsockopt(*option)
                sock.settimeout(timeout)
                if self.is_cut:
                    raise TimeoutError(_TOO_LATE)
                sock.connect(address)
            except OSError as error:
                sock.close()
                failure = error
                if self.is_cut:
                    break
            else:
                return sock
        raise failure

    def init_poolmanager(self, *args: Any, **keywords: Any) -> None:
        super().init_poolmanager(*args, ssl_context=self._context, **keywords)
        self.poolmanager.pool_classes_by_scheme = self._pool_classes()

    def proxy_manager_for(self, proxy: Any, **keywords: Any) -> Any:
        manager = super().proxy_manager_for(proxy, ssl_context=self._context, **keywords)
        manager.pool_classes_by_scheme = self._pool_classes()
        return manager

    def _pool_classes(adapter) -> dict[str, type[HTTPConnectionPool]]:  # noqa: N805 - self is the connection below
        class Plain(HTTPConnection):
            debuglevel = 0  # of another value http.client prints the token, whoever set it

            def connect(self) -> None:
                adapter._watch(self, super().connect)

            def _new_conn(self) -> socket.socket:
                return adapter._reach(self._dns_host, self.port, self.timeout, self.socket_options or ())

            def putrequest(self, method: str, url: str, *args: Any, **keywords: Any) -> None:
                super().putrequest(method, url + adapter._query, *args, **keywords)

        class Secure(Plain, HTTPSConnection):
            pass

        class PlainPool(HTTPConnectionPool):
            ConnectionCls = Plain

        class SecurePool(HTTPSConnectionPool):
            ConnectionCls = Secure

        return {"http": PlainPool, "https": SecurePool}


def tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    """Make the settings of TLS. Requests adds the usual certificate authorities to them.

    Args:
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.

    Returns:
        The settings.

    Raises:
        ConfigurationError: the CA bundle cannot be read.
    """
    context = create_urllib3_context()
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
