"""The operations of a notification hub that send: to a tag expression, to one installation, or to all.

Nobody broadcasts by accident: who is meant must be said, in exactly one way.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any, Final
from urllib.parse import quote

from nhagent import validation
from nhagent.errors import ConfigurationError
from nhagent.hub.checked import notification_id_from
from nhagent.hub.outcomes import NotAnOutcome, SendOutcome, read_outcome
from nhagent.hub.transport import Response
from nhagent.hub.way import HubRequest, Way
from nhagent.secret import hiding_arguments

SEND: Final = "Send"
"""The right that these operations need."""
TEMPLATE: Final = "template"
MAX_BODY_BYTES: Final = 64 * 1024
MAX_EXPRESSION_CHARACTERS: Final = 4096
MAX_HEADER_CHARACTERS: Final = 2048
_FORMATS: Final = {
    TEMPLATE: TEMPLATE,
    "wns": "windows",
    "windows": "windows",
    "mpns": "windowsphone",
    "windowsphone": "windowsphone",
    "apns": "apple",
    "apple": "apple",
    **{name: name for name in ("gcm", "fcmv1", "adm", "baidu", "browser", "xiaomi")},
}
"""The service's name of a format, by that and by the platform's."""
_XML: Final = frozenset({"windows", "windowsphone"})
_JSON_TYPE: Final = "application/json;charset=utf-8"
_WNS_TYPES: Final = {"toast": "wns/toast", "tile": "wns/tile", "badge": "wns/badge"}
_HEADERS: Final = (
    "x-wns-",
    "x-windowsphone-",
    "x-notificationclass",
    "x-messageid",
    "x-baidu-",
    "apns-",
    "x-apns-",
)
_OTHER_HEADERS: Final = frozenset({"servicebusnotification-apns-expiry", "ttl", "urgency", "topic"})
_IN_NAMES: Final = frozenset("abcdefghijklmnopqrstuvwxyz0123456789-")

Body = str | bytes | Mapping[str, Any]
"""What is sent: text, bytes, or an object, which goes as JSON."""


class SendOperations:
    """The part of `nhagent.hub.client.HubClient` that sends. It needs the Send right."""

    _exchange: Way

    @hiding_arguments
    def send(
        self,
        format: str,  # noqa: A002 - the service's name
        body: Body,
        *,
        tags: str | Iterable[str] | None = None,
        installation: str | None = None,
        broadcast: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> str | None:
        """Send a notification. The hub answers before it has sent it.

        Source: REST reference, "Send a template notification" and those of each platform.

        Args:
            format: ``template``, or a platform: ``wns``, ``apns``, ``fcmv1``, …, as it is or as the service
                names it.
            body: up to 64 KiB. Of a template an object of texts; of a platform what it takes.
            tags: a tag expression, or tags of which a device has one at least.
            installation: the id of the one installation that is meant.
            broadcast: everybody is meant.
            headers: for the push service: ``X-WNS-…``, ``apns-…``, and their like. ``X-WNS-Type`` of a toast,
                tile or badge is seen by its body.

        Returns:
            The notification's id; None where the hub's tier has none.

        Raises:
            ConfigurationError: nobody is meant, or in two ways; or something cannot be sent. Nothing was.
            HubError: see `nhagent.errors`; ``Forbidden`` where the key lacks the Send right.
        """
        expression = _meant(tags, installation, broadcast=broadcast)
        response, _ = self._sent("messages", format, body, expression, headers)
        return notification_id_from(response.headers.get("location"))

    @hiding_arguments
    def send_test(
        self,
        format: str,  # noqa: A002 - the service's name
        body: Body,
        *,
        tags: str | Iterable[str] | None = None,
        installation: str | None = None,
        broadcast: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> SendOutcome:
        """Send to ten devices at most, and learn what came of each message.

        Source: REST reference; the service throttles it tightly.

        Args:
            format, body, tags, installation, broadcast, headers: as for `send`.

        Raises:
            ConfigurationError, HubError: as `send`.
        """
        expression = _meant(tags, installation, broadcast=broadcast)
        response, reply = self._sent("messages", format, body, expression, headers, query=("test",))
        try:
            return read_outcome(response.body)
        except NotAnOutcome as error:
            raise self._exchange.unreadable(reply, str(error)) from None

    @hiding_arguments
    def schedule_send(
        self,
        format: str,  # noqa: A002 - the service's name
        body: Body,
        *,
        at: datetime,
        tags: str | Iterable[str] | None = None,
        installation: str | None = None,
        broadcast: bool = False,
        headers: Mapping[str, str] | None = None,
    ) -> str | None:
        """Send at a later time, within seven days. It needs the Standard tier.

        Args:
            format, body, tags, installation, broadcast, headers: as for `send`.
            at: when, aware.

        Returns:
            The id with which `cancel_scheduled` cancels it; None where the hub told none.

        Raises:
            ConfigurationError, HubError: as `send`.
        """
        if not isinstance(at, datetime) or at.tzinfo is None:
            raise ConfigurationError(
                f"at {validation.shown(at)}: is no aware datetime", "give one with a zone"
            )
        expression = _meant(tags, installation, broadcast=broadcast)
        when = at.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%S")
        further = {"ServiceBusNotification-ScheduleTime": when}
        response, _ = self._sent("schedulednotifications", format, body, expression, headers, further=further)
        return notification_id_from(response.headers.get("location"))

    def cancel_scheduled(self, notification_id: str) -> None:
        """Cancel what `schedule_send` has scheduled.

        Args:
            notification_id: its id.

        Raises:
            HubError: see `nhagent.errors`; ``HubNotFound`` where nothing of that id waits.
            ConfigurationError: it is no such id.
        """
        if notification_id_from(f"/{notification_id}") != notification_id:
            raise ConfigurationError(
                f"notification id {validation.shown(notification_id)}: is not one",
                "give that of schedule_send",
            )
        path = f"schedulednotifications/{quote(notification_id, safe='')}"
        self._exchange.make(HubRequest("DELETE", path, "the scheduled notification", right=SEND))

    def _sent(
        self,
        path: str,
        format: str,  # noqa: A002 - the service's name
        body: Body,
        expression: str | None,
        headers: Mapping[str, str] | None,
        *,
        query: tuple[str, ...] = (),
        further: Mapping[str, str] | None = None,
    ) -> tuple[Response, Any]:
        kind = _FORMATS.get(format.lower() if isinstance(format, str) else "")
        if kind is None:
            raise ConfigurationError(
                f"format {validation.shown(format)}: unknown", f"give one of {', '.join(sorted(_FORMATS))}"
            )
        content = _content(kind, body)
        named = {"ServiceBusNotification-Format": kind, **_checked_headers(headers), **(further or {})}
        if expression is not None:
            named["ServiceBusNotification-Tags"] = expression
        wns_type = next((value for name, value in named.items() if name.lower() == "x-wns-type"), None)
        if kind == "windows" and wns_type is None:
            named["X-WNS-Type"] = wns_type = _wns_type(content)
        is_raw = wns_type is not None and wns_type.strip().lower() == "wns/raw"
        content_type = "application/octet-stream" if is_raw else _JSON_TYPE
        if kind in _XML and not is_raw:
            content_type = "application/xml"
        request = HubRequest("POST", path, "the notification", content, content_type, query=query, right=SEND)
        return self._exchange.make(request.changed(headers=named))


def _meant(tags: str | Iterable[str] | None, installation: str | None, *, broadcast: bool) -> str | None:
    """Return the tag expression of those who are meant; None for everybody."""
    validation.check_flag("broadcast", broadcast)
    ways = [name for name, given in (("tags", tags), ("installation", installation)) if given is not None]
    ways += ["broadcast"] if broadcast else []
    if len(ways) != 1:
        raise ConfigurationError(
            f"send: {' and '.join(ways) or 'nobody'}: who is meant is not clear",
            "give one of tags, installation and broadcast=True",
        )
    if installation is not None:
        validation.check_installation_id(installation)
        return f"$InstallationId:{{{installation}}}"
    if tags is None:
        return None
    return _expression(tags)


def _expression(tags: str | Iterable[str]) -> str:
    if not isinstance(tags, str):
        tags = " || ".join(validation.checked_tags("tags", tags))
    text = tags.strip()
    if not text or not text.isascii() or not text.isprintable() or len(text) > MAX_EXPRESSION_CHARACTERS:
        raise ConfigurationError(
            f"tags {validation.shown(tags)}: is no tag expression",
            "give tags, joined by && and ||, or a list",
        )
    return text


def _content(kind: str, body: Body) -> bytes:
    if kind == TEMPLATE and not isinstance(body, Mapping):
        body = _object(body)
    if isinstance(body, Mapping):
        if kind == TEMPLATE and not all(isinstance(value, str) for value in body.values()):
            raise ConfigurationError("body: a template's properties are texts", "write each value as text")
        try:
            body = json.dumps(dict(body), ensure_ascii=False, separators=(",", ":"), allow_nan=False)
        except (TypeError, ValueError):
            raise ConfigurationError("body: cannot be written as JSON", "give texts and numbers") from None
    try:
        content = body if isinstance(body, bytes) else body.encode()
    except (AttributeError, UnicodeEncodeError):
        raise ConfigurationError(
            f"body: is {type(body).__name__} that cannot be sent", "give text, bytes or a mapping"
        ) from None
    if len(content) > MAX_BODY_BYTES:
        raise ConfigurationError(
            f"body: has {len(content)} bytes, more than the service takes", f"send {MAX_BODY_BYTES} at most"
        )
    return content


def _object(body: object) -> Mapping[str, Any]:
    try:
        found = json.loads(body) if isinstance(body, str | bytes) else None
    except (ValueError, RecursionError):
        found = None
    if not isinstance(found, dict):
        raise ConfigurationError("body: a template is sent an object of texts", 'give {"NAME": "VALUE"}')
    return found


def _checked_headers(headers: Mapping[str, str] | None) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, value in (headers or {}).items():
        lower = name.lower() if isinstance(name, str) else ""
        is_known = lower in _OTHER_HEADERS or lower.startswith(_HEADERS)
        if not is_known or not _IN_NAMES.issuperset(lower):
            raise ConfigurationError(
                f"header {validation.shown(name)}: is not one for a push service",
                "give those of the platform, such as X-WNS-Type or apns-priority",
            )
        if not isinstance(value, str) or not value.isascii() or not value.isprintable() or not value.strip():
            raise ConfigurationError(f"header {name}: has a value that cannot be sent", "give plain text")
        if len(value) > MAX_HEADER_CHARACTERS:
            raise ConfigurationError(f"header {name}: has a value that is too long", "shorten it")
        validation.check_setting(f"header {name}", value)
        found[name] = value
    return found


def _wns_type(content: bytes) -> str:
    """See what a body of wns is by its first element."""
    text = content.lstrip()
    if text.startswith(b"<?"):
        text = text.partition(b"?>")[2].lstrip()
    name = text[1:].split(b">")[0].split()[:1] if text.startswith(b"<") else []
    kind = _WNS_TYPES.get(name[0].strip(b"/").decode("ascii", "replace")) if name else None
    if kind is None:
        raise ConfigurationError(
            "headers: X-WNS-Type is missing, and the body is neither a toast, a tile nor a badge",
            'give headers={"X-WNS-Type": "wns/raw"} or another',
        )
    return kind
