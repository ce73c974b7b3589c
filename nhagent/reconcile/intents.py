"""What the user wants from now on: declare, disable, enable. On disk before anything is sent."""

from __future__ import annotations

from nhagent.device.state import Identity
from nhagent.device.store import STATE
from nhagent.errors import ConfigurationError, CredentialError, StateUnreadable
from nhagent.reconcile.declaration import Declaration, warn_of_former_user
from nhagent.reconcile.identity import new_installation_id, owner_of, sweep_of
from nhagent.reconcile.planner import StartPlan
from nhagent.reconcile.readings import Readings, remembered_channels
from nhagent.registrars.deletions import delete_all
from nhagent.registrars.records import INSTALLATION_RECORD
from nhagent.secret import hiding_arguments

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from nhagent.device.store import Memory
    from nhagent.reconcile.inspector import Inspector

LOCK_SECONDS: Final = 60.0
"""How long an intent waits to get to disk while another process, or thread, of the same app is at work."""


@hiding_arguments
def declare(inspector: Inspector, change: Callable[[Declaration], Declaration]) -> None:
    """Change the declaration, which is read from disk at every later start.

    Args:
        inspector: the device's; its next pass carries it out.
        change: is given what is declared; gives what replaces parts of it.

    Raises:
        ConfigurationError: it breaks a rule; nothing was changed.
        StateError: it is not on disk.
    """
    store, settings = inspector.store, inspector.settings
    with inspector.alone(LOCK_SECONDS), store.lock(LOCK_SECONDS):
        memory = inspector.recall()
        if STATE in memory.unreadable:
            raise StateUnreadable(f"state folder {store.folder!r}: {STATE} is corrupt", "start first")
        declared = settings.declared_over(memory.state.declaration)
        if not settings.owns_tags:
            declared = declared.without_tags()
        if not inspector.registrar.carries_user_id:
            declared = declared.without_user_id()
        changes = change(declared)
        warn_of_former_user(declared, changes)
        checked = changes.over(declared).rechecked(settings.platform)
        settings.changed(given=checked).check(inspector.registrar)
        if changes.templates is not None or changes.secondary_tiles is not None:
            from nhagent.reconcile.expressions import warn

            warn(settings.platform, checked, Declaration.from_json(memory.state.declaration))
        store.save_state(memory.state.changed(declaration=checked.to_json()))
        inspector.settings = settings.changed(given=settings.given.left_to_disk(changes))


def disable(inspector: Inspector, seconds: float | None = None) -> None:
    """Keep the device off the hub, whatever is declared, and however wrong that or the credential is.

    Args:
        inspector: the device's; its next pass sends the deletions.
        seconds: how long the channel sources may take; None: as long as they like.

    Raises:
        StateError: it is not on disk.
    """
    settings = inspector.settings
    with inspector.alone(LOCK_SECONDS):
        readings = inspector.read(inspector.recall(), seconds)
        with inspector.store.lock(LOCK_SECONDS):
            memory = inspector.recall()
            bare = memory.state.changed(disabled=True, expired=(), expired_at=None)
            off = memory.changed(state=bare)
            plan = inspector.plan(inspector.inputs(off, readings, _namespace(inspector)))
            accepted = plan.state.accepted
            if settings.first_run_list and not memory.is_disabled:
                known = {**remembered_channels(settings.platform, plan.state.channels), **readings.given}
                channels = [(settings.platform, channel) for channel in known.values()]
                accepted = accepted.changed(sweep=sweep_of(channels, plan.state))
            if memory.identity is None and settings.installation_id is not None:
                # The disk knows nothing, but the id is the app's own: the hub may hold it.
                accepted = accepted.doubting(INSTALLATION_RECORD)
            inspector.commit(
                plan.changed(
                    inputs=plan.inputs.changed(memory=memory),
                    state=plan.state.changed(accepted=accepted),
                )
            )


def enable(inspector: Inspector) -> None:
    """Let the device be registered again, under a new installation id unless the app has one of its own.

    Args:
        inspector: the device's; its next pass registers it.

    Raises:
        StateError: the state cannot be read, locked or written.
    """
    with inspector.alone(LOCK_SECONDS), inspector.store.lock(LOCK_SECONDS):
        memory = inspector.recall()
        if memory.is_disabled:
            inspector.commit(_enabled(inspector, memory))


def _enabled(inspector: Inspector, memory: Memory) -> StartPlan:
    before = memory.identity or Identity("", memory.state.namespace)
    accepted = delete_all(memory.state.accepted, before.installation_id).changed(sweep=())
    settings = inspector.settings
    identity = before.changed(  # what newer versions wrote stays
        installation_id=settings.installation_id or new_installation_id(),
        is_derived=settings.derives_id,
        disabled=False,
    )
    state = memory.state.changed(accepted=accepted, disabled=False, expired=(), expired_at=None)
    return StartPlan(
        inspector.inputs(memory, Readings(), None),
        identity,
        state.changed(owner=owner_of(identity, state)),
        (),
        Readings(),
        is_cloned=False,
    )


def _namespace(inspector: Inspector) -> str | None:
    try:
        return inspector.session.chain.namespace()
    except (ConfigurationError, CredentialError):  # told by the pass that follows
        return None
