"""One pass: inspect, plan, and only if something is to be done lock, learn, commit, execute; then report.

A pass plans once (`nhagent.reconcile.planner`), and again only with what it has learnt: a namespace out of a
key ring, or what the hub holds at a first run. Under the lock memory is read again; where another process has
changed it, all is inspected again. Nothing here waits for a hub or retries.
"""

from __future__ import annotations

from time import monotonic

from nhagent.device.store import STATE
from nhagent.errors import NhagentError, StateLocked, StateUnwritable, refuses_key
from nhagent.logs import Log
from nhagent.models import fingerprint
from nhagent.reconcile.deadline import LEAST_SECONDS, seconds_until
from nhagent.reconcile.declaration import PRIMARY
from nhagent.reconcile.identity import is_elsewhere
from nhagent.reconcile.planner import next_steps
from nhagent.reconcile.readings import Readings, channels_of
from nhagent.report import Outcome, Report
from nhagent.secret import NO_LOCALS, without_locals

TYPE_CHECKING = False
if TYPE_CHECKING:
    from nhagent.device.accepted import Accepted
    from nhagent.device.state import RetryState, State
    from nhagent.device.store import Memory
    from nhagent.reconcile.inspector import Inspector
    from nhagent.reconcile.planner import Mode, StartPlan
    from nhagent.retry.state import Retries
    from nhagent.steps import Step

_log = Log(__name__)


class Reconciler:
    """Makes a device's hub hold what is declared.

    Args:
        inspector: what is known of the device.
        retries: what stands in its way, and until when.
    """

    def __init__(self, inspector: Inspector, retries: Retries) -> None:
        self._inspector = inspector
        self._retries = retries

    def run(self, seconds: float, mode: Mode) -> Report:
        """Make one pass.

        Args:
            seconds: how long it should take at most; an exchange is given `LEAST_SECONDS` all the same.
            mode: how it is made.

        Raises:
            NhagentError: waiting cannot mend it. What waiting may mend is reported.
        """
        read_by = monotonic() + seconds
        seconds = max(seconds, LEAST_SECONDS)
        attempt = _Pass(self._inspector, self._retries, monotonic() + seconds, mode, read_by=read_by)
        try:
            with self._inspector.alone(seconds):
                try:
                    with NO_LOCALS:
                        return attempt.run()
                finally:
                    self._inspector.session.close()
        except StateLocked as busy:
            return Report(Outcome.WAITING, busy, next_attempt=self._retries.decide(busy).not_before)


