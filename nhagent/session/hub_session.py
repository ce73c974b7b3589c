"""The credential's way: from a source to a connection string to a client of the hub.

The sources that cost nothing are read at every start, so that a wrong connection string is told at once, and
a move to another namespace is seen. The key ring is opened, and the HTTP stack imported, only to send. Where
the hub refuses a source's key, the others are tried once: one of them may have the regenerated key.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from itertools import chain
from threading import Thread, current_thread
from time import monotonic
from typing import TYPE_CHECKING, Final, TypeAlias, TypeVar
from weakref import WeakSet

from nhagent import validation
from nhagent.device import key_ring
from nhagent.device.credential_sources import SOURCES_AT_NO_COST, FoundCredential
from nhagent.errors import ConfigurationError, CredentialError, HubUnavailable, Unauthorized
from nhagent.hub.connection import EXCHANGE_SECONDS, ConnectionString, namespace_of, read_endpoint
from nhagent.logs import Log
from nhagent.models import PushChannel

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient

GOOD_CLOCK_SECONDS: Final = 60.0
"""Up to this much off, a clock is not the reason for a token's being refused."""

SET_CLOCK: Final = timedelta(minutes=5)
"""So close to the hub's, a clock that was wrong has been set."""
_NEVER: Final = datetime.min.replace(tzinfo=UTC)

Key: TypeAlias = ConnectionString | Callable[[], str]

_T = TypeVar("_T")

_log = Log(__name__)


@dataclass(frozen=True, slots=True)
class Source:
    """A key and where it came from."""

    name: str
    key: Key = field(repr=False)


