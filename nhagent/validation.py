"""The service's rules for plain values: tags, names, ids, template headers and bodies.

`nhagent.models` applies them where its values are made. Each refusal names the field, the value and the
rule. The limits are the service's (tag and name limits as the official .NET client enforces them).
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from typing import Final

from nhagent.errors import ConfigurationError

MAX_TAGS: Final = 60
MAX_TAG_CHARACTERS: Final = 120
MAX_NAME_CHARACTERS: Final = 200
MAX_PUSH_VARIABLE_NAME_CHARACTERS: Final = 120
MAX_INSTALLATION_ID_CHARACTERS: Final = 512
MAX_HUB_NAME_CHARACTERS: Final = 260
MAX_APP_CHARACTERS: Final = 80
MAX_SHOWN_CHARACTERS: Final = 120
MAX_SECONDS: Final = 1e9

_TAG: Final = re.compile(r"[A-Za-z0-9_@#.:\-]+")
_USER_ID: Final = re.compile(r"[A-Za-z0-9\-_@#.:=]+")
_VARIABLE: Final = re.compile(r"[A-Za-z0-9_]+")
_HUB_NAME: Final = re.compile(r"[A-Za-z0-9][A-Za-z0-9\-._/]*")
_CONTROL: Final = re.compile("[\x00-\x1f\x7f\ud800-\udfff]")
_SURROGATE: Final = re.compile("[\ud800-\udfff]")
_SECRET: Final = re.compile(
    r"sharedaccesskey\s*(?:=|%3d)|sharedaccesssignature\s|\bsig\s*(?:=|%3d)", re.IGNORECASE
)
_WNS_TYPES: Final = ("wns/toast", "wns/tile", "wns/badge", "wns/raw")
_MPNS_RAW_CLASSES: Final = frozenset({"3", "13", "23"})  # X-NotificationClass of a raw notification
_XML_PLATFORMS: Final = frozenset({"wns", "mpns"})


def shown(value: object) -> str:
    """A value as an error may show it: cut short, and never a connection string that was put in its place."""
    text = repr(value)
    if "sharedaccess" in text.lower() or _SECRET.search(text):
        return "(a connection string)"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def has_control_characters(text: str) -> bool:
    """Whether text holds a line break, another control character, or half a character."""
    return _CONTROL.search(text) is not None


def is_text(value: object) -> bool:
    """Whether a value is text that can be encoded: without half a surrogate pair."""
    return isinstance(value, str) and _SURROGATE.search(value) is None


def check_no_secret(name: str, text: str) -> None:
    """Refuse a connection string, or a SAS token, in the place of something that is stored, sent or shown.

    Raises:
        ConfigurationError: it is one, or holds one.
    """
    if _SECRET.search(text):
        raise ConfigurationError(
            f"{name}: holds a key or a token, as a connection string does; give the {name} itself, and the "
            "connection string where it belongs"
        )


def check_seconds(name: str, value: object) -> None:
    """Check a number of seconds.

    Raises:
        ConfigurationError: it is none, or negative, or without end.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_SECONDS:
        raise ConfigurationError(f"{name} {shown(value)}: give a number of seconds, zero or more")


def check_flag(name: str, value: object) -> None:
    """Check that something is True or False: text of either is true.

    Raises:
        ConfigurationError: it is neither.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} {shown(value)}: give True or False")


def check_callable(name: str, value: object) -> None:
    """Check that something can be called, or is left out.

    Raises:
        ConfigurationError: it cannot.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(f"{name} {shown(value)}: give a callable, or leave it out")


