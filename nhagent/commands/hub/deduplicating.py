"""``hub dedupe``: one record for each push channel, kind and template name, across the whole hub.

By the rules of a first run: an installation's rows stay, of equals the smallest id is kept, and a record is
deleted only as it was listed (by its ETag). What somebody has changed meanwhile is left to him.
"""

from __future__ import annotations

import signal
from threading import Event, current_thread, main_thread

from nhagent.commands.hub.opening import opened
from nhagent.commands.hub.patience import Patience
from nhagent.commands.hub.plan_file import PlanFile
from nhagent.commands.output import Result, complain
from nhagent.commands.progress import Progress
from nhagent.errors import ConcurrencyConflict, RecordNotFound, RegistrationGone
from nhagent.interruption import sleep
from nhagent.report import counted

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from typing import Any, Final, Self

    from nhagent.hub.client import HubClient

INTERRUPTED: Final = 130


def dedupe(options: argparse.Namespace) -> Result:
    """Find the surplus records, and with ``--yes`` delete them."""
    with opened(options) as client:
        plan = PlanFile(options.resume, client.place)
        try:
            with _Interruption() as interruption:
                run = _Run(client, plan, interruption, options.rate)
                finished = run.list_all() and (not options.yes or run.delete_all())
            return _told(plan, run, options, is_finished=finished)
        finally:
            plan.close()


class _Interruption:
    """Lets SIGINT end a work between two requests."""

    def __init__(self) -> None:
        self._is_asked = Event()
        self._before: Any = None

    def __enter__(self) -> Self:
        if current_thread() is main_thread():
            self._before = signal.signal(signal.SIGINT, lambda *_: self._is_asked.set())
        return self

    def __exit__(self, *_: object) -> None:
        if self._before is not None:
            signal.signal(signal.SIGINT, self._before)

    @property
    def is_asked(self) -> bool:
        """Whether it is to end."""
        return self._is_asked.is_set()

    def wait(self, seconds: float) -> None:
        """Wait some seconds, or until it is to end."""
        if not self._is_asked.wait(seconds):
            sleep(0)


class _Run:
    """One run: reads what is left of the list, then deletes what is left of the surplus."""

    def __init__(
        self, client: HubClient, plan: PlanFile, interruption: _Interruption, rate: float | None
    ) -> None:
        self._client = client
        self._plan = plan
        self._interruption = interruption
        self._patience = Patience(rate, interruption.wait)

    @property
    def requests(self) -> int:
        """How many exchanges this run has made."""
        return self._patience.requests

    def list_all(self) -> bool:
        """Read the list; whether it is whole."""
        plan, progress = self._plan, Progress("listed")
        if plan.is_listed:
            return True
        for page in self._patience.pages(self._client.registrations(), plan.token):
            plan.add_page(page.items, page.token)
            progress.count += len(page.items) - 1
            progress.step()
            if self._interruption.is_asked and not plan.is_listed:
                break
        progress.end()
        return plan.is_listed

    def delete_all(self) -> bool:
        """Delete the surplus; whether nothing of it is left."""
        plan = self._plan
        progress = Progress(
            "deleted", plan.counts()["surplus"] - plan.number("deleted") - plan.number("left")
        )
        for record_id, etag in plan.surplus():
            if self._interruption.is_asked:
                progress.end()
                return False
            is_left = not self._is_deleted(record_id, etag)
            plan.strike_out(record_id, is_left=is_left)
            (progress.skip if is_left else progress.step)()
        progress.end()
        return True

    def _is_deleted(self, record_id: str, etag: str) -> bool:
        try:
            self._patience(lambda: self._client.delete_registration(record_id, etag))
        except (RecordNotFound, RegistrationGone):
            return True
        except ConcurrencyConflict:
            return False
        return True


def _told(plan: PlanFile, run: _Run, options: argparse.Namespace, *, is_finished: bool) -> Result:
    counts = plan.counts()
    deleted, left = plan.number("deleted"), plan.number("left")
    document = {
        **counts,
        "kept": counts["kept"] + left,
        "deleted": deleted,
        "requests": run.requests,
        "finished": is_finished,
    }
    surplus = (
        f"{counted(counts['surplus'], 'surplus record')} on {counted(counts['channels'], 'push channel')}"
    )
    if not is_finished:
        how = f"--resume {options.resume}" if options.resume else "--resume FILE, from the beginning,"
        complain(f"nhagent: interrupted after {counted(run.requests, 'request')}; go on with {how}")
        return Result(INTERRUPTED, document, f"{surplus} so far, {deleted} deleted")
    if not options.yes:
        return Result(0, document, f"{surplus}; --yes deletes them")
    kept = f", {left} left to whoever changed them meanwhile" if left else ""
    return Result(0, document, f"{surplus}: {deleted} deleted{kept}, {document['kept']} kept")
