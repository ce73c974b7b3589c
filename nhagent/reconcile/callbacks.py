"""Telling an app, and the log, what a run came to."""

from __future__ import annotations

from nhagent.errors import is_failure
from nhagent.logs import Log
from nhagent.reconcile.declaration import PRIMARY
from nhagent.report import Outcome, counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, Final

    from nhagent.errors import NhagentError
    from nhagent.report import Report

_NEWS: Final = frozenset({Outcome.REGISTERED, Outcome.UPDATED, Outcome.RECREATED})

_log = Log("nhagent")


class Callbacks:
    """The callbacks of an app.

    Args:
        on_registered: called with the report whenever the hub has accepted something new.
        on_error: called with the error whenever a run ends with one, or a channel source fails.
        is_cut: tells whether this thread was stopped: it calls nobody any more.

    Attributes:
        followed: is told of each run before the app is, or None: what the channel source itself must know.
    """

    def __init__(
        self,
        on_registered: Callable[[Report], object] | None,
        on_error: Callable[[NhagentError], object] | None,
        is_cut: Callable[[], bool],
    ) -> None:
        self.followed: Callable[[Report], None] | None = None
        self._on_registered = on_registered
        self._on_error = on_error
        self._is_cut = is_cut

    def announce(self, report: Report, *, logs: bool = True) -> None:
        """Tell what a run came to.

        Args:
            report: says it.
            logs: False where somebody else logs it.
        """
        if logs:
            _log_line(report)
        if self.followed is not None and not self._is_cut():
            self.followed(report)
        if report.error is not None:
            self.failed(report.error)
        elif report.outcome in _NEWS:
            self._tell(self._on_registered, report)
        for name, failure in report.channel_errors.items():
            if not failure.pending and (name != PRIMARY or report.error is None):
                self.failed(failure)

    def failed(self, error: NhagentError) -> None:
        """Tell an error."""
        self._tell(self._on_error, error)

    def _tell(self, callback: Callable[[Any], object] | None, news: object) -> None:
        """Call back, unless this thread was stopped; whatever the app's own code raises stops nothing."""
        if callback is None or self._is_cut():
            return
        try:
            callback(news)
        except BaseException as error:
            if not is_failure(error):
                raise
            from nhagent.redaction import in_prose

            _log.error("a callback of the app failed (%s)", in_prose(error))


def _log_line(report: Report) -> None:
    if report.error is not None:
        _log.info("waiting: %s", report.error)
    elif report.outcome in _NEWS:
        _log.info("%s at hub %s in %s", report.outcome, report.hub, counted(report.requests, "request"))
    for failure in report.channel_errors.values():
        if not failure.pending:
            _log.warning("the old channel stays in place: %s", failure)
