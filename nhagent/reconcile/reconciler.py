"""One turn of the wheel: look, and only if something is to be done, take the lock and do it.

What is on disk and what the channel sources say are drafted into a plan (`nhagent.reconcile.planner`), which
is carried out one exchange at a time, each saved when it is earned. Nothing here waits for a hub or tries
again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import datetime
from functools import partial
from os import getpid
from threading import TIMEOUT_MAX, RLock
from time import monotonic
from typing import Final

from nhagent.channels.source import ChannelSource
from nhagent.device.state import Accepted, Malformed, State
from nhagent.device.store import IDENTITY, STATE, Memory, Store
from nhagent.errors import (
    ConfigurationError,
    HubError,
    HubUnavailable,
    InvalidRequest,
    NhagentError,
    RecordNotFound,
    RegistrationGone,
    StateLocked,
    StateUnwritable,
)
from nhagent.logs import Log
from nhagent.reconcile.declaration import PRIMARY, Asked, Declaration, ask_sources
from nhagent.reconcile.planner import Draft, draft_start, is_disabled, known_channels
from nhagent.reconcile.settings import Terms
from nhagent.registrars import REGISTRATION, Learnt, Registrar, Step
from nhagent.report import Outcome, Report
from nhagent.retry.state import DurableTries
from nhagent.session.hub_session import HubSession

LEAST_SECONDS: Final = 5.0
"""What an exchange, and the wait for another process of the same app, are given at the least."""

STRUCK_OUT_TOGETHER: Final = 25

_log = Log(__name__)


class Wheel:
    """What turns: a device's memory, its way to the hub, and what is to be made true.

    Args:
        store: the device's files.
        access: its way to the hub.
        registrar: makes the hub know it.
        source: its push channel's source.
        terms: what the agent holds for true; replaced when the app declares something else.
        clock: gives the time, aware.
        machine: gives the keyed hash of this machine's name, or None.
    """

    def __init__(
        self,
        store: Store,
        access: HubSession,
        registrar: Registrar,
        source: ChannelSource,
        terms: Terms,
        clock: Callable[[], datetime],
        machine: Callable[[], str | None],
    ) -> None:
        self.terms = terms
        self.store = store
        self._turning = RLock()
        self._process = getpid()
        self._asking = False
        self._access = access
        self._registrar = registrar
        self._source = source
        self._clock = clock
        self.machine = machine
        self.tries = DurableTries(store, clock)

    def turn(self, left: float, *, force: bool, in_background: bool = False) -> Report:
        """One turn of the wheel: look, and only if something is to be done, take the lock and do it.

        Args:
            left: seconds that it should take at most; an exchange is given `LEAST_SECONDS` all the same.
            force: write the whole whatever its age.
            in_background: nobody waits for it.

        Raises:
            NhagentError: waiting cannot mend it. What waiting may mend is reported.
        """
        deadline = monotonic() + max(left, LEAST_SECONDS)
        progress = _Progress(force=force, in_background=in_background)
        try:
            with self.alone(_left(deadline)):
                try:
                    report = None
                    while report is None:
                        report = self._access.authorized(lambda: self._turned(progress, deadline))
                except NhagentError as error:
                    if not error.retryable:
                        raise
                    report = self._report(Outcome.WAITING, progress, error=error)
                finally:
                    self._access.close()
                return report
        except StateLocked as busy:
            return Report(Outcome.WAITING, busy)

    @contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Keep other threads of this program from turning, asking the sources and declaring meanwhile.

        Args:
            seconds: how long to wait for one that is at it.

        Raises:
            StateLocked: it did not finish in time.
        """
        if self._process != getpid():  # forked: the thread that turned, and its connection, are the parent's
            self._process, self._turning, self._asking = getpid(), RLock(), False
            self._access.forget()
        turning = self._turning
        if not turning.acquire(timeout=min(max(0.0, seconds), TIMEOUT_MAX)):
            raise StateLocked(
                f"state folder {self.store.folder!r}: another thread of this program is at work on it and "
                f"did not finish within {seconds:.0f} s; try again, or give it longer"
            )
        try:
            yield
        finally:
            turning.release()

    def _turned(self, progress: _Progress, deadline: float) -> Report | None:
        """The turn, or None where another process was faster, so that all has to be looked at anew."""
        force, in_background = progress.force, progress.in_background
        namespace = self._access.namespace()
        memory = self.recall()
        progress.installation_id = None if memory.identity is None else memory.identity.installation_id
        self.tries.recall(memory.state.trouble)
        progress.asked = asked = self.ask(memory)
        draft = self.draft(memory, asked, namespace, force=force, in_background=in_background)
        progress.draft, progress.asked = draft, draft.asked
        if draft.is_cloned:
            _warn_of_clone(self.store.folder)
        if self._registrar.style == REGISTRATION and memory.state.declaration.get("userId"):
            _log.warning('the user_id that was declared before is dropped: style "registration" has none')
        if draft.lacks_channel:
            return self._report(Outcome.WAITING, progress, error=draft.asked.errors[PRIMARY])
        if draft.is_settled:
            return self._report(self._outcome(progress), progress)
        if draft.steps:
            seed = (memory.identity and memory.identity.installation_id) or self.machine() or ""
            self.tries.check(draft.state.trouble, self.terms.startup_spread, seed)
            # A key ring may take its time: not under the lock.
            namespace = self._access.namespace_at_any_cost(_left(deadline))
        with self.store.lock(_left(deadline)):
            if self.recall() != memory:
                return None
            if draft.steps:
                assert namespace is not None
                _warn_of_move(memory, namespace)
                # What is wrong with the settings is told before anything is written.
                self._access.open(_left(deadline))
            if draft.must_learn and not draft.is_known and STATE not in memory.unreadable:
                # As it is on disk: one that takes nothing is then told before the hub is asked.
                self.store.save_state(memory.state)
            draft = self.learnt_draft(memory, asked, namespace, force=force, in_background=in_background)
            draft = progress.draft = self._settled(draft)
            progress.installation_id = draft.identity.installation_id
            state = self._carry_out(draft, progress, deadline)
            if state.trouble is not None and self._access.requests_sent:  # it has answered, and did it all
                self.store.remember(replace(state, trouble=None))
            progress.accepted = state.accepted
        return self._report(self._outcome(progress), progress)

    def recall(self) -> Memory:
        """What is on disk; a declaration that makes no sense makes its file an unreadable one."""
        memory = self.store.load()
        try:
            Declaration.from_json(memory.state.declaration)
        except Malformed:
            state = State(namespace=memory.state.namespace, disabled=memory.state.disabled)
            return replace(memory, state=state, unreadable=(*memory.unreadable, STATE))
        return memory

    def ask(self, memory: Memory) -> Asked:
        """Ask every channel source that is declared, now or before; none while the device is unregistered."""
        if is_disabled(memory):
            return Asked()
        if self._asking:
            raise ConfigurationError(
                "a channel source called its own agent; let it give the channel and no more"
            )
        declaration = self.terms.given.over(Declaration.from_json(memory.state.declaration))
        self._asking = True
        try:
            return ask_sources(self.terms.platform, self._source, declaration)
        finally:
            self._asking = False

    def draft(
        self,
        memory: Memory,
        asked: Asked,
        namespace: str | None,
        *,
        new_id: Callable[[], str] | None = None,
        force: bool = False,
        in_background: bool = False,
        learnt: Learnt | None = None,
    ) -> Draft:
        """What a start would come to; see `nhagent.reconcile.planner.draft_start`."""
        draft = draft_start(
            memory,
            self.terms,
            asked,
            namespace=namespace,
            new_id=new_id or new_installation_id,
            registrar=self._registrar,
            now=self._access.now(),
            machine=self.machine(),
            force=force,
            in_background=in_background,
            learnt=learnt,
        )
        if not draft.is_settled:
            states = (memory.state, draft.state)
            self._access.hide(channel for state in states for _, channel in known_channels(state))
        return draft

    def learnt_draft(
        self,
        memory: Memory,
        asked: Asked,
        namespace: str | None,
        *,
        new_id: Callable[[], str] | None = None,
        force: bool = False,
        in_background: bool = False,
    ) -> Draft:
        """A draft for which the hub was asked what it holds, where the disk does not say."""
        again = partial(
            self.draft, memory, asked, namespace, new_id=new_id, force=force, in_background=in_background
        )
        draft = again()
        if not draft.must_learn or draft.desired is None:
            return draft
        learnt = self._registrar.learn(
            draft.desired,
            draft.state.accepted,
            None if draft.is_new else draft.identity.installation_id,
            listing=draft.listing,
            complete=self.terms.given.is_complete,
        )
        return again(learnt=learnt)

    def settle(self, draft: Draft) -> None:
        """Write what must be on disk before anything is sent.

        Raises:
            StateUnwritable: it is not on disk.
        """
        memory = draft.memory
        for name in memory.unreadable:
            aside = self.store.keep_aside(name, self._clock())
            _log.warning("state file %s made no sense and is kept as %s", name, aside)
        if draft.is_cloned:
            for name in (IDENTITY, STATE):
                self.store.keep_aside(name, self._clock())
        # The state first: it holds what a first run has found, and an identity says that there was one.
        if memory.unreadable or memory.unsaved or memory.state.to_json() != draft.state.to_json():
            self.store.save_state(draft.state)
        if memory.identity != draft.identity:
            self.store.save_identity(draft.identity)

    def _settled(self, draft: Draft) -> Draft:
        """Settle; where the disk does not take it, a device whose identity is there goes on from memory.

        What it then knows of the hub may be older than what another process of it wrote from memory: what is
        sent is the whole.
        """
        try:
            self.settle(draft)
        except StateUnwritable:
            if not draft.is_known:
                raise
            state = replace(draft.state, accepted=replace(draft.state.accepted, partial=True))
            self.store.remember(state)
            steps = self._registrar.plan(draft.desired, state.accepted, self._access.now())
            return replace(draft, state=state, steps=tuple(steps))
        return draft

    def _carry_out(self, draft: Draft, progress: _Progress, deadline: float) -> State:
        """Take the steps, one exchange after the other, each saved when it is earned.

        A record that the hub refuses does not hold up the others; nothing is deleted then. Deletions that the
        time is too short for are left to the next start.
        """
        state, steps = draft.state, list(draft.steps)
        refused: NhagentError | None = None
        unsaved = 0
        try:
            while steps:
                if monotonic() > deadline and (progress.steps or steps[0].leaving is not None):
                    raise HubUnavailable(
                        f"the time is up, and {len(steps)} exchanges are left; tried again later"
                    )
                step = steps.pop(0)
                self._access.open(_left(deadline))
                before = state.accepted
                if step.writes:
                    state = self._saved(state, before.doubting(step.record))
                try:
                    accepted = self._registrar.apply(step, state.accepted, self._access.now())
                    accepted = accepted.dated(step.record, self._access.ahead)
                    progress.took(step)
                    state = replace(state, writes=state.writes + step.writes)
                except HubUnavailable:
                    raise  # no answer: the doubt stays
                except HubError as error:
                    state = self._saved(state, before)  # refused: nothing was changed
                    _log.info("%s: %s", step, error)
                    try:
                        accepted, instead = self._registrar.recover(
                            step, error, draft.desired, before, self._access.now()
                        )
                    except (RegistrationGone, RecordNotFound, InvalidRequest) as final:
                        refused = refused or final
                        steps = _without(step, steps)
                        continue
                    lost = isinstance(error, RecordNotFound | RegistrationGone)
                    progress.recreated |= lost
                    state = replace(state, losses=state.losses + lost)
                    steps[:0] = instead
                if step.leaving is not None and unsaved < STRUCK_OUT_TOGETHER:
                    unsaved += 1  # a lost strike-out costs one deletion more, and each save writes all of it
                    state = replace(state, accepted=accepted)
                else:
                    unsaved = 0
                    try:
                        state = self._saved(state, accepted, durably=step.makes_id)
                    except StateUnwritable as unwritable:
                        refused = refused or unwritable
                        steps = _without(step, steps)
                        continue
                if step.plan_again:
                    steps = self._registrar.plan(draft.desired, accepted, self._access.now())
        finally:
            if unsaved:
                self.store.remember(state)
        if refused is not None:
            raise refused
        return state

    def _saved(self, state: State, accepted: Accepted, *, durably: bool = False) -> State:
        changed = replace(state, accepted=accepted)
        if changed.to_json() != state.to_json():
            (self.store.save_state if durably else self.store.remember)(changed)
        return changed

    def _outcome(self, progress: _Progress) -> Outcome:
        draft = progress.draft
        assert draft is not None
        if draft.identity.disabled:
            return Outcome.DISABLED
        if progress.recreated:
            return Outcome.RECREATED
        if not progress.wrote:
            return Outcome.UNCHANGED
        new = not self._registrar.holds_device(draft.state.accepted)
        return Outcome.REGISTERED if new else Outcome.UPDATED

    def _report(self, outcome: Outcome, progress: _Progress, *, error: NhagentError | None = None) -> Report:
        draft, accepted = progress.draft, progress.accepted
        next_attempt = None
        if draft is not None and draft.desired is not None and error is None:
            next_attempt = self._registrar.due_at(draft.desired, accepted or draft.state.accepted)
        return Report(
            outcome=outcome,
            error=error,
            installation_id=progress.installation_id,
            registration_ids=self._registration_ids(progress),
            requests=self._access.requests_sent,
            steps=tuple(progress.steps),
            channel_errors={name: str(reason) for name, reason in progress.asked.errors.items()},
            failed_sources={
                name: reason for name, reason in progress.asked.errors.items() if not reason.pending
            },
            next_attempt=next_attempt,
            clock_skew=self._access.clock_skew,
        )

    def _registration_ids(self, progress: _Progress) -> Mapping[str, str]:
        accepted = progress.accepted
        if accepted is None and progress.draft is not None and progress.draft.is_on_disk:
            accepted = progress.draft.state.accepted
        return {} if accepted is None else self._registrar.registration_ids(accepted)


