"""A server that sends back all that it was sent."""

from __future__ import annotations

import html
import socket
from collections.abc import Iterator
from contextlib import contextmanager

from tests.serving import serving


@contextmanager
def echoing(head: str) -> Iterator[str]:
    """A server that answers each request with the request itself, and its address."""

    def answer(connection: socket.socket) -> None:
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

    with serving(answer) as address:
        yield f"{address}/"
