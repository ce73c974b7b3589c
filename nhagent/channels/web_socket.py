"""Text messages over a WebSocket, framed by websocket-client (the extra ``webpush``).

What the library leaves open is closed here: a cap on each message, whatever its frames announce; no redirect;
nothing of what is said in its trace output, which any part of the program may switch on.
"""

from __future__ import annotations

import errno
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from nhagent.channels.dialing import Dial, cut
from nhagent.channels.losses import Cause, Lost
from nhagent.errors import ConfigurationError

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

MAX_MESSAGE_BYTES: Final = 64 * 1024
"""Longest message that is read; push services send less than 16 KiB."""
CLOSE_SECONDS: Final = 1.0
"""How long the farewell may take."""
FRAME_SECONDS: Final = 20.0
"""How long the rest of a message may take whose beginning is there."""
_NO_NETWORK: Final = {errno.ENETDOWN, errno.ENETUNREACH, errno.EHOSTUNREACH, errno.ETIMEDOUT}
_TLS_BYTES: Final = 16 * 1024

_SWITCHED: Final = 101
"""The status of an answer after which a WebSocket is spoken."""
_LEAVE_ALONE: Final = 4774
_NORMAL: Final = 1000
_CODE_BYTES: Final = 2


def wait_for(readable: socket.socket, seconds: float) -> bool:
    """Wait until a socket can be read.

    Returns:
        Whether it can; False when the time was over first.
    """
    from select import select

    return bool(select([readable], [], [], max(0.0, seconds))[0])


def check_installed() -> None:
    """Check that the library is there.

    Raises:
        ConfigurationError: it is not.
    """
    from importlib.util import find_spec

    if find_spec("websocket") is None:
        raise ConfigurationError(
            "web push: websocket-client is not installed", 'run "pip install nhagent[webpush]"'
        )


class _Capped:
    """A socket while the first answer is read, which ends at a cap."""

    def __init__(self, opened: socket.socket) -> None:
        self._opened = opened
        self._left = MAX_MESSAGE_BYTES

    def __getattr__(self, name: str) -> Any:
        return getattr(self._opened, name)

    def recv(self, size: int) -> bytes:
        data = self._opened.recv(size)
        self._left -= len(data)
        if self._left < 0:
            raise ValueError("its answer does not end")
        return data


