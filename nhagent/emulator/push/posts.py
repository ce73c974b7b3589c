"""What senders post to endpoints (RFC 8030), judged as strictly as autopush does."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING

from nhagent.emulator.http_messages import Reply, Request, reason_phrase
from nhagent.emulator.push.service import ENDPOINTS, PushService, made_message
from nhagent.emulator.push.users import MAX_TTL
from nhagent.emulator.push.vapid import InvalidVapid, check

if TYPE_CHECKING:
    from email.message import Message as Headers

MAX_BODY = 5630
"""Longest body in bytes."""
_TTL = re.compile(r"[0-9]{1,10}", re.ASCII)
_TOPIC = re.compile(r"[A-Za-z0-9_-]{1,32}", re.ASCII)


class Rejected(Exception):
    """A post is not taken.

    Args:
        status: the HTTP status.
        errno: autopush's number.
        message: the reason.
    """

    def __init__(self, status: int, errno: int, message: str) -> None:
        super().__init__(message)
        self.status = status
        self.errno = errno
        self.message = message


def concerns(path: str) -> bool:
    """Return whether a path is that of an endpoint."""
    return path.startswith(ENDPOINTS)


def answer(service: PushService, request: Request) -> Reply:
    """Answer a sender."""
    try:
        version, ttl = _taken(service, request)
    except Rejected as rejected:
        body = {
            "code": rejected.status,
            "errno": rejected.errno,
            "error": reason_phrase(rejected.status),
            "message": rejected.message,
        }
        return Reply(rejected.status, {"Content-Type": "application/json"}, json.dumps(body).encode())
    return Reply(201, {"Location": f"{service.origin}/m/{version}", "TTL": str(ttl)})


def _taken(service: PushService, request: Request) -> tuple[str, int]:
    if request.method != "POST":
        raise Rejected(405, 0, "An endpoint takes posts.")
    address = service.addressed(request.path)
    if address is None:
        raise Rejected(404, 102, "There is no such endpoint.")
    uaid, channel_id, key = address
    ttl = request.headers.get("TTL")
    if ttl is None or not _TTL.fullmatch(ttl.strip()):
        raise Rejected(400, 111, "The header TTL is missing, or is not a number of seconds.")
    if len(request.body) > MAX_BODY:
        raise Rejected(413, 104, f"The body is longer than {MAX_BODY} bytes.")
    headers = _encryption(request)
    topic = request.headers.get("Topic")
    if topic is not None and not _TOPIC.fullmatch(topic):
        raise Rejected(400, 113, "The header Topic is not up to 32 characters of base64url.")
    _check_sender(service, request.headers, key)
    user = service.users.find(uaid, service.now())
    if user is None:
        raise Rejected(410, 103, "The device is gone.")
    if channel_id not in user.channels:
        raise Rejected(410, 106, "The subscription is gone.")
    seconds = min(int(ttl), MAX_TTL)
    message = made_message(channel_id, request.body, headers, seconds, service.now(), topic)
    service.deliver(user, message)
    return message.version, seconds


def _check_sender(service: PushService, headers: Headers[str, str], key: str) -> None:
    authorization = headers.get("Authorization")
    if not key and authorization is None:
        return
    try:
        check(authorization, headers.get("Crypto-Key"), key, service.origin, service.now())
    except InvalidVapid as error:
        raise Rejected(401, 109, f"The sender may not send here: {error}.") from error


def _encryption(request: Request) -> dict[str, str]:
    """Return what the device is told of the encryption."""
    if not request.body:
        return {}
    encoding = (request.headers.get("Content-Encoding") or "").strip().lower()
    if encoding == "aes128gcm":
        return {"encoding": encoding}
    if encoding != "aesgcm":
        raise Rejected(400, 110, f"The content encoding '{encoding}' is unknown.")
    encryption, crypto_key = request.headers.get("Encryption"), request.headers.get("Crypto-Key")
    if not encryption or "salt=" not in encryption or not crypto_key or "dh=" not in crypto_key:
        raise Rejected(400, 110, "The headers Encryption and Crypto-Key lack the salt or the key.")
    return {"encoding": encoding, "encryption": encryption, "crypto_key": crypto_key}
