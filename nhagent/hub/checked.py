"""What a hub says in headers and attributes, checked before it becomes ours: ids, ETags, tokens.

What fails a check counts as absent. A peer's words then never make a header that cannot be sent, nor a raw
error of a parser.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

from nhagent.validation import DOT_SEGMENTS

MAX_ETAG_CHARACTERS: Final = 128
MAX_TRACKING_ID_CHARACTERS: Final = 60
"""Shorter than any push channel that is made of letters and digits alone."""
MAX_TOKEN_CHARACTERS: Final = 4096
MAX_REGISTRATION_ID_CHARACTERS: Final = 512


def etag_from(text: str | None) -> str | None:
    """Take the bare counter of an ETag in any of the service's forms: ``W/"1"``, ``"1"``, ``1``.

    Args:
        text: the ETag as the hub gave it, or None.

    Returns:
        The counter; None where there is none, or what cannot stand in a header.
    """
    bare = "" if text is None else text.strip().removeprefix("W/").strip('"')
    if not bare or len(bare) > MAX_ETAG_CHARACTERS or '"' in bare:
        return None
    return bare if _can_stand_in_a_header(bare) else None


def continuation_from(text: str | None) -> str | None:
    """Take a continuation token, which the service has percent-coded already.

    Args:
        text: the header's value, or None.

    Returns:
        The token; None where there is none.

    Raises:
        ValueError: it cannot be sent back.
    """
    if not text:
        return None
    if len(text) > MAX_TOKEN_CHARACTERS or not _can_stand_in_a_header(text) or " " in text:
        raise ValueError("its continuation token cannot be sent back")
    return text


def registration_id_from(location: str | None) -> str | None:
    """Take the registration id out of a Location: the last segment of its path.

    Shipped services and documents differ in the path before it; all clients take the last segment.

    Args:
        location: the header's value, or None.

    Returns:
        The id; None where there is none, or what cannot be one.
    """
    try:
        path = urlsplit(location or "").path
    except ValueError:
        return None
    registration_id = unquote(path.rstrip("/").rpartition("/")[2])
    return registration_id if is_registration_id(registration_id) else None


def tracking_id_from(text: str | None) -> str | None:
    """Take the service's id of an exchange: a GUID, or one with a short name behind it.

    Args:
        text: the header's value, or None.

    Returns:
        The id; None where there is none, or something longer, which may quote what was sent.
    """
    if text is None or not 0 < len(text) <= MAX_TRACKING_ID_CHARACTERS or not text.isascii():
        return None
    return text if text.replace("-", "").replace("_", "").isalnum() else None


def is_registration_id(text: str) -> bool:
    """Tell whether a text can be a registration id: it goes into a path and into the state file."""
    return 0 < len(text) <= MAX_REGISTRATION_ID_CHARACTERS and text not in DOT_SEGMENTS and text.isprintable()


def _can_stand_in_a_header(text: str) -> bool:
    return text.isascii() and text.isprintable()
