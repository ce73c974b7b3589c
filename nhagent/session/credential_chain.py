"""The credential chain: from the sources of a connection string to the one in use.

What the app gave itself, a connection string or a token callable, stands alone. Otherwise the sources that
cost nothing are read at every start, so that a wrong connection string is told at once, and a move to another
namespace is seen; a key ring is opened only to send. The first source that is named is the one: where it
cannot be used, no other is taken instead, which would hide the mistake. Where the hub refuses a source's key,
with 401 or 403, the others are tried once: one of them may have the regenerated key, or the right.
"""

from __future__ import annotations

from itertools import chain

from nhagent.device import credential_sources
from nhagent.device.credential_sources import SOURCES_AT_NO_COST, FoundCredential
from nhagent.errors import ConfigurationError, CredentialError
from nhagent.hub.connection import ConnectionString, namespace_of, read_endpoint
from nhagent.logs import Log
from nhagent.secret import Secret, hidden
from nhagent.validation import check_not_async
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import TypeAlias

    from nhagent.errors import Forbidden, Unauthorized

    Key: TypeAlias = ConnectionString | Callable[[], str]

_log = Log(__name__)


class Source(Value):
    """A key and where it came from.

    Attributes:
        name: where it came from, to be shown.
        key: a connection string, or a callable that gives a SAS token.
    """

    name: str
    key: Key
    _hidden = frozenset({"key"})

    @property
    def namespace(self) -> str | None:
        """The namespace that the key belongs to; None for a token callable."""
        return self.key.namespace if isinstance(self.key, ConnectionString) else None


