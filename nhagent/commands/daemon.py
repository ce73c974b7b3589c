"""``nhagent run``: the device kept fresh for as long as the machine is on.

One thread: turns, waits and signs of life alternate, so that the watchdog watches what does the work. Files
that channels come from, and those in which a command leaves its wish, are looked at every other second. A
signal is obeyed wherever it strikes: what it cuts short is as after a power cut, which the device's memory is
made for.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from collections.abc import Callable, Iterable
from select import select
from time import monotonic, sleep
from types import FrameType
from typing import Final, NoReturn

from nhagent.commands import systemd
from nhagent.commands.config import Setup, read_setup
from nhagent.device.store import IDENTITY, STATE
from nhagent.errors import NhagentError
from nhagent.redaction import in_prose
from nhagent.report import Report
from nhagent.retry.state import uptime

LOOK_SECONDS: Final = 1.5
"""Between two looks at the files that channels come from."""
AGAIN_SECONDS: Final = 60.0
"""The least between two turns for nothing but what another process has learnt."""

_log = logging.getLogger(__name__)

Seen = tuple[tuple[int, int, int] | None, ...]


class Daemon:
    """Keeps the device of a configuration file fresh.

    Args:
        config: the file's path; None: the usual one.
        notify: tells systemd a state.
        sleep: waits some seconds.

    Raises:
        ConfigurationError: the file cannot be read, or something in it is wrong.
    """

    def __init__(
        self,
        config: str | None,
        *,
        notify: Callable[[str], object] = systemd.notify,
        sleep: Callable[[float], None] | None = None,
        read: Callable[[str | None], Setup] = read_setup,
    ) -> None:
        self._config = config
        self._notify = notify
        self._read = read
        self._take(read(config))
        self._sleep = sleep or self._doze
        self._slept = 0.0  # by a sleep that takes no time
        self._counts_sleep = sleep is not None
        self._is_ready = False
        self._refused = ""  # why the newest configuration is not the one in force
        self._wants_reload = self._wants_turn = False
        self._listening, self._calling = os.pipe()
        self._watchdog = systemd.watchdog_seconds()
        self._went_well = True
        self._looks_at_state_after = self._lived()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        self._obey()
        try:
            while True:
                try:
                    self._setup.agent.live(wait=self._wait, lived=self._lived, told=self._told)
                except _Renewed:
                    continue
        except _Stop:
            _log.info("stopping")
            self._notify("STOPPING=1")

    def _take(self, setup: Setup) -> None:
        """Let a configuration be the one in force."""
        self._setup = setup
        self._memory = tuple(os.path.join(setup.agent.state_folder, name) for name in (IDENTITY, STATE))
        self._seen = _look(setup.channel_files.values())
        self._remembered = _look(self._memory)

    def _obey(self) -> None:
        def stop(_: int, __: FrameType | None) -> NoReturn:
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, signal.SIG_IGN)  # once is enough
            raise _Stop

        signal.signal(signal.SIGTERM, stop)
        signal.signal(signal.SIGINT, stop)
        if sys.platform != "win32":
            # A signal must end a wait at once: it is written into a pipe that the wait listens to.
            os.set_blocking(self._calling, False)

            def reload(_: int, __: FrameType | None) -> None:
                self._wants_reload = True
                self._call()

            def poke(_: int, __: FrameType | None) -> None:
                self._wants_turn = True
                self._call()

            signal.signal(signal.SIGHUP, reload)
            signal.signal(signal.SIGUSR1, poke)
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR1})  # see `cli`

    def _told(self, came_to: Report | NhagentError, seconds: float) -> None:
        """After a turn: it is ready once there was one, whatever came of it; a boot waits for no hub."""
        again = f"next look in {_span(seconds)}"
        if isinstance(came_to, NhagentError):
            status = f"refused: {came_to}; tried again in {_span(seconds)}"
            _log.error("%s", status)
        elif came_to.error is not None:
            status = f"waiting: {came_to.error}; tried again in {_span(seconds)}"
            _log.warning("%s", status)
        else:
            status = f"{came_to.outcome}, {came_to.requests} requests; {again}"
        if self._refused:  # a turn follows a reload at once, and would hide it
            status = f"{status}; {self._refused}"
        self._went_well = not isinstance(came_to, NhagentError) and came_to.error is None
        ready = "" if self._is_ready else "READY=1\n"
        self._is_ready = True
        self._notify(f"{ready}WATCHDOG=1\nSTATUS={' '.join(status.split())}")

    def _lived(self) -> float:
        return uptime() + self._slept

    def _wait(self, seconds: float) -> bool:
        """Wait; True as soon as there is something to look at."""
        ends = self._lived() + seconds
        self._remembered = _look(self._memory)  # up to here it was this daemon that wrote
        while True:
            if self._wants_reload:
                self._wants_reload = False
                self._reload()
                return True
            if self._wants_turn or self._has_changed() or self._is_remembered_otherwise():
                self._wants_turn = False
                return True
            left = ends - self._lived()
            if left <= 0:
                return False
            step = min(left, LOOK_SECONDS, (self._watchdog or LOOK_SECONDS * 2) / 2)
            self._sleep(step)
            if self._counts_sleep:
                self._slept += step
            self._notify("WATCHDOG=1")

    def _call(self) -> None:
        try:
            os.write(self._calling, b".")
        except BlockingIOError:  # it is full of calls already
            pass

    def _doze(self, seconds: float) -> None:
        """Sleep, but not through a signal."""
        if sys.platform == "win32":  # where there are none but the one that stops it
            sleep(seconds)
        elif select([self._listening], [], [], seconds)[0]:
            os.read(self._listening, 4096)

    def _has_changed(self) -> bool:
        now = _look(self._setup.channel_files.values())
        changed, self._seen = now != self._seen, now
        return changed

    def _is_remembered_otherwise(self) -> bool:
        """Whether another process has written: a command that enables the device, or unregisters it.

        The identity has such a wish. The state has what else a command may find, a record that the hub has
        lost; two daemons over one folder must not wake each other with it for ever.
        """
        now = _look(self._memory)
        if now == self._remembered:
            return False
        if now[0] != self._remembered[0]:
            return True
        if not self._went_well or self._lived() < self._looks_at_state_after:
            return False
        self._looks_at_state_after = self._lived() + AGAIN_SECONDS
        return True

    def _reload(self) -> None:
        """Read the configuration anew; a bad one changes nothing, and says so."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * 1_000_000)}")
        try:
            setup = self._read(self._config)
        except Exception as error:  # noqa: BLE001 - whatever is in the file, the daemon has one that is good
            why = str(error) if isinstance(error, NhagentError) else f"a fault in nhagent: {in_prose(error)}"
            _log.error("the new configuration is not used, the old one stays: %s", why)
            self._refused = f"the new configuration is not used: {' '.join(why.split())}"
            self._notify(f"READY=1\nSTATUS={self._refused}")
            return
        _log.info("the configuration was read anew")
        self._refused = ""
        self._take(setup)
        self._notify("READY=1\nSTATUS=configuration read anew")
        raise _Renewed


class _Stop(BaseException):
    """Ends the daemon wherever it is; nothing catches it on the way."""


class _Renewed(Exception):
    """Ends the life of the agent whose configuration is in force no more."""


def _look(files: Iterable[str]) -> Seen:
    """What tells whether a file is still the same: replaced, written to, come or gone."""
    seen: list[tuple[int, int, int] | None] = []
    for path in files:
        try:
            facts = os.stat(path)
            seen.append((facts.st_mtime_ns, facts.st_ino, facts.st_size))
        except OSError:
            seen.append(None)
    return tuple(seen)


def _span(seconds: float) -> str:
    if seconds < 120:
        return f"{seconds:.0f} s"
    return f"{seconds / 60:.0f} min" if seconds < 7200 else f"{seconds / 3600:.1f} h"
