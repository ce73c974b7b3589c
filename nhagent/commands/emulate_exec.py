"""``nhagent emulator exec``: a command with a notification hub beside it, for the tests of any program."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Final

from nhagent.commands.emulate import started, variables
from nhagent.commands.output import complain

if TYPE_CHECKING:
    from collections.abc import Sequence
    from types import FrameType

    from nhagent.commands.emulate import EmulatorOptions

NOT_EXECUTABLE: Final = 126
NOT_FOUND: Final = 127
SIGNALLED: Final = 128
"""What shells add a signal's number to."""
_PASSED_ON: Final = ("SIGTERM", "SIGINT", "SIGHUP", "SIGQUIT", "SIGUSR1", "SIGUSR2")
"""The signals that are meant for the command."""


def run(command: Sequence[str], options: EmulatorOptions, *, push_service: bool, tells_requests: bool) -> int:
    """Run a command while an emulator runs, and end the emulator after it.

    Args:
        command: the program and its arguments.
        options: what the emulator is started with.
        push_service: run a push service too.
        tells_requests: print a line for each request on stderr.

    Returns:
        The command's exit code; 128 + N where signal N ended it; 126 or 127 where it could not be run.

    Raises:
        ConfigurationError: the emulator cannot be started.
    """
    with started(options, push_service=push_service, tells_requests=tells_requests) as emulator:
        environment = {**os.environ, **variables(emulator, push_service=push_service)}
        try:
            # Whoever runs nhagent chose the command.
            process = subprocess.Popen(command, env=environment)  # noqa: S603
        except OSError as error:
            complain(f"nhagent: {command[0]}: cannot be run: {error.strerror}")
            return NOT_FOUND if isinstance(error, FileNotFoundError) else NOT_EXECUTABLE
        with process:
            _pass_signals_on(process)
            code = process.wait()
    return SIGNALLED - code if code < 0 else code


def _pass_signals_on(process: subprocess.Popen[bytes]) -> None:
    def pass_on(number: int, _: FrameType | None) -> None:
        # A terminal sends its signals to the command itself.
        if not (number in (signal.SIGINT, getattr(signal, "SIGQUIT", None)) and _is_in_foreground()):
            process.send_signal(number)

    for name in _PASSED_ON:
        number = getattr(signal, name, None)  # Windows has few of them
        if number is not None:
            signal.signal(number, pass_on)


def _is_in_foreground() -> bool:
    if sys.platform == "win32":
        return True
    try:
        return os.tcgetpgrp(sys.stdin.fileno()) == os.getpgrp()
    except (OSError, ValueError, AttributeError):
        return False
