"""EXPERIMENTAL: a Firebase (FCM) token for a Linux program, and what is sent to it.

It may stop working any day. It rests on firebase-messaging, which speaks Google's protocols by reverse
engineering and has had no release since May 2025; Google is moving from such tokens to installation ids. It
was tried against fakes of Google's services alone. On Linux the channel to take is raspberry_pi.py's; this is
for who must be sent to through Firebase.

    pip install nhagent[examples]
    HUB=my-hub PROJECT_ID=… APP_ID=… API_KEY=… SENDER_ID=… NHAGENT_CONNECTION_STRING=… python fcm_channel.py

The four are those of a web app in the Firebase console. What Google gives is kept in a file that only its
owner may read: whoever has a copy is this device. Google and the hub can read every message.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
import tempfile
from base64 import b64decode, b64encode
from collections.abc import Callable
from contextlib import suppress
from hashlib import blake2b
from pathlib import Path
from threading import Condition, Event, Lock, Thread
from time import monotonic
from typing import Any

from aiohttp import ClientSession
from firebase_messaging import FcmPushClient, FcmPushClientConfig, FcmRegisterConfig
from firebase_messaging.fcmpushclient import ErrorType
from firebase_messaging.proto.mcs_pb2 import DataMessageStanza

from nhagent import Agent, Platform
from nhagent.channels import Message
from nhagent.errors import ChannelError, ConfigurationError

FIRST_PAUSE_SECONDS, LONGEST_PAUSE_SECONDS = 1.0, 1800.0
"""The pause after a failure, before jitter. It doubles with each further one."""
HEALTHY_SECONDS = REGISTER_SECONDS = 60.0
"""A connection that lasted so long was no failure; Google may take so long to register."""
CHECK_IN_SECONDS = 86400.0
"""How often Google is told that this client is still there."""
SILENCE_SECONDS = 120.0
"""A connection on which nothing came for so long is dead: both sides send a heartbeat every 20 s."""
LOOK_SECONDS, STOP_SECONDS = 0.5, 10.0
MAX_REFUSALS = 3
"""After so many consecutive refused logins another token is asked for."""
MAX_MESSAGES, MAX_SEEN = 100, 256
"""How many messages may wait for the app, further ones stay with FCM; and how many ids are remembered."""
MAX_FAILURES = 5
"""How often a message is handed on in vain before it is dropped."""
MAX_FILE_BYTES = 4 * 1024 * 1024

log = logging.getLogger("fcm_channel")


class Memory:
    """The file that holds the credentials, the messages that wait, and the ids of those that came.

    A message is on disk before FCM is told that it came: it is handed on at least once.
    """

    def __init__(self, path: Path, project_id: str) -> None:
        self._path = path
        self._changed = Condition()
        self._document: dict[str, Any] = {"credentials": None, "seen": [], "waiting": []} | self._read()
        if self.token is None or self._document["credentials"]["config"]["project_id"] != project_id:
            self._document["credentials"] = None

    @property
    def credentials(self) -> dict[str, Any] | None:
        return self._document["credentials"]  # type: ignore[no-any-return]

    @property
    def token(self) -> str | None:
        return _token_of(self.credentials)

    @property
    def seen(self) -> list[str]:
        return list(self._document["seen"])

    @property
    def is_full(self) -> bool:
        return len(self._document["waiting"]) >= MAX_MESSAGES

    def keep_credentials(self, credentials: dict[str, Any] | None) -> None:
        """Keep what FCM gave. The library hands on a registration that failed as if it were one."""
        if credentials is not None and _token_of(credentials) is None:
            raise ConnectionError("FCM gave no token")
        with self._changed:
            self._write(credentials=credentials)

    def add(self, name: str, data: bytes) -> None:
        with self._changed:
            if self.is_full:
                raise BufferError("too many messages wait for the app")
            if name not in self._document["seen"]:
                waiting = [*self._document["waiting"], [name, b64encode(data).decode()]]
                self._write(waiting=waiting, seen=[*self._document["seen"], name][-MAX_SEEN:])
                self._changed.notify_all()

    def first(self, seconds: float) -> Message | None:
        """Give the message whose turn it is; wait some seconds for one."""
        with self._changed:
            if not self._document["waiting"]:
                self._changed.wait(seconds)
            for name, data in self._document["waiting"][:1]:
                return Message(blake2b(name.encode(), digest_size=16).hexdigest(), b64decode(data))
            return None

    def done(self) -> None:
        """Strike out the message that `first` gave."""
        with self._changed:
            waiting = self._document["waiting"][1:]
            try:
                self._write(waiting=waiting)
            except OSError as error:
                log.warning("%s; a message that is done may come again after a restart", error)
                self._document["waiting"] = waiting

    def _read(self) -> dict[str, Any]:
        try:
            with self._path.open("rb") as file:
                return dict(json.loads(file.read(MAX_FILE_BYTES)))
        except FileNotFoundError:
            return {}
        except (TypeError, ValueError):  # corrupt is not absent: it is kept for whoever wants to look
            aside = self._path.with_name(f"{self._path.name}.unreadable")
            log.error("%s cannot be read; it is now %s", self._path, aside.name)  # noqa: TRY400
            self._path.replace(aside)
            return {}

    def _write(self, **changes: Any) -> None:
        """Write the whole, durably and for the owner alone; then it holds."""
        document = self._document | changes
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        descriptor, new = tempfile.mkstemp(dir=self._path.parent, prefix=f"{self._path.name}.")  # mode 0600
        try:
            with os.fdopen(descriptor, "w") as file:
                json.dump(document, file)
                file.flush()
                os.fsync(file.fileno())
            Path(new).replace(self._path)
        finally:
            Path(new).unlink(missing_ok=True)
        self._document = document


def _token_of(credentials: Any) -> str | None:
    """Give the token within the library's credentials; None where they lack it, or are damaged."""
    try:
        token = credentials["fcm"]["registration"]["token"]
        needed = credentials["gcm"]["android_id"], credentials["gcm"]["app_id"], credentials["config"]
    except (KeyError, TypeError):
        return None
    return token if isinstance(token, str) and token and all(needed) else None


