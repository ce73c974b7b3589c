"""Receive messages on one connection, and hand them on: at least once, in order.

Two threads. One keeps the connection: it puts each message on disk, tells the push service so, and answers
pings in time, whatever the app does. The other, the caller's own, hands on what waits on disk.
"""

from __future__ import annotations

from threading import Thread
from typing import TYPE_CHECKING, Final

from nhagent.channels import autopush
from nhagent.channels.losses import Cause, Lost, pause_after
from nhagent.channels.messages import MAX_FAILURES, Message, message_id
from nhagent.channels.pace import Ended, Pace
from nhagent.errors import NhagentError, StateError, is_failure
from nhagent.interruption import wait, waker
from nhagent.logs import Log
from nhagent.redaction import in_prose

if TYPE_CHECKING:
    from collections.abc import Callable
    from threading import Event

    from nhagent.channels.autopush import Notification
    from nhagent.channels.encryption import Keys
    from nhagent.channels.messages import Spool
    from nhagent.channels.store import Home
    from nhagent.channels.subscribed import Listening, Subscribing

LIFE_SECONDS: Final = 20 * 3600.0
"""Shortest life of a connection: a push service forgets who has not said hello for 60 days."""
LIFE_SPREAD_SECONDS: Final = 8 * 3600.0
"""Over how much more a fleet's connections end."""
USEFUL_SECONDS: Final = 60.0
"""From here on a connection was of use, and the next loss is the first."""
LOOK_SECONDS: Final = 0.25
"""How often it is looked at whether the caller wants to stop."""
JOIN_SECONDS: Final = 5.0
"""How long the end of the other thread is waited for."""
FAILED_SECONDS: Final = 1.0
"""Pause after a message was handed on in vain; it doubles each time."""
LOCAL_SECONDS: Final = 60.0
"""Pause where something on this device must change first; it doubles each time."""

_log = Log(__name__)


