"""Messages that have arrived, and the spool in which they wait until the app has taken them.

A message is on disk before the push service is told that it came, and leaves it when the app is done with it:
it is handed on at least once, in order. What was taken is remembered for a while, since a push service sends
again whatever it was not told of.
"""

from __future__ import annotations

from binascii import Error, a2b_base64, b2a_base64
from threading import RLock
from typing import TYPE_CHECKING, Any, Final

from nhagent.channels.store import MESSAGES
from nhagent.errors import StateUnwritable
from nhagent.logs import Log
from nhagent.values import Value

if TYPE_CHECKING:
    from nhagent.channels.store import ChannelStore

MAX_MESSAGES: Final = 100
"""How many messages may wait."""
MAX_BYTES: Final = 1024 * 1024
"""How long all that wait may be together."""
MAX_SEEN: Final = 256
"""How many ids of messages are remembered; a push service keeps 150 for a device that is away."""
MAX_FAILURES: Final = 5
"""How often a message is handed on in vain before it is dropped."""
ID_BYTES: Final = 16

_log = Log(__name__)


class Message(Value):
    """A message that has arrived.

    Attributes:
        id: what tells it from others: the same where it is handed on again. Letters and digits.
        data: what the sender wrote.
    """

    id: str
    data: bytes
    _hidden = frozenset({"data"})

    @property
    def text(self) -> str | None:
        """What the sender wrote as text; None where it is not UTF-8."""
        try:
            return self.data.decode()
        except UnicodeDecodeError:
            return None


def message_id(channel_id: str, version: str) -> str:
    """Make the id of a message of what a push service calls it."""
    from hashlib import blake2b

    name = f"{channel_id} {version}".encode(errors="replace")
    return blake2b(name, digest_size=ID_BYTES, person=b"nhagent message").hexdigest()


class _Waiting(Value):
    """A message that waits, and how often it was handed on in vain."""

    message: Message
    failures: int


class Spool:
    """The messages that wait, on disk. Any thread may use it; one process at a time.

    Args:
        store: where they are kept.
    """

    def __init__(self, store: ChannelStore) -> None:
        self._store = store
        self._lock = RLock()
        self._waiting: list[_Waiting] = []
        self._seen: dict[str, None] = {}
        self._read(store.load(MESSAGES) or {})

    def has_seen(self, id: str) -> bool:  # noqa: A002 - as the message calls it
        """Whether a message has come before."""
        return id in self._seen

    @property
    def is_empty(self) -> bool:
        """Whether nothing waits."""
        return not self._waiting

    @property
    def has_room(self) -> bool:
        """Whether half of it is free, so that it is worth while to ask for what was left at the service."""
        with self._lock:
            return len(self._waiting) <= MAX_MESSAGES // 2 and self._bytes() <= MAX_BYTES // 2

    def add(self, message: Message) -> bool:
        """Keep a message durably; gives whether there was room.

        Raises:
            StateUnwritable: the disk does not take it.
        """
        with self._lock:
            if len(self._waiting) >= MAX_MESSAGES or self._bytes() + len(message.data) > MAX_BYTES:
                return False
            waiting, seen = list(self._waiting), dict(self._seen)
            self._waiting.append(_Waiting(message, 0))
            self._seen[message.id] = None
            while len(self._seen) > MAX_SEEN:
                del self._seen[next(iter(self._seen))]
            try:
                self._write()
            except BaseException:
                self._waiting, self._seen = waiting, seen
                raise
            return True

    def first(self) -> Message | None:
        """Give the message whose turn it is, or None."""
        with self._lock:
            return self._waiting[0].message if self._waiting else None

    def done(self, message: Message) -> None:
        """Strike out a message that the app is done with."""
        with self._lock:
            self._waiting = [each for each in self._waiting if each.message.id != message.id]
            self._try_to_write()

    def failed(self, message: Message) -> int:
        """Count that a message was handed on in vain; one that fails too often is struck out.

        Returns:
            How often it was, by now.
        """
        with self._lock:
            for index, each in enumerate(self._waiting):
                if each.message.id == message.id:
                    failures = each.failures + 1
                    self._waiting[index] = each.changed(failures=failures)
                    if failures >= MAX_FAILURES:
                        del self._waiting[index]
                    self._try_to_write()
                    return failures
        return MAX_FAILURES

    def _bytes(self) -> int:
        return sum(len(each.message.data) for each in self._waiting)

    def _try_to_write(self) -> None:
        """Write what is known; where the disk takes no more, this process goes on from memory."""
        try:
            self._write()
        except StateUnwritable as error:
            _log.warning("%s; a message that the app is done with may come again after a restart", error)

    def _write(self) -> None:
        waiting = [
            {
                "id": each.message.id,
                "data": b2a_base64(each.message.data, newline=False).decode(),
                "failures": each.failures,
            }
            for each in self._waiting
        ]
        self._store.save(MESSAGES, {"waiting": waiting, "seen": list(self._seen)})

    def _read(self, document: dict[str, Any]) -> None:
        waiting, seen = document.get("waiting"), document.get("seen")
        for item in waiting if isinstance(waiting, list) else ():
            message = _message_in(item)
            if message is not None:
                self._waiting.append(message)
        self._seen = {text: None for text in seen if isinstance(text, str)} if isinstance(seen, list) else {}


def _message_in(item: object) -> _Waiting | None:
    """Read a message that waits; one that is damaged cannot be handed on."""
    if not isinstance(item, dict):
        return None
    name, data, failures = item.get("id"), item.get("data"), item.get("failures")
    if not isinstance(name, str) or not isinstance(data, str) or type(failures) is not int:
        return None
    try:
        return _Waiting(Message(name, a2b_base64(data)), failures)
    except (Error, ValueError):
        return None