class Listener(FcmPushClient):
    """The library's client, for one connection: its own attempts to connect again may spin, or hang."""

    def __init__(self, memory: Memory, project: FcmRegisterConfig, session: ClientSession) -> None:
        once = FcmPushClientConfig(
            connection_retry_count=1, start_seconds_before_retry_connect=0, abort_on_sequential_error_count=1
        )
        super().__init__(
            self._arrived,
            project,
            memory.credentials,
            memory.keep_credentials,
            received_persistent_ids=memory.seen,
            config=once,
            http_client_session=session,
        )
        self._memory = memory
        self._fault: Exception | None = None

    @property
    def is_refused(self) -> bool:
        return bool(self.sequential_error_counters.get(ErrorType.LOGIN))

    def _arrived(self, notification: dict[str, Any], name: str, _: object) -> None:
        body = notification.get("message")  # what is no JSON object, the library puts there
        try:
            self._memory.add(name, body if isinstance(body, bytes) else json.dumps(notification).encode())
        except Exception as fault:
            self._fault = fault  # the library swallows what a callback raises, and acknowledges the message
            raise

    def _handle_data_message(self, msg: DataMessageStanza) -> None:
        """Take a message. One that cannot be read would end every connection, since it comes again."""
        try:
            super()._handle_data_message(msg)
        except Exception as error:  # noqa: BLE001 - whatever it is, the message is the reason
            log.warning("a message that cannot be read is dropped (%s)", type(error).__name__)
        if self._fault is not None:
            raise self._fault  # this ends the connection before the message is acknowledged


class Supervision:
    """Keeps a connection to FCM, in a thread of its own. When it ends it is made again, ever more slowly."""

    def __init__(
        self, memory: Memory, project: FcmRegisterConfig, silence: float, on_token: Callable[[], object]
    ) -> None:
        self._memory, self._project, self._silence, self._on_token = memory, project, silence, on_token
        self._checked_in_at: float | None = None
        self._refusals = 0
        self._task: asyncio.Task[Any] | None = None
        self._has_begun = Event()
        self.thread = Thread(target=self._work, name="fcm", daemon=True)
        self.thread.start()

    def stop(self) -> None:
        self._has_begun.wait(STOP_SECONDS)
        with suppress(RuntimeError):  # it has ended
            if self._task is not None:
                self._task.get_loop().call_soon_threadsafe(self._task.cancel)
        self.thread.join(STOP_SECONDS)

    def _work(self) -> None:
        with suppress(asyncio.CancelledError):
            asyncio.run(self._connections())

    async def _connections(self) -> None:
        self._task = asyncio.current_task()
        self._has_begun.set()
        failures = 0
        while True:
            while self._memory.is_full:  # noqa: ASYNC110 - another thread makes room
                await asyncio.sleep(LOOK_SECONDS)
            began = monotonic()
            try:
                await self._connection()
            except Exception as error:  # noqa: BLE001 - the library raises whatever it meets
                failures = 0 if monotonic() - began >= HEALTHY_SECONDS else failures + 1
                pause = min(FIRST_PAUSE_SECONDS * 2 ** min(failures - 1, 16), LONGEST_PAUSE_SECONDS)
                pause *= random.uniform(0.5, 1.5)  # noqa: S311 - it spreads requests, and guards nothing
                log.warning("%s; tried again in %.1f s", str(error) or type(error).__name__, pause)
                await asyncio.sleep(pause)

    async def _connection(self) -> None:
        """Check in, and register where that is needed; then listen until the connection ends."""
        async with ClientSession() as session:
            listener = Listener(self._memory, self._project, session)
            await self._check_in(listener)
        await listener.start()
        try:
            await self._until_it_ends(listener)
        finally:
            await listener.stop()
            for task in listener.tasks:  # `stop` leaves them where the library has ended itself
                task.cancel()
            await asyncio.wait(listener.tasks, timeout=STOP_SECONDS)
            self._count_refusal(listener)

    async def _check_in(self, listener: Listener) -> None:
        former = self._memory.token
        is_fresh = self._checked_in_at is not None and monotonic() - self._checked_in_at < CHECK_IN_SECONDS
        if former is not None and is_fresh:
            return
        async with asyncio.timeout(REGISTER_SECONDS):
            token = await listener.checkin_or_register()
        self._checked_in_at = monotonic()
        if token != former:
            self._on_token()

    async def _until_it_ends(self, listener: Listener) -> None:
        heard, heard_at = listener.last_message_time, monotonic()
        while True:
            ended, _ = await asyncio.wait(
                listener.tasks, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_COMPLETED
            )
            if ended:
                raise ConnectionError("FCM refuses us" if listener.is_refused else "FCM's listener died")
            if listener.last_message_time != heard:
                heard, heard_at = listener.last_message_time, monotonic()
            elif monotonic() - heard_at > self._silence:
                raise TimeoutError("FCM is silent")

    def _count_refusal(self, listener: Listener) -> None:
        self._refusals = self._refusals + 1 if listener.is_refused else 0
        if listener.is_refused:
            self._checked_in_at = None
        if self._refusals >= MAX_REFUSALS:
            log.warning("FCM has refused %d logins: another token is asked for", self._refusals)
            self._refusals = 0
            self._memory.keep_credentials(None)