class CredentialChain:
    """Finds the key to send with, and another one where the hub refuses it.

    Args:
        app: names the key ring entry.
        hub: the hub's name.
        connection_string: text, or a callable giving a SAS token, or None for the sources of the chain.
        endpoint: the namespace's address, in place of the one that a connection string says.
        allow_full_access: take a key that may do more than listen.

    Raises:
        ConfigurationError: an argument is wrong.
        CredentialError: the connection string may do more than a device needs.
    """

    def __init__(
        self,
        app: str,
        hub: str,
        connection_string: Secret[str] | str | Callable[[], str] | None,
        *,
        endpoint: str | None,
        allow_full_access: bool,
    ) -> None:
        self._app = app
        self._hub = hub
        self._allow_full_access = allow_full_access
        self.endpoint = None if endpoint is None else read_endpoint(endpoint, "endpoint")
        self.current: Source | None = None
        """The key in use and where it came from; None before it was looked for, and where none was found."""
        self._given: Source | None = None
        given = hidden(connection_string)
        if callable(given):
            given.check(lambda call: check_not_async("connection_string", call))
            if endpoint is None:
                raise ConfigurationError(
                    "endpoint: needed with a token callable", "give the namespace's address"
                )
            self._given = Source("the token callable", given)
        elif given is not None:
            self._given = self._parsed(FoundCredential(given.reveal(), "connection_string"))
        self._refused: list[Source] = []
        self._passed_over: list[Source] = []  # sources of another namespace, skipped after a refusal

    @property
    def address(self) -> str | None:
        """The namespace's base URL, as far as it is known."""
        if self.endpoint is not None or self.current is None:
            return self.endpoint
        key = self.current.key
        return key.endpoint if isinstance(key, ConnectionString) else None

    @property
    def files(self) -> tuple[str, ...]:
        """The files that its connection string may come from."""
        return () if self._given is not None else credential_sources.files()

    def namespace(self) -> str | None:
        """Give the namespace to register with, as far as it is known without opening a key ring.

        Raises:
            ConfigurationError: the connection string that was found is malformed.
            CredentialError: its source, or the right it carries, is not acceptable.
        """
        self.current = next(self._sources(), None)
        if self.endpoint is not None:
            return namespace_of(self.endpoint)
        return None if self.current is None else self.current.namespace

    def namespace_at_any_cost(self, seconds: float | None = None) -> str:
        """Give the namespace to register with, from a key ring if from nowhere else.

        Args:
            seconds: how long the key rings may take; None: as long as they ever may.

        Raises:
            ConfigurationError: the connection string that was found is malformed.
            CredentialError: there is none, or it is not acceptable.
        """
        known = self.namespace()
        if self.current is None:
            from nhagent.device.key_ring import KEYRING_SECONDS, find_in_keyring

            seconds = KEYRING_SECONDS if seconds is None else min(seconds, KEYRING_SECONDS)
            first = next(self._in_key_rings(seconds), None)
            self.current = first or self._parsed(find_in_keyring(self._app, self._hub, seconds=seconds))
            known = known or self.current.namespace
        assert known is not None  # a token callable comes with an endpoint
        return known

    def replace_refused(self, error: Unauthorized | Forbidden) -> None:
        """Turn to another source whose key belongs where the refused one was used.

        Args:
            error: how the hub refused the key in use.

        Raises:
            Unauthorized, Forbidden: as the error given, where there is none. It names the sources that hold
                refused keys.
        """
        refused = self.current
        assert refused is not None
        instead = None
        if self._given is None:
            places = {self.namespace_at_any_cost(), refused.namespace}
            self._refused.append(refused)
            instead = self._alternative(places)
        else:
            self._refused.append(refused)
        self.current = instead
        if instead is None:
            raise self._out_of_keys(error) from None
        _log.warning(
            "%s holds a key that the hub refuses; that of %s is tried instead", refused.name, instead.name
        )

    def _out_of_keys(self, error: Unauthorized | Forbidden) -> Unauthorized | Forbidden:
        """Make the error that names the sources of refused keys, and begin from the start next time."""
        dead = ", ".join(source.name for source in self._refused)
        others = "and no other source of the credential chain has another"
        if self._given is not None:
            others = "which the app gave: no other is tried in its place"
        self._refused.clear()  # at the next start somebody may have mended one of them
        self._passed_over.clear()
        return type(error)(
            f"{error.fact}; the refused key is that of {dead}, {others}",
            f"{error.hint}, and put it there" if self._given is None else error.hint,
            status=error.status,
            detail=error.detail,
            tracking_id=error.tracking_id,
            server_time=error.server_time,
        )

    def _alternative(self, places: Iterable[str | None]) -> Source | None:
        for source in chain(self._sources(), self._stand_ins_in_key_rings()):
            if source.namespace in places:
                return source
            self._passed_over.append(source)
        return None

    def _sources(self) -> Iterator[Source]:
        """The sources but the key rings, in order, without those whose key the hub has refused."""
        if self._given is not None:
            yield self._given
            return
        for find in SOURCES_AT_NO_COST:
            try:
                found = find()
                source = None if found is None else self._parsed(found)
            except (ConfigurationError, CredentialError):
                if not self._refused:
                    raise  # the first source found must be valid; a substitute may be broken
                continue
            if source is not None and not self._was_refused(source):
                yield source

    def _in_key_rings(self, seconds: float) -> Iterator[Source]:
        """What the key rings hold, in order, without what is out of the question after a refusal."""
        from nhagent.device.key_ring import all_in_keyrings

        for found in all_in_keyrings(self._app, self._hub, seconds=seconds):
            try:
                source = self._parsed(found)
            except (ConfigurationError, CredentialError):
                if not self._refused:
                    raise  # as in `_sources`
                continue
            if not self._was_refused(source):
                yield source

    def _stand_ins_in_key_rings(self) -> Iterator[Source]:
        from nhagent.device.key_ring import KEYRING_SECONDS

        try:
            yield from self._in_key_rings(KEYRING_SECONDS)
        except (ConfigurationError, CredentialError) as error:
            _log.debug("no other key: %s", error)

    def _was_refused(self, source: Source) -> bool:
        """Whether a source's key was refused, or belongs elsewhere than the key that was."""
        return source.key in [out.key for out in (*self._refused, *self._passed_over)]

    def _parsed(self, found: FoundCredential) -> Source:
        connection = checked_connection_string(
            Secret(found.text), found.source, self._hub, allow_full_access=self._allow_full_access
        )
        return Source(found.source, connection)


def checked_connection_string(
    text: Secret[str], source: str, hub: str, *, allow_full_access: bool
) -> ConnectionString:
    """Read a connection string that a device shall use.

    Args:
        text: the connection string, hidden.
        source: where it came from, to be named in an error.
        hub: the device's hub.
        allow_full_access: take a key that may do more than listen.

    Raises:
        ConfigurationError: it is malformed, or another hub's.
        CredentialError: it may do more than a device needs.
    """
    try:
        connection = ConnectionString.parse(text.reveal())
        connection.check_hub(hub)
    except ConfigurationError as error:
        raise error.at(source) from None
    if connection.allows_more_than_listen and not allow_full_access:
        raise CredentialError(
            f"{source}: key {connection.key_name!r} may do more than listen, and would be lost with the "
            "device",
            "take a policy with the Listen right alone, or set allow_full_access",
        )
    return connection
