"""From what is on disk to what has to be written there and sent. Pure; `nhagent.agent` names the states."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta

from nhagent.declaration import (
    PRIMARY,
    Asked,
    Declaration,
    channels_to_json,
    remembered_channels,
)
from nhagent.device.state import Accepted, Identity, Leaving, State
from nhagent.device.store import STATE, Memory
from nhagent.models import Platform
from nhagent.registrars import Desired, Registrar, Step
from nhagent.registrars.installation import RECORD, held
from nhagent.report import StartState


@dataclass(frozen=True, slots=True)
class Terms:
    """What an agent holds for true, beside what it remembers.

    Attributes:
        platform: the device's platform.
        given: what the app declared this time.
        installation_id: the id that the app wants, or None for one of our making.
        expires_after, refresh_every, owns_tags: see `nhagent.registrars.Desired`.
    """

    platform: Platform
    given: Declaration
    installation_id: str | None
    expires_after: timedelta | None
    refresh_every: timedelta
    owns_tags: bool


@dataclass(frozen=True, slots=True)
class Draft:
    """What a start comes to: what shall be on disk, and the exchanges that follow.

    Attributes:
        memory: what is on disk.
        identity: who the device is; made now where the disk does not say.
        state: what shall be remembered before anything is sent.
        steps: the exchanges with the hub, in order.
        desired: what the hub should hold; None while disabled or without a channel.
        asked: what the channel sources said.
    """

    memory: Memory
    identity: Identity
    state: State
    steps: tuple[Step, ...] = ()
    desired: Desired | None = None
    asked: Asked = field(default_factory=Asked)

    @property
    def is_settled(self) -> bool:
        """Whether nothing has to be written or sent."""
        return not self.steps and self.is_on_disk

    @property
    def is_on_disk(self) -> bool:
        """Whether the disk holds all of it already."""
        memory = self.memory
        return (
            not memory.unreadable
            and memory.identity == self.identity
            and memory.state.to_json() == self.state.to_json()
        )

    @property
    def lacks_channel(self) -> bool:
        """Whether the device would be registered, had it a push channel."""
        return self.desired is None and not self.identity.disabled


def draft_start(
    memory: Memory,
    terms: Terms,
    asked: Asked,
    *,
    namespace: str | None,
    new_id: Callable[[], str],
    registrar: Registrar,
    now: datetime,
    force: bool = False,
) -> Draft:
    """Work out one start.

    Args:
        memory: what is on disk.
        terms: what the agent holds for true.
        asked: what the channel sources said.
        namespace: where the connection string points; None where it is not known without opening a key ring.
        new_id: makes an id should the device need one.
        registrar: plans the exchanges.
        now: the time, aware.
        force: write the whole whatever its age.

    Raises:
        ConfigurationError: what is declared cannot be registered.
    """
    identity, state = _who(memory, terms, namespace, new_id)
    if identity.disabled:
        state = retired(identity, state)
        return Draft(memory, identity, state, tuple(registrar.plan(None, state.accepted, now)))
    declaration = terms.given.over(Declaration.from_json(state.declaration))
    channels = {**remembered_channels(terms.platform, state.channels), **asked.given}
    if PRIMARY not in channels:
        return Draft(memory, identity, state, asked=asked)
    installation = declaration.installation(identity.installation_id, terms.platform, channels)
    named = {PRIMARY: installation.push_channel} | {
        name: channel for name, channel in channels.items() if name in asked.given or name in asked.errors
    }
    accepted = replace(state.accepted, style=registrar.style)
    state = replace(
        state,
        declaration=declaration.to_json(),
        channels=channels_to_json(terms.platform, named),
        accepted=accepted,
    )
    desired = Desired(
        installation,
        terms.expires_after,
        terms.refresh_every,
        terms.owns_tags,
        force,
    )
    steps = tuple(registrar.plan(desired, accepted, now))
    return Draft(memory, identity, state, steps, desired, asked)


def state_of(draft: Draft) -> StartState:
    """The row of the table that a device stands in."""
    accepted = draft.state.accepted
    if draft.identity.disabled:
        return StartState.DISABLED
    if draft.memory.unreadable:
        return StartState.UNVERIFIED
    if draft.memory.identity is None:
        return StartState.NEW
    if held(accepted) is None:
        return StartState.IDENTIFIED
    return StartState.DRIFTED if draft.steps or accepted.in_doubt else StartState.IN_SYNC


def retired(identity: Identity, state: State) -> State:
    """What is remembered once the device's records shall leave the hub."""
    accepted = state.accepted
    leaving = accepted.leaving
    installation = held(accepted)
    ids = [] if installation is None else [installation.installation_id]
    if RECORD in accepted.in_doubt:
        ids.append(identity.installation_id)
    for gone in dict.fromkeys(Leaving(RECORD, record_id) for record_id in ids):
        if gone not in leaving:
            leaving = (*leaving, gone)
    return replace(state, accepted=Accepted(style=accepted.style, leaving=leaving))


def _who(
    memory: Memory, terms: Terms, namespace: str | None, new_id: Callable[[], str]
) -> tuple[Identity, State]:
    identity, state = memory.identity, memory.state
    if identity is None:
        identity = _recovered(memory)
    if identity is not None and STATE in memory.unreadable:
        # The hub may hold anything under this id: it is written whole, and counts as there if it must leave.
        state = replace(state, accepted=state.accepted.doubting(RECORD))
    if identity is not None and namespace is not None and identity.namespace not in {None, namespace}:
        # Another namespace inherits nothing but the user's own words.
        state = State(declaration=state.declaration, channels=state.channels)
        identity = Identity(new_id(), namespace, disabled=identity.disabled)
    if identity is None:
        identity = Identity(terms.installation_id or new_id(), namespace)
    elif terms.installation_id is not None and identity.installation_id != terms.installation_id:
        state = retired(identity, state)
        identity = replace(identity, installation_id=terms.installation_id)
    if identity.namespace is None and namespace is not None:
        identity = replace(identity, namespace=namespace)
    if not identity.disabled:
        state = _without_leaving_itself(identity, state)
    return identity, state


def _recovered(memory: Memory) -> Identity | None:
    """The identity out of the accepted record, where its own file was lost or makes no sense."""
    installation = held(memory.state.accepted)
    return None if installation is None else Identity(installation.installation_id)


def _without_leaving_itself(identity: Identity, state: State) -> State:
    """A record that is wanted again does not leave: deletions come after writes and would undo them."""
    itself = Leaving(RECORD, identity.installation_id)
    if itself not in state.accepted.leaving:
        return state
    return replace(state, accepted=state.accepted.without(itself))
