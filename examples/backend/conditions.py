"""If-Match: a write goes over what the device has seen, or over nothing."""

from __future__ import annotations

from flask import request

from .problems import conflict


def is_conditional() -> bool:
    """Whether the request at work is for what it has seen alone."""
    return "If-Match" in request.headers


def check_match(etag: str | None) -> None:
    """Refuse a request that is for something else than what there is; a malformed ETag is never of it.

    Args:
        etag: of what there is; None: there is nothing.

    Raises:
        Problem: 412.
    """
    if is_conditional() and (etag is None or not request.if_match.contains(etag)):
        raise conflict()
