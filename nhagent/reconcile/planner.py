"""From what is known at a start to what has to be written down and sent. Pure.

The states that a device can be in are those of `nhagent.report.StartState`.
"""

from __future__ import annotations

from datetime import timedelta

from nhagent.device.store import STATE
from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS
from nhagent.reconcile.declaration import PRIMARY, Declaration
from nhagent.reconcile.identity import (
    identify,
    is_elsewhere,
    is_from_another_machine,
    known_identity,
    owner_of,
)
from nhagent.reconcile.readings import (
    Readings,
    channels_of,
    channels_to_json,
    remembered_channels,
    why_refused,
    without_refused,
)
from nhagent.registrars.deletions import delete_all, deletions, in_style
from nhagent.registrars.protocol import WritePolicy
from nhagent.report import StartState
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Final

    from nhagent.device.accepted import Accepted
    from nhagent.device.machine import Fingerprint
    from nhagent.device.state import Identity, State
    from nhagent.device.store import Memory
    from nhagent.models import Installation, PushChannel
    from nhagent.reconcile.settings import Settings
    from nhagent.registrars.protocol import Learnt, Registrar
    from nhagent.steps import Step

EARLY_STARTS: Final = 10
"""Refresh after this many consecutive starts with a clock behind the last acceptance."""
CREDENTIALS_REFUSED: Final = ("Unauthorized", "Forbidden", "CredentialError")
"""The errors after which a device waits for other credentials, by name."""


class Mode(Value):
    """How a pass is made.

    Attributes:
        force: write the whole whatever its age.
        in_background: nobody waits for it: a refresh by age goes out at the device's own slot.
    """

    force: bool = False
    in_background: bool = False


class StartInputs(Value):
    """What is known at a start.

    Attributes:
        memory: what is on disk.
        settings: what the app passes in.
        readings: what the channel sources gave.
        namespace: where the connection string points; None where it is not known without opening a key ring.
        machine: this machine's fingerprint.
        now: the time, aware.
        mode: how the pass is made.
        new_id: makes an id should the device need one.
    """

    memory: Memory
    settings: Settings
    readings: Readings
    namespace: str | None
    machine: Fingerprint
    now: datetime
    mode: Mode
    new_id: Callable[[], str]


class StartPlan(Value):
    """What to do: what shall be on disk, and the exchanges that follow.

    Attributes:
        inputs: what it was made from.
        identity: who the device is; made now where the disk does not say.
        state: what shall be remembered before anything is sent.
        steps: the exchanges with the hub, in order.
        readings: what the channel sources gave, without what must not be sent.
        installation: what the hub should hold; None while disabled or without a channel.
        policy: how it is written.
        known_id: the installation id that the hub may know the device by; None for a new device.
        listing: the hub has to be asked what it holds for the device's channels: it never was, or one of them
            has changed since, and the whole is written anyway.
        is_cloned: the disk was copied from another machine, whose identity is not ours.
    """

    inputs: StartInputs
    identity: Identity
    state: State
    steps: tuple[Step, ...]
    readings: Readings
    is_cloned: bool
    installation: Installation | None = None
    policy: WritePolicy = WritePolicy()
    known_id: str | None = None
    listing: bool = False

    @property
    def committed_state(self) -> State:
        """What is on disk when the first step goes out: a record that it writes is marked in doubt."""
        if self.steps and self.steps[0].writes:
            return self.state.changed(accepted=self.state.accepted.doubting(self.steps[0].record))
        return self.state

    @property
    def must_learn(self) -> bool:
        """Whether the hub has to be asked first; then the start is planned again with what it told."""
        lost = STATE in self.inputs.memory.unreadable and not self.is_cloned
        return self.installation is not None and (self.listing or lost)

    @property
    def is_settled(self) -> bool:
        """Whether nothing has to be written or sent."""
        return not self.steps and self.is_on_disk

    @property
    def is_on_disk(self) -> bool:
        """Whether the disk holds all of it already."""
        memory = self.inputs.memory
        return (
            not memory.unreadable
            and not memory.unsaved
            and self.knows_identity
            and memory.state.is_stored_as(self.state)
        )

    @property
    def knows_identity(self) -> bool:
        """Whether the disk says who the device is; what is known of its machine by now can wait."""
        before = self.inputs.memory.identity
        if before is None:
            return False
        return before == self.identity.changed(machine=before.machine)

    @property
    def lacks_channel(self) -> bool:
        """Whether the device would be registered, had it a push channel."""
        return self.installation is None and not self.identity.disabled


