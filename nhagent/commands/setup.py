"""What a configuration file sets up, to be looked at part by part: the agent, its memory, its way to the hub.

The daemon, ``nhagent doctor`` and ``nhagent login`` look further into the library than an app does. What
they use of its core is here.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any

from nhagent.agent import Agent
from nhagent.channels.source import as_source, ask, only_looking
from nhagent.commands.config import ConfigurationFile
from nhagent.commands.memory import Memory
from nhagent.errors import (
    ConfigurationError,
    CredentialError,
    Forbidden,
    NhagentError,
    RecordNotFound,
    RegistrationGone,
    Unauthorized,
)
from nhagent.hub.backend import Backend
from nhagent.hub.connection import ConnectionString
from nhagent.models import Platform
from nhagent.reconcile.declaration import PRIMARY, Declaration, tile_name
from nhagent.reconcile.identity import new_installation_id
from nhagent.secret import Secret
from nhagent.session.backend_session import BackendSession
from nhagent.session.bearer import BearerChain
from nhagent.session.credential_chain import CredentialChain, checked_connection_string
from nhagent.session.hub_session import HubSession

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from nhagent.channels.source import ChannelSource
    from nhagent.commands.channel_tables import ReceiveCommand
    from nhagent.hub.operations import HubOperations
    from nhagent.models import PushChannel


@dataclass(frozen=True, slots=True)
class Setup:
    """What a configuration file describes. Making it reads no state, and sends nothing.

    Attributes:
        path: the file's.
        agent: the agent.
        hub: the same agent's way to its hub, of the setup's own.
        memory: what the device remembers.
        ca_bundle: PEM file of a certificate authority to trust beside the usual ones, or None.
        at_backend: whether it is the app's backend that registers the device.
        allow_full_access: whether a key may be used that may do more than listen.
        platform: the device's.
        declared: what the file declares.
        sources: the channel sources, by name.
        channel_files: the files that some of them read, by name.
        receive: what is done with messages that arrive; None: nothing.
        metrics_file: the file that the daemon keeps for Prometheus; None: none.
    """

    path: str
    agent: Agent
    hub: WayToHub
    memory: Memory
    ca_bundle: str | None
    at_backend: bool
    allow_full_access: bool
    platform: Platform
    declared: Declaration
    sources: Mapping[str, ChannelSource]
    channel_files: Mapping[str, str]
    receive: ReceiveCommand | None
    metrics_file: str | None

    def ask_source(self, name: str) -> PushChannel | None:
        """Ask one of the channel sources once.

        Args:
            name: the source's name.

        Returns:
            The push channel, or None where there is none yet.

        Raises:
            ChannelError: the source failed, or gave something that is not a push channel of this platform.
        """
        with only_looking():
            return ask(self.sources[name], self.platform, name)


def read_setup(given: str | None, **world: Any) -> Setup:
    """Make the parts of what a configuration file describes.

    Args:
        given: the file's path; None: $NHAGENT_CONFIG, ``/etc/nhagent/config.toml``, or the user's.
        world: ``clock``, ``sleep``, ``random``, as for `nhagent.agent.Agent`.

    Returns:
        The parts.

    Raises:
        ConfigurationError: there is no such file, or something in it is wrong.
        CredentialError: as `nhagent.agent.Agent`.
    """
    file = ConfigurationFile(given)
    try:
        arguments = file.agent_arguments()
        agent = Agent(**arguments, **world)
        own = getattr(arguments["channel"], "platform", None)
        platform = Platform.parse(arguments["platform"] or own)
        at_backend = isinstance(arguments["hub"], Backend)
        channels = {_channel_name(None): arguments["channel"]}
        for tile_id, tile in arguments["secondary_tiles"].items():
            channels[_channel_name(tile_id)] = tile.channel
        return Setup(
            path=file.path,
            agent=agent,
            hub=WayToHub(arguments),
            memory=Memory(agent.state_folder),
            ca_bundle=arguments["hub"].ca_bundle if at_backend else arguments["ca_bundle"],
            at_backend=at_backend,
            allow_full_access=arguments["allow_full_access"],
            platform=platform,
            declared=Declaration(
                templates=arguments["templates"], secondary_tiles=arguments["secondary_tiles"]
            ),
            sources={name: as_source(platform, channel, name) for name, channel in channels.items()},
            channel_files={_channel_name(tile_id): path for tile_id, path in file.channel_files()},
            receive=file.receive_command(arguments["channel"]),
            metrics_file=file.metrics_file(),
        )
    except ConfigurationError as error:
        raise file.located(error) from error.__cause__


def check_connection_string(text: str, hub: str, *, allow_full_access: bool) -> tuple[str, str]:
    """Check a connection string that somebody gives for a hub.

    Args:
        text: the connection string.
        hub: the hub's name.
        allow_full_access: take a key that may do more than listen.

    Returns:
        The names of its key and its namespace.

    Raises:
        ConfigurationError: it is malformed, or another hub's.
        CredentialError: it may do more than listen.
    """
    try:
        connection = checked_connection_string(
            Secret(text), "login", hub, allow_full_access=allow_full_access
        )
    except CredentialError as error:
        hint = "take a policy with the Listen right alone, or give --allow-full-access"
        raise CredentialError(error.fact, hint) from None
    return connection.key_name, connection.namespace


@dataclass(frozen=True, slots=True)
class Credential:
    """The connection string, or whatever else signs, without its key.

    Attributes:
        source: where it was found.
        namespace: where it belongs.
        key_name: the name of its key; None where it has none.
        allows_more_than_listen: whether its key, by its name, may do more than listen.
    """

    source: str
    namespace: str
    key_name: str | None
    allows_more_than_listen: bool


@dataclass(frozen=True, slots=True)
class Answer:
    """What the hub said when it was asked for the device.

    Attributes:
        is_held: whether it holds the device as an installation; None where it did not say.
        error: why it did not say, or None.
        clock_skew: seconds that the hub's clock is ahead of ours; None where no reply told.
        refused: the source of a key that the hub refused before it took another, or None.
        accepted: the source of the key that it took instead, or None.
    """

    is_held: bool | None
    error: NhagentError | None
    clock_skew: float | None
    refused: str | None
    accepted: str | None


class WayToHub:
    """The agent's way to its hub: which credential, which address, and what the hub answers.

    Args:
        arguments: the agent's.

    Raises:
        ConfigurationError: one of them is wrong.
    """

    def __init__(self, arguments: Mapping[str, Any]) -> None:
        self._session = _session_of(arguments)
        self._chain = self._session.chain
        self._last_address: str | None = None

    @property
    def address(self) -> str | None:
        """The namespace's base URL; None where nothing has told it yet."""
        return self._chain.address or self._last_address

    def find_credential(self) -> Credential:
        """Find the credential, in the key ring if nowhere else.

        Returns:
            What may be shown of it.

        Raises:
            ConfigurationError: the connection string that was found is malformed, or another hub's.
            CredentialError: there is none, or it is not acceptable.
        """
        namespace = self._chain.namespace_at_any_cost()
        source = self._chain.current
        assert source is not None
        if isinstance(source.key, ConnectionString):
            key_name, allows_more = source.key.key_name, source.key.allows_more_than_listen
        else:
            key_name, allows_more = None, False
        return Credential(source.name, namespace, key_name, allows_more)

    def ask_for_device(
        self,
        installation_id: str | None,
        registrations: Iterable[str],
        hidden: Iterable[PushChannel],
        seconds: float,
    ) -> Answer:
        """Ask the hub for the device once. After a 401 it is asked again, as at every start.

        Args:
            installation_id: the device's; None: that of no device.
            registrations: the ids of all that it consists of, where it is no installation.
            hidden: push channels that no error may show.
            seconds: how long one exchange may take.

        Returns:
            What it said.
        """
        session, first = self._session, self._chain.current
        self._last_address = self._chain.address  # it is forgotten with the connection
        installation_id = installation_id or new_installation_id()
        kept_out, rows = tuple(hidden), tuple(registrations)
        session.hide(lambda: kept_out)
        skews: list[float | None] = []

        def get() -> bool:
            hub = session.open(seconds)
            try:
                return _holds(hub, installation_id, rows)
            finally:
                reply = hub.last_reply
                skews.append(None if reply is None else reply.clock_skew)

        is_held: bool | None = None
        error = None
        try:
            is_held = session.authorized(get)
        except NhagentError as failure:
            error = failure
        finally:
            second = self._chain.current
            session.close()
        has_changed = first is not None and second is not None and first.key != second.key
        return Answer(
            is_held=is_held,
            error=error,
            # The first that is known: later ones may be seen by a clock that was corrected.
            clock_skew=next((skew for skew in skews if skew is not None), None),
            refused=first.name if first is not None and has_changed and error is None else None,
            accepted=second.name if second is not None and has_changed and error is None else None,
        )

    def may_manage(self, seconds: float) -> bool:
        """Ask the hub whether a key that it accepts may manage it: once, for what is tagged as nothing is.

        Args:
            seconds: how long the exchange may take.

        Returns:
            Whether it answered. An old front end refuses a key without the right with 401, others with 403.

        Raises:
            NhagentError: the hub could not be asked.
        """
        tag = f"nhagent-check-{new_installation_id()}"
        try:
            next(iter(self._session.open(seconds).registrations_by_tag(tag)), None)
        except (Unauthorized, Forbidden):
            return False
        finally:
            self._session.close()
        return True


def _session_of(arguments: Mapping[str, Any]) -> HubSession:
    """Make a way to the agent's hub, or to its backend, beside the agent's own."""

    def clock() -> datetime:
        return datetime.now(UTC)

    app, where = arguments["app"], arguments["hub"]
    if isinstance(where, Backend):
        return BackendSession(BearerChain(app, where), where, clock)
    chain = CredentialChain(
        app,
        where,
        None,
        endpoint=arguments["endpoint"],
        allow_full_access=arguments["allow_full_access"],
    )
    return HubSession(chain, where, ca_bundle=arguments["ca_bundle"], clock=clock)


def _channel_name(tile_id: str | None) -> str:
    """The name of the device's own push channel, or of a tile's."""
    return PRIMARY if tile_id is None else tile_name(tile_id)


def _holds(hub: HubOperations, installation_id: str, registrations: Iterable[str]) -> bool:
    """Whether the hub holds all registrations of a device, or its installation where it has none."""
    rows = tuple(registrations)
    try:
        for registration_id in rows:
            hub.get_registration(registration_id)
        if not rows:
            hub.get_installation(installation_id)
    except (RecordNotFound, RegistrationGone):
        return False
    return True
