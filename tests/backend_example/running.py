"""The example backend on a socket of this machine, over TLS, in front of an emulated hub."""

from __future__ import annotations

import http.client
import json
import ssl
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Barrier, Thread
from typing import Any
from urllib.parse import quote

from backend import accounts, create_app
from backend.services import Services
from backend.settings import Settings
from backend.sign_in import sign_in
from flask import Flask
from werkzeug.serving import make_server

from nhagent.emulator import Emulator
from nhagent.emulator.tls import server_context
from tests.events import HANG_SECONDS

HANDLE = "https://push.example/handle-1"
TOAST = {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["alerts"]}
RICH: dict[str, Any] = {
    "tags": ["kitchen", "attic"],
    "userId": "anna",
    "pushVariables": {"name": "Ännchen"},
    "templates": {"alert": TOAST, "plain": {"body": "<badge/>", "headers": {"X-WNS-Type": "wns/badge"}}},
    "secondaryTiles": {
        "weather": {"pushChannel": "https://push.example/weather", "tags": ["w"], "templates": {"t": TOAST}}
    },
    "expirationTime": "2031-01-01T00:00:00Z",
}
"""Everything that a device of wns may have."""


@dataclass(frozen=True)
class Answer:
    """What a request was answered with."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)

    @property
    def etag(self) -> str:
        return self.headers["ETag"]

    @property
    def code(self) -> str:
        """Of a refusal."""
        assert self.headers["Content-Type"] == "application/problem+json", self
        assert self.json["status"] == self.status
        return str(self.json["code"])


@dataclass(frozen=True)
class RunningBackend:
    """The backend, and the hub behind it.

    Attributes:
        ca: PEM file of the authority of its certificate.
    """

    app: Flask
    hub: Emulator
    port: int
    ca: str

    @property
    def url(self) -> str:
        return f"https://localhost:{self.port}"

    @property
    def services(self) -> Services:
        found = self.app.extensions["services"]
        assert isinstance(found, Services)
        return found

    def device_of(self, user: str) -> Caller:
        """Make a further device of a user, who is added where there is no such user yet."""
        with self.services.sessions.begin() as session:
            found = accounts.find_user(session, user) or accounts.add_user(session, user)
            return Caller(self, accounts.issue_token(session, found))

    def grant(self, user: str, tag: str) -> None:
        with self.services.sessions.begin() as session:
            found = accounts.find_user(session, user)
            assert found is not None
            accounts.give_tag(session, found, tag)

    def sign_in(self, device: Caller, user: str) -> None:
        sign_in(self.services, int(device.token.partition(".")[0]), user)

    def held(self, installation_id: str) -> dict[str, Any] | None:
        """What the hub holds under an installation id."""
        held = {item["installationId"]: item for item in self.hub.contents()["installations"]}
        return held.get(installation_id)

    def tags_of(self, installation_id: str) -> list[str]:
        held = self.held(installation_id)
        assert held is not None
        return sorted(held.get("tags", []))


@dataclass(frozen=True)
class Caller:
    """A device with its token, which sends one request after another."""

    backend: RunningBackend
    token: str

    def send(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        condition: str | None = None,
    ) -> Answer:
        """Send a request. Headers that are empty are left out, but for ``condition``, which is If-Match."""
        context = ssl.create_default_context(cafile=self.backend.ca)
        connection = http.client.HTTPSConnection(
            "localhost", self.backend.port, context=context, timeout=HANG_SECONDS
        )
        sent = {"Authorization": f"Bearer {self.token}", **(headers or {})}
        asked = {name: value for name, value in sent.items() if value}
        if condition is not None:
            asked["If-Match"] = condition
        try:
            connection.request(method, path, body, asked)
            reply = connection.getresponse()
            return Answer(reply.status, dict(reply.headers.items()), reply.read())
        finally:
            connection.close()

    def put(self, installation_id: str, /, match: str = "", **document: Any) -> Answer:
        asked = {"platform": "wns", "pushChannel": HANDLE, **document}
        headers = {"Content-Type": "application/json", "If-Match": match}
        return self.send("PUT", device_path(installation_id), json.dumps(asked).encode(), headers)

    def patch(self, installation_id: str, *operations: dict[str, Any], match: str = "") -> Answer:
        headers = {"Content-Type": "application/json-patch+json", "If-Match": match}
        return self.send("PATCH", device_path(installation_id), json.dumps(operations).encode(), headers)

    def get(self, installation_id: str) -> Answer:
        return self.send("GET", device_path(installation_id))

    def delete(self, installation_id: str, match: str = "") -> Answer:
        return self.send("DELETE", device_path(installation_id), headers={"If-Match": match})

    def follow(self, topic: str) -> Answer:
        return self.send("POST", f"/topics/{topic}")

    def leave(self, topic: str) -> Answer:
        return self.send("DELETE", f"/topics/{topic}")

    def put_registration(self, name: str, /, match: str = "", **document: Any) -> Answer:
        asked = {"platform": "wns", "pushChannel": HANDLE, **document}
        headers = {"Content-Type": "application/json", "If-Match": match}
        return self.send("PUT", f"/registrations/{name}", json.dumps(asked).encode(), headers)

    def get_registration(self, name: str) -> Answer:
        return self.send("GET", f"/registrations/{name}")


def at_once(acts: Sequence[Callable[[], Answer]]) -> list[Answer]:
    """Do everything at the same moment.

    Returns:
        The answers, in the order of what was done.
    """
    barrier = Barrier(len(acts))
    answers: dict[int, Answer] = {}

    def run(number: int) -> None:
        barrier.wait()
        answers[number] = acts[number]()

    threads = [Thread(target=run, args=(number,)) for number in range(len(acts))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return [answers[number] for number in range(len(acts))]


def device_path(installation_id: str) -> str:
    return f"/devices/{quote(installation_id, safe='')}"


def set_to(path: str, value: Any) -> dict[str, Any]:
    return {"op": "replace", "path": path, "value": value}


@contextmanager
def running(hub: Emulator, database_url: str, folder: Path) -> Iterator[RunningBackend]:
    """Run the backend until the block ends."""
    settings = Settings(hub=hub.hub, connection_string=hub.full, ca_bundle=hub.ca, database_url=database_url)
    app = create_app(settings)
    authority = folder / "authority"
    authority.mkdir(mode=0o700)
    server = make_server(
        "localhost", 0, app, threaded=True, ssl_context=server_context("localhost", authority)
    )
    thread = Thread(target=server.serve_forever, args=(0.02,))
    thread.start()
    try:
        yield RunningBackend(app, hub, server.server_port, str(authority / "ca.pem"))
    finally:
        server.shutdown()
        thread.join()
        server.server_close()
        app.extensions["services"].close()