def plan_start(inputs: StartInputs, registrar: Registrar, learnt: Learnt | None = None) -> StartPlan:
    """Plan one start.

    Args:
        inputs: what is known.
        registrar: plans the exchanges of the device's style.
        learnt: what the hub told of the device, once it was asked.

    Raises:
        ConfigurationError: what is declared cannot be registered.
    """
    is_cloned = is_from_another_machine(inputs.memory, inputs.machine)
    identity, known = identify(inputs, learnt, is_cloned=is_cloned)
    state = _state_now(known, identity, inputs, registrar)
    if identity.disabled:
        accepted = delete_all(state.accepted, identity.installation_id)
        state = state.changed(accepted=accepted)
        return StartPlan(inputs, identity, state, tuple(deletions(accepted)), inputs.readings, is_cloned)
    readings = without_refused(inputs.readings, inputs.settings.platform, state)
    declaration = _declared(inputs, registrar, state, learnt)
    channels = _channels(inputs, readings, state, learnt)
    if PRIMARY not in channels:
        return StartPlan(inputs, identity, state, (), readings, is_cloned)
    installation = declaration.installation(identity.installation_id, inputs.settings.platform, channels)
    policy, early_starts = _policy(inputs, identity, state)
    accepted = in_style(registrar.style, state.accepted, identity.installation_id)
    accepted = registrar.retire(installation, accepted)
    steps = next_steps(registrar, installation, policy, accepted, inputs.now)
    listing = not state.listed or (
        accepted.rotated and _is_refresh(registrar, policy, accepted, steps, inputs.now)
    )
    return StartPlan(
        inputs,
        identity,
        state.changed(
            declaration=declaration.to_json(),
            channels=channels_to_json(inputs.settings.platform, channels_of(installation)),
            accepted=accepted,
            early_starts=early_starts,
        ),
        steps,
        readings,
        is_cloned,
        installation=installation,
        policy=policy,
        known_id=None if is_cloned or _is_new(inputs) else identity.installation_id,
        listing=inputs.settings.first_run_list and listing,
    )


def next_steps(
    registrar: Registrar,
    installation: Installation | None,
    policy: WritePolicy,
    accepted: Accepted,
    now: datetime,
) -> tuple[Step, ...]:
    """Plan what is still to be sent: writes first, deletions after.

    Args:
        registrar: plans the writes of the device's style.
        installation: what the hub should hold; None while the device is disabled.
        policy: how it is written.
        accepted: what the hub last accepted.
        now: the time, aware.
    """
    writes = () if installation is None else registrar.plan(installation, policy, accepted, now)
    return (*writes, *deletions(accepted))


def state_of(plan: StartPlan, registrar: Registrar) -> StartState:
    """Give the row of the table that a device stands in."""
    memory, accepted, retry = plan.inputs.memory, plan.state.accepted, plan.inputs.memory.state.retry
    rows = (
        (StartState.DISABLED, plan.identity.disabled),
        (StartState.CLONED, plan.is_cloned or memory.is_mixed),
        (StartState.UNVERIFIED, memory.unreadable),
        (StartState.BLOCKED, retry is not None and retry.kind in CREDENTIALS_REFUSED),
        (StartState.NEW, memory.identity is None),
        (StartState.IDENTIFIED, not registrar.holds_device(accepted)),
        # Without a channel of this platform nobody can say what is true now.
        (StartState.DRIFTED, plan.steps or accepted.in_doubt or plan.lacks_channel),
    )
    return next((state for state, holds in rows if holds), StartState.IN_SYNC)


