"""Carries out a plan: one exchange after the other, each saved as soon as the hub has answered.

There is one durable write between two exchanges: it keeps what the last one achieved, and marks in doubt
what the next one writes. A record that the hub refuses does not hold up the others; nothing is deleted then.
"""

from __future__ import annotations

from datetime import timedelta
from time import monotonic

from nhagent.errors import (
    HubError,
    HubUnavailable,
    InvalidRequest,
    RecordNotFound,
    RegistrationGone,
    StateUnwritable,
)
from nhagent.hub.times import CLOCK_TOLERANCE_SECONDS
from nhagent.logs import Log
from nhagent.reconcile.deadline import seconds_until
from nhagent.reconcile.planner import next_steps
from nhagent.steps import CreateId, DeleteRecord, PutRecord, ReadRecord, SweepChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Final

    from nhagent.device.accepted import Accepted
    from nhagent.device.state import RetryState, State
    from nhagent.errors import NhagentError
    from nhagent.reconcile.inspector import Inspector
    from nhagent.reconcile.planner import StartPlan
    from nhagent.steps import Step

STRUCK_OUT_TOGETHER: Final = 25
"""Deletions that are struck out in one write: a lost one is made again, and each write writes all of it."""

CLOCK_TOLERANCE: Final = timedelta(seconds=CLOCK_TOLERANCE_SECONDS)
"""By how much an expiry may be off before it is written again, where that is short."""

_log = Log(__name__)


