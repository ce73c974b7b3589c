"""Who this device is: new, known, recovered, moved, or cloned. Pure."""

from __future__ import annotations

from nhagent.device.accepted import Accepted, Sweep
from nhagent.device.state import Identity, Owner, State
from nhagent.device.store import IDENTITY, STATE
from nhagent.hub.installations import channel_to_json
from nhagent.models import identity_of_channel
from nhagent.reconcile.readings import known_channels, why_refused
from nhagent.registrars.deletions import delete_all
from nhagent.registrars.records import InstallationRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from nhagent.device.machine import Fingerprint
    from nhagent.device.store import Memory
    from nhagent.models import Platform, PushChannel
    from nhagent.reconcile.planner import StartInputs
    from nhagent.reconcile.settings import Settings
    from nhagent.registrars.protocol import Learnt


def new_installation_id() -> str:
    """Make a new id for a device: random, as the service's own clients make them."""
    from uuid import uuid4

    return str(uuid4())


def identify(inputs: StartInputs, learnt: Learnt | None, *, is_cloned: bool) -> tuple[Identity, State]:
    """Tell who the device is, and what of its state is its own.

    Args:
        inputs: what is known at the start.
        learnt: what the hub told of the device, once it was asked.
        is_cloned: what is on disk is another machine's.
    """
    settings, namespace = inputs.settings, inputs.namespace
    identity, state = _kept(inputs, is_cloned=is_cloned)
    if learnt is not None:
        listed = state.listed or (settings.first_run_list and learnt.is_whole)
        state = state.changed(accepted=learnt.accepted, listed=listed)
        if learnt.installation_id is not None and identity is None:
            identity = Identity(learnt.installation_id, namespace)
    if identity is None:
        given = settings.installation_id
        identity = Identity(given or inputs.new_id(), namespace, is_derived=settings.derives_id)
    elif settings.installation_id not in {None, identity.installation_id} and not _is_derived(
        identity, settings
    ):
        state = state.changed(accepted=delete_all(state.accepted, identity.installation_id))
        identity = identity.changed(installation_id=settings.installation_id, is_derived=settings.derives_id)
    known_at, known_on = identity.namespace or namespace, identity.machine.joined(inputs.machine)
    is_disabled = inputs.memory.is_disabled
    if (identity.namespace, identity.disabled) != (known_at, is_disabled) or identity.machine is not known_on:
        identity = identity.changed(namespace=known_at, machine=known_on, disabled=is_disabled)
    return identity, state


def told_apart(memory: Memory, machine: Callable[[], Fingerprint]) -> Memory:
    """Drop of two files the one that is another device's: it was copied, or restored, beside the other.

    Args:
        memory: what is on disk.
        machine: gives this machine's fingerprint, where it is asked for.

    Returns:
        The same where they belong together, and where both are another machine's: a copied disk.
    """
    identity, owner = memory.identity, memory.state.owner
    if identity is None or owner is None:
        return memory
    is_known = identity.installation_id in (owner.installation_id, owner.former_id)
    before, after = identity.machine, owner.machine
    if is_known and (before.name, before.hardware) == (after.name, after.hardware):
        return memory
    ours = machine()
    here, there = before.is_of(ours), after.is_of(ours)
    if here is False and there:  # a copied disk, whose start was cut short between the two files
        return memory.changed(identity=None, unreadable=(*memory.unreadable, IDENTITY))
    is_copied = here is False or (here is None and there is False)
    if is_copied or (is_known and there is not False):
        return memory
    theirs = [identity_of_channel(platform, channel) for platform, channel in known_channels(memory.state)]
    return memory.changed(
        state=State(namespace=identity.namespace, disabled=identity.disabled, foreign=tuple(theirs)),
        unreadable=(*memory.unreadable, STATE),
        is_mixed=True,
    )


def is_from_another_machine(memory: Memory, ours: Fingerprint) -> bool:
    """Whether what is on disk was written on another machine. What is not known changes nothing."""
    identity, owner = memory.identity, memory.state.owner
    here = None if identity is None else identity.machine.is_of(ours)
    if here is None and owner is not None:
        here = owner.machine.is_of(ours)
    return here is False


def known_identity(memory: Memory) -> Identity | None:
    """The identity on disk, or that of the state or its record where its own file was lost or is corrupt."""
    state = memory.state
    if memory.identity is not None:
        return memory.identity
    if state.owner is not None:
        return Identity(state.owner.installation_id, state.namespace, machine=state.owner.machine)
    record = InstallationRecord.of(state.accepted)
    if record is None:
        return None
    return Identity(record.installation.installation_id, state.namespace)


def owner_of(identity: Identity, state: State) -> Owner:
    """Give whose a state is; the very one that it names where nothing is new."""
    before, machine = state.owner, identity.machine
    if (
        before is None
        or before.former_id is not None
        or before.installation_id != identity.installation_id
        or (before.machine.name, before.machine.hardware) != (machine.name, machine.hardware)
    ):
        return Owner(identity.installation_id, machine)
    return before


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


def _is_derived(identity: Identity, settings: Settings) -> bool:
    """Whether an id was derived from this machine before, from whatever it consisted of then."""
    return settings.derives_id and (
        identity.is_derived or identity.installation_id == settings.first_derived_id
    )


def _kept(inputs: StartInputs, *, is_cloned: bool) -> tuple[Identity | None, State]:
    """What is on disk, without what is another machine's or another namespace's."""
    memory, namespace = inputs.memory, inputs.namespace
    identity, state = known_identity(memory), memory.state
    if is_cloned:
        return None, _of_a_clone(state)
    has_moved = identity is not None and is_elsewhere(identity.namespace, namespace)
    if has_moved or is_elsewhere(state.namespace, namespace):
        state = _elsewhere(state, is_disabled=memory.is_disabled)
    if identity is not None and has_moved and inputs.settings.backend is not None:
        # The backend is known by its name: at another URL it is the same, and so is the device.
        return identity.changed(namespace=namespace), state
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
