"""Log lines of a command: on stderr, and as systemd's journal wants them where that is its reader."""

from __future__ import annotations

import logging
import os
import sys
from typing import Final

from nhagent.commands.systemd import writes_to_journal
from nhagent.visible import visible

LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
"""What is logged without ``-v``, with one, and with two."""

# By syslog's priorities, which the journal reads from the beginning of a line.
_PRIORITIES: Final = (
    (logging.CRITICAL, 2),
    (logging.ERROR, 3),
    (logging.WARNING, 4),
    (logging.INFO, 6),
    (logging.NOTSET, 7),
)


class VisibleFormatter(logging.Formatter):
    """Log lines whose control characters are visible."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`."""
        return visible(super().format(record))


class JournalFormatter(VisibleFormatter):
    """Log lines with their priority before each."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`."""
        priority = next(number for level, number in _PRIORITIES if record.levelno >= level)
        return "\n".join(f"<{priority}>{line}" for line in super().format(record).splitlines())


def set_up_logging(verbose: int) -> None:
    """Let log lines go to stderr.

    Args:
        verbose: how many times ``-v`` was given.
    """
    lines = logging.StreamHandler(sys.stderr)
    if "JOURNAL_STREAM" in os.environ and writes_to_journal():
        lines.setFormatter(JournalFormatter("%(name)s: %(message)s"))
    else:
        lines.setFormatter(VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[lines])
    logging.getLogger("nhagent").setLevel(LEVELS[min(verbose, len(LEVELS) - 1)])
