"""The credential's way: from a source to a connection string to a client of the hub.

The sources that cost nothing are read at every start, so that a wrong connection string is told at once, and
a move to another namespace is seen. The key ring is opened, and the HTTP stack imported, only to send.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import datetime
from typing import TYPE_CHECKING

from nhagent import rules
from nhagent.device import credentials
from nhagent.errors import ConfigurationError, CredentialError
from nhagent.hub.connection import EXCHANGE_SECONDS, ConnectionString, namespace_of, read_endpoint

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient


class HubAccess:
    """A device's way to its hub.

    Args:
        app: names the key ring entry.
        hub: the hub's name.
        connection_string: text, or a callable giving a SAS token, or None for the credential chain.
        endpoint: the namespace's address, where no connection string says it.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones.
        allow_full_access: take a key that may do more than listen.
        clock: gives the time, aware.

    Raises:
        ConfigurationError: an argument is wrong.
        CredentialError: the connection string may do more than a device needs.
    """

    def __init__(
        self,
        app: str,
        hub: str,
        connection_string: str | Callable[[], str] | None,
        *,
        endpoint: str | None,
        ca_bundle: str | None,
        allow_full_access: bool,
        clock: Callable[[], datetime],
    ) -> None:
        self._app = app
        self._hub = hub
        self._endpoint = None if endpoint is None else read_endpoint(endpoint, "endpoint")
        self._ca_bundle = _readable_pem(ca_bundle)
        self._allow_full_access = allow_full_access
        self._clock = clock
        self._given: ConnectionString | Callable[[], str] | None = None
        if callable(connection_string):
            if endpoint is None:
                raise ConfigurationError(
                    "endpoint: needed with a token callable; give the namespace's address"
                )
            self._given = connection_string
        elif connection_string is not None:
            self._given = self._parsed(connection_string, "connection_string")
        self._found: ConnectionString | None = None
        self._client: HubClient | None = None

    @property
    def requests_sent(self) -> int:
        """How many requests were sent since the last `close`."""
        return 0 if self._client is None else self._client.requests_sent

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the hub's clock was ahead of ours at its last reply since the last `close`."""
        return None if self._client is None else self._client.clock_skew

    def namespace(self) -> str | None:
        """The namespace to register with, as far as it is known without opening a key ring.

        Raises:
            ConfigurationError: the connection string that was found is malformed.
            CredentialError: its source, or the right it carries, is not acceptable.
        """
        if self._given is None:
            found = credentials.find_at_no_cost()
            self._found = None if found is None else self._parsed(found.text, found.source)
        if self._endpoint is not None:
            return namespace_of(self._endpoint)
        known = self._given or self._found
        return known.namespace if isinstance(known, ConnectionString) else None

    def namespace_at_any_cost(self) -> str:
        """The namespace to register with, from the key ring if from nowhere else.

        Raises:
            ConfigurationError: the connection string that was found is malformed.
            CredentialError: there is none, or it is not acceptable.
        """
        known = self.namespace()
        if self._given is None and self._found is None:
            found = credentials.find_in_keyring(self._app, self._hub)
            self._found = self._parsed(found.text, found.source)
            known = known or self._found.namespace
        assert known is not None  # a token callable comes with an endpoint
        return known

    def open(self, seconds: float | None = None) -> HubClient:
        """The client to send with; the same one until `close`.

        Args:
            seconds: for one exchange, where that is less than usual.
        """
        if self._client is None:
            from nhagent.hub.client import HubClient

            if self._given is None and self._found is None:
                self.namespace_at_any_cost()
            source = self._given or self._found
            assert source is not None
            self._client = HubClient(
                source,
                self._hub,
                endpoint=self._endpoint,
                ca_bundle=self._ca_bundle,
                clock=self._clock,
                timeout=EXCHANGE_SECONDS if seconds is None else min(seconds, EXCHANGE_SECONDS),
            )
        return self._client

    def close(self) -> None:
        """Close the connection to the hub, and read the credential anew next time."""
        if self._client is not None:
            self._client.close()
        self._client = None
        self._found = None

    def _parsed(self, text: str, source: str) -> ConnectionString:
        try:
            connection = ConnectionString.parse(text)
        except ConfigurationError as error:
            raise ConfigurationError(f"{source}: {error}") from None
        if connection.allows_more_than_listen and not self._allow_full_access:
            raise CredentialError(
                f"{source}: key {connection.key_name!r} may do more than listen, and would be lost with "
                "the device; take a policy with the Listen right alone, or set allow_full_access"
            )
        connection.check_hub(self._hub)
        return connection


def _readable_pem(path: str | None) -> str | None:
    """Refuse a CA bundle that is none before the first request, and without loading TLS for it."""
    if path is None:
        return None
    if not rules.is_text(path) or "\0" in path:
        raise ConfigurationError(f"ca_bundle {rules.shown(path)}: give the path of a PEM file")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigurationError(
            f"ca_bundle {rules.shown(path)}: {error.strerror}; check the path"
        ) from error
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ConfigurationError(f"ca_bundle {path!r}: holds no PEM certificate; give the authority's own")
    return path
