"""Requests that no client should send, drawn at random from a seed, as raw bytes."""

from __future__ import annotations

import json
import random
from typing import Any

from .caller import Caller

METHODS = [
    "GET",
    "PUT",
    "POST",
    "PATCH",
    "DELETE",
    "HEAD",
    "OPTIONS",
    "TRACE",
    "CONNECT",
    "BREW",
    "get",
    "",
    "\0",
]
SEGMENTS = [
    *(
        "my-hub",
        "MY-HUB",
        "other",
        "installations",
        "registrations",
        "registrationids",
        "tags",
        "i",
        "t",
        "1-2-3",
    ),
    *(
        "_emulator",
        "log",
        "faults",
        "forget",
        "expire",
        "clock",
        "hubs",
        "",
        ".",
        "..",
        "%00",
        "%2f",
        "%ff",
        "%ed%a0%80",
    ),
    *("%", "%zz", "\xff", "\x00", "*", "a" * 5000, "9" * 5000, "$InstallationId:{i}", "é"),
]
PARTS = [
    *(
        "api-version=2020-06",
        "api-version=",
        "api-version",
        "api-version=%D9%A2020-06",
        "$top=5",
        "%24top=-1",
    ),
    *(
        "$top=" + "9" * 5000,
        "$top=%D9%A3",
        "continuationtoken=MTsx",
        "continuationtoken=%ff",
        "continuationtoken===",
    ),
    *(
        "continuationtoken=OTk5OTk5OTk5OTk5OTk5OTk5OzE%3D",
        "$filter=ChannelUri%20eq%20'x'",
        "$filter='",
        "$filter=",
    ),
    *(
        "$filter=ChannelUri%20eq%20'%ed%a0%80'",
        "$filter=BaiduChannelId%20eq%20x'%20and%20BaiduUserId%20eq%20'y'",
    ),
    *("a&b;c", "=", "&&&", "%", "\xff", "a=" + "b" * 3000),
]
WILD_NUMBERS = [0, -1, 1, 10**18, 10**30, -(10**400), 10**400, 0.5, 1e308, -1e308, 253402300799, -62135596800]
WILD_TEXTS = [
    *(
        "",
        "\0",
        "\ud800",
        "\udfff\ud800",
        "x" * 3000,
        "é\u2028\U0001f600",
        "\x1b[31m",
        "]]>&<",
        "*",
        "GET /",
        "gzip",
    ),
    *(
        "before",
        "after",
        "garbage",
        "endless",
        "i",
        "wns",
        "browser",
        "apns",
        "/tags",
        "/templates/t/headers",
        "add",
    ),
    *(
        '{"body": "\\ud800"}',
        "[" * 200,
        '{"endpoint": "\\udcff", "p256dh": "a", "auth": "b"}',
        "NaN",
        "\r\nA: b",
        ",",
    ),
    *("9999-12-31T23:59:59-23:59", "0001-01-01T00:00:00+23:59", "2020-01-01T00:00+99:99", "2020-13-41T25:61"),
]
MEMBERS = [
    *(
        "match",
        "status",
        "times",
        "headers",
        "body",
        "delay",
        "cut_after",
        "reset",
        "drip",
        "chunked",
        "encoding",
    ),
    *(
        "size",
        "installation",
        "registration",
        "gone",
        "offset",
        "installationId",
        "platform",
        "pushChannel",
        "tags",
    ),
    *(
        "templates",
        "pushVariables",
        "secondaryTiles",
        "userId",
        "expirationTime",
        "op",
        "path",
        "value",
        "é",
        "\ud800",
    ),
]
XML = (
    '<entry xmlns="http://www.w3.org/2005/Atom"><content type="application/xml">'
    '<WindowsRegistrationDescription xmlns="http://schemas.microsoft.com/netservices/2010/10/servicebus/connect">'
    '<Tags>a,b</Tags><PushVariables>{"a": "b"}</PushVariables><ChannelUri>https://x.notify.windows.com/?t=1</ChannelUri>'
    "</WindowsRegistrationDescription></content></entry>"
)
HEADERS = [
    *(
        "Origin: null",
        "Origin: http://evil.example",
        "Host: evil.example",
        "Host: ",
        "Host: a\r\n b",
        "Host: \xff\x01",
    ),
    *("If-Match: *", 'If-Match: W/"1"', "If-Match: " + "9" * 5000, "If-Match: \xff", "Expect: 100-continue"),
    *(
        "Expect: x",
        "Connection: close",
        "Connection: keep-alive, x",
        "Upgrade: websocket",
        "Content-Type: text/plain",
    ),
    *(
        "Authorization: x",
        "Authorization: SharedAccessSignature sr=x&sig=%ed%a0%80&se=" + "9" * 15 + "&skn=%ff",
    ),
    *(
        "Authorization: SharedAccessSignature sr=\xff&sig=\xff&se=1&skn=\xff",
        "no colon",
        ": empty",
        "A\0: b",
        " folded",
    ),
    *("X: " + "y" * 70_000, "\r\n".join(f"X{n}: y" for n in range(150)), "X: \x1b]0;\x07", "A: b\rC: d"),
]
CONTROLS = [
    *("log", "faults", "forget", "expire", "clock", "hubs/my-hub", "hubs/%ff", "x", "", "health", "snapshot"),
    *("deliveries", "deliveries?wait=0&tag=t", "deliveries?wait=NaN", "deliveries/x/why?installation=i"),
    *("push", "push-service", "push-service/drop", "push-service/close"),
    *(
        "ui/",
        "ui/hub",
        "ui/requests",
        "ui/faults",
        "ui/send",
        "ui/?delivery=x&match=9",
        "ui/hub?reach=%ff&page=-1",
    ),
    *("ui/requests?request=1", "ui/send?format=x&tags=((&body=%00", "ui/nothing", "ui"),
]
EMPTYING = ["reset", "restore", "ui/do", "ui/restore"]
SENDING = [
    *(
        f"ServiceBusNotification-Format: {format_name}"
        for format_name in (
            "template",
            "windows",
            "apple",
            "gcm",
            "fcmv1",
            "browser",
            "baidu",
            "x",
            "\xff",
            "",
        )
    ),
    *(
        f"ServiceBusNotification-Tags: {tags}"
        for tags in (
            *(
                "t",
                "t && !u",
                "(t || u",
                "!!t",
                "",
                "\xff",
                "t" * 200,
                "(" * 100 + "t" + ")" * 100,
                "a||" * 30,
            ),
            *("$InstallationId:{i}", "$UserId:{u} && t", "$", "&&", "t u"),
        )
    ),
    *(
        f"ServiceBusNotification-ScheduleTime: {when}"
        for when in ("2026-12-01T00:00:00", "0001-01-01T00:00:00+23:59", "9999-12-31T23:59:59-23:59", "x")
    ),
    *(
        "ServiceBusNotification-DeviceHandle: d",
        "ServiceBusNotification-DeviceHandle: {",
        "X-WNS-Type: wns/raw",
    ),
    *("X-WNS-Type: wns/toast", "Content-Type: multipart/mixed; boundary=b", "Content-Type: multipart/mixed"),
]
FRAMINGS = [
    *(
        "Content-Length: -1",
        "Content-Length: x",
        "Content-Length: " + "9" * 5000,
        "Content-Length: 5\r\nContent-Length: 6",
    ),
    *(
        "Content-Length: \xb2",
        "Content-Length: 1048577",
        "Transfer-Encoding: gzip",
        "Transfer-Encoding: chunked, gzip",
    ),
    *(
        "Transfer-Encoding: \xff",
        "Content-Length: +5",
        "Content-Length: 999999999999999999",
        "Transfer-Encoding: chunked",
    ),
]
VERSIONS = ["HTTP/1.1"] * 8 + [
    "HTTP/1.0",
    "HTTP/0.9",
    "HTTP/2.0",
    "HTTP/9.9",
    "HTTP/1.\xb2",
    "HTTP/" + "1" * 50,
    "",
    "x y",
]
CHUNKS = [
    b"0\r\n\r\n",
    b"5\r\nhello\r\n",
    b"zz\r\n",
    b"-1\r\n",
    b"ffffffffffffffff\r\n",
    b"5;a=b\r\nhel",
    b"\xff\r\n",
    b"\r\n",
]


