"""What systems do differently for a program that is run: pipes that never block, a session that is killed."""

from __future__ import annotations

import os
import subprocess
import sys
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from typing import Final

KILLED_SECONDS: Final = 1.0
"""Longest wait for a killed program: one that is stuck in the kernel does not die at once."""
SWEEPS: Final = 10
"""Maximum number of searches for what is left of a session."""


class Pipes:
    """The pipes to and from a program, moved without waiting for it.

    Attributes:
        output: what it printed, at most one byte more than the cap.
    """

    def __init__(self, process: subprocess.Popen[bytes], given: bytes, cap: int) -> None:
        self.output = bytearray()
        self._stdin, self._stdout = process.stdin, process.stdout
        self._given = memoryview(given)
        self._cap = cap
        for pipe in (self._stdin, self._stdout):
            if pipe is not None:
                _never_block(pipe.fileno())

    @property
    def are_open(self) -> bool:
        """Whether one of them may still move something."""
        return self._stdin is not None or self._stdout is not None

    def move(self) -> None:
        """Read and write as much as is possible now."""
        while self._stdin is not None and self._write(self._stdin.fileno()):
            pass
        while self._stdout is not None and len(self.output) <= self._cap:
            chunk = _read(self._stdout.fileno(), self._cap + 1 - len(self.output))
            if chunk is None:
                return
            self.output += chunk
            if not chunk:
                self._stdout = None

    def wait(self, seconds: float) -> None:
        """Wait until there is something to read or to write."""
        _wait_for(
            None if self._stdout is None else self._stdout.fileno(),
            None if self._stdin is None else self._stdin.fileno(),
            seconds,
        )

    def _write(self, descriptor: int) -> bool:
        """Write a part of the input; tells whether it was taken."""
        try:
            self._given = self._given[os.write(descriptor, self._given[: 1 << 16]) :]
        except BlockingIOError:
            return False
        except OSError:  # nobody reads it
            self._given = self._given[:0]
        if not self._given:
            close(self._stdin)
            self._stdin = None
        return True


def end(process: subprocess.Popen[bytes]) -> None:
    """Kill a program with all that it started, and reap it if that takes no time."""
    _kill_session(process)
    try:
        process.wait(KILLED_SECONDS)
    except subprocess.TimeoutExpired:  # it is reaped some time later
        pass


def close(file: object) -> None:
    if file is None or isinstance(file, int):
        return
    try:
        file.close()  # type: ignore[attr-defined]
    except OSError:  # its other end is gone
        pass


if sys.platform == "win32":
    import _winapi
    import msvcrt
    from tempfile import TemporaryFile
    from time import sleep
    from typing import IO

    def stdin_of(given: bytes | None) -> int | IO[bytes]:
        if given is None:
            return subprocess.DEVNULL
        file = TemporaryFile()  # noqa: SIM115 - closed when the program has it
        file.write(given)
        file.seek(0)
        return file

    def _never_block(descriptor: int) -> None:
        """Pipes of Windows always block: `_read` looks first."""

    def _read(descriptor: int, most: int) -> bytes | None:
        try:
            available = int(_winapi.PeekNamedPipe(msvcrt.get_osfhandle(descriptor), 0)[0])
        except OSError:  # the end
            return b""
        return os.read(descriptor, min(available, most)) if available else None

    def _wait_for(_read_from: int | None, _written_to: int | None, seconds: float) -> None:
        sleep(seconds)

    def has_ended(process: subprocess.Popen[bytes]) -> bool:
        return process.poll() is not None

    def _kill_session(process: subprocess.Popen[bytes]) -> None:
        process.kill()  # Windows has no sessions: what the program started lives on

else:
    import select
    import signal

    def stdin_of(given: bytes | None) -> int:
        return subprocess.DEVNULL if given is None else subprocess.PIPE

    def _never_block(descriptor: int) -> None:
        os.set_blocking(descriptor, False)

    def _read(descriptor: int, most: int) -> bytes | None:
        """Read what is there; None where that is nothing yet, b"" at the end."""
        try:
            return os.read(descriptor, most)
        except BlockingIOError:
            return None

    def _wait_for(read_from: int | None, written_to: int | None, seconds: float) -> None:
        poll = select.poll()
        if read_from is not None:
            poll.register(read_from, select.POLLIN)
        if written_to is not None:
            poll.register(written_to, select.POLLOUT)
        poll.poll(seconds * 1000)

    def has_ended(process: subprocess.Popen[bytes]) -> bool:
        """Tell whether a program has ended. Where the system can, it is not reaped: its id stays its own."""
        if sys.platform != "linux":
            return process.poll() is not None
        try:
            how = os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT)
        except ChildProcessError:  # the app ignores SIGCHLD, or reaps what is not its own
            return True
        return how is not None

    def _kill_session(process: subprocess.Popen[bytes]) -> None:
        try:
            os.killpg(process.pid, signal.SIGKILL)
        except OSError:  # none of it is left, or it became another user's
            pass
        if sys.platform == "linux":
            _kill_other_groups(process.pid)

    def _kill_other_groups(session: int) -> None:
        """Kill what has made a process group of its own, as a shell with job control does for each job."""
        for _ in range(SWEEPS):  # each kills what was started while the one before was under way
            found = [pid for pid in _pids() if pid != session and _is_in(pid, session)]
            for pid in found:
                try:
                    os.kill(pid, signal.SIGKILL)
                except OSError:  # it has just ended, or became another user's
                    pass
            if not found:
                return

    def _pids() -> list[int]:
        try:
            return [int(entry.name) for entry in os.scandir("/proc") if entry.name.isdecimal()]
        except OSError:  # not mounted
            return []

    def _is_in(pid: int, session: int) -> bool:
        try:
            return os.getsid(pid) == session
        except OSError:
            return False
