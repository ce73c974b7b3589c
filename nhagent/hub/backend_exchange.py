"""One exchange with an app's backend: an installation out or in, by bearer token or mutual TLS."""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING, Final

from nhagent.errors import ConfigurationError, HubError
from nhagent.hub.backend_refusals import meaning_of, reason_in
from nhagent.hub.client_certificate import ClientCertificate
from nhagent.hub.connection import EXCHANGE_SECONDS
from nhagent.hub.replies import HubReply, raise_for_error
from nhagent.hub.transport import Request, Response
from nhagent.hub.way import HubRequest, Way
from nhagent.secret import hiding_arguments
from nhagent.version import __version__

if TYPE_CHECKING:
    from nhagent.hub.backend import Backend
    from nhagent.secret import Secret

_INSTALLATIONS: Final = "installations/"


class BackendExchange(Way):
    """The way to a backend.

    Args:
        backend: where it is.
        token: gives the bearer token, hidden; None where there is none.
        clock: gives the time, aware.

    Raises:
        ConfigurationError: the certificate or the CA bundle cannot be used.
    """

    def __init__(
        self, backend: Backend, token: Callable[[], Secret[str] | None], clock: Callable[[], datetime]
    ) -> None:
        super().__init__(
            f'backend "{backend.name}"',
            ca_bundle=backend.ca_bundle,
            timeout=EXCHANGE_SECONDS,
            clock=clock,
            certificate=ClientCertificate.read(backend.client_cert),
        )
        self._url = backend.url
        self._token = token

    @property
    def place(self) -> str:
        """The backend and where it is, to be shown."""
        return f"{self.name} at {self._url}"

    @hiding_arguments
    def make(self, request: HubRequest) -> tuple[Response, HubReply]:
        """Make one exchange about an installation; see `Way.make`."""
        if not request.path.startswith(_INSTALLATIONS):
            raise ConfigurationError(
                f"{self.name}: {request.record}: a backend holds installations alone", "ask the hub itself"
            )
        token = self._token()
        url = f"{self._url}/{request.path.removeprefix(_INSTALLATIONS)}"
        response, facts = self.exchanged(
            Request(request.method, url, _headers_of(request, token), request.body),
            secrets=lambda: () if token is None else (token.reveal(),),
            channels=request.channels,
        )
        try:
            raise_for_error(
                response,
                facts,
                who=self.name,
                record=request.record,
                redact=self.of_thread.redact,
                meaning_of=meaning_of,
            )
        except HubError as error:
            raise self._with_reason(error, response) from None
        return response, facts

    def _with_reason(self, error: HubError, response: Response) -> HubError:
        """Say in an error why the backend refuses, as far as it tells."""
        redact = self.of_thread.redact
        code, tags = reason_in(response)
        error.code, error.tags = redact(code), tuple(map(redact, tags))
        if tags:
            error.fact += f" (because of the tags {', '.join(error.tags)})"
        elif code and error.code not in error.fact:
            error.fact += f" ({error.code})"
        error.args = (error.fact, error.hint)
        return error


def _headers_of(request: HubRequest, token: Secret[str] | None) -> dict[str, str]:
    headers = {
        "User-Agent": f"nhagent/{__version__}",
        "Accept": "application/json, application/problem+json",
        "Accept-Encoding": "identity",
    }
    if token is not None:
        headers["Authorization"] = f"Bearer {token.reveal()}"
    if request.body is not None:
        headers["Content-Type"] = request.content_type
    if request.etag is not None:
        headers["If-Match"] = request.etag
    return headers
