"""Who this device is: new, known, recovered, moved, or cloned. Pure."""

from __future__ import annotations

from nhagent.device.accepted import Accepted, Sweep
from nhagent.device.machine import is_another_machine
from nhagent.device.state import Identity, State
from nhagent.hub.installations import channel_to_json
from nhagent.models import identity_of_channel
from nhagent.reconcile.readings import known_channels, why_refused
from nhagent.registrars.deletions import delete_all
from nhagent.registrars.records import InstallationRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from nhagent.device.store import Memory
    from nhagent.models import Platform, PushChannel
    from nhagent.reconcile.planner import StartInputs
    from nhagent.registrars.protocol import Learnt


def new_installation_id() -> str:
    """Make a new id for a device: random, as the service's own clients make them."""
    from uuid import uuid4

    return str(uuid4())


def identify(inputs: StartInputs, learnt: Learnt | None) -> tuple[Identity, State]:
    """Tell who the device is, and what of its state is its own.

    Args:
        inputs: what is known at the start.
        learnt: what the hub told of the device, once it was asked.
    """
    settings, namespace = inputs.settings, inputs.namespace
    identity, state = _kept(inputs)
    if learnt is not None:
        listed = state.listed or (settings.first_run_list and learnt.is_whole)
        state = state.changed(accepted=learnt.accepted, listed=listed)
        if learnt.installation_id is not None and identity is None:
            identity = Identity(learnt.installation_id, namespace)
    if identity is None:
        identity = Identity(settings.installation_id or inputs.new_id(), namespace)
    elif settings.installation_id not in {None, identity.installation_id}:
        state = state.changed(accepted=delete_all(state.accepted, identity.installation_id))
        identity = identity.changed(installation_id=settings.installation_id)
    known_at, known_on = identity.namespace or namespace, identity.machine or inputs.machine
    is_disabled = inputs.memory.is_disabled
    if (identity.namespace, identity.machine, identity.disabled) != (known_at, known_on, is_disabled):
        identity = identity.changed(namespace=known_at, machine=known_on, disabled=is_disabled)
    return identity, state


def is_from_another_machine(memory: Memory, machine: str | None) -> bool:
    """Whether the identity was written on another machine. What is not known changes nothing."""
    before = None if memory.identity is None else memory.identity.machine
    return before is not None and machine is not None and is_another_machine(before, machine)


def known_identity(memory: Memory) -> Identity | None:
    """The identity on disk, or that of the accepted record where its own file was lost or is corrupt."""
    if memory.identity is not None:
        return memory.identity
    record = InstallationRecord.of(memory.state.accepted)
    if record is None:
        return None
    return Identity(record.installation.installation_id, memory.state.namespace)


def is_elsewhere(known: str | None, namespace: str | None) -> bool:
    """Whether what is known by one namespace is not known by the one that the connection string names."""
    return known is not None and namespace is not None and known != namespace


def sweep_of(channels: Iterable[tuple[Platform, PushChannel]], state: State) -> tuple[Sweep, ...]:
    """Tell where a device that is to be off must be looked for: not on channels of another machine."""
    found = {
        identity_of_channel(platform, channel): Sweep(platform, channel_to_json(channel))
        for platform, channel in channels
        if why_refused(platform, channel, state) is None
    }
    return tuple(found.values())


def _kept(inputs: StartInputs) -> tuple[Identity | None, State]:
    """What is on disk, without what is another machine's or another namespace's."""
    memory, namespace = inputs.memory, inputs.namespace
    identity, state = known_identity(memory), memory.state
    if is_from_another_machine(memory, inputs.machine):
        return None, _of_a_clone(state)
    has_moved = identity is not None and is_elsewhere(identity.namespace, namespace)
    if has_moved or is_elsewhere(state.namespace, namespace):
        state = _elsewhere(state, is_disabled=memory.is_disabled)
    if identity is None or has_moved:
        # A first run that was cut short before it said who the device is: once more.
        return None, state.changed(listed=False)
    return identity, state


def _of_a_clone(state: State) -> State:
    """What a copied disk hands on: what the other machine has at the hub, and on the way out, is its own."""
    theirs = [identity_of_channel(platform, channel) for platform, channel in known_channels(state)]
    return State(
        declaration=state.declaration,
        foreign=tuple(dict.fromkeys((*state.foreign, *theirs))),
        # Where the other machine's channels are not known, what is found on one may be its own.
        listed=not theirs,
    )


def _elsewhere(state: State, *, is_disabled: bool) -> State:
    """What another namespace inherits: the user's own words, and what is true of this machine everywhere.

    A device that is off is looked for there, and here again when it comes back: what was to be deleted is
    forgotten.
    """
    bare = State(declaration=state.declaration, channels=state.channels, foreign=state.foreign)
    if not is_disabled:
        return bare
    return bare.changed(accepted=Accepted(sweep=sweep_of(known_channels(state), state)))
