"""The stream of server-sent events that says what has changed."""

from __future__ import annotations

import json
import socket
import threading
from collections.abc import Callable

from nhagent.emulator.changes import Changes

HEARTBEAT_SECONDS = 15.0
"""Longest silence: a comment shows that the stream lives."""
COALESCED_SECONDS = 0.05
"""What changes within this time is told in one event."""
MOST_STREAMS = 16
"""Streams at once: each has a thread."""
_HEAD = (
    b"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\nCache-Control: no-store\r\n"
    b"X-Content-Type-Options: nosniff\r\nConnection: close\r\n\r\nretry: 1000\n\n"
)


class Events:
    """The streams of one emulator.

    Args:
        changes: what they tell of.
        pause: waits some seconds.
    """

    def __init__(self, changes: Changes, pause: Callable[[float], object] | None = None) -> None:
        self._changes = changes
        self._pause = pause or threading.Event().wait
        self._changed = threading.Condition()
        self._open = 0

    def take(self) -> bool:
        """Take the place of one more stream, and return whether there was one."""
        with self._changed:
            if self._open >= MOST_STREAMS:
                return False
            self._open += 1
            return True

    def wait_for_end(self, seconds: float) -> None:
        """Wait until every stream has ended.

        Args:
            seconds: longest wait.
        """
        with self._changed:
            self._changed.wait_for(lambda: not self._open, seconds)

    def stream(self, connection: socket.socket, since: int) -> None:
        """Tell what changes, until the reader goes or the emulator closes. Gives its place back.

        Args:
            connection: to the reader, who has sent the request.
            since: the count of changes that the reader has seen.
        """
        try:
            connection.sendall(_HEAD)
            while not self._changes.has_ended:
                seen = since
                if not self._changes.wait_for(lambda: self._changes.count > seen, HEARTBEAT_SECONDS):  # noqa: B023
                    if not self._changes.has_ended:
                        connection.sendall(b": still here\n\n")
                    continue
                self._pause(COALESCED_SECONDS)
                count, subjects = self._changes.count, self._changes.since(since)
                since = count
                connection.sendall(f"id: {count}\ndata: {json.dumps(subjects)}\n\n".encode())
            connection.sendall(b"event: stopped\ndata: []\n\n")
        except OSError:
            # The reader has gone.
            pass
        finally:
            with self._changed:
                self._open -= 1
                self._changed.notify_all()
