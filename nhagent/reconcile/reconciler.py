"""One pass: inspect, plan, and only if something is to be done, take the lock, learn, commit, execute.

What is on disk and what the channel sources gave are inspected and planned once (`nhagent.reconcile.planner`);
under the lock memory is read again, and planned again only if it, or what the hub told, has changed. Nothing
here waits for a hub or retries.
"""

from __future__ import annotations

from contextlib import contextmanager
from os import getpid
from threading import TIMEOUT_MAX, RLock
from time import monotonic

from nhagent.device.document import Malformed
from nhagent.device.state import State
from nhagent.device.store import IDENTITY, STATE
from nhagent.errors import ConfigurationError, NhagentError, StateLocked, StateUnwritable, Unauthorized
from nhagent.logs import Log
from nhagent.reconcile.deadline import LEAST_SECONDS, seconds_until
from nhagent.reconcile.declaration import PRIMARY, Declaration
from nhagent.reconcile.identity import is_elsewhere, new_installation_id
from nhagent.reconcile.planner import Mode, StartInputs, next_steps, plan_start
from nhagent.reconcile.readings import Readings, known_channels, read_sources
from nhagent.report import Outcome, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from nhagent.device.store import Memory, Store
    from nhagent.device.accepted import Accepted
    from nhagent.device.state import RetryState
    from nhagent.steps import Step
    from nhagent.reconcile.planner import StartPlan
    from nhagent.reconcile.settings import Settings
    from nhagent.registrars.protocol import Registrar
    from nhagent.retry.state import Retries
    from nhagent.session.hub_session import HubSession

_log = Log(__name__)


class Reconciler:
    """Makes a device's hub hold what is declared.

    Args:
        settings: what the app passes in; replaced when it declares something else.
        store: the device's files.
        session: its way to the hub.
        registrar: makes the hub know it.
        retries: what stands in its way, and until when.
    """

    def __init__(
        self, settings: Settings, store: Store, session: HubSession, registrar: Registrar, retries: Retries
    ) -> None:
        self.settings = settings
        self.store = store
        self.session = session
        self.registrar = registrar
        self.retries = retries
        self._lock = RLock()
        self._process = getpid()
        self._is_reading = False

    def run(self, seconds: float, mode: Mode) -> Report:
        """Make one pass.

        Args:
            seconds: how long it should take at most; an exchange is given `LEAST_SECONDS` all the same.
            mode: how it is made.

        Raises:
            NhagentError: waiting cannot mend it. What waiting may mend is reported.
        """
        attempt = _Pass(self, monotonic() + max(seconds, LEAST_SECONDS), mode)
        try:
            with self.alone(max(seconds, LEAST_SECONDS)):
                try:
                    return attempt.run()
                finally:
                    self.session.close()
        except StateLocked as busy:
            return Report(
                Outcome.WAITING, busy, next_attempt=self.retries.failed(busy).not_before
            )

    @contextmanager
    def alone(self, seconds: float) -> Iterator[None]:
        """Serialise passes of this process's threads, and all else that reads and declares.

        Args:
            seconds: how long to wait for another thread.

        Raises:
            StateLocked: it did not finish in time.
        """
        if self._process != getpid():  # forked: the thread at work, and its connection, are the parent's
            self._process, self._lock, self._is_reading = getpid(), RLock(), False
            self.session.forget()
        lock = self._lock
        if not lock.acquire(timeout=min(max(0.0, seconds), TIMEOUT_MAX)):
            raise StateLocked(
                f"state folder {self.store.folder!r}: another thread of this program is at work on it and "
                f"did not finish within {seconds:.0f} s",
                "try again, or give it longer",
            )
        try:
            yield
        finally:
            lock.release()

    def recall(self) -> Memory:
        """Read what is on disk. An invalid stored declaration marks state.json as unreadable."""
        memory = self.store.load()
        try:
            Declaration.from_json(memory.state.declaration)
        except Malformed:
            state = State(namespace=memory.state.namespace, disabled=memory.state.disabled)
            return memory.changed(state=state, unreadable=(*memory.unreadable, STATE))
        return memory

    def read(self, memory: Memory) -> Readings:
        """Ask every channel source that is declared, now or before; none while the device is unregistered."""
        if memory.is_disabled:
            return Readings()
        if self._is_reading:
            raise ConfigurationError(
                "a channel source called its own agent", "let it give the channel and no more"
            )
        declaration = self.settings.given.over(Declaration.from_json(memory.state.declaration))
        self._is_reading = True
        try:
            return read_sources(self.settings.platform, self.settings.source, declaration)
        finally:
            self._is_reading = False

    def inputs(
        self,
        memory: Memory,
        readings: Readings,
        namespace: str | None,
        *,
        mode: Mode = Mode(),  # noqa: B008 - frozen
        new_id: Callable[[], str] = new_installation_id,
    ) -> StartInputs:
        """Gather what is known at a start."""
        return StartInputs(
            memory,
            self.settings,
            readings,
            namespace,
            self.settings.machine(),
            self.session.now(),
            mode,
            new_id,
        )

    def plan(self, inputs: StartInputs) -> StartPlan:
        """Plan a start; the device's channels are kept out of every error from now on."""
        plan = plan_start(inputs, self.registrar)
        if not plan.is_settled:
            self._hide_channels(plan)
        return plan

    def learn(self, plan: StartPlan) -> StartPlan:
        """Plan again with what the hub tells of the device, where the disk does not say.

        Raises:
            HubError: the hub did not answer.
        """
        if not plan.must_learn or plan.installation is None:
            return plan
        learnt = self.registrar.learn(
            plan.installation,
            plan.state.accepted,
            plan.known_id,
            listing=plan.listing,
            complete=self.settings.given.is_complete,
        )
        plan = plan_start(plan.inputs.changed(now=self.session.now()), self.registrar, learnt)
        self._hide_channels(plan)
        return plan

    def commit(self, plan: StartPlan) -> None:
        """Write what must be on disk before anything is sent. Under the lock.

        Raises:
            StateUnwritable: it is not on disk.
        """
        memory, now = plan.inputs.memory, self.settings.clock
        for name in memory.unreadable:
            aside = self.store.keep_aside(name, now())
            _log.warning("state file %s was corrupt and is kept as %s", name, aside)
        if plan.is_cloned:
            for name in (IDENTITY, STATE):
                self.store.keep_aside(name, now())
        # The state first: it holds what a first run has found, and an identity says that there was one.
        state = plan.committed_state
        if memory.unreadable or memory.unsaved or not memory.state.is_stored_as(state):
            self.store.save_state(state)
        if memory.identity != plan.identity:
            self.store.save_identity(plan.identity)

    def _hide_channels(self, plan: StartPlan) -> None:
        states = (plan.inputs.memory.state, plan.state)
        self.session.hide(channel for state in states for _, channel in known_channels(state))


