"""Bytes to a hub and back over HTTPS: one request, one deadline, one size cap.

Only this module and `nhagent.hub.adapter` use requests. It knows nothing of hubs: what a status means,
`nhagent.hub.replies` says. It follows no redirect, repeats nothing, always verifies TLS, and turns whatever
goes wrong below it into `HubUnavailable`.
"""

from __future__ import annotations

import socket
import ssl
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from http.client import HTTPException
from pathlib import Path
from threading import Timer
from time import monotonic
from typing import Final
from urllib.parse import urlsplit

import requests

from nhagent.ca_bundle import UnusableBundle, check_usual_bundle
from nhagent.errors import HubUnavailable
from nhagent.hub.adapter import CONNECT_SECONDS, Adapter, tls_context
from nhagent.hub.causes import cause_of, cause_of_tls_failure, hint_for
from nhagent.hub.connection import EXCHANGE_SECONDS
from nhagent.logs import Log
from nhagent.loopback import is_loopback
from nhagent.secret import NO_LOCALS
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nhagent.hub.client_certificate import ClientCertificate

MAX_REPLY_BYTES: Final = 4 * 1024 * 1024
IDLE_SECONDS: Final = 60.0
"""How long a connection may lie idle. Azure's load balancers drop it without a word after four minutes, and
many networks sooner: what is sent then is not answered."""

_log = Log(__name__)


class Request(Value):
    """What goes to the hub.

    Attributes:
        method: the HTTP method.
        url: where to, with its query.
        headers: they hold a token, and are not shown.
        body: it holds PNS handles, and is not shown; None: there is none.
    """

    method: str
    url: str
    headers: Mapping[str, str]
    body: bytes | None = None
    _hidden = frozenset({"headers", "body"})


class Response(Value):
    """What came back, whole.

    Attributes:
        status: the HTTP status.
        headers: by name in lower case; not shown.
        body: as much as was read; not shown.
        fault: why that is not all of it, or not readable; empty where it is whole. The head is whole.
    """

    status: int
    headers: Mapping[str, str]
    body: bytes
    fault: str = ""
    _hidden = frozenset({"headers", "body"})


class Transport:
    """A connection to one hub, kept open between requests. For one thread at a time.

    Args:
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.
        timeout: seconds for one whole exchange; the attribute of this name changes them.
        idle: seconds after which a connection is not used again.
        certificate: shown to the server, which asks for one; None: none.

    Raises:
        ConfigurationError: the CA bundle, or the certificate, cannot be read.
    """

    def __init__(
        self,
        *,
        ca_bundle: str | None = None,
        timeout: float = EXCHANGE_SECONDS,
        idle: float = IDLE_SECONDS,
        certificate: ClientCertificate | None = None,
    ) -> None:
        self.timeout = timeout
        self._idle = idle
        self._ended = monotonic()
        self._is_cut = False
        self._session = _Session()
        context = tls_context(ca_bundle)
        if certificate is not None:
            certificate.load_into(context)
        self._adapter = Adapter(context)
        for scheme in ("https://", "http://"):
            self._session.mount(scheme, self._adapter)

    def send(self, request: Request) -> Response:
        """Exchange one request for one whole reply.

        Args:
            request: what to send.

        Returns:
            The reply, whatever its status. What is wrong with the body of a refusal is its ``fault``.

        Raises:
            HubUnavailable: no whole reply within the timeout and the size cap: DNS, TLS, network, proxy.
            ConfigurationError: a header cannot be sent.
        """
        with NO_LOCALS:  # those of requests, urllib3 and http.client hold the token and the handles
            return self._sent(request)

    def _sent(self, request: Request) -> Response:
        host = urlsplit(request.url).netloc
        started = monotonic()
        if started - self._ended > self._idle:
            self._session.close()  # that is, its connection; the next exchange makes another
        # A socket's timeout starts again with every byte: only cutting the connection ends a dripping reply.
        deadline = Timer(self.timeout, self._adapter.cut)
        deadline.daemon = True
        self._adapter.is_cut = False
        deadline.start()
        try:
            if self._is_cut:  # looked at last: a cut that comes later finds the exchange under way
                raise TimeoutError
            response = self._exchange(request)
            if response.fault and (self._is_cut or monotonic() - started >= self.timeout):
                response = self._cut_short(response)
        except (requests.RequestException, HTTPException, OSError, ValueError) as error:
            raise self._no_reply(request.url, error, monotonic() - started) from None
        finally:
            deadline.cancel()
            deadline.join()  # one that strikes this late must not cut the next exchange
            self._ended = monotonic()
        _log.debug("%s %s: %d in %.3f s", request.method, host, response.status, monotonic() - started)
        return response

    def cut(self) -> None:
        """End the exchange under way, from another thread, and let no other begin."""
        self._is_cut = True
        self._adapter.cut()

    def close(self) -> None:
        """Close the connection."""
        self._session.close()

    def _cut_short(self, response: Response) -> Response:
        """Give a reply whose body was cut from this side, unless nobody waits for it any more."""
        if self._is_cut:
            raise TimeoutError
        fault = f"no whole reply within {self.timeout:.3g} s"
        return Response(response.status, response.headers, response.body, fault)

    def _no_reply(self, url: str, error: Exception, seconds: float) -> HubUnavailable:
        host, way = urlsplit(url).netloc, ""
        if not self._is_cut and not isinstance(error, UnusableBundle):
            way = _way_to(url)
        if self._is_cut:
            cause = "the exchange was ended on this side"
        elif seconds >= self.timeout:
            cause = f"no whole reply within {self.timeout:.3g} s"
        elif isinstance(error, requests.exceptions.SSLError):
            return _tls_failure(host, error)
        else:
            cause = cause_of(error)
        return HubUnavailable(f"no answer from {host}{way}: {cause}", hint_for(error, by_proxy=bool(way)))

    def _exchange(self, request: Request) -> Response:
        # A proxy from the environment is obeyed, but none of them can reach this machine's loopback.
        self._session.trust_env = not is_loopback(request.url)
        with self._session.request(
            request.method,
            request.url,
            headers=dict(request.headers),
            data=request.body,
            auth=_as_signed,
            timeout=(min(CONNECT_SECONDS, self.timeout), self.timeout),
            allow_redirects=False,
            stream=True,
        ) as reply:
            headers = {name.lower(): value for name, value in reply.headers.items()}
            body, fault = _read_body(reply)
            if fault and reply.status_code < HTTPStatus.BAD_REQUEST:
                raise _NotWhole(fault)  # of a success nothing counts without its document
            return Response(reply.status_code, headers, body, fault)


