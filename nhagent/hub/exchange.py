"""One exchange with a hub: a signed request out, a checked reply or an error of the tree back."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Sequence
from datetime import datetime
from functools import partial
from typing import Final
from urllib.parse import quote, unquote

from nhagent import __version__, validation
from nhagent.errors import (
    ConfigurationError,
    CredentialError,
    HubError,
    HubUnavailable,
    NhagentError,
    is_failure,
)
from nhagent.hub.connection import ConnectionString, read_endpoint
from nhagent.hub.replies import HubReply, raise_for_error, read_facts
from nhagent.hub.transport import Request, Response, Transport
from nhagent.models import PushChannel, marks_of
from nhagent.redaction import redacted, without_text

API_VERSION: Final = "2020-06"

_HTTP_LIBRARIES: Final = {"http", "httpx", "httpcore", "aiohttp", "urllib3", "requests"}
_TOKEN: Final = re.compile(r"SharedAccessSignature\s+(\S+)", re.IGNORECASE)

TokenSource = Callable[[], str]
"""Gives a SAS token, for devices that hold no key; asked anew for every request."""


class HubExchange:
    """The way to one hub, for one thread at a time. Arguments and errors are those of `HubClient`."""

    def __init__(
        self,
        connection_string: str | ConnectionString | TokenSource,
        hub: str,
        *,
        endpoint: str | None,
        ca_bundle: str | None,
        timeout: float,
        clock: Callable[[], datetime],
    ) -> None:
        self._hub = validation.checked_hub_name(hub)
        self._clock = clock
        self._key = ""
        self._veil: Callable[[str], str] = redacted
        self.channels: tuple[PushChannel, ...] = ()
        """Push channels that no error may show, beside those of the request itself."""
        if isinstance(connection_string, str):
            connection_string = ConnectionString.parse(connection_string)
        if isinstance(connection_string, ConnectionString):
            connection_string.check_hub(hub)
            key = connection_string
            self._endpoint, self._key = key.endpoint, key.key
            self._token: Callable[[str], str] = lambda resource: key.token(resource, self._clock())
        else:
            source = connection_string
            if not callable(source):
                raise ConfigurationError("connection_string: give text, or a callable that gives a SAS token")
            if endpoint is None:
                raise ConfigurationError(
                    "endpoint: needed with a token callable; give the namespace's address"
                )
            self._token = lambda _: _token_of(source, self.channels)
        if endpoint is not None:
            self._endpoint = read_endpoint(endpoint, "endpoint")
        validation.check_seconds("timeout", timeout)
        self._transport = Transport(ca_bundle=ca_bundle, timeout=timeout)
        self.requests_sent = 0
        self.clock_skew: float | None = None
        """Seconds that the hub's clock was ahead of ours at its last reply."""

    def allow(self, seconds: float) -> None:
        """Give every exchange from now on so many seconds."""
        self._transport.allow(seconds)

    @property
    def place(self) -> str:
        """The hub and where it is, to be shown."""
        return f"hub {self._hub!r} at {self._endpoint}"

    def cut(self) -> None:
        """End the exchange that is under way, from another thread, and let none begin any more."""
        self._transport.cut()

    def close(self) -> None:
        """Close the connection."""
        self._transport.close()

    def make(
        self,
        method: str,
        path: str,
        record: str,
        body: bytes | None = None,
        content_type: str = "",
        *,
        etag: str | None = None,
        query: Sequence[str] = (),
        channels: Iterable[PushChannel] = (),
    ) -> tuple[Response, HubReply]:
        """Make one exchange.

        Args:
            method: the HTTP method.
            path: below the hub, percent-encoded: what the token is signed for.
            record: what is asked for, to be named in an error.
            body: what is sent, and as what it is labelled: content_type.
            etag: for If-Match: a bare counter or ``*``.
            query: further parts of the query, percent-encoded.
            channels: the push channels in the request, which no error may show.

        Raises:
            HubError: the hub did not do it.
        """
        resource = f"{self._endpoint}/{quote(self._hub)}/{path}"
        token = self._token(resource)
        self._veil = partial(
            redacted,
            secrets=(self._key, *_secrets_of(token)),
            marks=marks_of((*channels, *self.channels)),
        )
        headers = {
            "Authorization": token,
            "User-Agent": f"nhagent/{__version__}",
            "Accept-Encoding": "identity",
            "x-ms-version": API_VERSION,
        }
        if body is not None:
            headers["Content-Type"] = content_type
        if etag is not None:
            headers["If-Match"] = etag if etag == "*" else f'"{etag}"'
        asked = "&".join((f"api-version={API_VERSION}", *query))
        sent = self._clock()
        self.requests_sent += 1
        response = self._transport.send(Request(method, f"{resource}?{asked}", headers, body))
        facts = read_facts(response, sent=sent, received=self._clock())
        self.clock_skew = facts.clock_skew
        raise_for_error(response, facts, hub=self._hub, record=record, veil=self._veil)
        return response, facts

    def nonsense(self, reply: HubReply, why: str) -> HubUnavailable:
        """The error for a success whose document is none."""
        return HubUnavailable(
            f'hub "{self._hub}": the reply makes no sense ({self._veil(why)}); something else answers in its '
            "place",
            status=reply.status,
            tracking_id=reply.tracking_id,
        )


def _token_of(source: TokenSource, channels: Iterable[PushChannel] = ()) -> str:
    """Ask a token callable, and take nothing else for a token: it goes into a header."""
    try:
        token = source()
    except NhagentError as error:
        raise _veiled_error(error, channels) from None
    except BaseException as error:
        if not is_failure(error):
            raise
        if _is_of_the_network(error):
            raise HubUnavailable(
                f"the token callable could not reach its backend ({without_text(error)}); tried later"
            ) from None
        raise CredentialError(f"the token callable failed ({without_text(error)}); correct it") from None
    if hasattr(token, "__await__"):
        _dismiss(token)
        raise CredentialError("the token callable is a coroutine function; give a plain one")
    text = token.strip() if isinstance(token, str) else ""
    if not text.startswith("SharedAccessSignature ") or not (text.isascii() and text.isprintable()):
        raise CredentialError(
            'the token callable gave no SAS token ("SharedAccessSignature sr=…"); correct it'
        )
    return text


def _veiled_error(error: NhagentError, channels: Iterable[PushChannel]) -> NhagentError:
    """An error of ours that the app's own code raised: its text is the app's, and so is what led to it."""

    def shown(text: str) -> str:
        return redacted(text, secrets=_TOKEN.findall(text), marks=marks_of(channels))

    error.fact, error.hint = shown(error.fact), shown(error.hint)
    error.args = (error.fact, error.hint)
    if isinstance(error, HubError):
        error.detail = shown(error.detail)
    error.__cause__ = error.__context__ = None
    return error


def _is_of_the_network(error: BaseException) -> bool:
    """Whether a backend could not be reached, in the words of any HTTP library: not all know OSError."""
    if isinstance(error, OSError):
        return True
    return any(kind.__module__.partition(".")[0] in _HTTP_LIBRARIES for kind in type(error).__mro__)


def _dismiss(awaitable: object) -> None:
    close = getattr(awaitable, "close", None)
    if close is not None:
        close()  # else Python warns that nobody awaited it


def _secrets_of(token: str) -> tuple[str, ...]:
    """What no error may show of a token: all of it, and its signature."""
    signature = re.search(r"\bsig=([^&\s]+)", token)
    whole = token.removeprefix("SharedAccessSignature ")
    return (whole,) if signature is None else (whole, unquote(signature[1]))
