"""Turning the wheel until it is done or the time is up. The one place that waits.

It knows nothing of devices and hubs: a turn is any callable that gives a `Report`. A turn that could not
finish, for a reason that waiting may mend, reports ``waiting`` with its error; any other reason is raised.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta
from time import monotonic

from nhagent import pacing
from nhagent.report import Report


def drive(
    turn: Callable[[float], Report],
    *,
    timeout: float,
    clock: Callable[[], datetime],
    sleep: Callable[[float], None],
    random: Callable[[], float],
) -> Report:
    """Turn until a turn succeeds, or the next one would begin after the deadline.

    Args:
        turn: one turn; is given the seconds that are left.
        timeout: seconds that all turns and waits may take; the first turn is always made.
        clock: gives the time, aware.
        sleep: waits some seconds.
        random: gives a number from 0 to 1.

    Returns:
        The last turn's report, with the requests, steps and time of all of them.

    Raises:
        NhagentError: a turn raised it: waiting cannot mend it.
    """
    spent, attempt = 0.0, 0
    requests: int = 0
    steps: tuple[str, ...] = ()
    while True:
        started = monotonic()
        report = turn(max(0.0, timeout - spent))
        spent += monotonic() - started
        requests, steps = requests + report.requests, steps + report.steps
        report = replace(report, requests=requests, steps=steps, elapsed=spent)
        if report.error is None:
            return report
        pause = pacing.delay(report.error, attempt, random())
        if spent + pause > timeout:
            return replace(report, next_attempt=clock() + timedelta(seconds=pause))
        sleep(pause)
        # Counted as asked, not as measured: an injected sleep then ends at its deadline as a real one does.
        spent += pause
        attempt += 1
