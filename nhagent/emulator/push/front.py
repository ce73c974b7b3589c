"""The push service as the rest of the emulator sees it: there once it is first used."""

from __future__ import annotations

import threading
from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

from nhagent.emulator.callers import refusal_of
from nhagent.emulator.clock import Clock
from nhagent.emulator.http_messages import Reply, Request
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.storage import Storage

if TYPE_CHECKING:
    import socket

    from nhagent.emulator.push.sender import Posted
    from nhagent.emulator.push.service import PushService
    from nhagent.emulator.push.vapid import Pair

_GOODBYE_SECONDS = 0.5
_MISSING = "The push service needs wsproto: pip install nhagent[emulator]"


class PushFront:
    """Answers what concerns the push service.

    Args:
        storage: where it keeps its users and its keys.
        clock: the emulator's.
        origin: gives the emulator's URL as clients write it.
        ca: the authority that its certificate is from; None without TLS.
        is_used: it was there before, and is to be there again.
    """

    def __init__(
        self,
        storage: Storage,
        clock: Clock,
        origin: Callable[[], str],
        ca: str | None,
        *,
        is_used: bool = False,
    ) -> None:
        self._storage = storage
        self._clock = clock
        self._origin = origin
        self._ca = ca
        self._is_used = is_used
        self._lock = threading.Lock()
        self._made: tuple[PushService, Pair] | None = None

    @property
    def is_used(self) -> bool:
        """Whether somebody has asked for it."""
        return self._is_used or self._made is not None

    @property
    def service(self) -> PushService:
        """The push service."""
        return self._begun()[0]

    @property
    def pair(self) -> Pair:
        """The VAPID pair of the hub's browser credential."""
        return self._begun()[1]

    @property
    def url(self) -> str:
        """Where devices connect: ``ws://`` or ``wss://``."""
        from nhagent.emulator.push.service import PATH

        return f"ws{self.service.origin.removeprefix('http')}{PATH}"

    def held(self) -> dict[str, Any]:
        """Return its users, its open connections, and how many messages were posted."""
        service = self.service
        return {
            "users": service.state(),
            "connections": service.connections(),
            "posts": service.posts,
        }

    def answer(self, request: Request) -> Answer | None:
        """Answer a request; None where it does not concern the push service, or there is none."""
        if not self.is_used or not request.path.startswith(("/wpush/", "/_push")):
            return None
        from nhagent.emulator.push import posts
        from nhagent.emulator.push.web_socket import is_upgrade

        if posts.concerns(request.path):
            return Answer(posts.answer(self.service, request))
        if not is_upgrade(request):
            return Answer(_text(426, "Devices connect here by WebSocket.", {"Upgrade": "websocket"}))
        return self._upgraded(request)

    def send(self, subscription: dict[str, Any], text: str, ttl: int) -> Posted:
        """Send a message to a subscription as a hub does, if that is one of this push service.

        Raises:
            ValueError: the subscription is none, or another push service's.
            OSError: the push service does not answer.
        """
        from nhagent.emulator.push.sender import post

        if not self.owns(subscription):
            raise ValueError("its channel is not a subscription of the emulator's push service.")
        return post(subscription, text.encode(), self.pair, ca=self._ca, ttl=ttl, now=self._clock.now)

    def owns(self, subscription: dict[str, Any]) -> bool:
        """Return whether a subscription is one of this push service."""
        endpoint = subscription.get("endpoint")
        return isinstance(endpoint, str) and endpoint.startswith(f"{self.service.origin}/wpush/")

    def close(self) -> None:
        """End every connection, and wait a moment until devices have been told."""
        if self._made is not None:
            service = self._made[0]
            service.close(1001)
            service.wait_for(lambda service: not service.connections(), _GOODBYE_SECONDS)

    def _upgraded(self, request: Request) -> Answer:
        from nhagent.emulator.push.session import Session
        from nhagent.emulator.push.web_socket import WebSocket, acceptance

        if request.headers.get("Origin") == self.url:  # Firefox names the push service itself; no page can
            del request.headers["Origin"]
        refusal = refusal_of(request, self.service.origin.partition(":")[0])
        if refusal is not None:
            return Answer(_text(403, refusal))
        if find_spec("wsproto") is None:
            return Answer(_text(501, _MISSING))
        if self.service.refuses is not None:
            # A redirect leads back here, so that whoever follows it is seen to.
            where = {"Location": self.url}
            return Answer(_text(self.service.refuses, "The push service takes no connection now.", where))
        head = acceptance(request)
        if head is None:
            return Answer(_text(400, "The request lacks the headers of a WebSocket."))

        def take_over(connection: socket.socket) -> None:
            connection.sendall(head)
            Session(self.service, WebSocket(connection)).run()

        return Answer(Reply(101), takes_over=take_over)

    def _begun(self) -> tuple[PushService, Pair]:
        with self._lock:
            if self._made is None:
                from nhagent.emulator.push.service import PushService, new_secret
                from nhagent.emulator.push.users import Users
                from nhagent.emulator.push.vapid import Pair

                users = Users(self._storage.database, self._storage.lock)
                secret = users.secret("endpoints", new_secret)
                pair = Pair(users.secret("vapid", lambda: Pair().private))
                service = PushService(users, self._clock.now, secret.encode())
                service.origin = self._origin()
                self._made = service, pair
            return self._made


def _text(status: int, text: str, headers: dict[str, str] | None = None) -> Reply:
    return Reply(status, {"Content-Type": "text/plain; charset=utf-8", **(headers or {})}, text.encode())