class HubSession:
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
        self._given: Source | None = None
        if callable(connection_string):
            if endpoint is None:
                raise ConfigurationError(
                    "endpoint: needed with a token callable; give the namespace's address"
                )
            self._given = Source("the token callable", connection_string)
        elif connection_string is not None:
            self._given = self._parsed(FoundCredential(connection_string, "connection_string"))
        self._refused: list[Source] = []
        self._passed_over: list[Source] = []  # while another is refused: their keys belong elsewhere
        self._source: Source | None = None
        self._client: HubClient | None = None
        self._user: Thread | None = None
        self._cut: WeakSet[Thread] = WeakSet()
        self._sent_before = 0
        self._offset = timedelta()
        self._followed, self._followed_at = _NEVER, 0.0
        self._signed_again = False
        self._channels: tuple[PushChannel, ...] = ()

    @property
    def source(self) -> Source | None:
        """The key in use and where it came from; None before `namespace`, and where none was found."""
        return self._source

    @property
    def address(self) -> str | None:
        """The namespace's base URL, as far as it is known."""
        if self._endpoint is not None or self._source is None:
            return self._endpoint
        key = self._source.key
        return key.endpoint if isinstance(key, ConnectionString) else None

    @property
    def requests_sent(self) -> int:
        """How many requests were sent since the last `close`."""
        return self._sent_before + (0 if self._client is None else self._client.requests_sent)

    @property
    def clock_skew(self) -> float | None:
        """Seconds that the hub's clock was ahead of ours at its last reply since the last `close`."""
        seen = None if self._client is None else self._client.clock_skew
        return None if seen is None else seen + self._offset.total_seconds()

    @property
    def ahead(self) -> int:
        """The whole seconds by which the hub's clock is ahead of ours; 0 where the two are close."""
        skew = self.clock_skew
        return 0 if skew is None or abs(skew) <= GOOD_CLOCK_SECONDS else round(skew)

    def now(self) -> datetime:
        """The time by the hub's clock, as far as this process has seen it; else by ours."""
        skew = self.clock_skew
        if skew is None or abs(skew) <= GOOD_CLOCK_SECONDS:
            return self._signing_time()
        return self._clock() + timedelta(seconds=skew)

    def _signing_time(self) -> datetime:
        """The time by our clock, or by the hub's where a token signed by ours was refused."""
        ours = self._clock()
        if self._offset and abs(ours - self._hub_time()) <= SET_CLOCK:
            self._offset = timedelta()  # somebody has set our clock since
        return ours + self._offset

    def _hub_time(self) -> datetime:
        """What the hub's clock shows by now, going by how long this machine has run since it was followed."""
        return self._followed + timedelta(seconds=monotonic() - self._followed_at)

    def namespace(self) -> str | None:
        """The namespace to register with, as far as it is known without opening a key ring.

        Raises:
            ConfigurationError: the connection string that was found is malformed.
            CredentialError: its source, or the right it carries, is not acceptable.
        """
        self._source = next(self._sources(), None)
        if self._endpoint is not None:
            return namespace_of(self._endpoint)
        return None if self._source is None else _namespace_of(self._source)

    def namespace_at_any_cost(self, seconds: float = key_ring.KEYRING_SECONDS) -> str:
        """The namespace to register with, from the key ring if from nowhere else.

        Args:
            seconds: how long the key rings may take.

        Raises:
            ConfigurationError: the connection string that was found is malformed.
            CredentialError: there is none, or it is not acceptable.
        """
        known = self.namespace()
        if self._source is None:
            seconds = min(seconds, key_ring.KEYRING_SECONDS)
            self._source = next(self._in_keyrings(seconds), None) or self._first_in_keyrings(seconds)
            known = known or _namespace_of(self._source)
        assert known is not None  # a token callable comes with an endpoint
        return known

    def open(self, seconds: float | None = None) -> HubClient:
        """The client to send with; the same one until `close`.

        Args:
            seconds: for one exchange from now on, where that is less than usual.

        Raises:
            HubUnavailable: the thread that asks was cut.
        """
        if self._client is None:
            from nhagent.hub.client import HubClient

            if self._source is None:
                self.namespace_at_any_cost()
            assert self._source is not None
            self._user = current_thread()
            self._client = HubClient(
                self._source.key,
                self._hub,
                endpoint=self._endpoint,
                ca_bundle=self._ca_bundle,
                clock=self._signing_time,
                timeout=EXCHANGE_SECONDS if seconds is None else min(seconds, EXCHANGE_SECONDS),
            )
            self._client.hide(self._channels)
        elif seconds is not None:
            self._client.allow(min(seconds, EXCHANGE_SECONDS))
        if self.is_cut:  # looked at last: a cut that comes later finds the client
            raise HubUnavailable("the background thread was stopped: it sends nothing any more; start anew")
        return self._client

    def hide(self, channels: Iterable[PushChannel]) -> None:
        """Keep these push channels of the device out of every error, whoever quotes them."""
        self._channels = tuple(channels)
        if self._client is not None:
            self._client.hide(self._channels)

    def forget(self) -> None:
        """Let go of the connection without a word to the hub: it is another process's."""
        self._client = None

    def close(self) -> None:
        """Close the connection to the hub, and read the credential anew next time."""
        self._let_go()
        self._sent_before = 0
        self._signed_again = False

    def cut(self, thread: Thread) -> None:
        """End the exchange that a thread has under way, from another one, and let it begin none any more."""
        self._cut.add(thread)
        client, user = self._client, self._user
        if client is not None and user is thread:
            client.cut()

    @property
    def is_cut(self) -> bool:
        """Whether the thread that asks was cut."""
        return current_thread() in self._cut

    def authorized(self, ask: Callable[[], _T]) -> _T:
        """Ask the hub; after a 401 once more, by its clock or with another key of the credential chain.

        Raises:
            Unauthorized: neither helped. It names the source that held the refused key.
        """
        while True:
            try:
                return ask()
            except Unauthorized as error:
                self._recover(error)

    def _recover(self, error: Unauthorized) -> None:
        """After a 401: sign by the hub's clock, or turn to another source of the chain with another key.

        All that was read has then to be read again. The hub's ``Date`` can be believed: it came over
        verified TLS, or from this machine itself.

        Raises:
            Unauthorized: neither is left to try. It names the source that held the refused key.
        """
        seen = None if self._client is None else self._client.clock_skew
        if seen is None or self._source is None:
            raise error
        if abs(seen) <= GOOD_CLOCK_SECONDS:
            self._fall_back(error)
        elif self._signed_again:
            raise error
        else:
            side = "behind" if seen > 0 else "ahead of"
            _log.warning(
                "this device's clock is %.0f s %s the hub's, by which is signed now", abs(seen), side
            )
            self._signed_again = True
            self._offset += timedelta(seconds=seen)
            self._followed, self._followed_at = self._clock() + self._offset, monotonic()
            self._let_go()

    def _fall_back(self, error: Unauthorized) -> None:
        refused = self._source
        assert refused is not None
        namespace = self.namespace_at_any_cost()
        self._refused.append(refused)
        self._let_go()
        instead = self._alternative(namespace)
        if instead is None:
            dead = ", ".join(source.name for source in self._refused)
            self._refused.clear()  # at the next start somebody may have mended one of them
            self._passed_over.clear()
            raise Unauthorized(
                f"{error}; the refused key is that of {dead}, and no other source of the credential chain "
                "has another: put the hub's present one there",
                status=error.status,
                detail=error.detail,
                tracking_id=error.tracking_id,
                server_time=error.server_time,
            ) from None
        _log.warning(
            "%s holds a key that the hub refuses; that of %s is tried instead", refused.name, instead.name
        )

    def _alternative(self, namespace: str) -> Source | None:
        """The next source of the chain whose key belongs where the refused one was used."""
        places = {namespace, _namespace_of(self._refused[-1])}
        for source in chain(self._sources(), self._stand_ins_in_keyrings()):
            if _namespace_of(source) in places:
                return source
            self._passed_over.append(source)
        return None

    def _first_in_keyrings(self, seconds: float) -> Source:
        return self._parsed(key_ring.find_in_keyring(self._app, self._hub, seconds=seconds))

    def _stand_ins_in_keyrings(self) -> Iterator[Source]:
        try:
            yield from self._in_keyrings(key_ring.KEYRING_SECONDS)
        except (ConfigurationError, CredentialError) as error:
            _log.debug("no other key: %s", error)

    def _in_keyrings(self, seconds: float) -> Iterator[Source]:
        """What the key rings hold, in order, without what is out of the question after a refusal."""
        for found in key_ring.all_in_keyrings(self._app, self._hub, seconds=seconds):
            try:
                source = self._parsed(found)
            except (ConfigurationError, CredentialError):
                if not self._refused:
                    raise  # as in `_sources`
                continue
            if not self._was_refused(source):
                yield source

    def _sources(self) -> Iterator[Source]:
        """The chain's sources but the key ring, in order, without those whose key the hub has refused."""
        if self._given is not None and not self._was_refused(self._given):
            yield self._given
            if not self._refused:
                return
        for find in SOURCES_AT_NO_COST:
            try:
                found = find()
                source = None if found is None else self._parsed(found)
            except (ConfigurationError, CredentialError):
                if not self._refused:
                    raise  # the first that is there counts; one that only stands in may be broken
                continue
            if source is not None and not self._was_refused(source):
                yield source

    def _was_refused(self, source: Source) -> bool:
        """Whether a source's key was refused, or belongs elsewhere than the key that was."""
        return any(source.key == out.key for out in (*self._refused, *self._passed_over))

    def _let_go(self) -> None:
        skew = self.clock_skew
        if skew is not None and abs(skew) <= GOOD_CLOCK_SECONDS:
            self._offset = timedelta()  # ours is right by now
        if self._client is not None:
            self._sent_before += self._client.requests_sent
            self._client.close()
        self._client = None
        self._source = None

    def _parsed(self, found: FoundCredential) -> Source:
        connection = checked_connection_string(
            found.text, found.source, self._hub, allow_full_access=self._allow_full_access
        )
        return Source(found.source, connection)