def checked_tags(name: str, given: object) -> tuple[str, ...]:
    """Check a list of tags; a tag that is given twice, by the hub's caseless comparison, counts once.

    Raises:
        ConfigurationError: no list, a wrong tag, or too many.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{name} {shown(given)}: give a list of tags")
    unique: dict[str, str] = {}
    for tag in given:
        check_tag(name, tag)
        unique.setdefault(tag.lower(), tag)
    if len(unique) > MAX_TAGS:
        raise ConfigurationError(f"{name}: {len(unique)} tags; the hub takes at most {MAX_TAGS}")
    return tuple(unique.values())


def check_tag(name: str, tag: object) -> None:
    """Check one tag: alphabet, length, and no ``$`` in front.

    Raises:
        ConfigurationError: the hub would refuse it.
    """
    if not isinstance(tag, str):
        raise ConfigurationError(f"{name} {shown(tag)}: a tag is text")
    if tag.startswith("$"):
        raise ConfigurationError(
            f'{name} {shown(tag)}: begins with "$", which the hub keeps for its own tags'
        )
    if _TAG.fullmatch(tag) is None:
        raise ConfigurationError(
            f"{name} {shown(tag)}: a tag may contain only letters, digits and _ @ # . : -"
        )
    if len(tag) > MAX_TAG_CHARACTERS:
        raise ConfigurationError(f"{name} {shown(tag)}: {len(tag)} characters; at most {MAX_TAG_CHARACTERS}")


def check_name(name: str, key: object) -> None:
    """Check a template's name or a tile's id.

    The hub makes a tag of a template's name, and PATCH puts names into paths: the tag alphabet serves both.

    Raises:
        ConfigurationError: it has other characters, or too many.
    """
    if not isinstance(key, str) or _TAG.fullmatch(key) is None or len(key) > MAX_NAME_CHARACTERS:
        raise ConfigurationError(
            f"{name} {shown(key)}: a name may contain only letters, digits and _ @ # . : -, "
            f"at most {MAX_NAME_CHARACTERS} characters"
        )


def check_texts(name: str, texts: object) -> None:
    """Check that something maps text to text.

    Raises:
        ConfigurationError: it does not.
    """
    if not isinstance(texts, Mapping):
        raise ConfigurationError(f"{name} {shown(texts)}: give a mapping from text to text")
    for key, value in texts.items():
        if not is_text(key) or not key.strip() or not is_text(value):
            raise ConfigurationError(f"{name} {shown(key)}: both its name and its value must be text")


def check_user_id(user_id: object) -> None:
    """Check a user id against its alphabet; "" stands for none.

    Raises:
        ConfigurationError: it has other characters, or holds a key.
    """
    if not isinstance(user_id, str) or (user_id and _USER_ID.fullmatch(user_id) is None):
        raise ConfigurationError(f"user_id {shown(user_id)}: only letters, digits and -_@#.:= are allowed")
    check_no_secret("user_id", user_id)


def check_push_variables(variables: object) -> None:
    """Check push variables: text by name.

    Raises:
        ConfigurationError: a name or a value is wrong.
    """
    check_texts("push_variables", variables)
    for name in variables if isinstance(variables, Mapping) else ():
        if _VARIABLE.fullmatch(name) is None or len(name) > MAX_PUSH_VARIABLE_NAME_CHARACTERS:
            raise ConfigurationError(
                f"push_variables {shown(name)}: a name is letters, digits and _, "
                f"at most {MAX_PUSH_VARIABLE_NAME_CHARACTERS} characters"
            )


def check_installation_id(installation_id: object) -> None:
    """Refuse what can't be an installation id; any other text is one, percent-encoded on its way.

    Raises:
        ConfigurationError: empty, too long, with control characters, a dot segment, which HTTP libraries
            would fold into another path, or a connection string.
    """
    if not isinstance(installation_id, str) or not installation_id.strip():
        raise ConfigurationError("installation_id: empty; give a lasting id, such as a UUID, or none at all")
    if len(installation_id) > MAX_INSTALLATION_ID_CHARACTERS:
        raise ConfigurationError(
            f"installation_id: {len(installation_id)} characters; at most {MAX_INSTALLATION_ID_CHARACTERS}"
        )
    if has_control_characters(installation_id) or installation_id in {".", ".."}:
        raise ConfigurationError(
            f"installation_id {shown(installation_id)}: cannot stand in a URL; give another"
        )
    check_no_secret("installation_id", installation_id)


def checked_app_name(app: object) -> str:
    """Check an app's name.

    Raises:
        ConfigurationError: it is none.
    """
    if (
        not isinstance(app, str)
        or not app.strip()
        or has_control_characters(app)
        or len(app) > MAX_APP_CHARACTERS
    ):
        raise ConfigurationError(
            f"app {shown(app)}: is not a name; give the app's own, such as its package name, "
            f"in at most {MAX_APP_CHARACTERS} characters"
        )
    check_no_secret("app", app)
    return app


def checked_hub_name(hub: object) -> str:
    """Check a hub's name; it may be a path of several parts.

    Raises:
        ConfigurationError: it is none.
    """
    if (
        not isinstance(hub, str)
        or _HUB_NAME.fullmatch(hub) is None
        or len(hub) > MAX_HUB_NAME_CHARACTERS
        or not {"", ".", ".."}.isdisjoint(hub.split("/"))
    ):
        raise ConfigurationError(f"hub {shown(hub)}: is not a hub name; copy it from the portal")
    return hub


def check_template(
    name: str, platform: str, body: str, headers: Mapping[str, str], expiry: str | None
) -> None:
    """Check a template against the rules of its platform.

    Raises:
        ConfigurationError: a header is missing or out of place, an expiry is, or the body is of another kind.
    """
    caseless = {header.lower(): value for header, value in headers.items()}
    raw = False
    if platform == "wns":
        kind = caseless.get("x-wns-type", "")
        if kind.lower() not in _WNS_TYPES:
            raise ConfigurationError(
                f"{name}.headers: X-WNS-Type is {kind or 'missing'}; "
                f"a wns template needs one of {', '.join(_WNS_TYPES)}"
            )
        raw = kind.lower() == "wns/raw"
    elif platform == "mpns":
        raw = caseless.get("x-notificationclass") in _MPNS_RAW_CLASSES
        if not raw and "x-windowsphone-target" not in caseless:
            raise ConfigurationError(
                f"{name}.headers: X-WindowsPhone-Target is missing; an mpns template needs it"
            )
    elif platform == "apns":
        for header in caseless:
            if not header.startswith("apns-"):
                raise ConfigurationError(
                    f'{name}.headers {shown(header)}: headers of apns begin with "apns-"'
                )
    elif caseless:
        raise ConfigurationError(f"{name}.headers: platform {platform} takes none")
    if expiry is not None and platform != "apns":
        raise ConfigurationError(f"{name}.expiry: only apns has one, and the platform is {platform}")
    if not raw:
        _check_body(f"{name}.body", platform, body.strip())


def _check_body(name: str, platform: str, body: str) -> None:
    if platform in _XML_PLATFORMS:
        # Its angle brackets tell XML from JSON; parsing it would cost every unchanged start an XML parser.
        if not (body.startswith("<") and body.endswith(">")):
            raise ConfigurationError(
                f"{name}: must be XML, since the platform is {platform} and it is not raw"
            )
        return
    try:
        document = json.loads(body)
    except (ValueError, RecursionError) as error:
        raise ConfigurationError(f"{name}: platform {platform} needs a JSON object, but {error}") from None
    if not isinstance(document, dict):
        raise ConfigurationError(f"{name}: platform {platform} needs a JSON object")
