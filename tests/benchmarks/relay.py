"""A TCP relay on loopback that counts connections and bytes between a client and the hub."""

from __future__ import annotations

import socket
import threading
from contextlib import ExitStack, suppress
from types import TracebackType
from typing import Self

_CHUNK = 65536
_SECONDS = 30.0
"""Longest wait for a connection to end once its client has."""


class Relay:
    """Passes bytes on, and counts them: on the wire, TLS and headers and all.

    Args:
        port: where the hub listens on loopback.

    Attributes:
        connections: how many were made.
        sent: bytes from clients.
        received: bytes to clients.
    """

    def __init__(self, port: int) -> None:
        self._target = port
        self._listener = socket.create_server(("127.0.0.1", 0))
        self._lock = threading.Lock()
        self._threads: list[threading.Thread] = []
        self.connections = self.sent = self.received = 0

    def __enter__(self) -> Self:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        # A thread that waits in accept is not woken by close alone.
        with suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()

    @property
    def port(self) -> int:
        """Where it listens on loopback."""
        port: int = self._listener.getsockname()[1]
        return port

    def settled(self) -> tuple[int, int, int]:
        """Wait until all connections have ended; return how many, and bytes each way, since the last call."""
        for thread in self._threads:
            thread.join(_SECONDS)
            assert not thread.is_alive(), "a connection does not end"
        counted = self.connections, self.sent, self.received
        self._threads.clear()
        self.connections = self.sent = self.received = 0
        return counted

    def _accept(self) -> None:
        while True:
            try:
                client, _ = self._listener.accept()
            except OSError:
                return
            hub = socket.create_connection(("127.0.0.1", self._target))
            self.connections += 1
            thread = threading.Thread(target=self._serve, args=(client, hub), daemon=True)
            self._threads.append(thread)
            thread.start()

    def _serve(self, client: socket.socket, hub: socket.socket) -> None:
        with ExitStack() as both:
            both.enter_context(client)
            both.enter_context(hub)
            back = threading.Thread(target=self._pass_on, args=(hub, client, "received"), daemon=True)
            back.start()
            self._pass_on(client, hub, "sent")
            back.join(_SECONDS)

    def _pass_on(self, source: socket.socket, target: socket.socket, counter: str) -> None:
        # Whoever resets a connection ends it, too.
        with suppress(OSError):
            while chunk := source.recv(_CHUNK):
                with self._lock:
                    setattr(self, counter, getattr(self, counter) + len(chunk))
                target.sendall(chunk)
        with suppress(OSError):
            target.shutdown(socket.SHUT_WR)