class Fuzzer:
    """Draws one request after the other.

    Args:
        seed: the same seed draws the same requests.
        caller: who signs them.
        empties: also draw requests that empty the hub.
    """

    def __init__(self, seed: int, caller: Caller, *, empties: bool = True) -> None:
        self._controls = [*CONTROLS, *EMPTYING] if empties else CONTROLS
        self._random = random.Random(seed)
        self._caller = caller

    def request(self) -> bytes:
        """One request, or what remotely resembles one."""
        draw = self._random
        if draw.random() < 0.03:
            return draw.randbytes(draw.randrange(400))
        body = self._body()
        target = self._target()
        lines = [f"{draw.choice(METHODS[:5] * 4 + METHODS)} {target} {draw.choice(VERSIONS)}"]
        lines += self._headers(body, target)
        data = ("\r\n".join(lines) + "\r\n\r\n").encode("latin-1", "replace") + body
        if draw.random() < 0.1:
            place = draw.randrange(len(data))
            data = data[:place] + draw.randbytes(draw.randrange(4)) + data[place + draw.randrange(4) :]
        return data

    def _target(self) -> str:
        draw = self._random
        kind = draw.random()
        if kind < 0.3:
            path = "/_emulator/" + draw.choice(self._controls)
        elif kind < 0.75:
            rest = [
                "installations/i",
                "registrations",
                "registrations/1-2-3",
                "registrationids",
                "tags/t/registrations",
                "messages",
                "messages/$batch",
                "messages/x",
                "schedulednotifications",
                "schedulednotifications/x",
                "jobs",
                "feedbackcontainer",
            ]
            path = "/my-hub/" + draw.choice(rest)
        else:
            path = draw.choice(["/", "", "//", "http://", "http://x/"]) + "/".join(
                draw.choices(SEGMENTS, k=draw.randrange(5))
            )
        parts = draw.choices(PARTS, k=draw.randrange(3))
        if draw.random() < 0.8:
            parts.append(PARTS[0])
        return path + ("?" + "&".join(parts) if parts else "")

    def _headers(self, body: bytes, target: str) -> list[str]:
        draw = self._random
        authority = self._caller.endpoint.partition("://")[2]
        lines = [] if draw.random() < 0.05 else [f"Host: {authority}"]
        if draw.random() < 0.9:
            lines.append(f"Authorization: {self._caller.token()}")
        if draw.random() < 0.9:
            lines.append("Content-Type: application/json")
        if "messages" in target or "schedulednotifications" in target:
            lines += draw.choices(SENDING, k=draw.randrange(6))
        lines += draw.choices(HEADERS, k=draw.choice([0, 0, 0, 1, 2]))
        lines.append(draw.choice(FRAMINGS) if draw.random() < 0.1 else f"Content-Length: {len(body)}")
        return lines

    def _body(self) -> bytes:
        draw = self._random
        match draw.randrange(8):
            case 0:
                return b""
            case 1:
                return b"".join(draw.choices(CHUNKS, k=draw.randrange(1, 5)))
            case 2:
                return draw.randbytes(draw.randrange(200))
            case 3:
                return self._mutated(XML.encode())
            case 4:
                return self._mutated(json.dumps(self._near()).encode())
            case 5:
                deep = draw.randrange(1200)
                return b'{"tags":' + b"[" * deep + b"]" * deep + b"}"
            case 6:
                return json.dumps(self._value(0)).encode()
            case _:
                return json.dumps(self._near()).encode()

    def _near(self) -> Any:
        """A document that one of the routes takes, with one member of it gone wrong."""
        draw = self._random
        document: Any = draw.choice(
            [
                {"match": "PURGE", "status": 503, "times": 2, "headers": {"A": "b"}, "body": "x"},
                {"installation": "i"},
                {"registration": "1-2-3", "gone": True},
                {"offset": 5},
                {"installation": "i", "body": "x"},
                {"message": "$(x)", "title": "y"},
                {"installations": [{"installationId": "i", "platform": "gcm", "pushChannel": "g"}]},
                {
                    "installationId": "i",
                    "platform": "wns",
                    "pushChannel": "https://x.notify.windows.com/?t=1",
                    "tags": ["t"],
                    "pushVariables": {"a": "b"},
                    "templates": {"t": {"body": "x", "headers": {"X-WNS-Type": "wns/toast"}, "tags": ["u"]}},
                },
                {
                    "op": "add",
                    "path": draw.choice(["/tags", "/templates/t", "/pushChannel", "/userId"]),
                    "value": "x",
                },
            ]
        )
        if draw.random() < 0.7:
            document[draw.choice([*document, draw.choice(MEMBERS)])] = self._value(0)
        if document.get("match") is not None:
            document["match"] = "PURGE"  # an ordered fault of status 500 would be answered to others
        return [document] if "op" in document else document

    def _value(self, depth: int) -> Any:
        draw = self._random
        match draw.randrange(7 if depth < 3 else 5):
            case 0:
                return draw.choice([None, True, False])
            case 1:
                return draw.choice(WILD_NUMBERS)
            case 2 | 3:
                return draw.choice(WILD_TEXTS)
            case 4:
                nested: Any = []
                for _ in range(draw.choice([1, 60, 70, 300])):
                    nested = draw.choice([[nested], {"body": nested}])
                return nested
            case 5:
                return [self._value(depth + 1) for _ in range(draw.randrange(4))]
            case _:
                return {draw.choice(MEMBERS): self._value(depth + 1) for _ in range(draw.randrange(4))}

    def _mutated(self, data: bytes) -> bytes:
        draw = self._random
        for _ in range(draw.randrange(1, 4)):
            place = draw.randrange(len(data) + 1)
            piece = draw.choice(
                [b"", b"\0", b"\xff", b"\\ud800", b"&#0;", b"&#xD800;", b"<!DOCTYPE a>", b"<a>", b'"', b"["]
            )
            data = data[:place] + piece + data[place + draw.randrange(6) :]
        return data