class _Pass:
    """How far one pass has come, for a report that is true even if it was cut short."""

    def __init__(
        self, inspector: Inspector, retries: Retries, deadline: float, mode: Mode, *, read_by: float
    ) -> None:
        self._inspector = inspector
        self._store, self._session = inspector.store, inspector.session
        self._registrar, self._retries = inspector.registrar, retries
        self._deadline = deadline
        self._read_by = read_by
        self._mode = mode
        self._plan: StartPlan | None = None
        self._installation_id: str | None = None
        self._readings = Readings()
        self._accepted: Accepted | None = None
        self._done: list[Step] = []
        self._recreated = False
        self._recorded: tuple[NhagentError, RetryState] | None = None

    def run(self) -> Report:
        """Make attempts until no other process has changed the state meanwhile; see `Reconciler.run`."""
        try:
            while True:
                report = self._session.authorized(self._attempt)
                if report is not None:
                    return report
        except NhagentError as error:
            without_locals(error)  # a report keeps its error
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
            self._retries.settled(plan.state.retry)
            return self._report(self._outcome(plan))
        is_asking = bool(plan.steps) or plan.must_learn
        if is_asking:
            plan = self._check_ready_to_send(plan)
        with self._store.lock(seconds_until(self._deadline)):
            if self._inspector.recall() != plan.inputs.memory:
                return None
            if is_asking:
                # What is wrong with the settings is told before anything is written.
                self._session.open(seconds_until(self._deadline) if plan.must_learn else None)
            plan, saved = self._commit(self._learn(plan))
            self._plan, self._installation_id = plan, plan.identity.installation_id
            self._execute(plan, saved)
        return self._report(self._outcome(plan))

    def _inspect(self) -> StartPlan:
        inspector = self._inspector
        namespace = self._session.chain.namespace()
        memory = inspector.recall()
        self._installation_id = None if memory.identity is None else memory.identity.installation_id
        self._retries.load(memory.state.retry)
        self._readings = inspector.read(memory, self._read_by - monotonic())
        plan = inspector.plan(inspector.inputs(memory, self._readings, namespace, mode=self._mode))
        self._plan, self._readings = plan, plan.readings
        if plan.is_cloned:
            _warn_of_clone(self._store.folder)
        if not self._registrar.carries_user_id and memory.state.declaration.get("userId"):
            _log.warning('the user_id that was declared before is dropped: style "registration" has none')
        return plan

    def _check_ready_to_send(self, plan: StartPlan) -> StartPlan:
        """Check that it is time to send, and find the key.

        A key ring may take its time, so this is not done under the lock.
        """
        inputs = plan.inputs
        self._retries.check(plan.state.retry)
        known = inputs.memory.identity
        identity = inputs.machine.name or "" if known is None else known.installation_id
        self._retries.check_spread(inputs.settings.startup_spread, identity)
        namespace = inputs.namespace
        if namespace is None or self._session.chain.current is None:
            namespace = self._session.chain.namespace_at_any_cost(seconds_until(self._deadline))
        _warn_of_move(inputs.memory, namespace, at_backend=inputs.settings.backend is not None)
        if namespace == inputs.namespace:
            return plan
        return self._inspector.plan(inputs.changed(namespace=namespace))

    def _learn(self, plan: StartPlan) -> StartPlan:
        memory = plan.inputs.memory
        if plan.must_learn and not plan.knows_identity and STATE not in memory.unreadable:
            # Written once before the hub is asked, so that a full disk is reported first.
            self._store.save_state(memory.state)
        return self._inspector.learn(plan)

    def _commit(self, plan: StartPlan) -> tuple[StartPlan, State]:
        """Commit; where the disk does not take it, a device whose identity is there goes on from memory.

        Another process may have written to the hub since, from its memory, so the record is sent whole.
        """
        try:
            return plan, self._inspector.commit(plan)
        except StateUnwritable:
            if not plan.knows_identity:
                raise
            accepted, now = plan.state.accepted.changed(partial=True), self._session.now()
            steps = next_steps(self._registrar, plan.installation, plan.policy, accepted, now)
            plan = plan.changed(state=plan.state.changed(accepted=accepted), steps=steps)
            saved = plan.committed_state
            self._store.remember(saved)
            return plan, saved

    def _execute(self, plan: StartPlan, saved: State) -> None:
        from nhagent.reconcile.executor import Executor

        executor = Executor(plan, saved, self._inspector, self._deadline)
        try:
            executor.execute()
        except BaseException as error:
            retry = self._decide(error)
            executor.cut_short(retry)
            if retry is not None:
                self._retries.written_down(retry)
            raise
        finally:
            self._done += executor.done
            self._recreated |= executor.recreated
        self._accepted = executor.state.accepted

    def _decide(self, error: BaseException) -> RetryState | None:
        """Decide under the lock when it is tried again; None where a restart may forget it.

        Where the key was refused, it is decided later: the hub's clock, or another key, may still help.
        """
        if not isinstance(error, NhagentError) or refuses_key(error):
            return None
        retry = self._retries.decide(error)
        self._recorded = error, retry
        return retry if self._retries.must_be_on_disk(error, retry) else None

    def _record(self, error: NhagentError) -> RetryState:
        """Decide when it is tried again, unless that was done where the error was met."""
        if self._recorded is not None and self._recorded[0] is error:
            return self._recorded[1]
        return self._retries.record(error)

    def _outcome(self, plan: StartPlan) -> Outcome:
        if plan.identity.disabled:
            return Outcome.DISABLED
        if self._recreated:
            return Outcome.RECREATED
        if all(step.method == "GET" for step in self._done):
            return Outcome.UNCHANGED
        accepted = plan.state.accepted
        is_new = not accepted.adopted and not self._registrar.holds_device(accepted)
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
        channels = channels_of(plan.installation) if plan is not None and plan.installation else {}
        return Report(
            outcome=outcome,
            error=error,
            installation_id=self._installation_id,
            registration_ids={} if accepted is None else self._registrar.registration_ids(accepted),
            requests=self._session.requests_sent,
            steps=tuple(str(step) for step in self._done),
            channel_errors=self._readings.errors,
            next_attempt=None if retry is None else retry.not_before,
            clock_skew=self._session.clock_skew,
            refresh_due=refresh_due,
            app=self._inspector.settings.app,
            hub=self._inspector.settings.hub,
            channels={name: fingerprint(channel) for name, channel in channels.items()},
        )


def _warn_of_clone(folder: str) -> None:
    _log.warning(
        "state folder %r was written on another machine, whose disk was copied: this machine becomes a "
        "device of its own, and leaves the other's records alone (if it is the same device on new hardware, "
        "remove the folder: the hub is then asked for its records)",
        folder,
    )


def _warn_of_move(memory: Memory, namespace: str, *, at_backend: bool) -> None:
    before = memory.identity
    if before is None or not is_elsewhere(before.namespace, namespace):
        return
    if at_backend:
        _log.warning(
            "the device was registered at %s, and is at the backend %s from now on: it keeps its id, and is "
            "sent there whole",
            before.namespace,
            namespace,
        )
    else:
        _log.warning(
            "the connection string points to another namespace, %s, not %s: the device starts from nothing "
            "there",
            namespace,
            before.namespace,
        )
