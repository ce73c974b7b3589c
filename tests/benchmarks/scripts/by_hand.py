"""What one would write for the same requests, on requests or on the standard library."""

import base64
import hashlib
import hmac
import json
import sys
import time
from collections.abc import Callable, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

Send = Callable[[str, str, dict[str, str], bytes | None], tuple[int, Mapping[str, str], bytes]]
"""Method, URL, headers and body; gives status, headers and body."""

ENTRY = (
    '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml"><GcmRegistrationDescription '
    'xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">'
    "<GcmRegistrationId>{handle}</GcmRegistrationId></GcmRegistrationDescription></content></entry>"
)
NO_QUERY: Mapping[str, str] = {}
ATOM = "application/atom+xml;type=entry;charset=utf-8"


def over_requests(trusted: str) -> Send:
    import requests

    session = requests.Session()

    def send(
        method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        reply = session.request(method, url, headers=headers, data=body, timeout=30, verify=trusted or True)
        return reply.status_code, reply.headers, reply.content

    return send


def over_http_client(trusted: str) -> Send:
    import http.client

    kept: dict[str, http.client.HTTPConnection] = {}

    def connection_to(scheme: str, authority: str) -> http.client.HTTPConnection:
        if scheme == "http":
            return http.client.HTTPConnection(authority, timeout=30)
        import ssl

        context = ssl.create_default_context(cafile=trusted)
        return http.client.HTTPSConnection(authority, timeout=30, context=context)

    def send(
        method: str, url: str, headers: dict[str, str], body: bytes | None
    ) -> tuple[int, Mapping[str, str], bytes]:
        parts = urlsplit(url)
        if parts.netloc not in kept:
            kept[parts.netloc] = connection_to(parts.scheme, parts.netloc)
        kept[parts.netloc].request(method, f"{parts.path}?{parts.query}", body, headers)
        reply = kept[parts.netloc].getresponse()
        return reply.status, dict(reply.headers), reply.read()

    return send


class Hub:
    """A hub with a token for all of it."""

    def __init__(self, connection: str, send: Send) -> None:
        parts = dict(part.split("=", 1) for part in connection.split(";"))
        self._base = parts["Endpoint"].replace("sb://", "https://") + "h"
        self._send = send
        expiry, audience = int(time.time()) + 300, quote(self._base.lower(), safe="")
        key = parts["SharedAccessKey"].encode()
        signature = base64.b64encode(hmac.new(key, f"{audience}\n{expiry}".encode(), hashlib.sha256).digest())
        self._token = (
            f"SharedAccessSignature sr={audience}&sig={quote(signature, safe='')}&se={expiry}"
            f"&skn={parts['SharedAccessKeyName']}"
        )

    def ask(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        kind: str = "application/json",
        query: Mapping[str, str] = NO_QUERY,
    ) -> tuple[Mapping[str, str], bytes]:
        url = f"{self._base}/{path}?{urlencode({'api-version': '2020-06', **query})}"
        headers = {"Authorization": self._token}
        if body is not None:
            headers["Content-Type"] = kind
        status, replied, content = self._send(method, url, headers, body)
        if status >= 300:
            raise RuntimeError(f"{method} {path}: {status} {content!r}")
        return replied, content

    def holds(self, handle: str) -> bool:
        from xml.etree import ElementTree as ET

        _, feed = self.ask("GET", "registrations", query={"$filter": f"GcmRegistrationId eq '{handle}'"})
        return ET.fromstring(feed).find("{http://www.w3.org/2005/Atom}entry") is not None

    def new_id(self, style: str) -> str:
        if style == "installation":
            import uuid

            return str(uuid.uuid4())
        replied, _ = self.ask("POST", "registrationids")
        return urlsplit(replied["Location"]).path.rpartition("/")[2]

    def put(self, style: str, device: str, handle: str) -> None:
        if style == "installation":
            document = {"installationId": device, "platform": "gcm", "pushChannel": handle}
            self.ask("PUT", f"installations/{device}", json.dumps(document).encode())
        else:
            self.ask("PUT", f"registrations/{device}", ENTRY.format(handle=handle).encode(), ATOM)

    def rotate(self, style: str, device: str, handle: str) -> None:
        if style == "installation":
            change = [{"op": "replace", "path": "/pushChannel", "value": handle}]
            self.ask("PATCH", f"installations/{device}", json.dumps(change).encode())
        else:
            self.put(style, device, handle)


def read(path: str) -> dict[str, Any]:
    with open(path) as file:
        kept: dict[str, Any] = json.load(file)
        return kept


def main(client: str) -> None:
    job, style, connection, trusted, folder, handle = sys.argv[1:]
    hub = Hub(connection, over_requests(trusted) if client == "requests" else over_http_client(trusted))
    path = f"{folder}/device.json"
    if job == "first":
        assert not hub.holds(handle)
        device = hub.new_id(style)
        hub.put(style, device, handle)
    else:
        kept = read(path)
        device = kept["id"]
        if job == "again":
            hub.put(style, device, handle)
        else:
            assert kept["handle"] != handle
            hub.rotate(style, device, handle)
    with open(path, "w") as file:
        json.dump({"id": device, "handle": handle}, file)
