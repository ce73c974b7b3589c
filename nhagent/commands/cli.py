"""The ``nhagent`` command.

Results go to stdout (with ``--json`` one object, on failure too), logs to stderr. Exit codes: 0 done; 1
verify found drift, doctor something red, or status that a person must act; 2 wrong usage; 70 a fault of ours;
75 waiting, try again later; 77 the hub refuses the key; 78 configure something; 130 interrupted.
"""

from __future__ import annotations

import os
import sys

from nhagent import errors
from nhagent.commands.actions import ACTIONS, failure_keys
from nhagent.commands.colour import painted
from nhagent.commands.exit_codes import INTERRUPTED, SOFTWARE, TEMPFAIL, exit_code
from nhagent.commands.output import LogFormat, Result, Unwritable, complain
from nhagent.commands.output import as_json as json_line
from nhagent.commands.parser import make_parser
from nhagent.logs import Log
from nhagent.report import error_to_plain
from nhagent.visible import visible

TYPE_CHECKING = False  # taken for typing's by type checkers; an unchanged start need not import that
if TYPE_CHECKING:
    import argparse
    from collections.abc import Sequence
    from typing import Final, TextIO

_MANY_LINES: Final = ("emulator", "emulator exec", "hub list", "hub export")
"""Commands that print as they go."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command.

    Args:
        arguments: the command line without the program's name; None: the process's own.

    Returns:
        The exit code. Wrong usage exits by itself, with 2.
    """
    if sys.stdout is None:  # it was closed before we began
        sys.stdout = _nowhere()
    options = make_parser().parse_args(arguments)
    LogFormat.is_json = options.log_format == "json"
    _set_up_logging(-1 if options.quiet else options.verbose + (1 if options.command == "run" else 0))
    try:
        result = _result(options)
    except KeyboardInterrupt:
        return INTERRUPTED
    if options.quiet and not options.json:
        return result.code
    try:
        _show(result, as_json=options.json)
    except OSError as error:  # the reader has gone, or there is no room: the exit code still tells
        _tell_unwritable(error)
        sys.stdout = _nowhere()  # nothing is flushed to the broken one at the end
    return result.code


def _result(options: argparse.Namespace) -> Result:
    """Run the command; a failure is a result too."""
    stdout = sys.stdout
    if options.json and options.command not in _MANY_LINES:
        sys.stdout = sys.stderr  # whatever a plug-in prints must not stand beside the one object
    try:
        if options.service:
            from nhagent.commands.service import take_place_of_service

            take_place_of_service(options)
        return ACTIONS[options.command](options)
    except errors.NhagentError as error:
        complain(f"nhagent: {error}")
        return _failure(options, error, exit_code(error))
    except (KeyboardInterrupt, SystemExit):
        raise
    except Unwritable as unwritable:
        stdout = _nowhere()
        _tell_unwritable(unwritable.error)
        # What is there already looks whole: only the exit code can say that it is not.
        return Result(0 if isinstance(unwritable.error, BrokenPipeError) else TEMPFAIL, None, "")
    except BaseException as error:  # noqa: BLE001 - a fault of ours: said, not hidden, and with its own code
        _tell_fault(error)
        return _failure(options, error, SOFTWARE)
    finally:
        sys.stdout = stdout


def _failure(options: argparse.Namespace, error: BaseException, code: int) -> Result:
    document = {**dict.fromkeys(failure_keys(options.command)), "error": error_to_plain(error)}
    return Result(code, document, "")


def _tell_unwritable(error: OSError) -> None:
    if not isinstance(error, BrokenPipeError):  # one that goes, as head does, has read enough
        complain(f"nhagent: stdout cannot be written ({error.strerror})")


def _tell_fault(error: BaseException) -> None:
    """Tell places and plain words alone: the rest of the text, or a plug-in's lines, may hold a secret."""
    import traceback

    from nhagent.redaction import in_prose

    for place in traceback.extract_tb(error.__traceback__):
        complain(f"  {place.filename}:{place.lineno} in {place.name}")
    complain(in_prose(error))
    complain("nhagent: this is a fault in nhagent; please report it with the lines above")


def _show(result: Result, *, as_json: bool) -> None:
    if as_json:
        if result.document is not None:
            print(json_line(result.document))
    elif result.text:
        encoding = sys.stdout.encoding or "utf-8"
        text = painted(visible(result.text), sys.stdout)
        print(text.encode(encoding, "backslashreplace").decode(encoding))
    sys.stdout.flush()


def _nowhere() -> TextIO:
    return open(os.devnull, "w", encoding="utf-8")


def _set_up_logging(verbose: int) -> None:
    """Let logs go to stderr, from now on or, where nothing may be logged at all, from the first line on."""

    def set_up() -> None:
        from nhagent.commands.log_lines import set_up_logging

        set_up_logging(verbose)

    if verbose or LogFormat.is_json or "logging" in sys.modules:
        set_up()
    else:
        Log.set_up = set_up
