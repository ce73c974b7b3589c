"""How a command line is read, and how wrong usage is told."""

from __future__ import annotations

import argparse
import os
import sys

from nhagent.commands.nearest import hint_for

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Final, NoReturn

DEFAULT_COLUMNS: Final = 80
MAX_DIGITS: Final = 4
"""Digits of a width that is believed."""


class Parser(argparse.ArgumentParser):
    """A parser that tells wrong usage as every other failure: with ``--json`` as an object too.

    Options are whole words.

    Args:
        fill: adds the parser's arguments when it is used; None: whoever makes it adds them at once.
        settings: as for `argparse.ArgumentParser`.
    """

    def __init__(self, *, fill: Callable[[Parser], object] | None = None, **settings: Any) -> None:
        self._fill = fill
        self._settings = {**settings, "allow_abbrev": False, "formatter_class": _make_formatter}
        if fill is None:
            super().__init__(**self._settings)

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As `argparse.ArgumentParser.parse_known_args`, which every other way of parsing calls."""
        if self._fill is not None:
            super().__init__(**self._settings)
            self._fill(self)
        self._given = list(sys.argv[1:] if args is None else args)
        found, unknown = super().parse_known_args(args, namespace)
        if unknown:
            self._refuse(unknown)
        return found, unknown

    def _check_value(self, action: argparse.Action, value: Any) -> None:
        """As argparse does, but with the nearest word where one is near."""
        if action.choices is not None and value not in action.choices:
            hint = hint_for(str(value), map(str, action.choices))
            raise argparse.ArgumentError(action, f"{value!r} is not known: {hint}")

    def _refuse(self, unknown: Sequence[str]) -> NoReturn:
        told = f"not understood: {' '.join(unknown)}"
        option = unknown[0].partition("=")[0]
        if option.startswith("--"):
            told += (
                f": {hint_for(option, (name for name in self._option_string_actions if name[:2] == '--'))}"
            )
        self.error(told)

    def whole(self) -> Parser:
        """Give this parser with the arguments of all its commands: completions and pages are made of it."""
        if self._fill is not None:
            super().__init__(**self._settings)
            self._fill(self)
            self._fill = None
        for action in self._actions:
            if isinstance(action, argparse._SubParsersAction):  # noqa: SLF001 - argparse has no public way
                for parser in action.choices.values():
                    parser.whole()
        return self

    def error(self, message: str) -> NoReturn:
        """Tell wrong usage, and exit with 2."""
        from nhagent.redaction import redacted

        message = redacted(message)  # somebody may have given the connection string as an argument
        if "--json" in self._given:
            from nhagent.commands.output import as_json

            print(as_json({"error": {"type": "UsageError", "message": message, "retryable": False}}))
        super().error(message)


def _make_formatter(prog: str) -> argparse.HelpFormatter:
    """Make what writes the help.

    argparse makes one for every option; without a width each asks ``shutil`` for it, a costly import.
    """
    return argparse.HelpFormatter(prog, width=_columns() - 2)


def _columns() -> int:
    """How wide the terminal is, as ``shutil.get_terminal_size`` tells it."""
    named = os.environ.get("COLUMNS", "")
    if named.isdecimal() and len(named) <= MAX_DIGITS and int(named) > 0:
        return int(named)
    try:
        return os.get_terminal_size(sys.__stdout__.fileno()).columns or DEFAULT_COLUMNS  # type: ignore[union-attr]
    except (AttributeError, ValueError, OSError):  # stdout is closed, or not a terminal
        return DEFAULT_COLUMNS