class _NotWhole(OSError):
    """A reply broke off, or is larger than any hub's."""


def _read_body(reply: requests.Response) -> tuple[bytes, str]:
    """Read a reply's body up to the cap, and say what is wrong with it: the head of a refusal counts anyway.

    Returns:
        What was read, and why that is not all of it; empty where it is whole.

    Raises:
        _NotWhole: the reply broke off within its head, as far as that can be told.
        OSError: the connection failed before there was a head that can be told from a part of one.
    """
    promised = reply.headers.get("Content-Length", "")
    chunked = reply.headers.get("Transfer-Encoding", "").lower() == "chunked"
    is_framed = promised.isdecimal() or chunked or reply.status_code == HTTPStatus.NO_CONTENT
    if reply.headers.get("Content-Encoding", "identity").lower() != "identity":
        return b"", "the reply is compressed, though no compression was asked for"
    try:
        body = _body_of(reply)
    except (HTTPException, OSError, ValueError) as error:
        if not is_framed and reply.status_code < HTTPStatus.BAD_REQUEST:
            raise
        return b"", cause_of(error)
    if len(body) > MAX_REPLY_BYTES:
        return body[:MAX_REPLY_BYTES], f"the reply is larger than {MAX_REPLY_BYTES} bytes"
    if promised.isdecimal() and len(body) < int(promised):
        return body, f"the reply broke off after {len(body)} of {promised} bytes"
    if not is_framed:
        if not body:
            # Python takes a head that was cut off for a whole one; the service always gives a length.
            raise _NotWhole("the reply broke off within its head")
        return body, "the reply does not say how long it is"
    return body, ""


def _body_of(reply: requests.Response) -> bytes:
    """Read a body up to one byte above the cap."""
    pieces, left = [], MAX_REPLY_BYTES + 1
    for piece in reply.iter_content(MAX_REPLY_BYTES + 1):
        pieces.append(piece[:left])
        left -= len(piece)
        if left <= 0:
            break
    return b"".join(pieces)


def proxy_of(url: str) -> str | None:
    """Find the proxy that the environment names for a URL.

    Args:
        url: where a request would go.

    Returns:
        The proxy's host and port, without its password; None: there is none.
    """
    if is_loopback(url):
        return None
    proxy = requests.utils.select_proxy(url, requests.utils.get_environ_proxies(url))
    return None if proxy is None else proxy.rpartition("@")[2].rpartition("//")[2]


def _way_to(url: str) -> str:
    """Name the proxy on the way to a URL, to follow the host's name; empty where there is none."""
    proxy = proxy_of(url)
    if proxy is None:
        return ""
    try:
        parts = urlsplit(f"//{proxy}")
        named = f"{parts.hostname}:{parts.port}" if parts.port else parts.hostname
    except ValueError:  # it may be the rest of a password
        named = None
    return f" by way of {f'the proxy {named}' if named else 'a proxy'}, which the environment names"


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
    host, context = urlsplit(url).hostname or "", tls_context(ca_bundle)
    context.verify_mode, context.check_hostname = ssl.CERT_REQUIRED, True
    with requests.Session() as session:
        session.trust_env = not is_loopback(url)
        usual = session.merge_environment_settings(url, {}, None, None, None)["verify"]
    path = requests.utils.DEFAULT_CA_BUNDLE_PATH if usual is True else str(usual)
    try:
        is_folder = Path(path).is_dir()
        if not is_folder:
            check_usual_bundle(path)
        context.load_verify_locations(**{"capath" if is_folder else "cafile": path})
        with context.wrap_socket(connected, server_hostname=host) as secure:
            facts = secure.getpeercert() or {}
    except (OSError, ValueError) as error:
        raise _tls_failure(urlsplit(url).netloc, error) from None
    return datetime.fromtimestamp(ssl.cert_time_to_seconds(str(facts["notAfter"])), UTC)


def _tls_failure(host: str, error: Exception) -> HubUnavailable:
    cause, hint = cause_of_tls_failure(error)
    return HubUnavailable(f"TLS with {host} failed {cause}", hint)


class _Session(requests.Session):
    def get_redirect_target(self, resp: requests.Response) -> str | None:  # noqa: ARG002 - as in its base
        """None: else requests reads a redirect's whole body, and trips over its address, followed or not."""
        return None


def _as_signed(request: requests.PreparedRequest) -> requests.PreparedRequest:
    """Keep the Authorization header as it is: without an ``auth`` requests would let a .netrc replace it."""
    return request
