"""One connection to a push service that speaks Mozilla's autopush: who we are, what is sent and what arrives.

The service keeps a client by its ``uaid``, a secret that it gives out, and that client's channels by their
ids. A client that is told another uaid than the one it named has lost every channel.
"""

from __future__ import annotations

import json
from threading import Condition
from time import monotonic
from typing import TYPE_CHECKING, Any, Final, NoReturn

from nhagent.channels.losses import Cause, Lost
from nhagent.channels.web_socket import wait_for
from nhagent.values import Value

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable, Mapping

    from nhagent.channels.web_socket import WebSocket

REPLY_SECONDS: Final = 10.0
"""How long a reply of the push service may take."""
SILENCE_SECONDS: Final = 330.0
"""From here on a silent connection is a dead one: the service sends a ping every 300 s."""
LOOK_SECONDS: Final = 30.0
"""Longest wait for something to arrive, after which time is looked at again."""
MAX_EARLY: Final = 256
"""Most notifications that are kept while a reply is waited for; others come again."""
DELIVERED: Final = 100
UNDECRYPTABLE: Final = 101
NOT_DELIVERED: Final = 102
"""The codes of an acknowledgement."""
OK: Final = 200
_UAID_CHARACTERS: Final = 64
_ENDPOINT_CHARACTERS: Final = 2048
_ID_CHARACTERS: Final = 1024
_IN_UAIDS: Final = frozenset("0123456789abcdefABCDEF-")


class Refused(Exception):
    """The push service has refused a request, and said so.

    Attributes:
        status: the status of its reply.
    """

    def __init__(self, status: int) -> None:
        super().__init__(f"the push service answered with status {status}")
        self.status = status


class Notification(Value):
    """A message as it arrives.

    Attributes:
        channel_id: the channel that it was sent to.
        version: what tells it from others.
        data: its encrypted body in base64url; None: it has none.
        headers: what the sender said of its encryption.
    """

    channel_id: str
    version: str
    data: str | None
    headers: Mapping[str, str]
    _hidden = frozenset({"version", "data", "headers"})


