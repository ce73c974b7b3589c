"""EXPERIMENTAL: a Firebase (FCM) token for a Linux program, and what is sent to it.

It rests on firebase-messaging, which speaks Google's protocols by reverse engineering and has had no release
since May 2025; Google is moving from such tokens to installation ids. It may stop working any day. On Linux
`nhagent.channels.WebPushChannel` is the channel to take. This is for who must be sent to through Firebase.

Messages may be lost: the library tells Google that a message came before the program has taken it.

    pip install nhagent firebase-messaging
    HUB=my-hub PROJECT_ID=… APP_ID=… API_KEY=… SENDER_ID=… NHAGENT_CONNECTION_STRING=… python fcm_channel.py
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import random
from collections.abc import Callable, Coroutine
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Event, Thread
from typing import Any, TypeVar

from firebase_messaging import FcmPushClient, FcmRegisterConfig

from nhagent import Agent
from nhagent.channels import Message
from nhagent.errors import ChannelError

REGISTER_SECONDS = 60.0
"""How long Google may take to give a token."""
RETRY_SECONDS, RETRY_LIMIT_SECONDS = 2.0, 900.0
"""First and longest pause after a failure, before jitter."""
LOOK_SECONDS = 0.5
MAX_SEEN = 100

_T = TypeVar("_T")
_log = logging.getLogger("fcm_channel")


class FcmChannel:
    """A channel source of platform ``fcmv1`` that registers as a browser does, and receives.

    Args:
        config: the Firebase project's values.
        path: the file of its credentials, which is made for its owner alone.
    """

    platform = "fcmv1"

    def __init__(self, config: FcmRegisterConfig, path: Path) -> None:
        self._config = config
        self._path = path
        self._kept: dict[str, Any] = json.loads(path.read_text()) if path.exists() else {}

    def __call__(self) -> str:
        """Give the token that Google gave; ask for one where there is none yet."""
        if "credentials" not in self._kept:
            try:
                _run(asyncio.wait_for(self._register(), REGISTER_SECONDS))
            except Exception as error:  # noqa: BLE001 - the library raises anything
                raise ChannelError(
                    f"fcm: Google gave no token ({type(error).__name__})", "it is asked again", pending=True
                ) from None
        return str(self._kept["credentials"]["fcm"]["registration"]["token"])

    def receive(self, on_message: Callable[[Message], object], stop: Event | None = None) -> None:
        """Hand on messages in this thread, until told to stop; the library runs in another."""
        stop = stop or Event()
        queue: SimpleQueue[Message] = SimpleQueue()
        listener = Thread(target=lambda: asyncio.run(self._supervise(queue, stop)), daemon=True)
        listener.start()
        while not stop.is_set():
            try:
                on_message(queue.get(timeout=LOOK_SECONDS))
            except Empty:
                continue
        listener.join(5)

    async def _register(self) -> None:
        """Register, as often as it takes: the library itself gives up after two tries."""
        pause = RETRY_SECONDS
        while True:
            client = self._client(SimpleQueue())
            try:
                await client.checkin_or_register()
            except RuntimeError as error:
                _log.warning("not registered with Google yet: %s", error)
            else:
                return
            pause = await _rest(pause)

    async def _supervise(self, queue: SimpleQueue[Message], stop: Event) -> None:
        """Start the library's listener again whenever it has died: it does so after three errors in a row."""
        pause = RETRY_SECONDS
        while not stop.is_set():
            client = self._client(queue)
            try:
                await client.checkin_or_register()
                await client.start()
                while not stop.is_set() and client.do_listen and not client.tasks[0].done():
                    pause = RETRY_SECONDS if client.is_started() else pause
                    await asyncio.sleep(LOOK_SECONDS)
                await client.stop()
            except Exception as error:  # noqa: BLE001 - the library raises anything
                _log.warning("Google's connection failed (%s)", type(error).__name__)
            if not stop.is_set():
                _log.warning("the listener has ended, and is started again")
                pause = await _rest(pause)

    def _client(self, queue: SimpleQueue[Message]) -> FcmPushClient:
        def arrived(content: dict[str, Any], name: str, _: object) -> None:
            seen = self._kept.setdefault("seen", [])
            if name not in seen:
                self._keep(seen=[*seen, name][-MAX_SEEN:])
                queue.put(Message(name, json.dumps(content).encode()))

        return FcmPushClient(
            arrived,
            self._config,
            self._kept.get("credentials"),
            lambda credentials: self._keep(credentials=credentials),
            received_persistent_ids=list(self._kept.get("seen", [])),
        )

    def _keep(self, **changes: Any) -> None:
        """Write what must be known after a restart: whole, and readable by nobody else."""
        self._kept |= changes
        self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        new = self._path.with_suffix(".new")
        new.touch(mode=0o600)
        with new.open("w") as file:
            json.dump(self._kept, file)
            file.flush()
            os.fsync(file.fileno())
        new.replace(self._path)


async def _rest(pause: float) -> float:
    """Rest, give or take half of it; gives the next pause."""
    await asyncio.sleep(pause * (0.5 + random.random()))  # noqa: S311 - it spreads requests, and guards nothing
    return min(2 * pause, RETRY_LIMIT_SECONDS)


def _run(work: Coroutine[Any, Any, _T]) -> _T:
    """Run a coroutine in a thread of its own: the caller's may have a loop."""
    results: list[_T] = []
    errors: list[BaseException] = []

    def run() -> None:
        try:
            results.append(asyncio.run(work))
        except BaseException as error:  # noqa: BLE001 - raised again below
            errors.append(error)

    thread = Thread(target=run)
    thread.start()
    thread.join()
    if errors:
        raise errors[0]
    return results[0]


def main() -> None:
    logging.basicConfig(level=logging.WARNING)
    config = FcmRegisterConfig(
        project_id=os.environ["PROJECT_ID"],
        app_id=os.environ["APP_ID"],
        api_key=os.environ["API_KEY"],
        messaging_sender_id=os.environ["SENDER_ID"],
    )
    folder = Path(os.environ.get("NHAGENT_STATE_DIR", Path.home() / ".local/share/nhagent"))
    channel = FcmChannel(config, folder / "fcm-credentials.json")
    agent = Agent(app="fcm-example", hub=os.environ["HUB"], channel=channel, tags=["linux"])
    agent.receive(lambda message: print("received:", message.text, flush=True))


if __name__ == "__main__":
    main()
