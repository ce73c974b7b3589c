"""An app's backend for the tests of a device: the contract of docs/backends.md in front of an emulated hub.

It keeps ids to the credential that first wrote them, grants tags, tells ETags, and goes wrong as the
emulator does.
"""

from __future__ import annotations

import hashlib
import json
import ssl
from contextlib import AbstractContextManager
from http import HTTPStatus
from types import TracebackType
from typing import Any, Self
from urllib.parse import unquote

from nhagent.emulator import Emulator, LogEntry
from nhagent.emulator.clock import Clock, http_date
from nhagent.emulator.faults import NO_FAULT, Fault, Faults
from nhagent.emulator.http_messages import Refused, Reply, Request
from nhagent.emulator.log import Log
from nhagent.emulator.reply_delivery import Answer
from nhagent.emulator.server import Server

TOKEN = "device-token-1"
PATH = "/devices/"
HEADERS = {
    "Server": "backend",
    "Cache-Control": "no-store",
    "Strict-Transport-Security": "max-age=31536000; includeSubDomains",
    "X-Content-Type-Options": "nosniff",
    "X-Request-Id": "5f0c7e1e-32a1-4f6b-8f55-0f1f2f1a9f10",
}
"""What real servers send beside an answer."""


class Problem(Exception):
    """A refusal: problem details."""

    def __init__(self, status: int, code: str, **more: Any) -> None:
        super().__init__(code)
        self.reply = Reply(
            status,
            {"Content-Type": "application/problem+json", **more.pop("headers", {})},
            json.dumps({"title": code, "status": status, "code": code, **more}).encode(),
        )