class Connection:
    """A connection on which the push service knows who we are. One thread reads, any may ask.

    Args:
        web_socket: what carries it.
        wait: waits until a socket can be read, or so many seconds.
        lived: gives the seconds that have passed, those of a sleeping machine too.
    """

    def __init__(
        self,
        web_socket: WebSocket,
        *,
        wait: Callable[[socket.socket, float], bool] = wait_for,
        lived: Callable[[], float] = monotonic,
    ) -> None:
        self._web_socket = web_socket
        self._wait = wait
        self._lived = lived
        self._heard = lived()
        self._early: list[Notification] = []
        self._replies: dict[tuple[str, str], dict[str, Any]] = {}
        self._changed = Condition()
        self._is_listening = False
        self._lost: Lost | None = None

    def hello(self, uaid: str | None) -> str:
        """Say who we are.

        Args:
            uaid: what the service gave us before; None: nothing yet.

        Returns:
            The uaid from now on. Where it is another one, every channel of the former is lost.

        Raises:
            Lost: the service does not answer.
            Refused: it takes nobody.
        """
        known = {} if uaid is None else {"uaid": uaid}
        reply = self._asked({"messageType": "hello", "use_webpush": True, **known}, "hello", "")
        given = reply.get("uaid")
        if (
            not isinstance(given, str)
            or not 0 < len(given) <= _UAID_CHARACTERS
            or not _IN_UAIDS.issuperset(given)
        ):
            raise Lost(Cause.ENDED, "it greets without telling who we are")
        return given

    def register(self, channel_id: str, vapid_public_key: str) -> str:
        """Ask for a channel.

        Args:
            channel_id: its id, chosen by us.
            vapid_public_key: whose messages it takes.

        Returns:
            Its endpoint: every call gives another one.

        Raises:
            Lost: the service does not answer.
            Refused: it gives none.
        """
        request = {"messageType": "register", "channelID": channel_id, "key": vapid_public_key}
        endpoint = self._asked(request, "register", channel_id).get("pushEndpoint")
        if not isinstance(endpoint, str) or not 0 < len(endpoint) <= _ENDPOINT_CHARACTERS:
            raise Lost(Cause.ENDED, "it gives a channel without an address")
        return endpoint

    def unregister(self, channel_id: str) -> None:
        """Give a channel back.

        Raises:
            Lost: the service does not answer.
            Refused: it keeps the channel.
        """
        request = {"messageType": "unregister", "channelID": channel_id, "code": OK}
        self._asked(request, "unregister", channel_id)

    def discard(self, channel_id: str) -> None:
        """Give a channel back that nobody knows, without waiting for the reply.

        Raises:
            Lost: the connection is broken.
        """
        self._send({"messageType": "unregister", "channelID": channel_id, "code": OK})

    def acknowledge(self, notification: Notification, code: int) -> None:
        """Tell that a message has come; until then it comes again.

        Raises:
            Lost: the connection is broken.
        """
        update = {"channelID": notification.channel_id, "version": notification.version, "code": code}
        self._send({"messageType": "ack", "updates": [update]})

    def listen(self, arrived: Callable[[Notification], object], seconds: float) -> NoReturn:
        """Give every message to somebody who must be quick: pings are answered in between.

        Args:
            arrived: is given each; whatever it raises ends this.
            seconds: after which the connection is to be made again.

        Raises:
            Lost: the connection has ended, is dead, or that time is over.
        """
        until = self._lived() + seconds
        self._is_listening = True
        try:
            while True:
                while self._early:
                    arrived(self._early.pop(0))
                self._read(LOOK_SECONDS, until)
        except Lost as lost:
            self._end(lost)
            raise
        finally:
            self._is_listening = False
            self._end(Lost(Cause.RENEWED, "this device ended the connection"))

    def close(self) -> None:
        """End the connection, in whichever thread."""
        self._end(Lost(Cause.RENEWED, "this device ended the connection"))
        self._web_socket.close()

    def _end(self, lost: Lost) -> None:
        with self._changed:
            self._lost = self._lost or lost
            self._changed.notify_all()

    def _asked(self, request: Mapping[str, object], kind: str, channel_id: str) -> dict[str, Any]:
        """Send a request, and give the reply to it."""
        place = kind, channel_id
        self._replies.pop(place, None)
        self._send(request)
        until = monotonic() + REPLY_SECONDS
        while place not in self._replies:
            left = until - monotonic()
            if left <= 0:
                raise Lost(Cause.SILENT, f"it gave no answer to {kind} within {REPLY_SECONDS:g} s")
            if self._is_listening:
                with self._changed:
                    if self._lost is None and place not in self._replies:
                        self._changed.wait(min(left, 1.0))
            elif self._web_socket.is_ready(min(left, 1.0)):
                self._take(self._web_socket.receive())
            if self._lost is not None and place not in self._replies:
                raise self._lost
        reply = self._replies.pop(place)
        status = reply.get("status")
        if status != OK:
            raise Refused(status if isinstance(status, int) else 0)
        return reply

    def _send(self, message: Mapping[str, object]) -> None:
        self._web_socket.send(json.dumps(message))

    def _read(self, seconds: float, until: float) -> None:
        """Wait for something a little, and take it.

        Raises:
            Lost: its time is over, it has ended, or was silent for too long, as after this machine has slept.
        """
        if self._lived() >= until:
            raise Lost(Cause.RENEWED, "the connection is made again from time to time")
        if self._web_socket.is_ready(seconds, self._wait):
            self._take(self._web_socket.receive())
            self._heard = self._lived()
        elif self._lived() - self._heard > SILENCE_SECONDS:
            raise Lost(Cause.SILENT, f"nothing came for {SILENCE_SECONDS:g} s")

    def _take(self, text: str | None) -> None:
        """Take a message of the service; what is not known is nothing to us."""
        if text is None:
            return
        message = _object_in(text)
        kind = message.get("messageType")
        if kind == "notification":
            notification = _notification_in(message)
            if notification is not None and len(self._early) < MAX_EARLY:
                self._early.append(notification)
        elif kind in {"hello", "register", "unregister"}:
            channel_id = message.get("channelID") if kind != "hello" else ""
            with self._changed:
                if isinstance(channel_id, str) and len(self._replies) < MAX_EARLY:
                    self._replies[kind, channel_id] = message
                self._changed.notify_all()


def _object_in(text: str) -> dict[str, Any]:
    try:
        message = json.loads(text)
    except (ValueError, RecursionError):
        raise Lost(Cause.ENDED, "it sent what is not JSON") from None
    return message if isinstance(message, dict) else {}


def _notification_in(message: Mapping[str, Any]) -> Notification | None:
    """Read a message that arrived; None where it could not even be acknowledged."""
    channel_id, version, data = (message.get(name) for name in ("channelID", "version", "data"))
    if not isinstance(channel_id, str) or not isinstance(version, str | int) or isinstance(version, bool):
        return None
    if len(channel_id) > _ID_CHARACTERS or len(str(version)) > _ID_CHARACTERS:
        return None
    given = message.get("headers")
    headers = {
        name: value
        for name, value in (given if isinstance(given, dict) else {}).items()
        if isinstance(value, str)
    }
    return Notification(channel_id, str(version), data if isinstance(data, str) else None, headers)
