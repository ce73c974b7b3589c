"""One exchange with a hub: a signed request out, a checked reply or an error of the tree back."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import datetime
from typing import Final
from urllib.parse import quote, unquote

from nhagent import validation
from nhagent.errors import (
    ConfigurationError,
    CredentialError,
)
from nhagent.hub.checked import if_match
from nhagent.hub.connection import ConnectionString, read_endpoint
from nhagent.hub.replies import HubReply, raise_for_error
from nhagent.hub.transport import Request, Response
from nhagent.hub.way import HubRequest, Way
from nhagent.secret import Secret, hiding_arguments
from nhagent.version import __version__

API_VERSION: Final = "2020-06"


TokenSource = Callable[[], str]
"""Gives a SAS token, for devices that hold no key; called again for every request."""


class HubExchange(Way):
    """The way to one hub.

    Args:
        connection_string, hub, endpoint, ca_bundle, timeout, clock: as for `nhagent.hub.client.HubClient`.

    Raises:
        ConfigurationError: an argument is wrong; nothing was sent.
    """

    def __init__(
        self,
        connection_string: Secret[str] | ConnectionString | TokenSource,
        hub: str,
        *,
        endpoint: str | None,
        ca_bundle: str | None,
        timeout: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._hub = validation.checked_hub_name(hub)
        credential: Secret[str] | ConnectionString | TokenSource = connection_string
        if isinstance(credential, Secret) and isinstance(credential.reveal(), str):
            credential = ConnectionString.parse(credential.reveal())
        if isinstance(credential, ConnectionString):
            credential.check_hub(hub)
            endpoint = credential.endpoint if endpoint is None else endpoint
        elif not callable(credential):
            given = None if credential is None else credential.reveal()
            raise ConfigurationError(
                f"connection_string: is {type(given).__name__}",
                "give text, or a callable that gives a SAS token",
            )
        elif endpoint is None:
            raise ConfigurationError("endpoint: needed with a token callable", "give the namespace's address")
        self._credential = credential
        self._endpoint = read_endpoint(endpoint, "endpoint")
        super().__init__(f'hub "{hub}"', ca_bundle=ca_bundle, timeout=timeout, clock=clock)

    def covers(self, path: str) -> bool:
        """Whether the token's audience covers a path below the hub, as far as it says so.

        Raises:
            CredentialError: the token callable failed, or gave no token.
        """
        if isinstance(self._credential, ConnectionString):
            return True
        match = re.search(r"[\s&]sr=([^&\s]+)", self._signed("").reveal())
        if match is None:
            return True
        # Scheme, port and case of an audience do not count.
        audience = unquote(match[1]).lower().partition("://")[2].partition("?")[0].rstrip("/")
        below = audience.partition("/")[2]
        wanted = f"{quote(self._hub)}/{path}".lower()
        return not below or f"{wanted}/".startswith(f"{below}/")

    @property
    def place(self) -> str:
        """The hub and where it is, to be shown."""
        return f"hub {self._hub!r} at {self._endpoint}"

    @hiding_arguments
    def make(self, request: HubRequest) -> tuple[Response, HubReply]:
        """Make one exchange, signed for the path that is asked for; see `Way.make`."""
        resource = f"{self._endpoint}/{quote(self._hub)}/{request.path}"
        token = self._signed(resource)
        query = "&".join((f"api-version={API_VERSION}", *request.query))
        response, facts = self.exchanged(
            Request(request.method, f"{resource}?{query}", _headers_of(request, token), request.body),
            secrets=lambda: (*_keys_of(self._credential), *_secrets_of(token.reveal())),
            channels=request.channels,
        )
        raise_for_error(
            response,
            facts,
            who=self.name,
            record=request.record,
            right=request.right,
            redact=self.of_thread.redact,
        )
        return response, facts

    def _signed(self, resource: str) -> Secret[str]:
        """Give a token for a resource: signed by the key, or the callable's."""
        if isinstance(self._credential, ConnectionString):
            return Secret(self._credential.token(resource, self._clock()))
        return Secret(_token_of(self._credential))


def _headers_of(request: HubRequest, token: Secret[str]) -> dict[str, str]:
    headers = {
        "Authorization": token.reveal(),
        "User-Agent": f"nhagent/{__version__}",
        "Accept-Encoding": "identity",
        "x-ms-version": API_VERSION,
    }
    if request.body is not None:
        headers["Content-Type"] = request.content_type
    if request.etag is not None:
        headers["If-Match"] = if_match(request.etag)
    return {**headers, **request.headers} if request.headers else headers


def _token_of(source: TokenSource) -> str:
    """Ask a token callable, and refuse what cannot be a SAS token: it goes into a header.

    Raises:
        HubUnavailable, CredentialError, NhagentError: as `nhagent.hub.token_callable.asked`; or it gave none.
    """
    from nhagent.hub.token_callable import CORRECT_IT, asked

    token = asked(source)
    text = token.strip() if isinstance(token, str) else ""
    if not text.startswith("SharedAccessSignature ") or not (text.isascii() and text.isprintable()):
        raise CredentialError(
            'the token callable gave no SAS token ("SharedAccessSignature sr=…")', CORRECT_IT
        )
    return text


def _keys_of(credential: object) -> tuple[str, ...]:
    return (credential.key.reveal(),) if isinstance(credential, ConnectionString) else ()


def _secrets_of(token: str) -> tuple[str, ...]:
    """Give what no error may show of a token: all of it, and its signature."""
    signature = re.search(r"\bsig=([^&\s]+)", token)
    whole = token.removeprefix("SharedAccessSignature ")
    return (whole,) if signature is None else (whole, unquote(signature[1]))
