"""The `$filter` of a list by channel: a few fixed sentences, one dialect for each shipped client.

    ChannelUri eq 'HANDLE'                                  .NET, Java: any platform
    DeviceToken eq 'TOKEN', GcmRegistrationId eq '…', …     Android, iOS, JavaScript
    BaiduUserId-BaiduChannelId eq 'USER-CHANNEL'            Android
    BaiduChannelId eq CHANNEL' and BaiduUserId eq 'USER'    JavaScript, which forgets the first quote
    Endpoint eq '…' and P256DH eq '…' and Auth eq '…'       JavaScript

Fields are known in any case. Some clients code the value once more before the query is coded; the hub looks
for the value as it is and for what it decodes to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import product
from urllib.parse import unquote

from .descriptions import NATIVE, handle_keys
from .messages import Refused

# Nothing is given back once it is taken, so that no text takes longer than its length.
_CLAUSE = re.compile(r"\s*+([a-z0-9-]++)\s++eq\s++('?+)((?:[^']|'')*+)'\s*+", re.IGNORECASE)
_AND = re.compile(r"and(?=\s)", re.IGNORECASE)

# The fields of single clauses that address one platform.
_FIELDS = {
    "devicetoken": "apns",
    "gcmregistrationid": "gcm",
    "fcmv1registrationid": "fcmv1",
    "admregistrationid": "adm",
    "xiaomiregistrationid": "xiaomi",
    "baiduuserid-baiduchannelid": "baidu",
}
_UNQUOTED = "baiduchannelid"


@dataclass(frozen=True, slots=True)
class Channel:
    """Which handles a list is about: any of these, as any of them may be what the client meant."""

    handles: tuple[str, ...]
    platforms: tuple[str, ...]
    handle_keys: tuple[str, ...] | None = None
    """Of browsers; None for any."""


def read_filter(text: str) -> Channel:
    """The channel that a filter asks for.

    Args:
        text: decoded once from the query.

    Raises:
        Refused: 400, it is none of the sentences.
    """
    clauses = _clauses(text)
    match clauses:
        case {"channeluri": handle, **others} if not others:
            return Channel(_readings(handle), tuple(NATIVE))
        case {"baiduuserid": user, "baiduchannelid": channel, **others} if not others:
            pairs = product(_readings(user), _readings(channel))
            return Channel(_unique("-".join(pair) for pair in pairs), ("baidu",))
        case {"endpoint": endpoint, "p256dh": p256dh, "auth": auth, **others} if not others:
            keys = product(_readings(p256dh), _readings(auth))
            return Channel(_readings(endpoint), ("browser",), _unique(handle_keys(*pair) for pair in keys))
    if len(clauses) == 1:
        ((field, handle),) = clauses.items()
        if field in _FIELDS:
            return Channel(_readings(handle), (_FIELDS[field],))
    raise _unsupported()


def _clauses(text: str) -> dict[str, str]:
    """Each field, lower case, with its value."""
    found: dict[str, str] = {}
    place = 0
    while True:
        clause = _CLAUSE.match(text, place)
        if clause is None:
            raise _unsupported()
        field, opened, value = clause[1].lower(), clause[2], clause[3]
        if field in found or (not opened and field != _UNQUOTED):
            raise _unsupported()
        found[field] = value.replace("''", "'")
        if clause.end() == len(text):
            return found
        conjunction = _AND.match(text, clause.end())
        if conjunction is None:
            raise _unsupported()
        place = conjunction.end()


def _readings(value: str) -> tuple[str, ...]:
    return _unique([value, unquote(value)])


def _unique(values: Iterable[str]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(values))


def _unsupported() -> Refused:
    return Refused(400, "The $filter query parameter is invalid or not supported.")
