"""Open a socket to a push service: name, address, proxy and TLS under one deadline.

The library that frames WebSocket messages could do this, but without a deadline for all of it and without a
limit on what a proxy says.
"""

from __future__ import annotations

import os
import socket
import ssl
from threading import Timer
from time import monotonic
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from nhagent.addresses import addresses_of, in_turn
from nhagent.ca_bundle import read_ca_bundle
from nhagent.channels.losses import Cause, Lost
from nhagent.loopback import is_loopback
from nhagent.visible import in_one_line

if TYPE_CHECKING:
    from collections.abc import Callable

DIAL_SECONDS: Final = 20.0
"""How long it may take until a socket is open."""
LEAST_SECONDS: Final = 2.0
"""The least time that one of several addresses is given."""
MAX_REASON_CHARACTERS: Final = 100
"""How much is shown of what a proxy says."""
_PORTS: Final = {"ws": 80, "wss": 443}


class Dial:
    """One attempt to open a socket, which another thread may end.

    Args:
        url: the push service's address, ``wss://`` or ``ws://``.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.
        seconds: how long it may take.
    """

    def __init__(self, url: str, ca_bundle: str | None, seconds: float = DIAL_SECONDS) -> None:
        parts = urlsplit(url)
        self._host, self._port = parts.hostname or "", parts.port or _PORTS[parts.scheme]
        self._is_secure = parts.scheme == "wss"
        self._proxy = None if is_loopback(url) else _proxy_for(parts.scheme, self._host)
        self._ca_bundle = ca_bundle
        self._until = monotonic() + seconds
        self._socket: socket.socket | None = None
        self.is_stopped = False

    def open(self) -> socket.socket:
        """Open the socket.

        Raises:
            Lost: it did not come about.
            ConfigurationError: the CA bundle cannot be used.
        """
        context = trusting(self._ca_bundle) if self._is_secure else None
        try:
            with self.under_deadline():
                plain = self._through_proxy() if self._proxy else self._connected(self._host, self._port)
                if context is None:
                    return plain
                self._socket = context.wrap_socket(plain, server_hostname=self._host)
                return self._socket
        except OSError as error:
            why = self._why(error)
            self.stop()
            raise Lost(Cause.UNREACHABLE, why) from None
        except BaseException:
            self.stop()
            raise

    def stop(self) -> None:
        """End it at once, whatever it waits for, and close the socket."""
        self.is_stopped = True
        opened = self._socket
        if opened is not None:
            cut(opened)
            opened.close()

    def under_deadline(self) -> _Deadline:
        """End it when its time is over, in a ``with`` block."""
        return _Deadline(self._until - monotonic(), self.stop)

    def _connected(self, host: str, port: int) -> socket.socket:
        """Connect to the first of a host's addresses that answers; several share the time."""
        found = addresses_of(
            host, port, socket.AF_UNSPEC, seconds=self._left(), is_over=lambda: self.is_stopped
        )
        addresses = in_turn(found)
        failure: OSError = OSError(f"{host} has no address")
        for number, (family, kind, protocol, _, address) in enumerate(addresses):
            self._socket = opened = socket.socket(family, kind, protocol)
            if self.is_stopped:
                break
            opened.settimeout(max(LEAST_SECONDS, self._left() / (len(addresses) - number)))
            try:
                opened.connect(address)
            except OSError as error:
                failure = error
                opened.close()
                continue
            opened.settimeout(self._left())
            opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return opened
        raise failure

    def _through_proxy(self) -> socket.socket:
        """Ask the proxy of the environment for a tunnel."""
        import http.client  # it takes 2 MB, and few devices have a proxy

        assert self._proxy is not None
        parts = urlsplit(self._proxy if "//" in self._proxy else f"//{self._proxy}")
        if not parts.hostname or parts.scheme not in {"", "http"}:
            raise OSError("the proxy that the environment names is not an http:// one")
        headers = {}
        if parts.username:
            from base64 import b64encode
            from urllib.parse import unquote

            pair = f"{unquote(parts.username)}:{unquote(parts.password or '')}"
            headers["Proxy-Authorization"] = f"Basic {b64encode(pair.encode()).decode()}"
        connection = http.client.HTTPConnection(parts.hostname, parts.port or 80)
        connection.set_tunnel(self._host, self._port, headers)
        tunnel = self._connected(parts.hostname, parts.port or 80)
        connection.sock = tunnel
        try:
            connection._tunnel()  # type: ignore[attr-defined]  # noqa: SLF001 - what its connect() does next
        except http.client.HTTPException as error:
            raise OSError(f"the proxy's answer is none ({type(error).__name__})") from None
        connection.sock = None
        return tunnel

    def _left(self) -> float:
        left = self._until - monotonic()
        if left <= 0 or self.is_stopped:
            raise TimeoutError("it took too long")
        return left

    def _why(self, error: OSError) -> str:
        way = f"{self._host}:{self._port}" + (" through a proxy" if self._proxy else "")
        if self.is_stopped:
            return f"{way}: no answer in time"
        if isinstance(error, ssl.SSLCertVerificationError):
            return f"{way}: its certificate is not trusted ({error.verify_message})"
        # One without a number has words of ours, or of a proxy.
        reason = error.strerror or in_one_line(str(error))[:MAX_REASON_CHARACTERS]
        return f"{way}: {reason or type(error).__name__}"


class _Deadline:
    """Calls what ends something when its time is over, unless the block has ended before."""

    def __init__(self, seconds: float, end: Callable[[], object]) -> None:
        self._timer = Timer(max(0.0, seconds), end)
        self._timer.daemon = True

    def __enter__(self) -> None:
        self._timer.start()

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()


def cut(opened: socket.socket) -> None:
    """End whatever a socket waits for, in whichever thread."""
    try:
        opened.shutdown(socket.SHUT_RDWR)
    except OSError:  # it was never connected, or is closed
        pass


def trusting(ca_bundle: str | None) -> ssl.SSLContext:
    """Make the TLS settings: the system's authorities, those of $REQUESTS_CA_BUNDLE, and the app's own.

    Raises:
        ConfigurationError: one of the files cannot be used.
    """
    context = ssl.create_default_context()
    for path in (os.environ.get("REQUESTS_CA_BUNDLE"), ca_bundle):
        if path and not os.path.isdir(path):  # noqa: PTH112
            context.load_verify_locations(cadata=read_ca_bundle(path))
        elif path:
            context.load_verify_locations(capath=path)
    return context


def _proxy_for(scheme: str, host: str) -> str | None:
    """The proxy that the environment, or the system, names for a host, as for its https or http."""
    from urllib.request import getproxies, proxy_bypass

    proxies = getproxies()
    if proxy_bypass(host):
        return None
    return proxies.get("https" if scheme == "wss" else "http") or proxies.get("all")
