"""Bytes to a hub and back over HTTPS: one request, one deadline, one size cap.

The only module that uses requests. It knows nothing of hubs: what a status means, `nhagent.hub.replies` says.
It follows no redirect, repeats nothing, always verifies TLS, and turns whatever goes wrong below it into
`HubUnavailable`.
"""

from __future__ import annotations

import logging
import os
import re
import socket
import ssl
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from http.client import NO_CONTENT, HTTPException, IncompleteRead
from threading import Timer
from time import gmtime, monotonic, strftime
from typing import Any, Final
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError
from urllib3.util.connection import allowed_gai_family
from urllib3.util.ssl_ import create_urllib3_context

from nhagent.errors import ConfigurationError, HubUnavailable
from nhagent.hub.addresses import addresses_of
from nhagent.hub.connection import EXCHANGE_SECONDS, is_loopback

CONNECT_SECONDS: Final = 10.0
MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
_NOT_YET_VALID: Final = 9  # OpenSSL's X509_V_ERR_CERT_NOT_YET_VALID
_EXPIRED: Final = 10  # X509_V_ERR_CERT_HAS_EXPIRED
_UNKNOWN_AUTHORITY: Final = {
    18,
    19,
    20,
    21,
}  # self-signed, alone or in the chain, or an issuer that is not known
_ANOTHER_NAME: Final = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Request:
    """What goes to the hub. Its headers hold a token and its body handles: neither is shown."""

    method: str
    url: str
    headers: Mapping[str, str] = field(repr=False)
    body: bytes | None = field(default=None, repr=False)


@dataclass(frozen=True, slots=True)
class Response:
    """What came back, whole. Header names are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(repr=False)


class Transport:
    """A connection to one hub, kept open between requests. For one thread at a time.

    Args:
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.
        timeout: seconds for one whole exchange.

    Raises:
        ConfigurationError: the CA bundle cannot be read.
    """

    def __init__(self, *, ca_bundle: str | None = None, timeout: float = EXCHANGE_SECONDS) -> None:
        self._timeout = timeout
        self._is_cut = False
        self._session = _Session()
        self._adapter = _Adapter(_tls_context(ca_bundle))
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._adapter)

    def allow(self, seconds: float) -> None:
        """Give every exchange from now on so many seconds."""
        self._timeout = seconds

    def send(self, request: Request) -> Response:
        """Exchange one request for one whole reply.

        Raises:
            HubUnavailable: no whole reply within the timeout and the size cap: DNS, TLS, network, proxy.
        """
        host = urlsplit(request.url).netloc
        started = monotonic()
        # A socket's timeout starts anew with every byte: only cutting the connection ends a dripping reply.
        deadline = Timer(self._timeout, self._adapter.cut)
        deadline.daemon = True
        self._adapter.is_cut = False
        deadline.start()
        try:
            if self._is_cut:  # looked at last: a cut that comes later finds the exchange under way
                raise TimeoutError
            response = self._exchange(request)
        except requests.exceptions.InvalidHeader:  # its text holds the header: the token
            raise ConfigurationError(
                "a request header cannot be sent; check the SAS token's characters"
            ) from None
        except (requests.RequestException, HTTPError, HTTPException, OSError, ValueError) as error:
            if self._is_cut:
                words = f"no answer from {host}: the exchange was ended on this side"
            elif monotonic() - started >= self._timeout:
                words = f"no answer from {host}: no whole reply within {self._timeout:g} s"
            elif isinstance(error, requests.exceptions.SSLError):
                words = f"TLS with {host} failed {_why_tls_failed(error)}"
            else:
                words = f"no answer from {host}: {_cause(error)}"
            raise HubUnavailable(f"{words}; tried again later") from None
        finally:
            deadline.cancel()
            deadline.join()  # one that strikes this late must not cut the next exchange
        _log.debug("%s %s: %d in %.3f s", request.method, host, response.status, monotonic() - started)
        return response

    def cut(self) -> None:
        """End the exchange that is under way, from another thread, and let none begin any more."""
        self._is_cut = True
        self._adapter.cut()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _exchange(self, request: Request) -> Response:
        # A proxy from the environment is obeyed, but none of them can reach this machine's loopback.
        self._session.trust_env = not is_loopback(request.url)
        with self._session.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body,
            auth=_as_signed,
            timeout=(min(CONNECT_SECONDS, self._timeout), self._timeout),
            allow_redirects=False,
            stream=True,
        ) as reply:
            if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
                raise HTTPError("the reply is compressed, though no compression was asked for")
            body: bytes = reply.raw.read(MAX_REPLY_BYTES + 1, decode_content=False)
            if len(body) > MAX_REPLY_BYTES:
                raise HTTPError(f"the reply is larger than {MAX_REPLY_BYTES} bytes")
            promised = reply.headers.get("Content-Length", "")
            if promised.isdecimal() and len(body) < int(promised):
                raise HTTPError(f"the reply broke off after {len(body)} of {promised} bytes")
            chunked = reply.headers.get("Transfer-Encoding", "").lower() == "chunked"
            if not promised.isdecimal() and not chunked and reply.status_code != NO_CONTENT:
                # Python takes a head that was cut off for a whole one; the service always gives a length.
                raise HTTPError("the reply broke off within its head")
            headers = {name.lower(): value for name, value in reply.headers.items()}
            return Response(reply.status_code, headers, body)


def proxy_of(url: str) -> str | None:
    """The proxy that the environment names for a URL, without its password; None: there is none."""
    if is_loopback(url):
        return None
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return None if proxy is None else proxy.rpartition("@")[2].rpartition("//")[2]


def certificate_end(connected: socket.socket, url: str, ca_bundle: str | None) -> datetime:
    """Shake hands over a connection as `Transport` would, and look at the certificate. Closes the connection.

    Args:
        connected: leads to the host of the URL.
        url: https.
        ca_bundle: as in `Transport`.

    Returns:
        When the certificate will expire, aware.

    Raises:
        HubUnavailable: it is not to be trusted, or there is no TLS.
        ConfigurationError: the CA bundle cannot be read.
    """
    host, context = urlsplit(url).hostname or "", _tls_context(ca_bundle)
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    with requests.Session() as session:
        session.trust_env = not is_loopback(url)
        usual = session.merge_environment_settings(url, {}, None, None, None)["verify"]
    path = requests.utils.DEFAULT_CA_BUNDLE_PATH if usual is True else str(usual)
    try:
        context.load_verify_locations(**{"capath" if os.path.isdir(path) else "cafile": path})
        with context.wrap_socket(connected, server_hostname=host) as secure:
            facts = secure.getpeercert() or {}
    except (OSError, ValueError) as error:
        words = f"TLS with {urlsplit(url).netloc} failed {_why_tls_failed(error)}"
        raise HubUnavailable(f"{words}; tried again later") from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(facts["notAfter"])), UTC)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - as in its base
        """None: else requests reads a redirect's whole body, and trips over its address, followed or not."""
        return None