class FcmChannel:
    """A channel source of platform ``fcmv1`` that receives. One process at a time.

    Args:
        project: the Firebase project's web app.
        path: the file that it keeps; delete it for another token.
        silence: seconds after which a connection is dead on which nothing came, no answer to a login either.

    Attributes:
        on_token: called when there is a token that the hub does not know: give it ``agent.poke``.
    """

    platform = Platform.FCMV1

    def __init__(self, project: FcmRegisterConfig, path: Path, silence: float = SILENCE_SECONDS) -> None:
        self._project, self._silence = project, silence
        self._memory = Memory(path, project.project_id)
        self._receiving = Lock()
        self.on_token: Callable[[], object] = lambda: None

    def __call__(self) -> str:
        """Give the token that FCM gave; `receive` asks for one."""
        token = self._memory.token
        if token is None:
            raise ChannelError("fcm: there is no token yet", "receive() asks FCM for one", pending=True)
        return token

    def receive(self, on_message: Callable[[Message], object], stop: Event | None = None) -> None:
        """Hand on what arrives, in this thread, until ``stop`` is set. Blocks."""
        if not self._receiving.acquire(blocking=False):
            raise ConfigurationError("fcm: receives already", "receive in one thread")
        supervision = Supervision(self._memory, self._project, self._silence, lambda: self.on_token())
        try:
            while stop is None or not stop.is_set():
                if not supervision.thread.is_alive():
                    raise ChannelError("fcm: the supervision has ended", "receive again")
                if (message := self._memory.first(LOOK_SECONDS)) is not None:
                    self._hand(message, on_message, stop or Event())
        finally:
            supervision.stop()
            self._receiving.release()

    def _hand(self, message: Message, on_message: Callable[[Message], object], stop: Event) -> None:
        for failures in range(1, MAX_FAILURES + 1):
            try:
                on_message(message)
                break
            except Exception as error:  # noqa: BLE001 - the app's
                log.warning("the app failed %d times at a message (%s)", failures, type(error).__name__)
            if stop.wait(failures if failures < MAX_FAILURES else 0):
                return  # it comes again
        self._memory.done()


def act(message: Message) -> None:
    """Do what was sent: JSON with ``data`` and ``notification``, which is text from outside."""
    print("received:", ascii(message.text), flush=True)


def main() -> None:
    logging.basicConfig()
    project = FcmRegisterConfig(
        project_id=os.environ["PROJECT_ID"],
        app_id=os.environ["APP_ID"],
        api_key=os.environ["API_KEY"],
        messaging_sender_id=os.environ["SENDER_ID"],
    )
    folder = Path(os.environ.get("NHAGENT_STATE_DIR", Path.home() / ".local/share/nhagent"))
    channel = FcmChannel(project, folder / "fcm-credentials.json")
    agent = Agent(app="fcm-example", hub=os.environ["HUB"], channel=channel, tags=["linux"])
    channel.on_token = agent.poke
    agent.receive(act)  # registers, keeps the registration fresh, and stays


if __name__ == "__main__":
    main()
