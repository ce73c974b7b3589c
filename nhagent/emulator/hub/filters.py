"""Read the ``$filter`` of a list by channel: a few fixed forms, one dialect for each shipped client.

    ChannelUri eq 'HANDLE'                                  .NET, Java: any platform
    ChannelUri eq '{"endpoint":…,"p256dh":…,"auth":…}'      .NET, Java: a browser's whole subscription
    DeviceToken eq 'TOKEN', GcmRegistrationId eq '…', …     Android, iOS, JavaScript
    BaiduUserId-BaiduChannelId eq 'USER-CHANNEL'            Android
    Endpoint eq '…' and P256DH eq '…' and Auth eq '…'       JavaScript

Lenient only, since the service is not known to accept them:

    BaiduChannelId eq CHANNEL' and BaiduUserId eq 'USER'    JavaScript, which forgets the first quote
    ChannelUri eq 'ENDPOINT'                                a browser's endpoint alone
    DeviceToken eq 'token'                                  an Apple token in lower case

Fields are matched without regard to case. Some clients percent-code the value once more before they code the
query; the hub looks for the value as it is and for what it decodes to.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from itertools import product
from urllib.parse import unquote

from nhagent.emulator.atom.descriptions import BROWSER_MEMBERS, NATIVE, handle_keys
from nhagent.emulator.channels import absolute_uri, read_subscription
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.registration_table import ChannelQuery

# Possessive: no backtracking, so that the time to match grows no faster than the text.
_CLAUSE = re.compile(r"\s*+([a-z0-9-]++)\s++eq\s++('?+)((?:[^']|'')*+)'\s*+", re.IGNORECASE)
_AND = re.compile(r"and(?=\s)", re.IGNORECASE)

# A single clause with one of these fields addresses one platform.
_FIELDS = {
    "devicetoken": "apns",
    "gcmregistrationid": "gcm",
    "fcmv1registrationid": "fcmv1",
    "admregistrationid": "adm",
    "xiaomiregistrationid": "xiaomi",
    "baiduuserid-baiduchannelid": "baidu",
}
_UNQUOTED = "baiduchannelid"
_HANDLE_IS_TEXT = tuple(platform for platform in NATIVE if platform != "browser")


def read_filter(text: str, *, lenient: bool = False) -> ChannelQuery:
    """Read the channel that a filter asks for.

    Args:
        text: decoded once from the query.
        lenient: accept the forms above that are lenient only, and addresses in any spelling.

    Raises:
        Refused: 400, it has none of the known forms.
    """
    clauses = _clauses(text)
    match clauses:
        case {"channeluri": handle, **others} if not others:
            return _of_any_platform(handle, lenient=lenient)
        case {"baiduuserid": user, "baiduchannelid": channel, **others} if lenient and not others:
            pairs = product(_readings(user), _readings(channel))
            return ChannelQuery(_unique("-".join(pair) for pair in pairs), ("baidu",))
        case {"endpoint": endpoint, "p256dh": p256dh, "auth": auth, **others} if not others:
            keys = product(_readings(p256dh), _readings(auth))
            return ChannelQuery(
                _readings(endpoint), ("browser",), _unique(handle_keys(*pair) for pair in keys)
            )
    if len(clauses) == 1:
        ((field, handle),) = clauses.items()
        if field in _FIELDS:
            return ChannelQuery(_readings(handle), (_FIELDS[field],), any_case=lenient)
    raise _unsupported()


def _of_any_platform(handle: str, *, lenient: bool) -> ChannelQuery:
    readings = _readings(handle)
    for reading in readings:
        members = read_subscription(reading)
        if members is not None and len(members) == len(BROWSER_MEMBERS):
            endpoint, *keys = map(str, members.values())
            return ChannelQuery((endpoint,), ("browser",), (handle_keys(*keys),))
    if not lenient:
        return ChannelQuery(readings, _HANDLE_IS_TEXT)
    addresses = (absolute_uri(reading) or reading for reading in readings)
    return ChannelQuery(_unique([*readings, *addresses]), tuple(NATIVE), any_case=True)


def _clauses(text: str) -> dict[str, str]:
    """Return each field, in lower case, with its value."""
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