class _Adapter(HTTPAdapter):
    """Keeps hold of the socket in use, so that a deadline can cut it, and keeps queries out of all logs.

    A connection lets go of its socket when a reply says that it is the last one, long before that is read.

    A list by channel has a handle in its query, and urllib3 shows what it is asked for in logs and
    exceptions. So it is asked for the path alone; the query is put behind it where the request is written.
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

    def cut(self) -> None:
        """End the exchange that is under way, whatever it waits for."""
        self.is_cut = True
        for sock in (self._socket, getattr(self._connection, "sock", None)):
            if sock is not None:
                try:
                    # A TLS socket's own shutdown would take the TLS away under the feet of who is reading.
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
            raise TimeoutError("the connection came too late")

    def _reach(self, host: str, port: int, timeout: float | None, options: Iterable[Any]) -> socket.socket:
        """Try one address of a host after the other, for as long as there is time."""
        failure: OSError = TimeoutError("the connection came too late")
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
                    raise TimeoutError("the connection came too late")
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


def _as_signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep the Authorization header as it is: without an ``auth`` requests would let a .netrc replace it."""
    return request


def _tls_context(ca_bundle: str | None) -> ssl.SSLContext:
    context = create_urllib3_context()  # requests adds the usual certificate authorities to it
    if ca_bundle is not None:
        try:
            context.load_verify_locations(ca_bundle)
        except (OSError, ValueError) as error:
            raise ConfigurationError(
                f"ca_bundle {ca_bundle!r}: is no readable PEM file ({_cause(error)}); check the path"
            ) from None
    return context


def _why_tls_failed(error: BaseException) -> str:
    """What TLS had against the other side, and who must do what; a wrong clock is the likeliest of all."""
    code = getattr(_innermost(error), "verify_code", None)
    today = f"by this device's clock ({strftime('%Y-%m-%d', gmtime())})"
    if code == _NOT_YET_VALID:
        return f"because {today} its certificate is not valid yet; the clock is probably wrong: set it"
    if code == _EXPIRED:
        return (
            f"because {today} its certificate has expired; set the clock if that is wrong, else find out "
            "whose certificate it is: it has to be renewed"
        )
    if code in _ANOTHER_NAME:
        return f"({_cause(error)}); check the address, and who answers in the namespace's place"
    if code in _UNKNOWN_AUTHORITY:
        return (
            "because its certificate is of an authority that is not known here; give that authority's own "
            "certificate as ca_bundle if it is to be trusted, else find out who stands in between"
        )
    return f"({_cause(error)}); check ca_bundle, this device's clock, and who stands in between"


def _cause(error: BaseException) -> str:
    """The innermost reason in one line."""
    innermost, kind = _innermost(error), type(_innermost(error)).__name__
    if isinstance(innermost, IncompleteRead):
        return "the reply broke off"
    # Two texts quote what could not be read: whatever a server says, and an address with a proxy's password.
    if isinstance(innermost, HTTPException) and not isinstance(innermost, OSError):
        return f"what answers is no HTTP as a hub speaks it ({kind})"
    if isinstance(innermost, ValueError) and not isinstance(innermost, ssl.SSLError):
        return f"its address, or that of a proxy, cannot be read ({kind})"
    text = getattr(innermost, "strerror", None) or str(innermost) or kind
    line = (str(text).splitlines() or [kind])[0]
    return re.sub(r"//.*@", "//", line)[:200]  # a proxy's address may hold its password


def _innermost(error: BaseException) -> BaseException:
    """The reason itself: requests and urllib3 wrap it several times over."""
    seen: list[BaseException] = []
    current: object = error
    while isinstance(current, BaseException) and current not in seen:
        seen.append(current)
        inner = getattr(current, "reason", None)
        current = (
            inner
            if isinstance(inner, BaseException)
            else next((part for part in current.args if isinstance(part, BaseException)), current.__cause__)
        )
    return seen[-1]
