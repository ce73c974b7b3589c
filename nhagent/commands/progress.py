"""How far a long work has come: on a terminal a line that changes, in pipes nothing."""

from __future__ import annotations

import sys
from time import monotonic

from nhagent.commands.patient_start import beside

TYPE_CHECKING = False
if TYPE_CHECKING:
    from contextlib import AbstractContextManager
    from threading import Event
    from typing import Final

SILENT_SECONDS: Final = 2.0
"""How long nothing is said."""
EVERY: Final = 0.2
"""Seconds between two looks."""


def waited_for(what: str) -> AbstractContextManager[None]:
    """Tell on a terminal, after two seconds, what is waited for and for how long.

    Args:
        what: is waited for while this lasts.
    """
    return beside(lambda ended: _tell(what, ended))


def _tell(what: str, ended: Event) -> None:
    began = monotonic()
    if ended.wait(SILENT_SECONDS):
        return
    while True:
        sys.stderr.write(f"\r{what}, {monotonic() - began:.0f} s\x1b[K")
        sys.stderr.flush()
        if ended.wait(1.0):
            break
    sys.stderr.write("\r\x1b[K")
    sys.stderr.flush()


class Progress:
    """Tells on stderr how far a work has come.

    Args:
        done: what is counted, as in "1,234 deleted".
        total: how many there are; None: that is not known.
    """

    def __init__(self, done: str, total: int | None = None) -> None:
        self._done = done
        self.total = total
        self.count = self.skipped = 0
        self._begun = self._shown = monotonic()
        self._is_shown = sys.stderr is not None and sys.stderr.isatty()

    def step(self) -> None:
        """Count one more."""
        self.count += 1
        self.show()

    def skip(self) -> None:
        """Count one that was left alone."""
        self.skipped += 1
        self.show()

    def end(self) -> None:
        """Leave the last line as it is."""
        if self._is_shown:
            sys.stderr.write(f"\r{self._counts()}\x1b[K\n")
            sys.stderr.flush()

    def wipe(self) -> None:
        """Leave nothing on the line."""
        if self._is_shown:
            sys.stderr.write("\r\x1b[K")
            sys.stderr.flush()

    def show(self) -> None:
        """Show the line as it is now, unless that was done just before."""
        now = monotonic()
        if self._is_shown and now - self._shown >= EVERY:
            self._shown = now
            sys.stderr.write(f"\r{self._line()}\x1b[K")
            sys.stderr.flush()

    def _line(self) -> str:
        if not self.count and not self.skipped:
            return f"asking the hub, {monotonic() - self._begun:.0f} s"
        return self._counts()

    def _counts(self) -> str:
        seconds = max(monotonic() - self._begun, 0.001)
        parts = [f"{self.count:,} {self._done}", f"{self.count / seconds:,.0f}/s"]
        if self.total is not None:
            parts.append(f"{max(0, self.total - self.count - self.skipped):,} to go")
        if self.skipped:
            parts.append(f"{self.skipped:,} left alone")
        return ", ".join(parts)