def _is_refresh(
    registrar: Registrar, policy: WritePolicy, accepted: Accepted, steps: tuple[Step, ...], now: datetime
) -> bool:
    """Whether the whole is about to be written for its age, or because that was asked for."""
    if not steps or steps[0].operations:
        return False
    due = registrar.due_at(policy, accepted)
    return policy.refresh_now or (due is not None and due <= now)


def _state_now(state: State, identity: Identity, inputs: StartInputs, registrar: Registrar) -> State:
    """What is remembered, as it is true of this device today."""
    accepted = state.accepted
    if _has_lost_all_but_id(inputs.memory, identity):
        accepted = registrar.doubt_all(accepted, identity.registrations)
    every = inputs.settings.refreshed_in_background_every
    if state.expired_at is not None and abs(inputs.now - state.expired_at) >= every:
        # The source of a channel that was dead may have no other to give: it is tried once more.
        state = state.changed(expired=(), expired_at=None)
    return state.changed(
        accepted=accepted,
        namespace=identity.namespace,
        disabled=identity.disabled,
        owner=owner_of(identity, state),
    )


def _declared(inputs: StartInputs, registrar: Registrar, state: State, learnt: Learnt | None) -> Declaration:
    """What is declared: given now, else declared before, else what the hub was found to hold."""
    settings = inputs.settings
    declaration = settings.declared_over(state.declaration)
    if learnt is not None and learnt.declared is not None:
        # What the hub holds has had its initial tags, and whatever was added to them since.
        found = Declaration.of(learnt.declared)
        declaration = settings.given.over(Declaration.from_json(state.declaration)).over(found)
    if not settings.owns_tags:
        declaration = declaration.without_tags()
    if not registrar.carries_user_id:
        declaration = declaration.without_user_id()
    if declaration.adds_to(settings.given):  # what was declared before, on another platform perhaps
        declaration = declaration.rechecked(settings.platform)
    return declaration


def _channels(
    inputs: StartInputs, readings: Readings, state: State, learnt: Learnt | None
) -> dict[str, PushChannel]:
    """The channels by name: given now, else given before, else found at the hub; but none that is refused."""
    platform = inputs.settings.platform
    found = {} if learnt is None or learnt.declared is None else channels_of(learnt.declared)
    remembered = remembered_channels(platform, state.channels, besides=readings.given)
    channels = {**found, **remembered, **readings.given}
    if not state.foreign and not state.expired:
        return channels
    return {
        name: channel for name, channel in channels.items() if why_refused(platform, channel, state) is None
    }


def _policy(inputs: StartInputs, identity: Identity, state: State) -> tuple[WritePolicy, int]:
    """How the device is written, and how many consecutive starts were early, this one among them."""
    settings, force, early_starts = inputs.settings, inputs.mode.force, state.early_starts
    lag, every = timedelta(), settings.refresh_every
    if inputs.mode.in_background:
        from nhagent.retry.backoff import refresh_lag

        every = settings.refreshed_in_background_every
        lag = timedelta(seconds=refresh_lag(every.total_seconds(), identity.installation_id))
    else:
        since = state.accepted.accepted_at
        early_starts = early_starts + 1 if _is_early(since, inputs.now) else 0
    if early_starts >= EARLY_STARTS:
        early_starts, force = 0, True
    return WritePolicy(settings.expires_after, every, settings.owns_tags, force, lag), early_starts


def _has_lost_all_but_id(memory: Memory, identity: Identity) -> bool:
    """Whether the hub may hold anything under the installation id, since the state was lost."""
    if STATE not in memory.unreadable or memory.identity is None:
        return False
    return memory.identity.installation_id == identity.installation_id


def _is_early(since: datetime | None, now: datetime) -> bool:
    """Whether our clock is so far behind the last acceptance that one of the two is wrong."""
    return since is not None and (since - now).total_seconds() > CLOCK_TOLERANCE_SECONDS


def _is_new(inputs: StartInputs) -> bool:
    """Whether this device has no identity yet where the connection string points."""
    identity = known_identity(inputs.memory)
    if identity is None or inputs.settings.backend is not None:
        return identity is None
    return is_elsewhere(identity.namespace, inputs.namespace)