class WebSocket:
    """A connection that carries text messages.

    Args:
        opened: the socket, TLS included.
        url: the address that it leads to.

    Raises:
        ConfigurationError: websocket-client is missing.
        Lost: the push service takes no connection.
    """

    def __init__(self, opened: socket.socket, url: str) -> None:
        check_installed()
        import websocket

        self._library: Any = websocket
        self._socket = opened
        self._lock = RLock()  # TLS must not be read and written at once
        self._read = 0
        self._framed: Any = self._library.WebSocket()
        self._framed.frame_buffer.recv = self._receive_bytes
        opened.settimeout(FRAME_SECONDS)
        try:
            self._framed.connect(url, socket=_Capped(opened), redirect_limit=0, suppress_origin=True)
        except websocket.WebSocketBadStatusException as error:
            raise Lost(Cause.REFUSED, f"it answered with HTTP status {error.status_code}") from None
        except Exception as error:  # noqa: BLE001 - of an odd answer Debian's version makes an IndexError
            if self._framed.status is None:
                raise Lost(Cause.UNREACHABLE, f"it is no WebSocket ({type(error).__name__})") from None
        if self._framed.status != _SWITCHED:
            raise Lost(Cause.REFUSED, f"it answered with HTTP status {self._framed.status}")

    def send(self, text: str) -> None:
        """Send a message; from any thread.

        Raises:
            Lost: the connection is broken.
        """
        try:
            self._send_frame(self._library.ABNF.create_frame(text, self._library.ABNF.OPCODE_TEXT))
        except (self._library.WebSocketException, OSError, ValueError) as error:
            raise _broken(error, "nothing can be sent") from None

    def receive(self) -> str | None:
        """Read the next frame, whose beginning must be there; pings are answered.

        Returns:
            The message that it completes; None where it completes none.

        Raises:
            Lost: the connection has ended.
        """
        try:
            with self._lock:
                return self._received()
        except (self._library.WebSocketException, OSError, ValueError) as error:
            raise _broken(error, "the connection broke") from None

    def is_ready(self, seconds: float, wait: Callable[[socket.socket, float], bool] = wait_for) -> bool:
        """Wait until something can be read, or so many seconds; tell which.

        Raises:
            Lost: the socket was closed.
        """
        pending = getattr(self._socket, "pending", None)  # TLS may hold what the system gave it already
        try:
            if self._framed.frame_buffer.recv_buffer or (pending is not None and pending()):
                return True
            return wait(self._socket, seconds)
        except (OSError, ValueError):
            raise Lost(Cause.ENDED, "the connection was closed") from None

    def close(self) -> None:
        """End it, whatever other threads wait for."""
        if self._lock.acquire(blocking=False):  # else another thread is at it, and is cut short
            try:
                codes = self._library.ABNF
                self._socket.settimeout(CLOSE_SECONDS)
                self._send_frame(codes.create_frame(_NORMAL.to_bytes(_CODE_BYTES, "big"), codes.OPCODE_CLOSE))
            except (self._library.WebSocketException, OSError, ValueError):
                pass
            finally:
                self._lock.release()
        cut(self._socket)
        self._socket.close()

    def _received(self) -> str | None:
        codes = self._library.ABNF
        frame = self._framed.recv_frame()
        if frame.opcode == codes.OPCODE_CLOSE:
            raise self._closed(frame.data)
        if frame.opcode == codes.OPCODE_PING:
            self._send_frame(codes.create_frame(frame.data, codes.OPCODE_PONG))
        parts = self._framed.cont_frame
        if frame.opcode in {codes.OPCODE_TEXT, codes.OPCODE_BINARY, codes.OPCODE_CONT}:
            parts.validate(frame)
            parts.add(frame)
            if not parts.is_fire(frame):
                return None
            opcode, whole = parts.extract(frame)
            self._read = 0
            if opcode != codes.OPCODE_TEXT:
                raise Lost(Cause.ENDED, "it sent bytes where text belongs")
            return str(whole.data, "utf-8")
        if parts.cont_data is None:  # else a ping between its parts would let a message grow for ever
            self._read = 0
        return None

    def _send_frame(self, frame: Any) -> None:
        """Send a frame as the library does, but for its trace output."""
        with self._lock:
            self._socket.sendall(frame.format())

    def _receive_bytes(self, size: int) -> bytes:
        """Read for the library, up to a message's cap."""
        if self._read + size > MAX_MESSAGE_BYTES + _TLS_BYTES:
            raise Lost(Cause.ENDED, f"it sent a message longer than {MAX_MESSAGE_BYTES} bytes")
        data = self._socket.recv(size)
        if not data:
            raise Lost(Cause.ENDED, "the push service ended the connection")
        self._read += len(data)
        return data

    def _closed(self, data: bytes) -> Lost:
        """Tell what a close frame means; the library knows no code but the standard ones."""
        code = int.from_bytes(data[:_CODE_BYTES], "big") if len(data) >= _CODE_BYTES else None
        if code == _LEAVE_ALONE:
            return Lost(Cause.AWAY, f"it asks to be left alone (close code {code})")
        named = "without a code" if code is None else f"with code {code}"
        return Lost(Cause.ENDED, f"the push service ended the connection {named}")


def _broken(error: Exception, what: str) -> Lost:
    """Tell whether it is this device that has no network, or the push service that has ended it."""
    is_ours = isinstance(error, OSError) and error.errno in _NO_NETWORK
    return Lost(Cause.SILENT if is_ours else Cause.ENDED, f"{what} ({type(error).__name__})")


def opened(url: str, dial: Dial) -> WebSocket:
    """Open a connection that carries text messages, under the deadline of its dial.

    Args:
        url: the push service's address.
        dial: opens the socket.

    Raises:
        ConfigurationError: websocket-client is missing, or the CA bundle cannot be used.
        Lost: it did not come about.
    """
    plain = dial.open()
    try:
        with dial.under_deadline():
            return WebSocket(plain, url)
    except BaseException:
        dial.stop()
        raise
