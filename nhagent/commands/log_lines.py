"""Log lines of a command on stderr: for people, for systemd's journal, or as one JSON object a line."""

from __future__ import annotations

import json
import logging
import os
import sys
from datetime import UTC, datetime
from typing import Any, Final

from nhagent.commands.output import SCHEMA, LogFormat
from nhagent.commands.systemd import writes_to_journal
from nhagent.visible import visible

LEVELS: Final = (logging.WARNING, logging.INFO, logging.DEBUG)
"""What is logged without ``-v``, with one, and with two."""

FACTS: Final = "facts"
"""The attribute of a log record that has what the line tells, by name, for programs."""

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


class JsonFormatter(logging.Formatter):
    """Log lines as objects, one a line."""

    def format(self, record: logging.LogRecord) -> str:
        """As `logging.Formatter.format`."""
        message = record.getMessage()
        if record.exc_info:
            message = f"{message}\n{self.formatException(record.exc_info)}"
        return _line(record.created, record.levelname, record.name, message, getattr(record, FACTS, {}))


def error_line(text: str) -> str:
    """Write an error of the command itself as such an object."""
    return _line(datetime.now(UTC).timestamp(), "ERROR", "nhagent", text, {})


def set_up_logging(verbose: int) -> None:
    """Let log lines go to stderr.

    Args:
        verbose: how many times ``-v`` was given; below zero: errors alone.
    """
    lines = logging.StreamHandler(sys.stderr)
    if LogFormat.is_json:
        lines.setFormatter(JsonFormatter())
    elif "JOURNAL_STREAM" in os.environ and writes_to_journal():
        lines.setFormatter(JournalFormatter("%(name)s: %(message)s"))
    else:
        lines.setFormatter(VisibleFormatter("%(levelname)s %(name)s: %(message)s"))
    logging.basicConfig(handlers=[lines])
    level = logging.ERROR if verbose < 0 else LEVELS[min(verbose, len(LEVELS) - 1)]
    logging.getLogger("nhagent").setLevel(level)


def _line(seconds: float, level: str, logger: str, message: str, facts: dict[str, Any]) -> str:
    time = datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds")
    document: dict[str, Any] = {
        "schema": SCHEMA,
        "time": time,
        "level": level.lower(),
        "logger": logger,
        "message": message,
        "facts": facts,
    }
    return json.dumps(document)
