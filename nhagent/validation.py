"""The service's rules for plain values: tags, names, ids.

`nhagent.models` applies them where its values are made. The limits are the service's (tag and name limits as
the official .NET client enforces them). Every check takes a ``name``: what its error calls the value. The
error's fact names the field and the value, and its hint the rule.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from nhagent.errors import ConfigurationError
from nhagent.secret import holds_hub_secret, holds_secret, is_key

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final, TypeGuard

MAX_TAGS: Final = 60
MAX_TAG_CHARACTERS: Final = 120
MAX_NAME_CHARACTERS: Final = 200
MAX_PUSH_VARIABLE_NAME_CHARACTERS: Final = 120
MAX_INSTALLATION_ID_CHARACTERS: Final = 512
MAX_HUB_NAME_CHARACTERS: Final = 260
MAX_APP_CHARACTERS: Final = 80
MAX_SHOWN_CHARACTERS: Final = 120
MAX_SECONDS: Final = 1e9

HEX_DIGITS: Final = frozenset("0123456789ABCDEFabcdef")
LETTERS_AND_DIGITS: Final = frozenset("ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789")
IN_HANDLES: Final = LETTERS_AND_DIGITS | set("+/=-_.:~")
"""Characters of the PNS handles of gcm, fcmv1, adm, xiaomi and baidu."""
BYTE_ORDER_MARK: Final = "\ufeff"
"""What some programs write before text: it is dropped wherever text is taken."""
CONTROL_CHARACTERS: Final = frozenset(map(chr, (*range(0x20), 0x7F, *range(0xD800, 0xE000))))
"""Line breaks and others of ASCII, and halves of surrogate pairs."""
_IN_TAGS: Final = LETTERS_AND_DIGITS | set("_@#.:-")
_IN_USER_IDS: Final = _IN_TAGS | {"="}
_IN_VARIABLE_NAMES: Final = LETTERS_AND_DIGITS | {"_"}
_IN_HUB_NAMES: Final = LETTERS_AND_DIGITS | set("-._/")
_ASYNC_FLAGS: Final = 0x80 | 0x200
"""Flags of the code of coroutine functions and asynchronous generators, as ``inspect`` names them."""
DOT_SEGMENTS: Final = frozenset({".", ".."})  # HTTP libraries fold them into another path


def shown(value: object) -> str:
    """Give a value as an error may show it: cut short, and never a connection string given by mistake."""
    text = repr(value)
    if "sharedaccess" in text.lower() or holds_secret(text):
        return "(a connection string)"
    if is_key(text.strip("'\"")):
        return "(a key)"
    return text if len(text) <= MAX_SHOWN_CHARACTERS else f"{text[:MAX_SHOWN_CHARACTERS]}…"


def is_text(value: object) -> TypeGuard[str]:
    """Tell whether a value is text that can be encoded: without half a surrogate pair."""
    if not isinstance(value, str):
        return False
    try:
        value.encode()
    except UnicodeEncodeError:
        return False
    return True


def check_no_secret(name: str, text: str) -> None:
    """Refuse a connection string, or a SAS token, in the place of something that is stored, sent or shown.

    Raises:
        ConfigurationError: the text is one, or holds one.
    """
    if holds_secret(text):
        raise _secret_refused(name)


def check_no_hub_secret(name: str, *texts: str) -> None:
    """As `check_no_secret`, for texts that may hold an address with a ``sig`` of somebody else's.

    Raises:
        ConfigurationError: a text is a connection string or a hub's SAS token, or holds one.
    """
    text = "\n".join(texts).casefold()
    if ("sharedaccess" in text or "skn" in text) and holds_hub_secret(text):
        raise _secret_refused(name)


def check_setting(name: str, text: object) -> None:
    """Refuse a connection string, a SAS token or a bare key as a path, a name or another setting.

    Raises:
        ConfigurationError: the text is one, or holds one.
    """
    if isinstance(text, str) and (holds_secret(text) or is_key(text)):
        raise _secret_refused(name)


def _secret_refused(name: str) -> ConfigurationError:
    return ConfigurationError(
        f"{name}: holds a key or a token, as a connection string does",
        f"give the {name} itself, and the connection string where it belongs",
    )


def check_seconds(name: str, value: object) -> None:
    """Check a number of seconds.

    Raises:
        ConfigurationError: not a finite number of seconds ≥ 0.
    """
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value < MAX_SECONDS:
        raise ConfigurationError(
            f"{name} {shown(value)}: not a finite number of seconds", "give a number of seconds, zero or more"
        )


def check_flag(name: str, value: object) -> None:
    """Check that something is True or False. Text such as "no" is refused, since all text counts as true.

    Raises:
        ConfigurationError: it is neither.
    """
    if not isinstance(value, bool):
        raise ConfigurationError(f"{name} {shown(value)}: not a truth value", "give True or False")


def check_callable(name: str, value: object) -> None:
    """Check that something can be called, or is None.

    Raises:
        ConfigurationError: it cannot be called, or is a coroutine function.
    """
    if value is not None and not callable(value):
        raise ConfigurationError(
            f"{name} {shown(value)}: cannot be called", "give a callable, or leave it out"
        )
    check_not_async(name, value)


def check_not_async(name: str, value: object) -> None:
    """Check that what will be called is no coroutine function: nobody would await what it gives.

    Raises:
        ConfigurationError: it is one, or gives what is iterated over with ``async for``.
    """
    while type(value).__name__ == "partial" and callable(getattr(value, "func", None)):
        value = value.func  # type: ignore[attr-defined]
    code = getattr(value, "__code__", None)
    if code is None and callable(value):
        code = getattr(type(value).__call__, "__code__", None)
    flags = getattr(code, "co_flags", 0)
    if isinstance(flags, int) and flags & _ASYNC_FLAGS:
        raise ConfigurationError(
            f"{name}: is a coroutine function, which nothing awaits here", "give a plain callable"
        )


def _not_text(name: str, value: object) -> ConfigurationError:
    """Make the error of a value of another type than text has."""
    return ConfigurationError(f"{name} {shown(value)}: not text", "give text, between quotation marks")


def checked_tags(name: str, given: object) -> tuple[str, ...]:
    """Check a list of tags.

    Returns:
        The tags in their order. Of those that are equal by the hub's caseless comparison, the first.

    Raises:
        ConfigurationError: not a list, an invalid tag, or too many tags.
    """
    if isinstance(given, str) or not isinstance(given, Iterable):
        raise ConfigurationError(f"{name} {shown(given)}: not a list", "give a list of tags")
    unique: dict[str, str] = {}
    for tag in given:
        check_tag(name, tag)
        unique.setdefault(tag.lower(), tag)
    if len(unique) > MAX_TAGS:
        raise ConfigurationError(
            f"{name}: {len(unique)} tags", f"give fewer: the hub takes at most {MAX_TAGS}"
        )
    return tuple(unique.values())


def check_tag(name: str, tag: object) -> None:
    """Check one tag: its characters, its length, and that no ``$`` is in front.

    Raises:
        ConfigurationError: the hub would refuse it.
    """
    if not isinstance(tag, str):
        raise _not_text(name, tag)
    if tag.startswith("$"):
        raise ConfigurationError(
            f'{name} {shown(tag)}: begins with "$"', "give another: the hub keeps such tags for itself"
        )
    if not tag or not _IN_TAGS.issuperset(tag):
        raise ConfigurationError(
            f"{name} {shown(tag)}: not a tag", "a tag may contain only letters, digits and _ @ # . : -"
        )
    if len(tag) > MAX_TAG_CHARACTERS:
        raise ConfigurationError(
            f"{name} {shown(tag)}: {len(tag)} characters", f"at most {MAX_TAG_CHARACTERS} are allowed"
        )
    check_no_secret(name, tag)


def check_name(name: str, key: object) -> None:
    """Check a template's name or a tile's id.

    The hub makes a tag of a template's name, and PATCH puts names into paths: the tag alphabet serves both.

    Raises:
        ConfigurationError: it has other characters, or too many.
    """
    if not isinstance(key, str):
        raise _not_text(name, key)
    if not key or not _IN_TAGS.issuperset(key) or len(key) > MAX_NAME_CHARACTERS:
        raise ConfigurationError(
            f"{name} {shown(key)}: not a valid name",
            "a name may contain only letters, digits and _ @ # . : -, "
            f"at most {MAX_NAME_CHARACTERS} characters",
        )
    check_no_secret(name, key)


def check_texts(name: str, texts: object) -> None:
    """Check that something maps text to text.

    Raises:
        ConfigurationError: it does not.
    """
    if not isinstance(texts, Mapping):
        raise ConfigurationError(f"{name} {shown(texts)}: not a mapping", "give a mapping from text to text")
    for key, value in texts.items():
        if not is_text(key) or not key.strip() or not is_text(value):
            raise ConfigurationError(
                f"{name} {shown(key)}: its name or its value is not text", "give text for both"
            )
    check_no_hub_secret(name, *texts, *texts.values())


def check_user_id(user_id: object) -> None:
    """Check a user id; "" stands for no user.

    Raises:
        ConfigurationError: it has characters that are not allowed, or holds a key.
    """
    if not isinstance(user_id, str):
        raise _not_text("user_id", user_id)
    if not _IN_USER_IDS.issuperset(user_id):
        raise ConfigurationError(
            f"user_id {shown(user_id)}: has other characters than a user id may",
            "give one of letters, digits and - _ @ # . : =",
        )
    check_no_secret("user_id", user_id)


def check_push_variables(variables: object) -> None:
    """Check push variables: text by name.

    Raises:
        ConfigurationError: a name or a value is invalid.
    """
    check_texts("push_variables", variables)
    for name in variables if isinstance(variables, Mapping) else ():
        if not _IN_VARIABLE_NAMES.issuperset(name) or len(name) > MAX_PUSH_VARIABLE_NAME_CHARACTERS:
            raise ConfigurationError(
                f"push_variables {shown(name)}: not a valid name",
                f"a name is letters, digits and _, at most {MAX_PUSH_VARIABLE_NAME_CHARACTERS} characters",
            )


def check_installation_id(installation_id: object) -> None:
    """Check an installation id: any text that can stand in a URL once it is percent-encoded.

    Raises:
        ConfigurationError: empty, too long, with control characters, a dot segment, or a connection string.
    """
    if not isinstance(installation_id, str):
        raise _not_text("installation_id", installation_id)
    if not installation_id.strip():
        raise ConfigurationError(
            "installation_id: empty", "give an id that lasts, such as a UUID, or leave it out"
        )
    if len(installation_id) > MAX_INSTALLATION_ID_CHARACTERS:
        raise ConfigurationError(
            f"installation_id: {len(installation_id)} characters",
            f"at most {MAX_INSTALLATION_ID_CHARACTERS} are allowed",
        )
    if not CONTROL_CHARACTERS.isdisjoint(installation_id) or installation_id in DOT_SEGMENTS:
        raise ConfigurationError(
            f"installation_id {shown(installation_id)}: cannot stand in a URL", "give another"
        )
    check_no_secret("installation_id", installation_id)


def checked_app_name(app: object) -> str:
    """Check an app's name.

    Raises:
        ConfigurationError: empty, too long, with control characters, or a connection string.
    """
    if (
        not isinstance(app, str)
        or not app.strip()
        or not CONTROL_CHARACTERS.isdisjoint(app)
        or len(app) > MAX_APP_CHARACTERS
    ):
        raise ConfigurationError(
            f"app {shown(app)}: is not a name",
            f"give the app's own, such as its package name, in at most {MAX_APP_CHARACTERS} characters",
        )
    check_setting("app", app)
    return app


def checked_hub_name(hub: object) -> str:
    """Check a hub's name; it may be a path of several parts.

    Raises:
        ConfigurationError: it has other characters, too many, or an empty part.
    """
    if (
        not isinstance(hub, str)
        or not _IN_HUB_NAMES.issuperset(hub)
        or not LETTERS_AND_DIGITS.issuperset(hub[:1])
        or len(hub) > MAX_HUB_NAME_CHARACTERS
        or not {"", *DOT_SEGMENTS}.isdisjoint(hub.split("/"))
    ):
        raise ConfigurationError(f"hub {shown(hub)}: is not a hub name", "copy it from the portal")
    return hub
