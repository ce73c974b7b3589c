"""`If-Match`, in every form that a shipped client gives an ETag."""

from __future__ import annotations

import re

from .messages import Refused

# JavaScript and .NET write "1" (and "*", with quotes), Java W/"1", a careless caller 1.
_FORM = re.compile(r'(?:W/)?(?:"(\*|\d+)"|(\*|\d+))', re.ASCII)


def require_match(header: str, etag: int) -> None:
    """See that a header names this ETag, or any.

    Raises:
        Refused: 412, it names another, or has no known form.
    """
    for part in header.split(","):
        match = _FORM.fullmatch(part.strip())
        if match is not None and (match[1] or match[2]) in ("*", str(etag)):
            return
    raise missing_or_invalid()


def missing_or_invalid() -> Refused:
    return Refused(412, "ETag header missing or invalid")
