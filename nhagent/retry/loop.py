"""Attempts until one succeeds or the time is up, with the waits in between.

It knows nothing of devices and hubs: an attempt is any callable that gives a `Report`. One that could not
finish, for a reason that waiting may mend, reports ``waiting`` with its error; any other reason is raised.
Who makes the attempt has recorded its failure, and so decided how long to wait (`nhagent.retry.state`).
"""

from __future__ import annotations

from nhagent.retry import backoff
from nhagent.retry.state import uptime

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Protocol

    from nhagent.device.state import RetryState
    from nhagent.errors import NhagentError
    from nhagent.report import Report
else:
    Protocol = object


class Failures(Protocol):
    """Decides when the next attempt may be made; a device's memory does so durably."""

    @property
    def pause(self) -> float:
        """Seconds from the latest failure of this thread to its next attempt."""

    def decide(self, error: NhagentError) -> RetryState:
        """Record a failure, where it is met: draw when the next attempt may be made."""

    def slept(self, seconds: float, took: float) -> None:
        """Record a sleep of so many seconds, and how long it took: an injected one returns at once."""

    def succeeded(self) -> None:
        """Forget what stood in the way."""


def run_until_done(
    attempt: Callable[[float], Report],
    *,
    timeout: float,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    failures: Failures,
) -> Report:
    """Attempt until it succeeds, or the next attempt would begin after the deadline.

    Args:
        attempt: one attempt; is given the seconds that are left.
        timeout: seconds that all attempts and waits may take; the first attempt is always made.
        clock: gives the time, aware.
        sleep: waits some seconds.
        failures: decides when the next attempt may be made.

    Returns:
        The last attempt's report, with the requests, steps and time of all of them.

    Raises:
        NhagentError: an attempt raised it: waiting cannot mend it.
    """
    spent = 0.0
    requests: int = 0
    steps: tuple[str, ...] = ()
    while True:
        started = uptime()
        report = attempt(max(0.0, timeout - spent))
        spent += uptime() - started
        requests, steps = requests + report.requests, steps + report.steps
        report = report.changed(requests=requests, steps=steps, elapsed=spent)
        if report.error is None:
            failures.succeeded()
            return report
        pause = failures.pause
        if spent + pause > timeout:
            return report
        # Counted as asked, not as measured: an injected sleep then ends at its deadline as a real one does.
        began = uptime()
        slept = _slept_through(pause, clock, sleep)
        spent += slept
        failures.slept(slept, uptime() - began)


def _slept_through(pause: float, clock: Callable[[], datetime], sleep: Callable[[float], None]) -> float:
    """Sleep until a pause is over by what was slept or by the wall clock; gives the seconds slept."""
    is_over = passed_by(clock, pause)
    slept = 0.0
    while slept < pause and not is_over():
        part = min(pause - slept, backoff.LONGEST_WAIT_SECONDS)
        sleep(part)
        slept += part
    return slept


def passed_by(clock: Callable[[], datetime], seconds: float) -> Callable[[], bool]:
    """Give what tells whether so many seconds have passed by the wall clock; one that fails says no."""

    def now() -> datetime | None:
        try:
            return clock()
        except Exception:  # noqa: BLE001 - the app's own clock may raise anything; the other clock goes on
            return None

    began = now()

    def is_over() -> bool:
        moment = now()
        return began is not None and moment is not None and (moment - began).total_seconds() >= seconds

    return is_over