@dataclass(slots=True)
class _Progress:
    """How far a turn has come, for a report that is true even if it was cut short."""

    draft: Draft | None = None
    asked: Asked = field(default_factory=Asked)
    installation_id: str | None = None
    accepted: Accepted | None = None
    force: bool = False
    in_background: bool = False
    steps: list[str] = field(default_factory=list)
    wrote: bool = False
    recreated: bool = False

    def took(self, step: Step) -> None:
        self.steps.append(str(step))
        self.wrote = self.wrote or step.method != "GET"


def _left(deadline: float) -> float:
    """Seconds for what comes next: an exchange, or the wait for another process."""
    return max(LEAST_SECONDS, deadline - monotonic())


def _without(refused: Step, steps: list[Step]) -> list[Step]:
    """The steps that can be taken all the same: of other records, and no deletion after a failed write."""
    if refused.leaving is not None:
        return steps
    return [step for step in steps if step.record != refused.record and step.leaving is None]


def _warn_of_clone(folder: str) -> None:
    _log.warning(
        "state folder %r was written on another machine, whose disk was copied: this machine becomes a "
        "device of its own, and leaves the other's records alone (if it is the same device on new hardware, "
        "remove the folder: the hub is then asked for its records)",
        folder,
    )


def _warn_of_move(memory: Memory, namespace: str) -> None:
    before = memory.identity
    if before is not None and before.namespace not in {None, namespace}:
        _log.warning(
            "the connection string points to another namespace, %s, not %s: the device starts anew there",
            namespace,
            before.namespace,
        )


def new_installation_id() -> str:
    """A new id for a device: random, as the service's own clients make them."""
    from uuid import uuid4

    return str(uuid4())