class BackendDouble:
    """A backend named ``hub``, with one hub behind it.

    Attributes:
        emulator: that hub.
        tokens: the credentials that it knows, by token.
        owners: the credential that first wrote each installation.
        added: tags that it grants to everybody.
        forbidden: tags that it grants to nobody: asked for, they are refused.
        dropped: tags that it leaves out without a word.
        patches: whether it takes a PATCH.
        tells: whether it says what it has granted.
    """

    def __init__(self, context: ssl.SSLContext | None = None) -> None:
        self.emulator = Emulator("hub")
        self.tokens = {TOKEN: "one", "device-token-2": "two"}
        self.owners: dict[str, str] = {}
        self.added: list[str] = []
        self.forbidden: set[str] = set()
        self.dropped: set[str] = set()
        self.patches = True
        self.tells = True
        self.if_match: list[str | None] = []
        self._context = context
        self._log, self._clock, self._faults = Log(), Clock(), Faults()
        self._server: Server | None = None

    def __enter__(self) -> Self:
        self.emulator.start()
        self._server = Server("127.0.0.1", 0, self._answer, self._context)
        self._server.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        assert self._server is not None
        self._server.close()
        self.emulator.close()

    @property
    def hub(self) -> str:
        return self.emulator.hub

    @property
    def listen(self) -> str:
        return self.emulator.listen

    @property
    def full(self) -> str:
        return self.emulator.full

    @property
    def ca(self) -> None:
        return None

    @property
    def url(self) -> str:
        assert self._server is not None
        scheme, host = ("http", "127.0.0.1") if self._context is None else ("https", "localhost")
        return f"{scheme}://{host}:{self._server.port}/devices"

    def contents(self) -> dict[str, Any]:
        return self.emulator.contents()

    def forget(self, **what: Any) -> None:
        self.emulator.forget(**what)

    def log(self) -> list[LogEntry]:
        """What devices have asked of it, and of the hub behind its back."""
        return [*self.emulator.log(), *self._log.entries()]

    def clear_log(self) -> None:
        self.emulator.clear_log()
        self._log.clear()

    def fail(self, match: str, **fault: Any) -> None:
        self._faults.add(Fault(match, **fault))

    def clear_faults(self) -> None:
        self._faults.clear()

    def set_clock(self, offset: float) -> None:
        self._clock.move(offset)

    def _answer(self, request: Request) -> Answer:
        fault = self._faults.take(request.method, request.path) if self._faults else NO_FAULT
        who = self.tokens.get((request.headers.get("Authorization") or "").removeprefix("Bearer "))
        if fault.reset == "before":
            reply = Reply(0)
        elif fault.status is not None:
            # A 404 that is not of an installation comes from whatever else answers at that address.
            kind = "text/plain" if fault.status == HTTPStatus.NOT_FOUND else "application/problem+json"
            body = "{}" if fault.body is None else fault.body
            reply = Reply(fault.status, {"Content-Type": kind, **(fault.headers or {})}, body.encode())
        else:
            try:
                reply = self._perform(request, who)
            except Problem as problem:
                reply = problem.reply
            except Refused as refused:
                reply = Problem(refused.status, "invalid_installation", detail=str(refused.detail)).reply
        now = self._clock.now()
        dated = Reply(reply.status, {"Date": http_date(now), **HEADERS, **reply.headers}, reply.body)
        self._log.append(request, dated, who, now)
        return Answer(dated, fault)

    def _perform(self, request: Request, who: str | None) -> Reply:
        if who is None:
            raise Problem(401, "unauthorized")
        if not request.path.startswith(PATH):
            return Reply(404, {"Content-Type": "text/plain"}, b"Not Found")
        installation_id = unquote(request.path.removeprefix(PATH))
        if self.owners.get(installation_id, who) != who:
            raise Problem(404, "not_found")
        hub = self.emulator._parts().present_hub()
        if request.method == "PUT":
            document = json.loads(request.body)
            self._check(request, installation_id)
            hub.installations.put(installation_id, self._granted(document))
            self.owners[installation_id] = who
        elif request.method == "PATCH" and self.patches:
            self._current(installation_id)
            self._check(request, installation_id)
            hub.installations.patch(installation_id, json.loads(request.body))
            hub.installations.put(installation_id, self._granted(self._current(installation_id)))
        elif request.method == "DELETE":
            self._dedupe(installation_id, who)
            hub.installations.delete(installation_id)
            return Reply(204, {"Content-Type": "text/html; charset=utf-8"})
        elif request.method != "GET":
            raise Problem(405, "no_such_method")
        if request.method != "GET":
            self._dedupe(installation_id, who)
        current = self._current(installation_id)
        body = json.dumps(current).encode() if self.tells else b""
        return Reply(200, {"Content-Type": "application/json", "ETag": self.etag(installation_id)}, body)

    def etag(self, installation_id: str) -> str:
        """The ETag of what the hub holds."""
        text = json.dumps(self._current(installation_id), sort_keys=True)
        return f'"{hashlib.sha256(text.encode()).hexdigest()[:16]}"'

    def _current(self, installation_id: str) -> dict[str, Any]:
        for found in self.emulator.contents()["installations"]:
            if found["installationId"] == installation_id:
                return dict(found)
        raise Problem(404, "not_found")

    def _check(self, request: Request, installation_id: str) -> None:
        etag = request.headers.get("If-Match")
        self.if_match.append(etag)
        if etag is not None and etag != self.etag(installation_id):
            raise Problem(412, "conflict")

    def _granted(self, document: dict[str, Any]) -> dict[str, Any]:
        tags = document.get("tags") or []
        refused = [tag for tag in tags if tag in self.forbidden]
        if refused:
            raise Problem(403, "tags_not_allowed", tags=refused, detail="These tags are not this user's.")
        # What it grants itself, it grants each time anew.
        kept = [tag for tag in tags if tag not in self.dropped and not tag.startswith("username:")]
        return {**document, "tags": list(dict.fromkeys([*kept, *self.added]))}

    def _dedupe(self, installation_id: str, who: str) -> None:
        """One record for a channel: lone registrations go, and the same device's former installation."""
        contents = self.emulator.contents()
        ours = [each for each in contents["installations"] if each["installationId"] == installation_id]
        channels = [each["pushChannel"] for each in ours]
        for row in contents["registrations"]:
            if row["channel"] in channels:
                self.emulator.forget(registration=row["registrationId"])
        for other in contents["installations"]:
            other_id = other["installationId"]
            is_another = other_id != installation_id and self.owners.get(other_id, who) == who
            if is_another and other["pushChannel"] in channels:
                self.emulator.forget(installation=other_id)


def hub_for(style: str) -> AbstractContextManager[Any]:
    """What a device of a style is registered at."""
    return BackendDouble() if style == "backend" else Emulator("hub")
