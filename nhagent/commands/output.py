"""What commands print: values of nhagent as JSON, and as text for people."""

from __future__ import annotations

import os
import sys
from datetime import UTC, datetime

from nhagent.errors import ChannelError
from nhagent.report import DISABLED_TEXT, Outcome, counted
from nhagent.values import Value
from nhagent.visible import visible

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any, Final

    from nhagent.report import Report, Status

MINUTE_SECONDS: Final = 60
HOUR_SECONDS: Final = 3600
SCHEMA: Final = 1
"""The version of the objects that ``--json`` prints."""
MANY_STEPS: Final = 10
"""Steps of one kind beyond which only their number is told."""
MIN_MINUTES: Final = 1.5
"""Below so many minutes a span is told in seconds."""
MAX_MINUTES: Final = 90
"""From so many minutes on a span is told in hours."""


class Result(Value):
    """What a command came to.

    Attributes:
        code: the exit code.
        document: the object for ``--json``; None where there is nothing to print.
        text: what people read; "" for nothing.
    """

    code: int
    document: dict[str, Any] | None
    text: str


def as_json(document: Mapping[str, Any]) -> str:
    """Write an object as the one line of ``--json``, with the version of its form."""
    import json

    return json.dumps({"schema": SCHEMA, **document})


class Unwritable(Exception):
    """Standard output takes no more.

    Attributes:
        error: why.
    """

    def __init__(self, error: OSError) -> None:
        super().__init__(str(error))
        self.error = error


def print_line(line: str) -> None:
    """Print a line of many, at once.

    Raises:
        Unwritable: it cannot be printed.
    """
    encoding = sys.stdout.encoding or "utf-8"
    try:
        print(line.encode(encoding, "backslashreplace").decode(encoding), flush=True)
    except OSError as error:
        raise Unwritable(error) from None


def text_of_report(report: Report, *, every_step: bool = False) -> str:
    """Tell people what a start came to.

    Args:
        report: what it came to.
        every_step: many steps of one kind are told one by one, not by their number.
    """
    lines = [str(report)]
    if report.error is not None:
        lines.append(_row("why", report.error))
    if report.outcome is Outcome.DISABLED:
        lines.append(f"  {DISABLED_TEXT}")
    lines += [_row("done", step) for step in (report.steps if every_step else _summary(report.steps))]
    # A start waits for no other channel than the device's own: that error was shown already.
    shown = "channel" if isinstance(report.error, ChannelError) else None
    lines += [_row("channel", why) for name, why in report.channel_errors.items() if name != shown]
    moments = {"try again after": report.next_attempt, "refresh due": report.refresh_due}
    lines += [_row(label, _time_and_age(moment)) for label, moment in moments.items() if moment]
    return "\n".join(lines)


def _row(label: str, fact: object) -> str:
    return f"  {label + ':':<16} {fact}"


def _summary(steps: tuple[str, ...]) -> list[str]:
    """Put steps in short: of many of one kind, one line in the place of the first."""
    counts: dict[tuple[str, str], int] = {}
    for step in steps:
        counts[_kind(step)] = counts.get(_kind(step), 0) + 1
    lines = []
    for step in steps:
        method, reason = kind = _kind(step)
        if counts[kind] > MANY_STEPS:
            lines.append(f"{method} of {counted(counts[kind], 'record')}: {reason} (-v tells each)")
            counts[kind] = 0
        elif counts[kind]:
            lines.append(step)
    return lines


def _kind(step: str) -> tuple[str, str]:
    what, _, reason = step.partition(": ")
    return what.partition(" ")[0], reason


def text_of_status(status: Status, step: str | None) -> str:
    """Tell people what a device remembers.

    Args:
        status: says it.
        step: the command that a person should run now; None: nobody must act.
    """
    lines = [f"{status.state}: app {status.app!r}, hub {status.hub!r}, platform {status.platform}"]
    facts: dict[str, object] = {
        "installation": status.installation_id,
        "namespace": status.namespace,
        "granted": "; ".join(f"{name} {_granted(value)}" for name, value in status.granted.items()),
        "channels": ", ".join(f"{name} {mark}" for name, mark in status.channels.items()),
        "accepted": _time_and_age(status.accepted_at),
        "verified": _time_and_age(status.verified_at),
        "refresh due": _time_and_age(status.refresh_due),
        "pending": "; ".join(status.pending),
        "in doubt": ", ".join(status.in_doubt),
        "to delete": ", ".join(status.to_delete),
        "unreadable": ", ".join(status.unreadable),
        "last error": status.last_error and f"{status.last_error} ({in_a_row(status.failures)})",
        "next attempt": _time_and_age(status.next_attempt),
        "writes": status.writes and f"{status.writes} accepted so far",
        "losses": status.losses and f"{counted(status.losses, 'record')} that the hub no longer knew",
        "kept in": status.state_dir,
        "next": step,
    }
    lines += [f"  {name + ':':<14}{fact}" for name, fact in facts.items() if fact]
    return "\n".join(lines)


def _granted(value: object) -> str:
    """What a backend granted in the place of what was sent."""
    if isinstance(value, list):
        return ", ".join(map(str, value))
    return "left out" if value is None else "changed"


def in_a_row(failures: int) -> str:
    """Write how many attempts have failed since the last good one."""
    return "once" if failures == 1 else f"{failures} times in a row"


def age_of(moment: datetime | None) -> float | None:
    """Give the seconds since a moment by this device's clock; None for None."""
    return None if moment is None else (datetime.now(UTC) - moment).total_seconds()


class LogFormat:
    """How errors and log lines are written.

    Attributes:
        is_json: as one object a line, for a program that collects logs.
    """

    is_json = False


def complain(text: str) -> None:
    """Print an error on stderr; where that is the journal, with the priority of one."""
    if sys.stderr is None:  # it was closed before we began; print would take stdout instead
        return
    if LogFormat.is_json:
        from nhagent.commands.log_lines import error_line

        print(error_line(text), file=sys.stderr)
        return
    if "JOURNAL_STREAM" in os.environ:
        from nhagent.commands.systemd import as_error, writes_to_journal

        if writes_to_journal():
            text = as_error(text)
    from nhagent.commands.colour import painted

    print(painted(visible(text), sys.stderr), file=sys.stderr)


def _time_and_age(moment: datetime | None) -> str:
    age = age_of(moment)
    if moment is None or age is None:
        return ""
    minutes = abs(age) / MINUTE_SECONDS
    span = f"{abs(age):.0f} s" if minutes < MIN_MINUTES else f"{minutes:.0f} min"
    if minutes >= MAX_MINUTES:
        span = f"{abs(age) / HOUR_SECONDS:.1f} h"
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S UTC} ({f'{span} ago' if age >= 0 else f'in {span}'})"
