"""Keeping a device registered for as long as a thread lives."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from nhagent.errors import NhagentError
from nhagent.reconcile.drift import verify
from nhagent.reconcile.looking import refresh_interval
from nhagent.reconcile.planner import Mode
from nhagent.retry.endless import Endless, Time, Work
from nhagent.retry.state import uptime

if TYPE_CHECKING:
    from collections.abc import Callable

    from nhagent.reconcile.callbacks import Callbacks
    from nhagent.reconcile.inspector import Inspector
    from nhagent.reconcile.reconciler import Reconciler
    from nhagent.report import Report
    from nhagent.retry.endless import News
    from nhagent.retry.state import Retries

PASS_SECONDS: Final = 60.0
"""Seconds that one pass may take."""


def keep(
    inspector: Inspector,
    reconciler: Reconciler,
    retries: Retries,
    callbacks: Callbacks,
    *,
    wait: Callable[[float], bool],
    lived: Callable[[], float] = uptime,
    told: Callable[[News, float], None] | None = None,
) -> None:
    """Keep a device registered, in this very thread, until ``wait`` raises something.

    Args:
        inspector: what is known of the device.
        reconciler: makes the passes.
        retries: what stands in their way.
        callbacks: hear what each came to.
        wait: waits some seconds, or less where there is something to look at: then it gives True.
        lived: gives the seconds that have passed, waits included.
        told: is given what each pass and each look at the hub came to, and the seconds until the next; it
            logs that, so that nobody else does.
    """
    settings = inspector.settings

    def make_pass(force: bool) -> Report:
        try:
            began = uptime()
            report = reconciler.run(PASS_SECONDS, Mode(force=force, in_background=True))
            report = report.changed(elapsed=uptime() - began)
        except NhagentError as error:
            callbacks.failed(error)
            raise
        callbacks.announce(report, logs=told is None)
        return report

    work = Work(
        make_pass,
        verify=lambda: verify(inspector, retries),
        interval=lambda: refresh_interval(inspector),
        refresh_first=not settings.refresh_every,
        told=told or (lambda _, __: None),
        expires=inspector.seconds_until_expiry,
    )
    Endless(work, Time(settings.clock, wait, lived, settings.random), retries).run()
