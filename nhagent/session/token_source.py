"""SAS tokens that somebody else makes for this device: asked for when needed, and again before they end."""

from __future__ import annotations

from nhagent.errors import ConfigurationError
from nhagent.secret import HiddenCallable, Secret
from nhagent.validation import check_callable, check_not_async

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any, Final

RENEWED_SECONDS: Final = 300
"""How long before its end a token is asked for again."""
MAX_DIGITS: Final = 12
"""Digits of an end that is believed."""


class TokenSource:
    """Gives the token to sign the next request with: a callable, as `CredentialChain` takes it.

    Args:
        token: gives a SAS token for an installation id.
        installation_id: gives the device's id, known or to be.
        clock: gives the time, aware.

    Raises:
        ConfigurationError: ``token`` cannot be called, or is a coroutine function.
    """

    def __init__(
        self,
        token: Callable[[str], str],
        installation_id: Callable[[], str],
        clock: Callable[[], datetime],
    ) -> None:
        check_callable("token", token)
        check_not_async("token", token)
        self._token = Secret(token)
        self._installation_id = installation_id
        self._clock = clock
        self._kept: tuple[str, Secret[str], float] | None = None

    def __call__(self) -> str:
        """Give the token that was given last, or a new one where that is for another id, or about to end."""
        installation_id, now = self._installation_id(), self._clock().timestamp()
        kept = self._kept  # replaced at once: threads may share it
        if kept is not None and kept[0] == installation_id and now < kept[2] - RENEWED_SECONDS:
            return kept[1].reveal()
        text = self._token.reveal()(installation_id)
        self._kept = None
        if isinstance(text, str):
            self._kept = installation_id, Secret(text), _end_of(text)
        return text


def source_of(
    connection_string: Any,
    token: Secret[Callable[[str], str]] | None,
    installation_id: Callable[[], str],
    clock: Callable[[], datetime],
) -> Any:
    """Give what the credential chain takes: the connection string, or a source of tokens.

    Raises:
        ConfigurationError: both are given, or the token cannot be called.
    """
    if token is None:
        return connection_string
    if connection_string is not None:
        raise ConfigurationError("token: there is a connection string beside it", "give one of the two")
    return HiddenCallable(TokenSource(token.reveal(), installation_id, clock))


def _end_of(token: str) -> float:
    """The moment at which a token ends, in seconds since 1970; 0 where it does not say."""
    for part in token.split("&"):
        name, _, value = part.partition("=")
        if name.strip() == "se" and value.isascii() and value.isdecimal() and len(value) <= MAX_DIGITS:
            return float(value)
    return 0.0
