"""Runs a program within limits: a clean environment, a deadline, a cap on output, and an end for all of it.

A program runs in a session of its own. When it has ended, however it did, everything that is left of its
session is killed; nothing of it is waited for. Beyond that is only what made another session for itself, as
a service that puts itself into the background does; on Windows, everything but the program itself.

A thread of its own starts, reads and ends each program: signals interrupt only the main thread, so that no
interrupt comes between the program's start and the moment from which its process id is known.
"""

from __future__ import annotations

import atexit
import os
import subprocess
import sys
from threading import Event, Thread
from time import monotonic
from typing import TYPE_CHECKING, Final

from nhagent.channels.child_system import KILLED_SECONDS, Pipes, close, end, has_ended, stdin_of
from nhagent.values import Value

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

ALWAYS_PASSED: Final = ("PATH", "HOME", "LANG", "TZ", "XDG_RUNTIME_DIR", "DBUS_SESSION_BUS_ADDRESS")
"""Variables of our environment that every program gets."""
POLL_SECONDS: Final = 0.05
"""Longest pause between two looks at a program."""
SHORTEST_POLL_SECONDS: Final = 0.001
"""Shortest pause between two looks at a program; each is twice as long as the one before."""

if sys.platform == "win32":  # programs need it to start at all, and HOME has another name
    _OF_THE_PLATFORM: tuple[str, ...] = ("SYSTEMROOT", "USERPROFILE")
else:
    _OF_THE_PLATFORM = ()


class ChildFailed(Exception):
    """A program could not be run, or did not end within its limits.

    Attributes:
        fact: what is so.
        hint: what to do next.
    """

    def __init__(self, fact: str, hint: str) -> None:
        super().__init__(f"{fact}; {hint}")
        self.fact = fact
        self.hint = hint


class Ended(Value):
    """How a program ended.

    Attributes:
        status: its exit status; below zero: the signal that ended it.
        output: its standard output.
    """

    status: int
    output: bytes
    _hidden = frozenset({"output"})


def environment(names: Iterable[str] = (), environ: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the environment of a program: `ALWAYS_PASSED` and some other variables, as far as they are set.

    Args:
        names: the other variables.
        environ: our own environment.
    """
    wanted = (*ALWAYS_PASSED, *_OF_THE_PLATFORM, *names)
    return {name: environ[name] for name in wanted if name in environ}


def run(
    arguments: Sequence[str],
    *,
    input: bytes | None = None,  # noqa: A002 - the name that subprocess.run has for it
    seconds: float,
    cap: int,
    environment: Mapping[str, str],
) -> Ended:
    """Run a program until it ends, and end all that it started.

    Args:
        arguments: the program and its arguments; they do not pass through a shell.
        input: its standard input; None: it has none.
        seconds: seconds after which it is killed.
        cap: longest standard output in bytes; it is killed when it prints more. Standard error is discarded.
        environment: its environment, all of it; `environment` makes one.

    Returns:
        How it ended.

    Raises:
        ChildFailed: it cannot be run, takes too long, or prints too much. It was ended then, as it is when
            the caller is interrupted.
    """
    if seconds <= 0:
        raise ChildFailed("no time was left to run it", "give it longer")
    return _Run(list(arguments), input, seconds, cap, dict(environment)).result()


class _Run:
    """One run of a program."""

    def __init__(
        self,
        arguments: list[str],
        given: bytes | None,
        seconds: float,
        cap: int,
        environment: dict[str, str],
    ) -> None:
        self._arguments = arguments
        self._given = given
        self._seconds = seconds
        self._deadline = monotonic() + seconds
        self._cap = cap
        self._environment = environment
        self._must_stop = Event()
        self._is_over = Event()
        self._ended: Ended | None = None
        self._error: BaseException | None = None

    def result(self) -> Ended:
        """Run the program, and wait for it; see `run`."""
        _running.add(self)
        try:
            try:
                Thread(target=self._work, name="nhagent child", daemon=True).start()
            except RuntimeError as error:  # there are too many threads, or the interpreter is shutting down
                interrupt = error.__context__
                if interrupt is not None and not isinstance(interrupt, Exception):
                    raise interrupt from None  # it struck within a lock of Python's own, which says so
                self._is_over.set()
                raise ChildFailed("cannot be run (no thread can be started)", "try again") from None
            self._wait()
        except BaseException:  # KeyboardInterrupt too: whoever interrupts us does not wait for the program
            self.stop()
            raise
        finally:
            _running.discard(self)
        if self._error is not None:
            raise self._error
        if self._ended is None:  # stuck before the program itself began, as on a dead network drive
            raise self._too_late()
        return self._ended

    def stop(self) -> None:
        """End the program, and wait until it has been killed."""
        self._must_stop.set()
        self._is_over.wait(KILLED_SECONDS + POLL_SECONDS)

    def _wait(self) -> None:
        # In parts, since Windows tells of Ctrl-C only between two of them.
        while not self._is_over.wait(POLL_SECONDS if sys.platform == "win32" else KILLED_SECONDS):
            if monotonic() > self._deadline + 2 * KILLED_SECONDS:
                self._must_stop.set()
                return

    def _work(self) -> None:
        try:
            self._ended = self._run()
        except BaseException as error:  # noqa: BLE001 - raised again where the program is waited for
            self._error = error
        finally:
            self._is_over.set()

    def _run(self) -> Ended:
        self._check_time()
        stdin = stdin_of(self._given)
        try:
            process = subprocess.Popen(  # noqa: S603 - the arguments are the device owner's own
                self._arguments,
                bufsize=0,
                stdin=stdin,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                env=self._environment,
                start_new_session=True,
            )
        except (OSError, ValueError) as error:
            reason = getattr(error, "strerror", None) or error
            raise ChildFailed(f"cannot be run ({reason})", "check its path") from error
        finally:
            close(stdin)
        try:
            output = self._watch(process)
        finally:
            end(process)
            close(process.stdin)
            close(process.stdout)
        return Ended(process.returncode, output)

    def _watch(self, process: subprocess.Popen[bytes]) -> bytes:
        """Read what a program prints until it ends; what it started may go on printing."""
        pipes = Pipes(process, self._given or b"", self._cap)
        pause = SHORTEST_POLL_SECONDS
        while True:
            is_over = has_ended(process)  # asked first: what it printed until then is in the pipe
            pipes.move()
            if len(pipes.output) > self._cap:
                raise ChildFailed(f"says more than {self._cap} bytes", "correct it")
            if is_over:
                return bytes(pipes.output)
            self._check_time()
            if pipes.are_open:
                pipes.wait(min(pause, max(0.0, self._deadline - monotonic())))
            else:
                self._must_stop.wait(pause)
            pause = min(2 * pause, POLL_SECONDS)

    def _check_time(self) -> None:
        if self._must_stop.is_set():
            raise ChildFailed("was stopped", "run it again")
        if monotonic() >= self._deadline:
            raise self._too_late()

    def _too_late(self) -> ChildFailed:
        return ChildFailed(f"did not end within {round(self._seconds, 2):g} s", "make it faster")


_running: Final[set[_Run]] = set()
"""Programs that run now."""


def _stop_all() -> None:
    """End all programs: threads that wait for one do not outlive the interpreter."""
    for running in list(_running):
        running.stop()


atexit.register(_stop_all)
