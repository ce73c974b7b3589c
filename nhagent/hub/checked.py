"""What a hub says in headers and attributes, checked before it becomes ours: ids, ETags, tokens.

What fails a check counts as absent. A peer's words then never make a header that cannot be sent, nor a raw
error of a parser.
"""

from __future__ import annotations

from typing import Final
from urllib.parse import unquote, urlsplit

from nhagent.validation import DOT_SEGMENTS

ANY: Final = "*"
"""Stands in If-Match for whatever ETag the record has."""
MAX_ETAG_CHARACTERS: Final = 128
MAX_TRACKING_ID_CHARACTERS: Final = 60
"""Shorter than any push channel that is made of letters and digits alone."""
MAX_TOKEN_CHARACTERS: Final = 4096
NOT_IN_TOKENS: Final = frozenset(" &#")
"""What would end a continuation token within a query."""
MAX_REGISTRATION_ID_CHARACTERS: Final = 512
_WRITTEN_MARKS: Final = (("&quot;", '"'), ("%22", '"'), ('\\"', '"'))
"""A quotation mark as XML, a URL and JSON write it."""


def etag_from(text: str | None) -> str | None:
    """Take the bare counter of an ETag in any quoting: ``W/"1"``, ``"1"``, ``1``.

    Args:
        text: the ETag as the hub gave it, or None.

    Returns:
        The counter; None where there is none, or what cannot stand in a header. ``*`` is no ETag: it would
        match whatever the record has become.
    """
    bare = _bare(text or "")
    return None if bare == ANY else bare


def etag_to_send(etag: object) -> str | None:
    """Take the ETag that a caller wants to match, as `etag_from`, or ``*`` in any quoting.

    Args:
        etag: as the caller gave it.

    Returns:
        The counter or ``*``; None where it is neither.
    """
    return _bare(etag) if isinstance(etag, str) else None


def opaque_etag_from(text: str | None) -> str | None:
    """Take the ETag of a backend as it is: ``"…"`` or ``W/"…"``.

    Args:
        text: the ETag as it came, or None.

    Returns:
        It, to be sent back; None where there is none, or what cannot stand in a header.
    """
    etag = (text or "").strip()
    is_quoted = etag.removeprefix("W/")[:1] == '"' == etag[-1:] and len(etag.removeprefix("W/")) > 1
    within = etag.removeprefix("W/")[1:-1]
    is_usable = is_quoted and within.isascii() and within.isprintable() and not {'"', " "} & set(within)
    return etag if is_usable and len(etag) <= MAX_ETAG_CHARACTERS else None


def notification_id_from(location: str | None) -> str | None:
    """Take a notification's id out of the address that the hub gives it.

    Args:
        location: the Location header, or None.

    Returns:
        Its last segment; None where there is none, or what cannot be one.
    """
    try:
        path = urlsplit(location or "").path
    except ValueError:
        return None
    text = unquote(path.rpartition("/")[2])
    is_id = text.isascii() and text.replace("-", "").replace("_", "").isalnum()
    return text if is_id and len(text) <= MAX_REGISTRATION_ID_CHARACTERS else None


def if_match(etag: str) -> str:
    """Write an If-Match header.

    Args:
        etag: a bare counter, or ``*``.
    """
    return ANY if etag == ANY else f'"{etag}"'


def _bare(text: str) -> str | None:
    """Take an ETag out of its quotation marks, which may be escaped, and of the mark of a weak one."""
    bare = text.strip()
    if len(bare) > 2 * MAX_ETAG_CHARACTERS:
        return None
    for written, mark in _WRITTEN_MARKS:
        bare = bare.replace(written, mark)
    for _ in range(2):  # a weak one may have been quoted again, as text
        bare = bare.strip("\"'").strip()
        if bare[:2].lower() == "w/":
            bare = bare[2:].strip()
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
    if not is_continuation(text):
        raise ValueError("its continuation token cannot be sent back")
    return text


def is_continuation(token: object) -> bool:
    """Tell whether something can be a continuation token: it is put into a query as it is."""
    return (
        isinstance(token, str)
        and 0 < len(token) <= MAX_TOKEN_CHARACTERS
        and _can_stand_in_a_header(token)
        and NOT_IN_TOKENS.isdisjoint(token)
    )


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
