"""What the user wants from now on: declare, disable, enable. On disk before anything is sent."""

from __future__ import annotations

from nhagent.device.state import Identity
from nhagent.device.store import STATE
from nhagent.errors import ConfigurationError, CredentialError, StateUnreadable
from nhagent.reconcile.declaration import Declaration
from nhagent.reconcile.identity import new_installation_id, sweep_of
from nhagent.reconcile.planner import StartPlan
from nhagent.reconcile.readings import Readings, remembered_channels
from nhagent.registrars.deletions import delete_all
from nhagent.registrars.protocol import INSTALLATION

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from nhagent.device.store import Memory
    from nhagent.reconcile.reconciler import Reconciler

LOCK_SECONDS: Final = 60.0
"""How long an intent waits to get to disk while another process, or thread, of the same app is at work."""


def declare(reconciler: Reconciler, change: Callable[[Declaration], Declaration]) -> None:
    """Change the declaration, which is read from disk at every later start.

    Args:
        reconciler: the device's; its next pass carries it out.
        change: is given what is declared; gives what replaces parts of it.

    Raises:
        ConfigurationError: it breaks a rule; nothing was changed.
        StateError: it is not on disk.
    """
    store, settings = reconciler.store, reconciler.settings
    with reconciler.alone(LOCK_SECONDS), store.lock(LOCK_SECONDS):
        memory = reconciler.recall()
        if STATE in memory.unreadable:
            raise StateUnreadable(f"state folder {store.folder!r}: {STATE} is corrupt", "start first")
        declared = settings.given.over(Declaration.from_json(memory.state.declaration))
        if not settings.owns_tags:
            declared = declared.without_tags()
        if not reconciler.registrar.carries_user_id:
            declared = declared.without_user_id()
        changes = change(declared)
        checked = changes.over(declared).rechecked(settings.platform)
        settings.changed(given=checked).check(reconciler.registrar)
        store.save_state(memory.state.changed(declaration=checked.to_json()))
        reconciler.settings = settings.changed(given=settings.given.left_to_disk(changes))


def disable(reconciler: Reconciler) -> None:
    """Keep the device off the hub, whatever is declared, and however wrong that or the credential is.

    Args:
        reconciler: the device's; its next pass sends the deletions.

    Raises:
        StateError: it is not on disk.
    """
    settings = reconciler.settings
    with reconciler.alone(LOCK_SECONDS):
        readings = reconciler.read(reconciler.recall())
        with reconciler.store.lock(LOCK_SECONDS):
            memory = reconciler.recall()
            off = memory.changed(state=memory.state.changed(disabled=True))
            plan = reconciler.plan(reconciler.inputs(off, readings, _namespace(reconciler)))
            accepted = plan.state.accepted
            if settings.first_run_list and not memory.is_disabled:
                known = {**remembered_channels(settings.platform, plan.state.channels), **readings.given}
                channels = [(settings.platform, channel) for channel in known.values()]
                accepted = accepted.changed(sweep=sweep_of(channels, plan.state))
            if memory.identity is None and settings.installation_id is not None:
                # The disk knows nothing, but the id is the app's own: the hub may hold it.
                accepted = accepted.doubting(INSTALLATION)
            reconciler.commit(
                plan.changed(
                    inputs=plan.inputs.changed(memory=memory),
                    state=plan.state.changed(accepted=accepted),
                )
            )


def enable(reconciler: Reconciler) -> None:
    """Let the device be registered again, under a new installation id unless the app has one of its own.

    Args:
        reconciler: the device's; its next pass registers it.

    Raises:
        StateError: the state cannot be read, locked or written.
    """
    with reconciler.alone(LOCK_SECONDS), reconciler.store.lock(LOCK_SECONDS):
        memory = reconciler.recall()
        if memory.is_disabled:
            reconciler.commit(_enabled(reconciler, memory))


def _enabled(reconciler: Reconciler, memory: Memory) -> StartPlan:
    before = memory.identity or Identity("", memory.state.namespace)
    accepted = delete_all(memory.state.accepted, before.installation_id).changed(sweep=())
    return StartPlan(
        reconciler.inputs(memory, Readings(), None),
        before.changed(  # what newer versions wrote stays
            installation_id=reconciler.settings.installation_id or new_installation_id(), disabled=False
        ),
        memory.state.changed(accepted=accepted, disabled=False),
        (),
        Readings(),
        is_cloned=False,
    )


def _namespace(reconciler: Reconciler) -> str | None:
    try:
        return reconciler.session.chain.namespace()
    except (ConfigurationError, CredentialError):  # told by the pass that follows
        return None
