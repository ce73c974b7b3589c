"""From what is on disk to what has to be written there and sent. Pure; `nhagent.agent` names the states."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any, Final

from nhagent.device.machine import is_another_machine
from nhagent.device.state import Accepted, Identity, State, Sweep
from nhagent.device.store import STATE, Memory
from nhagent.errors import ChannelError, ConfigurationError
from nhagent.hub.installations import channel_to_json
from nhagent.models import Platform, PushChannel, fingerprint, identity_of_channel, read_channel
from nhagent.reconcile.declaration import (
    PRIMARY,
    Asked,
    Declaration,
    channels_of,
    channels_to_json,
    remembered_channels,
)
from nhagent.reconcile.settings import Terms
from nhagent.registrars import INSTALLATION, REGISTRATION, Desired, Learnt, Registrar, Step
from nhagent.registrars.deletions import all_leaving, in_style
from nhagent.registrars.installation import held
from nhagent.report import StartState
from nhagent.retry import backoff

EARLY_STARTS: Final = 10
"""At every so-many-th start with a clock that is behind the last acceptance, a refresh is due."""
CLOSE: Final = timedelta(minutes=1)
_CREDENTIALS_REFUSED: Final = {"Unauthorized", "Forbidden", "CredentialError"}


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
        is_new: the device has no identity yet where the connection string points.
        is_cloned: the disk was copied from another machine, whose identity is not ours.
        listing: the hub has not been asked yet what it holds for the device's channels.
    """

    memory: Memory
    identity: Identity
    state: State
    steps: tuple[Step, ...] = ()
    desired: Desired | None = None
    asked: Asked = field(default_factory=Asked)
    is_new: bool = False
    is_cloned: bool = False
    listing: bool = False

    @property
    def must_learn(self) -> bool:
        """Whether the hub has to be asked first; then the start is worked out anew with what it told."""
        lost = STATE in self.memory.unreadable and not self.is_cloned
        return self.desired is not None and (self.listing or lost)

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
            and not memory.unsaved
            and self.is_known
            and memory.state.to_json() == self.state.to_json()
        )

    @property
    def is_known(self) -> bool:
        """Whether who the device is stands on disk; that its machine is known by now can wait for a write."""
        before = self.memory.identity
        if before is not None and before.machine is None:
            return before == replace(self.identity, machine=None)
        return before == self.identity

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
    machine: str | None = None,
    force: bool = False,
    in_background: bool = False,
    learnt: Learnt | None = None,
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
        machine: keyed hash of this machine's name; None where nothing tells it from others.
        force: write the whole whatever its age.
        in_background: nobody waits for it: a refresh by age goes out at the device's own slot.
        learnt: what the hub told of the device, once it was asked.

    Raises:
        ConfigurationError: what is declared cannot be registered.
    """
    is_cloned = is_from_another_machine(memory, machine)
    identity, state = _who(memory, terms, namespace, new_id, machine, learnt)
    state = replace(
        state,
        accepted=_doubted(memory, identity, state.accepted, registrar.style),
        namespace=identity.namespace,
        disabled=identity.disabled,
    )
    if identity.disabled:
        state = replace(state, accepted=all_leaving(state.accepted, identity.installation_id))
        steps = tuple(registrar.plan(None, state.accepted, now))
        return Draft(memory, identity, state, steps, is_cloned=is_cloned)
    asked = _without_refused(asked, terms.platform, state)
    declaration = terms.given.over(Declaration.from_json(state.declaration))
    if learnt is not None and learnt.declared is not None:
        declaration = declaration.over(Declaration.of(learnt.declared))
    if not terms.owns_tags:
        declaration = declaration.without_tags()
    if registrar.style == REGISTRATION:
        declaration = declaration.without_user_id()
    learnt_channels = {} if learnt is None or learnt.declared is None else channels_of(learnt.declared)
    channels = {**learnt_channels, **remembered_channels(terms.platform, state.channels), **asked.given}
    channels = {name: given for name, given in channels.items() if not refusal(terms.platform, given, state)}
    if PRIMARY not in channels:
        return Draft(memory, identity, state, asked=asked, is_cloned=is_cloned)
    is_new = is_cloned or _is_new(memory, namespace)
    installation = declaration.installation(identity.installation_id, terms.platform, channels)
    early_starts = _early_starts(state, now) if not in_background else state.early_starts
    if early_starts >= EARLY_STARTS:
        early_starts, force = 0, True
    desired = Desired(
        installation,
        terms.expires_after,
        terms.refreshed_in_background_every if in_background else terms.refresh_every,
        terms.owns_tags,
        force,
        _refresh_lag(terms, identity) if in_background else timedelta(),
    )
    accepted = in_style(registrar.style, state.accepted, identity.installation_id)
    accepted = registrar.retire(desired, accepted)
    state = replace(
        state,
        declaration=declaration.to_json(),
        channels=channels_to_json(terms.platform, channels_of(installation)),
        accepted=accepted,
        early_starts=early_starts,
    )
    return Draft(
        memory,
        identity,
        state,
        tuple(registrar.plan(desired, accepted, now)),
        desired,
        asked,
        is_new=is_new,
        is_cloned=is_cloned,
        listing=terms.first_run_list and not state.listed,
    )


def state_of(draft: Draft, registrar: Registrar) -> StartState:
    """The row of the table that a device stands in."""
    accepted = draft.state.accepted
    if draft.identity.disabled:
        return StartState.DISABLED
    if draft.is_cloned:
        return StartState.CLONED
    if draft.memory.unreadable:
        return StartState.UNVERIFIED
    trouble = draft.memory.state.trouble
    if trouble is not None and trouble.kind in _CREDENTIALS_REFUSED:
        return StartState.BLOCKED
    if draft.memory.identity is None:
        return StartState.NEW
    if not registrar.holds_device(accepted):
        return StartState.IDENTIFIED
    # Without a channel of this platform nobody can say what is true now.
    drifted = draft.steps or accepted.in_doubt or draft.lacks_channel
    return StartState.DRIFTED if drifted else StartState.IN_SYNC


def _who(
    memory: Memory,
    terms: Terms,
    namespace: str | None,
    new_id: Callable[[], str],
    machine: str | None,
    learnt: Learnt | None,
) -> tuple[Identity, State]:
    identity, state = memory.identity or _recovered(memory), memory.state
    disabled = is_disabled(memory)
    knows_theirs = True
    if is_from_another_machine(memory, machine):
        # What the other machine has at the hub, and on the way out of it, is its own.
        theirs = {identity_of_channel(platform, channel): None for platform, channel in known_channels(state)}
        knows_theirs = bool(theirs)
        state = State(
            declaration=state.declaration, foreign=tuple({**dict.fromkeys(state.foreign), **theirs})
        )
        identity = None
    has_moved = namespace is not None and state.namespace not in {None, namespace}
    if has_moved or (identity is not None and _has_moved(identity, namespace)):
        state = _elsewhere(state, disabled=disabled)
    if identity is not None and _has_moved(identity, namespace):
        identity = None
    if identity is None:
        # A first run that was cut short before it said who the device is: once more. But where the other
        # machine's channels are not known, what is found on one may be the other machine's, and is let be.
        state = replace(state, listed=not knows_theirs)
    if learnt is not None:
        state = replace(state, accepted=learnt.accepted, listed=state.listed or terms.first_run_list)
        if learnt.installation_id is not None and identity is None:
            identity = Identity(learnt.installation_id, namespace)
    if identity is None:
        identity = Identity(terms.installation_id or new_id(), namespace)
    elif terms.installation_id is not None and identity.installation_id != terms.installation_id:
        state = replace(state, accepted=all_leaving(state.accepted, identity.installation_id))
        identity = replace(identity, installation_id=terms.installation_id)
    if identity.namespace is None and namespace is not None:
        identity = replace(identity, namespace=namespace)
    return replace(identity, disabled=disabled, machine=identity.machine or machine), state


def _elsewhere(state: State, *, disabled: bool) -> State:
    """What another namespace inherits: the user's own words, and what is true of this machine everywhere.

    A device that is off is looked for there, and here again when it comes back: what left is forgotten.
    """
    anew = State(declaration=state.declaration, channels=state.channels, foreign=state.foreign)
    if not disabled:
        return anew
    return replace(anew, accepted=Accepted(sweep=sweep_of(known_channels(state), state)))


def sweep_of(channels: Iterable[tuple[Platform, PushChannel]], state: State) -> tuple[Sweep, ...]:
    """Where a device that is to be off must be looked for: on its channels, but those of another machine."""
    found = {
        identity_of_channel(platform, channel): Sweep(platform, channel_to_json(channel))
        for platform, channel in channels
        if not refusal(platform, channel, state)
    }
    return tuple(found.values())


def is_disabled(memory: Memory) -> bool:
    """Whether the user has unregistered the device."""
    return memory.state.disabled or (memory.identity is not None and memory.identity.disabled)


def is_from_another_machine(memory: Memory, machine: str | None) -> bool:
    """Whether the identity was written on another machine. What is not known changes nothing."""
    before = None if memory.identity is None else memory.identity.machine
    return before is not None and machine is not None and is_another_machine(before, machine)


def known_channels(state: State) -> Iterator[tuple[Platform, PushChannel]]:
    """The channels that a device has, or had: at the hub, or from its sources."""
    raw: list[tuple[object, Any]] = [
        (platform, channel)
        for platform, handles in state.channels.items()
        if isinstance(handles, dict)
        for channel in handles.values()
    ]
    installation = held(state.accepted)
    if installation is not None:
        raw += [(installation.platform, channel) for channel in channels_of(installation).values()]
    for record in state.accepted.records.values():
        row = record.get("registration")
        if isinstance(row, dict):
            raw.append((row.get("platform"), row.get("channel")))
    for name, channel in raw:
        try:
            platform = Platform.parse(name)
            yield platform, read_channel(platform, channel, PRIMARY)
        except ConfigurationError:  # a damaged entry says nothing
            continue


def _without_refused(asked: Asked, platform: Platform, state: State) -> Asked:
    """What the channel sources said, without the channels that must not be sent."""
    given, errors = dict(asked.given), dict(asked.errors)
    for name, channel in asked.given.items():
        reason = refusal(platform, channel, state)
        if reason:
            del given[name]
            errors[name] = ChannelError(f"{name}: {fingerprint(channel)} {reason}", pending=True)
    return Asked(given, errors)


def refusal(platform: Platform, channel: PushChannel, state: State) -> str:
    """Why a channel must not be sent; "" where it may."""
    identity = identity_of_channel(platform, channel)
    if identity in state.foreign:
        return (
            "is that of the machine from which this disk was copied; waiting until the platform gives this "
            "one its own"
        )
    if identity in state.expired:
        return "is marked as expired by the hub; waiting until the platform gives another"
    return ""


def _early_starts(state: State, now: datetime) -> int:
    """How many starts in a row our clock was before the last acceptance, this one among them."""
    since = state.accepted.accepted_at
    return state.early_starts + 1 if since is not None and since - now > CLOSE else 0


def _refresh_lag(terms: Terms, identity: Identity) -> timedelta:
    every = terms.refreshed_in_background_every.total_seconds()
    return timedelta(seconds=backoff.refresh_lag(every, identity.installation_id))


def _has_moved(identity: Identity, namespace: str | None) -> bool:
    return namespace is not None and identity.namespace not in {None, namespace}


def _recovered(memory: Memory) -> Identity | None:
    """The identity out of the accepted record, where its own file was lost or makes no sense."""
    installation = held(memory.state.accepted)
    if installation is None:
        return None
    return Identity(installation.installation_id, memory.state.namespace)


def _doubted(memory: Memory, identity: Identity, accepted: Accepted, style: str) -> Accepted:
    """Where the state was lost, the hub may hold anything under the installation id that is still known."""
    if STATE not in memory.unreadable or memory.identity is None or style != INSTALLATION:
        return accepted
    return (
        accepted.doubting(INSTALLATION)
        if identity.installation_id == memory.identity.installation_id
        else accepted
    )


def _is_new(memory: Memory, namespace: str | None) -> bool:
    """Whether this device has no identity yet where the connection string points."""
    identity = memory.identity or _recovered(memory)
    return identity is None or _has_moved(identity, namespace)
