"""A device that speaks to the emulator without a network, or over one, and what may come in between."""

from __future__ import annotations

import copy
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from email.message import Message
from math import inf
from typing import Any, Final
from urllib.parse import urlsplit

from nhagent import Agent, HubClient, Platform, Registration, SecondaryTile
from nhagent.emulator.assembly import Lasting, assemble
from nhagent.emulator.http_messages import Request as Asked
from nhagent.emulator.hub.hub import Hub
from nhagent.emulator.push.front import PushFront
from nhagent.emulator.rest.gateway import Gateway
from nhagent.emulator.sas import new_rules
from nhagent.emulator.storage import Storage
from nhagent.hub.operations import HubOperations
from nhagent.hub.transport import Request, Response
from tests.crashes.volatile_disk import VolatileDisk
from tests.device_under_test import TOAST
from tests.work import Counted

HUB: Final = "my-hub"
PAGE: Final = "2"
"""Rows of a page, so that few rows make a list of several pages."""

Change = Callable[[Any], Any]


class DirectLine:
    """The emulator's gateway, without a server in front of it."""

    def __init__(self) -> None:
        self.rules = new_rules({})
        self._storage = Storage(":memory:", HUB, self.rules)
        self._hub = Hub(HUB, self._storage)
        lasting = Lasting()
        self._log = lasting.log
        push = PushFront(self._storage, lasting.clock, lambda: "http://127.0.0.1", None)
        self._gateway = Gateway(assemble(lasting, self._hub, self._storage, push, port=lambda: 0), self.rules)

    def close(self) -> None:
        self._storage.close()

    def contents(self) -> dict[str, Any]:
        return self._hub.contents()

    def key(self, rule: str, address: str) -> str:
        return f"Endpoint={address};SharedAccessKeyName={rule};SharedAccessKey={self.rules[rule].key}"

    def answer(
        self, method: str, target: str, headers: dict[str, str], body: bytes
    ) -> tuple[int, Any, bytes]:
        message = Message()
        for name, value in headers.items():
            message[name] = value
        path, _, query = target.partition("?")
        query = query.replace("$top=100", f"$top={PAGE}")
        reply = self._gateway.answer(Asked(method, path, query, message, body, "127.0.0.1")).reply
        self._log.clear()
        return reply.status, tuple(reply.headers.items()), reply.body


@dataclass
class FakeTransport:
    """Takes the place of `nhagent.hub.transport.Transport`.

    Attributes:
        line: who answers.
        reply: makes a reply of a status, headers and a body.
        change: what becomes of it on its way.
        asked: what was asked, by method and path.
        received: the bytes that came back.
    """

    line: DirectLine
    reply: Callable[[int, Any, bytes], Any]
    change: Change
    timeout: float = 30.0
    asked: list[str] = field(default_factory=list)
    received: int = 0
    seen: list[Any] = field(default_factory=list)

    def send(self, request: Request) -> Response:
        parts = urlsplit(request.url)
        self.asked.append(f"{request.method} {parts.path}")
        headers = {"Host": parts.netloc, **request.headers}
        target = f"{parts.path}?{parts.query}"
        reply = self.reply(*self.line.answer(request.method, target, headers, request.body or b""))
        reply = self.change(reply)
        self.seen.append(reply)
        self.received += reply.size
        together: dict[str, str] = {}
        for name, value in ((name.lower(), value.strip(" \t\r\n")) for name, value in reply.headers):
            together[name] = f"{together[name]}, {value}" if name in together else value
        return Response(reply.status, {name: Counted(value) for name, value in together.items()}, reply.body)

    def cut(self) -> None:
        pass

    def close(self) -> None:
        pass


@dataclass
class Device:
    """A device with a disk in memory. Its attributes are what the world gives it.

    Attributes:
        session: makes its way to the hub, of the real one; None: the real one.
        slept: seconds that it has slept, which its clock shows.
    """

    style: Any
    key: str
    channel: str
    tile: str
    session: Callable[[Any], None] | None = None
    disk: VolatileDisk = field(default_factory=VolatileDisk)
    offset: timedelta = timedelta()
    slept: float = 0.0

    def agent(self) -> Agent:
        agent = Agent(
            app="thermostat",
            hub=HUB,
            platform="wns",
            channel=lambda: self.channel,
            tags=["kitchen"],
            templates={"alert": TOAST},
            secondary_tiles={"weather": SecondaryTile(channel=lambda: self.tile)},
            style=self.style,
            connection_string=self.key,
            state_dir="/var/lib/nhagent",
            clock=lambda: datetime.now(UTC) + self.offset + timedelta(seconds=self.slept),
            sleep=self._sleep,
            random=lambda: 0.5,
            machine=lambda: "first",
            disk=self.disk,
        )
        if self.session is not None:
            self.session(agent._session)
        return agent

    def _sleep(self, seconds: float) -> None:
        self.slept += seconds


def through(transport: FakeTransport, pattern: HubClient) -> Callable[[Any], None]:
    """Give what makes a session open clients that speak through a transport; building TLS anew is costly."""

    def connect(session: Any) -> None:
        def opened() -> HubOperations:
            if session.chain.current is None:
                session.chain.namespace_at_any_cost()
            exchange: Any = copy.copy(pattern._exchange)
            session._exchange = exchange
            exchange._transports, exchange._idle = [transport], [transport]
            exchange._clock = session.clock.signing_time
            exchange._lists_end = inf
            exchange.channels = session._channels
            return HubOperations(exchange)

        vars(session)["_opened"] = opened

    return connect


def plant(client: HubClient, channel: str) -> None:
    """What a device without memory has left behind: rows enough for several pages."""
    for number in range(3):
        client.create_registration(Registration(Platform.WNS, channel, [f"stale-{number}"]))
    client.create_registration(Registration(Platform.WNS, channel, template=TOAST, template_name="alert"))


def answering(
    line: DirectLine, change: Change, make: Callable[[int, Any, bytes], Any]
) -> Callable[..., None]:
    """Give what answers one connection of `tests.serving.serving`: a request, and its changed reply."""

    def answer(connection: socket.socket) -> None:
        with suppress(OSError):
            request = b""
            while b"\r\n\r\n" not in request:
                piece = connection.recv(65536)
                if not piece:
                    return
                request += piece
            head, _, body = request.partition(b"\r\n\r\n")
            first, *lines = head.decode("latin-1").split("\r\n")
            headers = dict(line.split(": ", 1) for line in lines)
            while len(body) < int(headers.get("Content-Length", 0)):
                body += connection.recv(65536)
            method, target, _ = first.split(" ")
            connection.sendall(change(make(*line.answer(method, target, headers, body))).wire())

    return answer
