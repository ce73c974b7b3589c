"""The rules of each platform for a template's headers, expiry and body."""

from __future__ import annotations

import json
from collections.abc import Mapping

from nhagent.errors import ConfigurationError
from nhagent.validation import shown

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

_WNS_TYPES: Final = ("wns/toast", "wns/tile", "wns/badge", "wns/raw")
_MPNS_RAW_CLASSES: Final = frozenset({"3", "13", "23"})  # X-NotificationClass of a raw notification
_XML_PLATFORMS: Final = frozenset({"wns", "mpns"})
_ENDS_OF_VALUES: Final = frozenset("<\"'")


def check_template(
    name: str, platform: str, body: str, headers: Mapping[str, str], expiry: str | None
) -> None:
    """Check a template against the rules of its platform.

    Args:
        name: what to call the template in an error.
        platform: the platform's name, such as ``wns``.
        body, headers, expiry: the template's fields.

    Raises:
        ConfigurationError: a header is missing or out of place, an expiry is, the body is of another kind, or
            an expression is never closed.
    """
    caseless = {header.lower(): value for header, value in headers.items()}
    check_headers = {"wns": _check_wns, "mpns": _check_mpns, "apns": _check_apns}.get(platform)
    is_raw = False
    if check_headers is not None:
        is_raw = check_headers(f"{name}.headers", caseless)
    elif caseless:
        raise ConfigurationError(f"{name}.headers: platform {platform} takes none", "leave them out")
    if expiry is not None and platform != "apns":
        raise ConfigurationError(
            f"{name}.expiry: only apns has one, and the platform is {platform}", "leave it out"
        )
    if not is_raw:
        _check_body(f"{name}.body", platform, body.strip())
    if any(map(_may_be_unclosed, (body, *headers.values(), expiry or ""))):
        from nhagent.template_expressions import check_closed

        check_closed(name, platform, body, headers, expiry)


def _may_be_unclosed(text: str) -> bool:
    """Whether the value of some ``$(`` may end before its parenthesis; one in a literal may look so."""
    at = text.find("(")
    while at >= 0:
        end = at
        if at > 0 and text[at - 1] in "$.%#":
            end = text.find(")", at)
            if end < 0 or not _ENDS_OF_VALUES.isdisjoint(text[at:end]):
                return True
        at = text.find("(", end + 1)
    return False


def _check_wns(name: str, headers: Mapping[str, str]) -> bool:
    """Check the headers of a wns template, and tell whether its notification is raw, of any content."""
    kind = headers.get("x-wns-type", "")
    if kind.lower() not in _WNS_TYPES:
        raise ConfigurationError(
            f"{name}: X-WNS-Type is {kind or 'missing'}",
            f"a wns template needs one of {', '.join(_WNS_TYPES)}",
        )
    return kind.lower() == "wns/raw"


def _check_mpns(name: str, headers: Mapping[str, str]) -> bool:
    """Check the headers of an mpns template, and tell whether its notification is raw, of any content."""
    is_raw = headers.get("x-notificationclass") in _MPNS_RAW_CLASSES
    if not is_raw and "x-windowsphone-target" not in headers:
        raise ConfigurationError(
            f"{name}: X-WindowsPhone-Target is missing", 'give it, such as "toast": an mpns template needs it'
        )
    return is_raw


def _check_apns(name: str, headers: Mapping[str, str]) -> bool:
    """Check the headers of an apns template, whose notification is always JSON."""
    for header in headers:
        if not header.startswith("apns-"):
            raise ConfigurationError(
                f"{name} {shown(header)}: not a header of apns", 'those of apns begin with "apns-"'
            )
    return False


def _check_body(name: str, platform: str, body: str) -> None:
    if platform in _XML_PLATFORMS:
        # Its angle brackets tell XML from JSON; parsing it would cost every unchanged start an XML parser.
        if not (body.startswith("<") and body.endswith(">")):
            raise ConfigurationError(
                f"{name}: must be XML, since the platform is {platform} and it is not raw",
                "give the notification's XML",
            )
        return
    hint = f"give the notification of platform {platform}: a JSON object, {{…}}"
    try:
        document = json.loads(body)
    except json.JSONDecodeError as error:
        place = f"line {error.lineno}, column {error.colno}"
        raise ConfigurationError(
            f"{name}: platform {platform} needs a JSON object, and this is not JSON ({error.msg} at {place})",
            f"correct the body at {place}",
        ) from None
    except (ValueError, RecursionError):  # a number of thousands of digits, or objects within objects
        raise ConfigurationError(
            f"{name}: platform {platform} needs a JSON object, and this one is beyond any that can be read",
            hint,
        ) from None
    if not isinstance(document, dict):
        raise ConfigurationError(
            f"{name}: platform {platform} needs a JSON object, and this is JSON of another type", hint
        )
    if platform == "fcmv1" and "message" not in document:
        raise ConfigurationError(
            f'{name}: has no "message", which platform fcmv1 needs at the top', 'put it into {"message": {…}}'
        )