class _Pass:
    """How far one pass has come, for a report that is true even if it was cut short."""

    def __init__(self, reconciler: Reconciler, deadline: float, mode: Mode) -> None:
        self._reconciler = reconciler
        self._store, self._session = reconciler.store, reconciler.session
        self._registrar, self._retries = reconciler.registrar, reconciler.retries
        self._deadline = deadline
        self._mode = mode
        self._plan: StartPlan | None = None
        self._installation_id: str | None = None
        self._readings = Readings()
        self._accepted: Accepted | None = None
        self._done: list[Step] = []
        self._recreated = False
        self._recorded: tuple[NhagentError, RetryState] | None = None

    def run(self) -> Report:
        """Attempt until no other process was faster; see `Reconciler.run`."""
        try:
            while True:
                report = self._session.authorized(self._attempt)
                if report is not None:
                    return report
        except NhagentError as error:
            retry = self._record(error)
            if not error.retryable:
                raise
            return self._report(Outcome.WAITING, error=error, retry=retry)

    def _attempt(self) -> Report | None:
        """Make the pass; None where another process was faster, so that all has to be inspected again."""
        plan = self._inspect()
        if plan.lacks_channel:
            raise plan.readings.errors[PRIMARY]
        if plan.is_settled:
            return self._report(self._outcome(plan))
        if plan.steps:
            plan = self._let_out(plan)
        with self._store.lock(seconds_until(self._deadline)):
            if self._reconciler.recall() != plan.inputs.memory:
                return None
            if plan.steps:
                # What is wrong with the settings is told before anything is written.
                self._session.open(seconds_until(self._deadline))
            plan = self._plan = self._commit(self._learn(plan))
            self._installation_id = plan.identity.installation_id
            self._execute(plan)
        return self._report(self._outcome(plan))

    def _inspect(self) -> StartPlan:
        reconciler = self._reconciler
        namespace = self._session.chain.namespace()
        memory = reconciler.recall()
        self._installation_id = None if memory.identity is None else memory.identity.installation_id
        self._retries.recall(memory.state.retry)
        self._readings = reconciler.read(memory)
        plan = reconciler.plan(reconciler.inputs(memory, self._readings, namespace, mode=self._mode))
        self._plan, self._readings = plan, plan.readings
        if plan.is_cloned:
            _warn_of_clone(self._store.folder)
        if not self._registrar.carries_user_id and memory.state.declaration.get("userId"):
            _log.warning('the user_id that was declared before is dropped: style "registration" has none')
        return plan

    def _let_out(self, plan: StartPlan) -> StartPlan:
        """Check that it is time to send, and find the key: a key ring may take its time, so not under the lock."""
        inputs = plan.inputs
        self._retries.check(plan.state.retry)
        known = inputs.memory.identity
        identity = inputs.machine or "" if known is None else known.installation_id
        self._retries.check_spread(inputs.settings.startup_spread, identity)
        namespace = self._session.chain.namespace_at_any_cost(seconds_until(self._deadline))
        _warn_of_move(inputs.memory, namespace)
        if namespace == inputs.namespace:
            return plan
        return self._reconciler.plan(inputs.changed(namespace=namespace))

    def _learn(self, plan: StartPlan) -> StartPlan:
        memory = plan.inputs.memory
        if plan.must_learn and not plan.knows_identity and STATE not in memory.unreadable:
            # As it is on disk: one that is full or read-only is then told before the hub is asked.
            self._store.save_state(memory.state)
        return self._reconciler.learn(plan)

    def _commit(self, plan: StartPlan) -> StartPlan:
        """Commit; where the disk does not take it, a device whose identity is there goes on from memory.

        What it then knows of the hub may be older than what another process of it wrote from memory: what is
        sent is the whole.
        """
        try:
            self._reconciler.commit(plan)
        except StateUnwritable:
            if not plan.knows_identity:
                raise
            accepted, now = plan.state.accepted.changed(partial=True), self._session.now()
            steps = next_steps(self._registrar, plan.installation, plan.policy, accepted, now)
            plan = plan.changed(state=plan.state.changed(accepted=accepted), steps=steps)
            self._store.remember(plan.committed_state)
        return plan

    def _execute(self, plan: StartPlan) -> None:
        from nhagent.device.accepted import Accepted
    from nhagent.device.state import RetryState
    from nhagent.steps import Step

        executor = Executor(plan, self._store, self._session, self._registrar, self._deadline)
        try:
            executor.execute()
        except Unauthorized:  # the clock of the hub, or another key, may still help
            executor.cut_short(None)
            raise
        except NhagentError as error:
            retry = self._retries.failed(error)
            self._recorded = error, retry
            outlives = self._retries.outlives_restart(error)
            executor.cut_short(retry if outlives else None)
            if outlives:
                self._retries.noted(retry)
            raise
        finally:
            self._done += executor.done
            self._recreated |= executor.recreated
        self._accepted = executor.state.accepted

    def _record(self, error: NhagentError) -> RetryState:
        """Decide when it is tried again, unless that was done where the error was met."""
        if self._recorded is not None and self._recorded[0] is error:
            return self._recorded[1]
        retry = self._retries.failed(error)
        if self._retries.outlives_restart(error):
            self._retries.note(retry)
        return retry

    def _outcome(self, plan: StartPlan) -> Outcome:
        if plan.identity.disabled:
            return Outcome.DISABLED
        if self._recreated:
            return Outcome.RECREATED
        if all(step.method == "GET" for step in self._done):
            return Outcome.UNCHANGED
        is_new = not self._registrar.holds_device(plan.state.accepted)
        return Outcome.REGISTERED if is_new else Outcome.UPDATED

    def _report(
        self, outcome: Outcome, *, error: NhagentError | None = None, retry: RetryState | None = None
    ) -> Report:
        plan, accepted = self._plan, self._accepted
        refresh_due = None
        if accepted is None and plan is not None and plan.is_on_disk:
            accepted = plan.state.accepted
        if plan is not None and plan.installation is not None and error is None:
            refresh_due = self._registrar.due_at(plan.policy, accepted or plan.state.accepted)
        errors = self._readings.errors
        return Report(
            outcome=outcome,
            error=error,
            installation_id=self._installation_id,
            registration_ids={} if accepted is None else self._registrar.registration_ids(accepted),
            requests=self._session.requests_sent,
            steps=tuple(str(step) for step in self._done),
            channel_errors={name: str(reason) for name, reason in errors.items()},
            failed_sources={name: reason for name, reason in errors.items() if not reason.pending},
            next_attempt=None if retry is None else retry.not_before,
            clock_skew=self._session.clock_skew,
            refresh_due=refresh_due,
        )


def _warn_of_clone(folder: str) -> None:
    _log.warning(
        "state folder %r was written on another machine, whose disk was copied: this machine becomes a "
        "device of its own, and leaves the other's records alone (if it is the same device on new hardware, "
        "remove the folder: the hub is then asked for its records)",
        folder,
    )


def _warn_of_move(memory: Memory, namespace: str) -> None:
    before = memory.identity
    if before is not None and is_elsewhere(before.namespace, namespace):
        _log.warning(
            "the connection string points to another namespace, %s, not %s: the device starts from nothing "
            "there",
            namespace,
            before.namespace,
        )
