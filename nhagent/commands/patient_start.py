"""Tells on a terminal, beside a work that takes long, how far it is; what a start tells is here too."""

from __future__ import annotations

import sys
from contextlib import contextmanager

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from contextlib import AbstractContextManager
    from logging import LogRecord
    from threading import Event
    from typing import Final

LOGGER: Final = "nhagent.reconcile.executor"
"""Logs each exchange that was made, and how many are left."""


def told() -> AbstractContextManager[None]:
    """Tell how many exchanges a start has made, and how many are left, for as long as this lasts."""
    return beside(_tell)


@contextmanager
def beside(tell: Callable[[Event], object]) -> Iterator[None]:
    """Let something be told for as long as this lasts; in pipes and in a journal nothing is.

    Args:
        tell: tells it, in a thread of its own, until the event.
    """
    if sys.stderr is None or not sys.stderr.isatty():
        yield
        return
    from threading import Event, Thread

    ended = Event()
    teller = Thread(target=tell, args=(ended,), daemon=True)
    teller.start()
    try:
        yield
    finally:
        ended.set()
        teller.join()


def _tell(ended: Event) -> None:
    from nhagent.commands.progress import SILENT_SECONDS, Progress

    progress = Progress("exchanges with the hub")
    if ended.wait(SILENT_SECONDS):
        return
    import logging

    class Counter(logging.Handler):
        def emit(self, record: LogRecord) -> None:
            left = record.args[-1] if isinstance(record.args, tuple) and record.args else None
            if isinstance(left, int):
                progress.total = progress.count + 1 + left
                progress.step()

    logger, counter = logging.getLogger(LOGGER), Counter(logging.DEBUG)
    level, propagates = logger.level, logger.propagate
    logger.addHandler(counter)
    logger.setLevel(logging.DEBUG)
    logger.propagate = False  # its lines are not for people who did not ask for them
    while True:
        progress.show()
        if ended.wait(1.0):  # however long one exchange takes
            break
    logger.removeHandler(counter)
    logger.setLevel(level)
    logger.propagate = propagates
    progress.wipe()