class Executor:
    """Carries out one plan. Under the lock.

    Args:
        plan: what to do.
        saved: what is on disk.
        inspector: the device's files, its way to the hub, and its registrar.
        deadline: when the time is up, by `time.monotonic`.

    Attributes:
        state: what is remembered by now.
        done: the steps that the hub has accepted.
        recreated: whether the hub was found to have lost a record.
    """

    def __init__(self, plan: StartPlan, saved: State, inspector: Inspector, deadline: float) -> None:
        self._plan = plan
        self._identity = plan.identity
        self._store = inspector.store
        self._session = inspector.session
        self._registrar = inspector.registrar
        self._deadline = deadline
        self._steps = list(plan.steps)
        self._saved = saved
        self._refused: NhagentError | None = None
        self._recovered: set[tuple[str, str]] = set()
        self._achieved = False
        self._is_dated = False
        self._struck_out = 0
        self.state = plan.state
        self.done: list[Step] = []
        self.recreated = False

    def execute(self) -> None:
        """Make every exchange that is possible.

        Deletions that the time is too short for are left to the next start.

        Raises:
            HubError: the hub refused a record for good, or could not be asked; `cut_short` must follow.
            StateUnwritable: an id that the hub made could not be kept.
        """
        while self._steps:
            self._check_time(self._steps[0])
            step = self._steps.pop(0)
            self._session.open(seconds_until(self._deadline))
            before = self.state.accepted
            if not self._prepared(step, before):
                continue
            try:
                accepted = self._registrar.apply(step, self.state.accepted, self._session.now())
            except HubUnavailable:
                raise  # no answer: the doubt stays
            except HubError as error:
                self._keep(before)  # refused: nothing was changed
                self._step_refused(step, error)
            else:
                self._step_accepted(step, accepted.dated(step.record, self._session.ahead))
        if self._refused is not None:
            raise self._refused
        if self._session.requests_sent:  # it has answered, and did it all
            self.state = self.state.changed(retry=None)
        self._save()
        self._save_ids()

    def cut_short(self, retry: RetryState | None) -> None:
        """Save what was achieved before an error ended it, and when it is tried again.

        Args:
            retry: what must outlive a restart; None: what is remembered of an earlier failure stays.
        """
        if retry is not None:
            self.state = self.state.changed(retry=retry)
        self._save()
        self._save_ids()

    def _check_time(self, step: Step) -> None:
        if monotonic() > self._deadline and (self.done or isinstance(step, DeleteRecord)):
            raise HubUnavailable(
                f"the time is up, and {len(self._steps)} exchanges are left",
                "wait: nhagent goes on by itself",
            )

    def _prepared(self, step: Step, before: Accepted) -> bool:
        """Save what must be on disk before this step goes out; False: the step is given up.

        An id that the hub has just made must be there before it is used.
        """
        if step.writes:
            self._keep(before.doubting(step.record))
        elif not self._achieved and self._struck_out < STRUCK_OUT_TOGETHER:
            return True
        makes_use_of_id = bool(self.done) and isinstance(self.done[-1], CreateId)
        try:
            self._save(durably=makes_use_of_id)
        except StateUnwritable as unwritable:
            self._keep(self._saved.accepted)
            self._give_up(step, unwritable)
            return False
        return True

    def _step_accepted(self, step: Step, accepted: Accepted) -> None:
        self.done.append(step)
        _log.debug("done: %s; left: %d", step, len(self._steps))
        if isinstance(step, ReadRecord) and self.state.accepted.records.keys() - accepted.records.keys():
            self._record_gone()  # what was read before it is written is not there
        self._keep(accepted)
        if step.writes:
            self.recreated |= self.state.has_lost  # whoever found it
            self.state = self.state.changed(writes=self.state.writes + 1, has_lost=False)
        if isinstance(step, DeleteRecord):
            self._struck_out += 1
        else:
            self._achieved = True
        if self._expiry_was_off(step):
            self._is_dated = True
            self._keep(self.state.accepted.doubting(step.record))
            self._plan_again()
        elif isinstance(step, SweepChannel) or self._registrar.plans_again_after(step):
            self._plan_again()

    def _expiry_was_off(self, step: Step) -> bool:
        """Whether a record was written, by our clock, with an expiry that the hub's makes another: once."""
        expires_after = self._plan.policy.expires_after
        if expires_after is None or self._is_dated or not isinstance(step, PutRecord):
            return False
        expires: datetime | None = getattr(step.becomes, "expiration_time", None)
        if expires is None:
            return False
        off = abs(expires - self._session.now() - expires_after)
        return off > max(CLOCK_TOLERANCE, expires_after / 100)

    def _step_refused(self, step: Step, error: HubError) -> None:
        _log.debug("%s: %s", step, error)
        attempt = (step.record, step.method)
        try:
            accepted, instead = self._registrar.recover(
                step, error, self.state.accepted, self._session.now(), again=attempt in self._recovered
            )
        except (RegistrationGone, RecordNotFound, InvalidRequest) as final:
            self._give_up(step, final)
            return
        self._recovered.add(attempt)
        self._achieved = True
        self._keep(accepted)
        if isinstance(error, RecordNotFound | RegistrationGone):
            self._record_gone()
        if instead is None:
            self._plan_again()
        else:
            self._steps[:0] = instead

    def _record_gone(self) -> None:
        self.recreated = True
        self.state = self.state.changed(losses=self.state.losses + 1)

    def _give_up(self, step: Step, error: NhagentError) -> None:
        """Go on with the steps that can be taken all the same: no deletion after a failed write."""
        self._refused = self._refused or error
        if not isinstance(step, DeleteRecord):
            self._steps = [
                left
                for left in self._steps
                if left.record != step.record and not isinstance(left, DeleteRecord)
            ]

    def _plan_again(self) -> None:
        plan = self._plan
        self._steps = list(
            next_steps(
                self._registrar, plan.installation, plan.policy, self.state.accepted, self._session.now()
            )
        )

    def _keep(self, accepted: Accepted) -> None:
        self.state = self.state.changed(accepted=accepted)

    def _save(self, *, durably: bool = False) -> None:
        if not self.state.is_stored_as(self._saved):
            (self._store.save_state if durably else self._store.remember)(self.state)
        self._saved, self._achieved, self._struck_out = self.state, False, 0

    def _save_ids(self) -> None:
        """Keep the hub's ids beside the device's own as well; see `nhagent.device.state.Identity`."""
        ids = self._registrar.registration_ids(self.state.accepted)
        if ids == self._identity.registrations:
            return
        self._identity = self._identity.changed(registrations=ids)
        try:
            self._store.save_identity(self._identity)
        except StateUnwritable:  # told where the state could not be written
            pass
