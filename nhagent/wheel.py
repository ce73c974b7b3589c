"""One turn of the wheel: look, and only if something is to be done, take the lock and do it.

What is on disk and what the channel sources say are drafted into a plan (`nhagent.startup`), which is carried
out one exchange at a time, each saved when it is earned. Nothing here waits for a hub or tries again.
"""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import datetime
from threading import Lock
from typing import Final

from nhagent.access import HubAccess
from nhagent.declaration import PRIMARY, Asked, Declaration, ask_sources
from nhagent.device.channels import ChannelSource
from nhagent.device.state import Accepted, State
from nhagent.device.store import STATE, Memory, Store
from nhagent.errors import HubError, HubUnavailable, InvalidRequest, NhagentError, RecordNotFound
from nhagent.registrars import Registrar, Step
from nhagent.registrars.installation import due_at, held
from nhagent.report import Outcome, Report
from nhagent.startup import Draft, Terms, draft_start

LOCK_SECONDS: Final = 10.0
"""How long a turn waits for another process of the same app before it gives way."""

_log = logging.getLogger(__name__)


class Wheel:
    """What turns: a device's memory, its way to the hub, and what is to be made true.

    Args:
        store: the device's files.
        access: its way to the hub.
        registrar: makes the hub know it.
        source: its push channel's source.
        terms: what the agent holds for true; replaced when the app declares something else.
        clock: gives the time, aware.
    """

    def __init__(
        self,
        store: Store,
        access: HubAccess,
        registrar: Registrar,
        source: ChannelSource,
        terms: Terms,
        clock: Callable[[], datetime],
    ) -> None:
        self.terms = terms
        self.store = store
        self.turning = Lock()
        self._access = access
        self._registrar = registrar
        self._source = source
        self._clock = clock

    def turn(self, *, force: bool) -> Report:
        """One turn of the wheel: look, and only if something is to be done, take the lock and do it."""
        progress = _Progress()
        with self.turning:
            try:
                return self._turned(progress, force=force)
            except NhagentError as error:
                if not error.retryable:
                    raise
                return self._report(Outcome.WAITING, progress, error=error)
            finally:
                self._access.close()

    def _turned(self, progress: _Progress, *, force: bool) -> Report:
        namespace = self._access.namespace()
        memory = self.store.load()
        progress.installation_id = None if memory.identity is None else memory.identity.installation_id
        progress.asked = asked = self.ask(memory)
        draft = self.draft(memory, asked, namespace, force=force)
        progress.draft = draft
        if draft.lacks_channel:
            return self._report(Outcome.WAITING, progress, error=draft.asked.errors[PRIMARY])
        if draft.is_settled:
            return self._report(_outcome(progress), progress)
        with self.store.lock(LOCK_SECONDS):
            if draft.steps:
                namespace = self._access.namespace_at_any_cost()
                self._access.open()  # what is wrong with the settings is told before anything is written
            memory = self._recovered(self.store.load(), namespace)
            draft = progress.draft = self.draft(memory, asked, namespace, force=force)
            self.settle(draft)
            progress.installation_id = draft.identity.installation_id
            progress.accepted = self._carry_out(draft, progress)
        return self._report(_outcome(progress), progress)

    def ask(self, memory: Memory) -> Asked:
        """Ask every channel source that is declared, now or before; none while the device is unregistered."""
        if memory.identity is not None and memory.identity.disabled:
            return Asked()
        declaration = self.terms.given.over(Declaration.from_json(memory.state.declaration))
        return ask_sources(self.terms.platform, self._source, declaration)

    def draft(
        self,
        memory: Memory,
        asked: Asked,
        namespace: str | None,
        *,
        new_id: Callable[[], str] | None = None,
        force: bool = False,
    ) -> Draft:
        """What a start would come to; see `nhagent.startup.draft_start`."""
        return draft_start(
            memory,
            self.terms,
            asked,
            namespace=namespace,
            new_id=new_id or new_installation_id,
            registrar=self._registrar,
            now=self._clock(),
            force=force,
        )

    def _recovered(self, memory: Memory, namespace: str | None) -> Memory:
        """Where the state is lost and the app left something as declared before: the hub still knows it."""
        if STATE not in memory.unreadable or memory.identity is None or self.terms.given.is_complete:
            return memory
        if memory.identity.disabled or memory.identity.namespace not in {None, namespace}:
            return memory
        observed = self._registrar.observe(memory.identity.installation_id)
        if observed is None:
            return memory
        return replace(memory, state=State(declaration=Declaration.of(observed).to_json()))

    def settle(self, draft: Draft) -> None:
        """Write what must be on disk before anything is sent: who we are first."""
        for name in draft.memory.unreadable:
            aside = self.store.set_aside(name, self._clock())
            _log.warning("state file %s made no sense and is kept as %s", name, aside)
        if draft.memory.identity != draft.identity:
            self.store.save_identity(draft.identity)
        if draft.memory.unreadable or draft.memory.state.to_json() != draft.state.to_json():
            self.store.save_state(draft.state)

    def _carry_out(self, draft: Draft, progress: _Progress) -> Accepted:
        """Take the steps, one exchange after the other, each saved when it is earned."""
        state, steps = draft.state, list(draft.steps)
        while steps:
            step = steps.pop(0)
            before = state.accepted
            if step.writes:
                state = self._saved(state, before.doubting(step.record))
            try:
                accepted = self._registrar.apply(step, state.accepted, self._clock())
                plan_again = step.method == "GET"
                progress.took(step)
            except HubUnavailable:
                raise  # no answer: the doubt stays
            except HubError as error:
                state = self._saved(state, before)  # refused: nothing was changed
                if step.method != "PATCH":
                    raise
                plan_again = True
                if isinstance(error, RecordNotFound):
                    progress.recreated = True
                    accepted = before.lacking(step.record)
                elif isinstance(error, InvalidRequest) and self.terms.owns_tags:
                    _log.warning("the hub refused a PATCH and gets the whole: %s", error)
                    accepted = replace(before, partial=True)
                else:
                    raise
            state = self._saved(state, accepted)
            if plan_again:
                steps = self._registrar.plan(draft.desired, accepted, self._clock())
        return state.accepted

    def _saved(self, state: State, accepted: Accepted) -> State:
        changed = replace(state, accepted=accepted)
        if changed.to_json() != state.to_json():
            self.store.save_state(changed)
        return changed

    def _report(self, outcome: Outcome, progress: _Progress, *, error: NhagentError | None = None) -> Report:
        draft, accepted = progress.draft, progress.accepted
        next_attempt = None
        if draft is not None and draft.desired is not None and error is None:
            next_attempt = due_at(draft.desired, accepted or draft.state.accepted)
        return Report(
            outcome=outcome,
            error=error,
            installation_id=progress.installation_id,
            requests=self._access.requests_sent,
            steps=tuple(progress.steps),
            channel_errors={name: str(reason) for name, reason in progress.asked.errors.items()},
            next_attempt=next_attempt,
            clock_skew=self._access.clock_skew,
        )


@dataclass(slots=True)
class _Progress:
    """How far a turn has come, for a report that is true even if it was cut short."""

    draft: Draft | None = None
    asked: Asked = field(default_factory=Asked)
    installation_id: str | None = None
    accepted: Accepted | None = None
    steps: list[str] = field(default_factory=list)
    wrote: bool = False
    recreated: bool = False

    def took(self, step: Step) -> None:
        self.steps.append(str(step))
        self.wrote = self.wrote or step.method != "GET"


def _outcome(progress: _Progress) -> Outcome:
    draft = progress.draft
    assert draft is not None
    if draft.identity.disabled:
        return Outcome.DISABLED
    if progress.recreated:
        return Outcome.RECREATED
    if not progress.wrote:
        return Outcome.UNCHANGED
    return Outcome.REGISTERED if held(draft.state.accepted) is None else Outcome.UPDATED


def new_installation_id() -> str:
    """A new id for a device: random, as the service's own clients make them."""
    from uuid import uuid4

    return str(uuid4())
