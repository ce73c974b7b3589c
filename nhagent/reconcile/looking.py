"""Looking at a device without changing it: its status, what a start would do, when a refresh is due."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nhagent.channels.source import only_looking
from nhagent.errors import StateError
from nhagent.models import fingerprint
from nhagent.reconcile.declaration import Declaration
from nhagent.reconcile.expressions import warn
from nhagent.reconcile.intents import LOCK_SECONDS
from nhagent.reconcile.planner import state_of
from nhagent.reconcile.readings import Readings, channels_of
from nhagent.report import Status
from nhagent.retry import backoff
from nhagent.secret import NO_LOCALS

if TYPE_CHECKING:
    from nhagent.reconcile.inspector import Inspector
    from nhagent.reconcile.planner import StartPlan
    from nhagent.retry.state import Retries


def status_of(inspector: Inspector) -> Status:
    """Tell what is known of a device without asking the hub or a channel source.

    Raises:
        StateUnwritable: the state is another user's.
        ConfigurationError: what was declared cannot be registered.
    """
    settings, memory = inspector.settings, inspector.recall()
    plan = inspector.plan(inspector.inputs(memory, Readings(), None))
    accepted, retry, installation = plan.state.accepted, plan.state.retry, plan.installation
    shown = {} if installation is None else channels_of(installation)
    due = None if installation is None else inspector.registrar.due_at(plan.policy, accepted)
    return Status(
        state=state_of(plan, inspector.registrar),
        app=settings.app,
        hub=settings.hub,
        platform=settings.platform,
        namespace=None if memory.identity is None else memory.identity.namespace,
        installation_id=None if memory.identity is None else memory.identity.installation_id,
        channels={name: fingerprint(channel) for name, channel in shown.items()},
        accepted_at=accepted.accepted_at,
        verified_at=plan.state.verified_at,
        refresh_due=due,
        pending=tuple(map(str, plan.steps)),
        in_doubt=tuple(sorted(accepted.in_doubt)),
        to_delete=tuple(entry.id for entry in accepted.to_delete),
        unreadable=memory.unreadable,
        last_error=None if retry is None else retry.kind,
        failures=0 if retry is None else retry.failures,
        next_attempt=None if retry is None else retry.not_before,
        writes=plan.state.writes,
        losses=plan.state.losses,
        state_dir=inspector.store.folder,
        granted=accepted.granted,
    )


def plan_without_changing(inspector: Inspector, retries: Retries) -> StartPlan:
    """Plan what a start would do now; before a first run the hub is asked what it holds.

    Args:
        inspector: what is known of the device.
        retries: what stands in its way.

    Raises:
        NhagentError: as a start.
    """
    with NO_LOCALS, only_looking(), inspector.alone(LOCK_SECONDS):
        try:
            plan = inspector.session.authorized(lambda: _plan(inspector, retries))
        finally:
            inspector.session.close()
    if plan.installation is not None:
        warn(inspector.settings.platform, Declaration.of(plan.installation))
    return plan


def refresh_interval(inspector: Inspector) -> float:
    """Give the seconds from a refresh to the device's own slot for the next; clocks may be wrong."""
    settings = inspector.settings
    try:
        known = inspector.recall().identity
    except StateError:  # the next pass tells
        known = None
    slot = settings.random() if known is None else backoff.slot(known.installation_id)
    every = settings.refreshed_in_background_every.total_seconds()
    return every * (1 + backoff.REFRESH_SLOTS * slot)


def _plan(inspector: Inspector, retries: Retries) -> StartPlan:
    memory = inspector.recall()
    readings, namespace = inspector.read(memory), inspector.session.chain.namespace()
    inputs = inspector.inputs(memory, readings, namespace, new_id=lambda: "(new)")
    plan = inspector.plan(inputs)
    if not plan.must_learn:
        return plan
    retries.check(plan.state.retry)
    namespace = inspector.session.chain.namespace_at_any_cost()
    return inspector.learn(inspector.plan(inputs.changed(namespace=namespace)))
