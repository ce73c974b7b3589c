"""Refusals, as application/problem+json with a ``code`` that devices know."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from http import HTTPStatus

from flask import Flask, Response, current_app
from sqlalchemy.exc import OperationalError, SQLAlchemyError
from sqlalchemy.exc import TimeoutError as NoConnection
from werkzeug.exceptions import HTTPException, InternalServerError, MethodNotAllowed, NotFound

from nhagent.errors import (
    ConcurrencyConflict,
    ConfigurationError,
    HubError,
    HubUnavailable,
    InvalidRequest,
    Throttled,
)

LATER_SECONDS = 30.0
"""The Retry-After where the hub has named none."""
_CODES = {405: "method_not_allowed", 413: "too_large", 415: "unsupported_media_type"}


class Problem(Exception):
    """A refusal.

    Args:
        status: the HTTP status.
        code: what is the reason, for programs.
        detail: the same for people.
        tags: the tags that are the reason.
        retry_after: seconds after which it may go well.
    """

    def __init__(
        self,
        status: int,
        code: str,
        detail: str,
        *,
        tags: Sequence[str] = (),
        retry_after: float | None = None,
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.code = code
        self.detail = detail
        self.tags = list(tags)
        self.retry_after = retry_after

    def response(self) -> Response:
        """Write it as a reply."""
        document: dict[str, object] = {
            "title": HTTPStatus(self.status).phrase,
            "status": self.status,
            "code": self.code,
            "detail": self.detail,
        }
        if self.tags:
            document["tags"] = self.tags
        reply = Response(json.dumps(document), self.status, content_type="application/problem+json")
        if self.retry_after is not None:
            reply.headers["Retry-After"] = str(math.ceil(self.retry_after))
        if self.status == HTTPStatus.UNAUTHORIZED:
            reply.headers["WWW-Authenticate"] = "Bearer"
        return reply


def invalid(detail: str) -> Problem:
    """Make the refusal of an installation, or of what else was sent."""
    return Problem(400, "invalid_installation", detail)


def not_found() -> Problem:
    """Make the one answer for what there is not, and for what is another device's."""
    return Problem(404, "not_found", "There is no such record of this device's.")


def conflict(status: int = 412) -> Problem:
    """Make the refusal of a write over what somebody else has changed."""
    return Problem(status, "conflict", "It is not what it was: read it again.")


def from_hub(error: HubError) -> Problem:
    """Say to a device what the hub has said to us.

    A key of ours that is refused, or a hub that is full, is nothing that the device could mend: 502.
    """
    if isinstance(error, InvalidRequest):
        return invalid(error.fact)
    wait = LATER_SECONDS if error.retry_after is None else error.retry_after
    if isinstance(error, Throttled):
        return Problem(429, "try_later", "The hub is asked too often.", retry_after=wait)
    if isinstance(error, ConcurrencyConflict):
        return Problem(503, "try_later", "Somebody else was faster every time.", retry_after=wait)
    if isinstance(error, HubUnavailable) and error.status == HTTPStatus.SERVICE_UNAVAILABLE:
        return Problem(503, "try_later", "The hub cannot answer now.", retry_after=wait)
    return Problem(502, "hub_failed", "The hub did not do what was asked.")


def register(app: Flask) -> None:
    """Let every refusal of the app be answered as a problem."""
    app.register_error_handler(Problem, Problem.response)
    app.register_error_handler(HubError, _hub_failed)
    app.register_error_handler(ConfigurationError, _not_for_a_hub)
    for of_database in (OperationalError, NoConnection):
        app.register_error_handler(of_database, _database_failed)
    app.register_error_handler(HTTPException, _from_http)


def _hub_failed(error: HubError) -> Response:
    current_app.logger.warning("%s", error)  # an error of nhagent's shows no key, token or handle
    return from_hub(error).response()


def _not_for_a_hub(error: ConfigurationError) -> Response:
    return invalid(str(error)).response()


def _database_failed(error: SQLAlchemyError) -> Response:
    current_app.logger.error("the database: %s", type(error).__name__)
    return Problem(503, "try_later", "The database cannot answer now.", retry_after=LATER_SECONDS).response()


def _from_http(error: HTTPException) -> Response | HTTPException:
    if isinstance(error, NotFound):
        return error  # no JSON: nothing of the backend is at this address
    if isinstance(error, InternalServerError):
        return Problem(500, "failed", "The backend has failed.").response()
    status = error.code or 500
    reply = Problem(status, _CODES.get(status, "refused"), error.description or "").response()
    if isinstance(error, MethodNotAllowed) and error.valid_methods:
        reply.headers["Allow"] = ", ".join(sorted(error.valid_methods))
    return reply
