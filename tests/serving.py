"""A server on loopback that says what a test wants it to, whatever HTTP allows."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress

from tests.events import HANG_SECONDS


@contextmanager
def serving(answer: Callable[[socket.socket], object]) -> Iterator[str]:
    """Serve one connection after another until the block ends.

    Args:
        answer: reads and writes one connection, which is closed after it.

    Yields:
        The server's address, without a trailing slash.
    """
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    stop = threading.Event()
    open_now: list[socket.socket] = []

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                open_now[:] = [connection]
                connection.settimeout(HANG_SECONDS)
                answer(connection)
                open_now.clear()

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}"
    finally:
        stop.set()
        # A caller that has gone may leave its window shut: the system would ask for minutes whether it opens.
        for connection in open_now:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        server.join()
        listener.close()


def saying(reply: bytes) -> Callable[[socket.socket], None]:
    """Answer every connection with the same bytes."""

    def answer(connection: socket.socket) -> None:
        connection.recv(65536)
        connection.sendall(reply)

    return answer