class Receiver:
    """Receives for as long as it runs.

    Args:
        subscriber: the way to the push service.
        spool: where messages wait.
        home: where the channel belongs.
        is_wanted: tells whether there is to be a subscription: False from its end until another is asked for.
    """

    def __init__(
        self, subscriber: Subscribing, spool: Spool, home: Home, is_wanted: Callable[[], bool]
    ) -> None:
        self._subscriber = subscriber
        self._spool = spool
        self._random = home.random
        self._on_channel = home.on_channel
        self._is_wanted = is_wanted
        self._pace = Pace(home.lived, home.sleep)
        self._handing = Pace(home.lived, home.sleep)
        self._woken = waker()
        self._failures = 0
        self._was_ended = False
        self._is_full = False
        self._ending: BaseException | None = None
        self._reader = Thread(target=self._read_for_ever, name="nhagent push", daemon=True)

    def run(self, on_message: Callable[[Message], object], stop: Event | None) -> None:
        """Receive until told to stop; see `nhagent.channels.webpush.WebPushChannel.receive`."""
        self._reader.start()
        try:
            while stop is None or not stop.is_set():
                if wait(self._woken, self._has_news, LOOK_SECONDS):
                    if self._ending is not None:
                        raise self._ending
                    self._hand_on(on_message, stop)
        finally:
            self._pace.end()
            self._subscriber.stop()
            self._reader.join(JOIN_SECONDS)

    def wake(self) -> None:
        """Look at once whether a subscription is wanted again."""
        self._pace.wake()

    def _has_news(self) -> bool:
        return self._ending is not None or not self._spool.is_empty

    def _hand_on(self, on_message: Callable[[Message], object], stop: Event | None) -> None:
        """Hand on the message whose turn it is: until the app has taken it, or five times in vain."""
        message = self._spool.first()
        if message is None:
            return
        try:
            on_message(message)
        except BaseException as error:
            if not is_failure(error):
                raise
            failures = self._spool.failed(message)
            why = str(error) if isinstance(error, NhagentError) else in_prose(error)
            if failures >= MAX_FAILURES:
                _log.warning(
                    "message %s is dropped: it was handed on %d times in vain (%s)",
                    message.id,
                    failures,
                    why,
                )
            else:
                _log.warning("message %s: whoever takes it failed (%s)", message.id, why)
                self._rest(FAILED_SECONDS * 2.0 ** (failures - 1), stop)
        else:
            self._spool.done(message)
        if self._is_full and self._spool.has_room:
            self._subscriber.stop()  # what was left at the push service comes with the next connection

    def _rest(self, seconds: float, stop: Event | None) -> None:
        until = self._handing.lived() + seconds
        while (left := until - self._handing.lived()) > 0 and not (stop is not None and stop.is_set()):
            self._handing.rest(min(left, LOOK_SECONDS))
            wait(self._woken, lambda: True, 0.0)  # whoever was told to stop does so here

    def _read_for_ever(self) -> None:
        while True:
            try:
                if not self._is_wanted():
                    self._pace.rest(LOCAL_SECONDS, self._is_wanted)
                    continue
                pause = self._read_once()
                self._pace.rest(pause)
            except Ended:
                return
            except BaseException as fault:  # noqa: BLE001 - nothing may leave a device without its channel
                if not is_failure(fault):
                    self._ending = fault
                    self._woken.put(None)
                    return
                _log.error("a fault in nhagent (%s); tried again", in_prose(fault))
                try:
                    self._pace.rest(LOCAL_SECONDS)
                except Ended:
                    return

    def _read_once(self) -> float:
        """Connect, and listen until the connection is lost; give the seconds until the next one."""
        began = self._pace.lived()
        try:
            with self._subscriber.connected(self._pace) as connection:
                began = self._pace.lived()
                self._is_full = False
                if self._subscriber.is_new:
                    self._on_channel()
                self._drop_former()
                _log.info("connected to the push service %s", self._subscriber.server)
                life = LIFE_SECONDS + LIFE_SPREAD_SECONDS * self._random()
                connection.listen(lambda notification: self._arrived(connection, notification), life)
        except Lost as lost:
            self._pace.check()
            return self._pause_after(lost, self._pace.lived() - began)
        except NhagentError as error:
            self._pace.check()
            self._failures += 1
            _log.warning("nothing can be received: %s", error)
            return min(LOCAL_SECONDS * 2.0 ** (self._failures - 1), 3600.0) * (0.5 + self._random())

    def _pause_after(self, lost: Lost, lasted: float) -> float:
        if lasted >= USEFUL_SECONDS:
            self._failures, self._was_ended = 0, False
        pause = pause_after(lost.cause, self._failures, self._random(), age=lasted, was_ended=self._was_ended)
        self._was_ended |= lost.cause is Cause.ENDED
        if lost.cause is not Cause.RENEWED:
            log = _log.warning if self._failures == 0 else _log.debug
            log("not connected to the push service: %s; tried again in %.0f s", lost.fact, pause)
            self._failures += 1
        return pause

    def _drop_former(self) -> None:
        """Give back what the hub was known not to need when this connection began."""
        try:
            self._subscriber.drop_former(self._pace)
        except (Lost, StateError) as error:
            _log.debug("former subscriptions are given back later (%s)", error)

    def _arrived(self, connection: Listening, notification: Notification) -> None:
        """Take one message: on disk, then acknowledged. One that has come before is acknowledged again."""
        self._failures, self._was_ended = 0, False
        name = message_id(notification.channel_id, notification.version)
        if self._spool.has_seen(name):
            connection.acknowledge(notification, autopush.DELIVERED)
            return
        keys = self._subscriber.kept.keys_of(notification.channel_id)
        if keys is None:
            connection.acknowledge(notification, autopush.NOT_DELIVERED)
            connection.discard(notification.channel_id)
            return
        data = decrypted(notification, keys)
        if data is None:
            _log.warning("message %s cannot be decrypted, and is dropped", name)
            connection.acknowledge(notification, autopush.UNDECRYPTABLE)
            return
        if self._is_full or not self._kept(Message(name, data)):
            return
        connection.acknowledge(notification, autopush.DELIVERED)
        self._woken.put(None)

    def _kept(self, message: Message) -> bool:
        """Put a message on disk; where that is full nothing more is acknowledged on this connection."""
        try:
            if self._spool.add(message):
                return True
            why = "too many messages wait for the app"
        except StateError as error:
            why = str(error)
        self._is_full = True
        _log.warning("messages stay at the push service until there is room: %s", why)
        return False


def decrypted(notification: Notification, keys: Keys) -> bytes | None:
    """Decrypt what has arrived; None where that cannot be done."""
    from nhagent.channels.encryption import AES128GCM, MAX_BYTES, Undecryptable, decrypt

    if notification.data is None:
        return b""
    body = _decoded(notification.data, MAX_BYTES)
    headers = {name.lower().replace("-", "_"): value for name, value in notification.headers.items()}
    if body is None:
        return None
    try:
        return decrypt(body, keys, headers.get("encoding", AES128GCM), headers)
    except Undecryptable as error:
        _log.debug("a message cannot be decrypted: %s", error)
        return None


def _decoded(text: str, limit: int) -> bytes | None:
    """Decode base64url, padded or not; None where it is no such text, or longer than any message."""
    from base64 import urlsafe_b64decode
    from binascii import Error

    if len(text) > limit * 4 // 3 + 4 or not text.isascii():
        return None
    try:
        return urlsafe_b64decode(text.rstrip("=") + "=" * (-len(text.rstrip("=")) % 4))
    except (Error, ValueError):
        return None
