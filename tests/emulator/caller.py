"""The tests' own HTTP client and their own way of signing: nothing here comes from the package."""

from __future__ import annotations

import base64
import hashlib
import hmac
import http.client
import json
import re
import ssl
import threading
import time
from dataclasses import dataclass
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote, quote_plus, urlsplit

HANG_SECONDS = 45.0
"""After this long something hangs, however busy the machine is. Shorter than what the emulator waits for."""


def still_serving() -> list[threading.Thread]:
    """The emulator's threads that do not end although nothing holds them back."""
    threads = [thread for thread in threading.enumerate() if thread.name == "emulator"]
    for thread in threads:
        thread.join(HANG_SECONDS)
    return [thread for thread in threads if thread.is_alive()]


def fields(connection_string: str) -> dict[str, str]:
    return dict(part.split("=", 1) for part in connection_string.split(";"))


def sign(connection_string: str, resource: str, expiry: int) -> str:
    """A token for a resource that is coded already."""
    known = fields(connection_string)
    digest = hmac.new(
        known["SharedAccessKey"].encode(), f"{resource}\n{expiry}".encode(), hashlib.sha256
    ).digest()
    signature = quote(base64.b64encode(digest).decode(), safe="")
    return (
        f"SharedAccessSignature sr={resource}&sig={signature}&se={expiry}&skn={known['SharedAccessKeyName']}"
    )


def styled(style: str, url: str) -> str:
    """A URL as one of the official clients codes it for signing."""
    parts = urlsplit(url)
    match style:
        case "net":
            return quote_lower(f"http://{parts.hostname}{parts.path}/".lower())
        case "java":
            return quote_lower(url.lower()).lower()
        case "javascript":
            return quote(f"{parts.scheme}://{parts.netloc}/".lower(), safe="")
        case "android":
            return quote_lower(url).lower()
        case "ios":
            return quote(f"http://{parts.netloc}{parts.path}?{parts.query}".lower(), safe="").lower()
    raise AssertionError(style)


def quote_lower(text: str) -> str:
    """Form style with hexadecimal digits in lower case."""
    return re.sub("%..", lambda coded: coded[0].lower(), quote_plus(text))


@dataclass(frozen=True)
class Answer:
    status: int
    headers: http.client.HTTPMessage
    body: bytes

    @property
    def text(self) -> str:
        return self.body.decode()

    @property
    def json(self) -> Any:
        return json.loads(self.body)


class Caller:
    """One keep-alive connection that signs with the namespace root."""

    def __init__(
        self, endpoint: str, connection_string: str, hub: str, context: ssl.SSLContext | None = None
    ) -> None:
        parts = urlsplit(endpoint)
        assert parts.hostname is not None
        self.endpoint = endpoint
        self.hub = hub
        self.connection_string = connection_string
        self.connection: http.client.HTTPConnection = (
            http.client.HTTPConnection(parts.hostname, parts.port, timeout=HANG_SECONDS)
            if context is None
            else http.client.HTTPSConnection(
                parts.hostname, parts.port, timeout=HANG_SECONDS, context=context
            )
        )

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self.connection.close()

    def send(
        self,
        method: str,
        target: str,
        body: Any = None,
        *,
        headers: dict[str, str] | None = None,
        sign_it: bool = True,
    ) -> Answer:
        """`body`: bytes or text as they are, anything else as JSON."""
        all_headers = dict(headers or {})
        if sign_it:
            all_headers.setdefault("Authorization", self.token())
        if body is not None and not isinstance(body, bytes | str):
            body = json.dumps(body)
        self.connection.request(method, target, body=body, headers=all_headers)
        response = self.connection.getresponse()
        return Answer(response.status, response.headers, response.read())

    def token(self, *, lifetime: int = 300, now: float | None = None) -> str:
        expiry = int((time.time() if now is None else now) + lifetime)
        return sign(self.connection_string, quote(self.endpoint + "/", safe=""), expiry)

    def installation(self, method: str, installation_id: str, body: Any = None) -> Answer:
        target = f"/{self.hub}/installations/{quote(installation_id, safe='')}?api-version=2020-06"
        return self.send(method, target, body)

    def put(self, installation: dict[str, Any]) -> Answer:
        return self.installation("PUT", installation.get("installationId", "i"), installation)

    def get(self, installation_id: str = "i") -> Answer:
        return self.installation("GET", installation_id)

    def patch(self, *operations: Any, installation_id: str = "i") -> Answer:
        return self.installation("PATCH", installation_id, list(operations))

    def delete(self, installation_id: str = "i") -> Answer:
        return self.installation("DELETE", installation_id)

    def control(
        self, method: str, route: str, body: Any = None, headers: dict[str, str] | None = None
    ) -> Answer:
        """`headers`: None for what a well-meaning caller sends."""
        if headers is None:
            headers = {} if body is None else {"Content-Type": "application/json"}
        return self.send(method, f"/_emulator{route}", body, headers=headers, sign_it=False)


def wns(**members: Any) -> dict[str, Any]:
    return {
        "installationId": "i",
        "platform": "wns",
        "pushChannel": "https://x.notify.windows.com/?t=1",
        **members,
    }


def toast(**members: Any) -> dict[str, Any]:
    return {"body": "<toast/>", "headers": {"X-WNS-Type": "wns/toast"}, **members}