def checked_connection_string(
    text: str, source: str, hub: str, *, allow_full_access: bool
) -> ConnectionString:
    """Read a connection string that a device shall use.

    Args:
        text: the connection string.
        source: where it came from, to be named in an error.
        hub: the device's hub.
        allow_full_access: take a key that may do more than listen.

    Raises:
        ConfigurationError: it is malformed, or another hub's.
        CredentialError: it may do more than a device needs.
    """
    try:
        connection = ConnectionString.parse(text)
        connection.check_hub(hub)
    except ConfigurationError as error:
        raise ConfigurationError(f"{source}: {error}") from None
    if connection.allows_more_than_listen and not allow_full_access:
        raise CredentialError(
            f"{source}: key {connection.key_name!r} may do more than listen, and would be lost with "
            "the device; take a policy with the Listen right alone, or set allow_full_access"
        )
    return connection


def _namespace_of(source: Source) -> str | None:
    return source.key.namespace if isinstance(source.key, ConnectionString) else None


def _readable_pem(path: str | None) -> str | None:
    """Refuse a CA bundle that is none before the first request, and without loading TLS for it."""
    if path is None:
        return None
    if not validation.is_text(path) or "\0" in path:
        raise ConfigurationError(f"ca_bundle {validation.shown(path)}: give the path of a PEM file")
    try:
        with open(path, "rb") as file:
            content = file.read()
    except OSError as error:
        raise ConfigurationError(
            f"ca_bundle {validation.shown(path)}: {error.strerror}; check the path"
        ) from None
    if b"-----BEGIN CERTIFICATE-----" not in content:
        raise ConfigurationError(f"ca_bundle {path!r}: holds no PEM certificate; give the authority's own")
    return path
