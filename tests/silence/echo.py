"""A server that sends back all that it was sent."""

from __future__ import annotations

import html
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def echoing(head: str) -> Iterator[str]:
    """A server that answers each request with the request itself, and its address."""
    listener = socket.create_server(("127.0.0.1", 0))
    listener.settimeout(0.05)
    stop = threading.Event()

    def serve() -> None:
        while not stop.is_set():
            try:
                connection, _ = listener.accept()
            except TimeoutError:
                continue
            with connection:
                connection.settimeout(60)
                asked = connection.recv(1 << 20)
                want = int(asked.lower().partition(b"content-length: ")[2].partition(b"\r")[0] or 0)
                while len(asked.partition(b"\r\n\r\n")[2]) < want:
                    asked += connection.recv(1 << 20)
                said = asked
                if head:
                    text = html.escape(asked.decode("utf-8", "replace"))
                    body = f"<Error><Code>1</Code><Detail>{text}</Detail></Error>".encode()
                    length = f"Content-Type: application/xml\r\nContent-Length: {len(body)}\r\n\r\n"
                    said = f"{head}\r\n{length}".encode() + body
                connection.sendall(said)

    server = threading.Thread(target=serve)
    server.start()
    try:
        yield f"http://127.0.0.1:{listener.getsockname()[1]}/"
    finally:
        stop.set()
        server.join()
        listener.close()
