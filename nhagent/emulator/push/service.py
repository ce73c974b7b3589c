"""The push service: one object that ties users, connections, endpoints and orders of tests together."""

from __future__ import annotations

import threading
from base64 import urlsafe_b64encode
from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cryptography.fernet import Fernet, InvalidToken

from nhagent.emulator.push.users import Message, User, Users, new_version

if TYPE_CHECKING:
    from nhagent.emulator.push.session import Session

PATH = "/_push"
"""Where devices connect."""
ENDPOINTS = "/wpush/"
"""Where senders post."""
_CLOSE_CODES = range(1000, 5000)
_NEVER_SENT = {1004, 1005, 1015}
KEPT = 10_000
"""Messages of the protocol that are kept for `PushService.log`."""


class PushService:
    """A push service that speaks autopush.

    Args:
        users: what it keeps.
        now: the emulator's time, seconds since 1970.
        secret: with what its endpoints are made, 32 bytes in base64url.

    Attributes:
        origin: of its endpoints; set once the server listens.
        users: as given.
        refuses: the HTTP status with which connections are refused; None: they are taken.
        is_silent: it takes connections and answers nothing but WebSocket pings.
        is_deaf: it takes connections and neither reads nor sends anything.
        sends_twice: it sends each message a second time.
        delay_seconds: how long it holds back each message that it sends.
        ping_seconds: how often it sends a WebSocket ping.
        pong_seconds: how soon that is to be answered.
        hello_seconds: how soon a device must say who it is.
        least_ping_seconds: a device that sends pings more often is turned away.
        posts: how many messages senders have posted.
    """

    def __init__(self, users: Users, now: Callable[[], float], secret: bytes) -> None:
        self.origin = ""
        self.users = users
        self.now = now
        self.refuses: int | None = None
        self.is_silent = False
        self.is_deaf = False
        self.sends_twice = False
        self.delay_seconds = 0.0
        self.ping_seconds = 300.0
        self.pong_seconds = 4.0
        self.hello_seconds = 5.0
        self.least_ping_seconds = 45.0
        self.posts = 0
        self._fernet = Fernet(secret)
        self._sessions: dict[str, Session] = {}
        self._all: set[Session] = set()
        self._log: deque[dict[str, Any]] = deque(maxlen=KEPT)
        # The users' lock, since whoever waits for something looks at the users.
        self._changed = threading.Condition(users.lock)

    @property
    def keeps_quiet(self) -> bool:
        """Whether devices are left without an answer."""
        return self.is_silent or self.is_deaf

    def endpoint(self, uaid: str, channel_id: str, key: str) -> str:
        """Make an address of a channel: another one each time."""
        token = self._fernet.encrypt(f"{uaid} {channel_id} {key}".encode()).decode().rstrip("=")
        return f"{self.origin}{ENDPOINTS}{'v2' if key else 'v1'}/{token}"

    def addressed(self, path: str) -> tuple[str, str, str] | None:
        """Return the uaid, channel id and VAPID key that an endpoint's path stands for; None: it is none."""
        version, _, token = path.removeprefix(ENDPOINTS).partition("/")
        try:
            text = self._fernet.decrypt((token + "=" * (-len(token) % 4)).encode()).decode()
        except (InvalidToken, UnicodeError):
            return None
        uaid, channel_id, key = text.split(" ")
        return (uaid, channel_id, key) if version == ("v2" if key else "v1") else None

    def deliver(self, user: User, message: Message) -> None:
        """Send a message to a device that is connected, else let it wait, unless its life is over already."""
        with self.users.lock:
            self.posts += 1
            session = self._sessions.get(user.uaid)
            if session is not None and session.takes(message):
                return
            if message.expires > self.now():
                self.users.store(user, message)
                if session is not None and self.users.find(user.uaid, self.now()) is not user:
                    # Too many waited.
                    session.close(1000)

    def attach(self, session: Session, uaid: str) -> None:
        """Take a device's new connection for the one: a former one is closed."""
        with self.users.lock:
            former = self._sessions.get(uaid)
            self._sessions[uaid] = session
        if former is not None and former is not session:
            former.close(1011)

    def detach(self, session: Session, uaid: str | None) -> Session | None:
        """A connection is about to end; return the newer one of the same device, if there is one."""
        with self._changed:
            self._changed.notify_all()
            newer = self._sessions.get(uaid or "")
            if newer is not session:
                return newer
            del self._sessions[uaid or ""]
            return None

    def finished(self, session: Session) -> None:
        """A connection has ended."""
        with self._changed:
            self._all.discard(session)
            self._changed.notify_all()

    def begin(self, session: Session) -> None:
        """A connection has been made."""
        with self._changed:
            self._all.add(session)
            self._changed.notify_all()

    def sessions(self) -> list[Session]:
        """Return every open connection."""
        with self.users.lock:
            return list(self._all)

    def drop(self, uaid: str | None = None) -> None:
        """Forget a user, or all of them, as the service does now and then; its connection ends (1000)."""
        with self.users.lock:
            names = [user.uaid for user in self.users.all()] if uaid is None else [uaid]
            sessions = self.sessions() if uaid is None else [*filter(None, [self._sessions.get(uaid)])]
            for name in names:
                self.users.forget(name)
            for session in sessions:
                session.close(1000)

    def close(self, code: int | None = 1001, uaid: str | None = None) -> None:
        """Close the connections of a user, or all of them.

        Args:
            code: the close code; None or 1006: the connection is cut without one.
            uaid: the user; None: everybody.

        Raises:
            ValueError: a WebSocket cannot be closed with that code.
        """
        if code is not None and not is_close_code(code):
            raise ValueError(f"{code} is not a close code that can be sent.")
        with self.users.lock:
            sessions = list(self._all) if uaid is None else [*filter(None, [self._sessions.get(uaid)])]
        for session in sessions:
            session.close(code)

    def state(self) -> dict[str, Any]:
        """Return every user, with channels, messages that wait, and whether it is connected."""
        with self.users.lock:
            return {
                user.uaid: {
                    "channels": dict(user.channels),
                    "stored": [message.version for message in user.stored],
                    "connected": user.uaid in self._sessions,
                }
                for user in self.users.all()
            }

    def connections(self) -> list[str | None]:
        """Return the uaid of every open connection, as far as it has said one."""
        with self.users.lock:
            return [session.uaid for session in self.sessions()]

    def log(self) -> list[dict[str, Any]]:
        """Return what devices have said, oldest first: each message of the protocol."""
        with self._changed:
            return list(self._log)

    def note(self, message: dict[str, Any]) -> None:
        """Take note of what a device has said."""
        with self._changed:
            self._log.append(message)
            self._changed.notify_all()

    def wait_for(self, is_so: Callable[[PushService], bool], seconds: float = 10.0) -> bool:
        """Wait until something is so, for tests; return whether it is."""
        with self._changed:
            # Some of what is waited for is no message of the protocol.
            return self._changed.wait_for(lambda: is_so(self), seconds)


def is_close_code(code: int) -> bool:
    """Return whether a connection can be closed with a code: 1006 stands for one that is cut."""
    return code in _CLOSE_CODES and code not in _NEVER_SENT


def new_secret() -> str:
    """Make what a service makes its endpoints with."""
    return Fernet.generate_key().decode()


def made_message(
    channel_id: str, body: bytes, headers: dict[str, str], ttl: int, now: float, topic: str | None
) -> Message:
    """Make a message of what a sender has posted."""
    data = urlsafe_b64encode(body).decode().rstrip("=") if body else None
    return Message(new_version(), channel_id, data, headers, now + ttl, topic)
