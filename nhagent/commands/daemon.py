"""``nhagent run``: the device kept fresh for as long as the machine is on.

One thread: passes, waits and messages to the watchdog alternate, so that the watchdog watches what does the
work. The files that push channels come from, and the state files in which a command leaves what the user
wants, are looked at every other second. A signal is obeyed wherever it strikes: what it cuts short is as
after a power cut, which the device's memory is made for.
"""

from __future__ import annotations

import logging
import os
import signal
import sys
from functools import partial
from pathlib import Path
from select import select
from time import monotonic, sleep
from typing import TYPE_CHECKING, Final

from nhagent.commands import systemd
from nhagent.commands.listening import Listening
from nhagent.commands.log_lines import FACTS
from nhagent.commands.metrics import MetricsFile
from nhagent.commands.setup import Setup, read_setup
from nhagent.commands.stop import Stopped, StopSignals
from nhagent.device import credential_sources
from nhagent.errors import HubError, NhagentError, StateError
from nhagent.reconcile.declaration import PRIMARY
from nhagent.redaction import in_prose
from nhagent.report import Report, Verification, counted, error_to_plain
from nhagent.retry.state import uptime

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from types import FrameType

    from nhagent.retry.endless import News

LOOK_SECONDS: Final = 1.5
"""Between two looks at the files that push channels come from."""

MIN_PASS_SECONDS: Final = 60.0
"""Minimum between two passes whose only reason is that another process has changed the state."""

MAX_SHOWN_SECONDS: Final = 120
"""From here on a span is shown in minutes."""

MAX_SHOWN_MINUTES: Final = 120
"""From here on a span is shown in hours."""

_log = logging.getLogger(__name__)

Seen = tuple[tuple[int, int, int] | None, ...]
"""What tells whether files are still the same; see `_look`."""


class Daemon:
    """Keeps the device of a configuration file fresh.

    Args:
        config: the file's path; None: the usual one.
        notify: tells systemd a state.
        sleep: waits some seconds; left out: the real one, which a signal ends.
        read: reads the configuration file.

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
        self._notify = systemd.Messages(notify).send
        self._last_words = partial(notify, "STOPPING=1")
        self._read = read
        self._use(read(config))
        self._sleep = sleep or self._sleep_until_signal
        self._slept = 0.0  # by an injected sleep, which returns at once
        self._counts_sleep = sleep is not None
        self._is_ready = False
        self._refused = ""  # why the newest configuration is not the one in use
        self._wants_reload = self._wants_pass = False
        self._listening, self._calling = os.pipe()
        self._watchdog = systemd.watchdog_seconds()
        self._went_well = True
        self._metrics = MetricsFile()
        self._listening_to: Listening | None = None
        self._channel_errors: dict[str, str] = {}  # those that were logged, by channel
        self._looks_at_state_after = self._elapsed()

    def run(self) -> None:
        """Run until SIGTERM or SIGINT."""
        stop = StopSignals(self._last_words)
        try:
            stop.obey()
            self._handle_signals()
            while True:
                try:
                    agent = self._setup.agent
                    self._listen()
                    agent._live(  # noqa: SLF001 - it is the agent's own background, in this very thread
                        wait=self._wait, lived=self._elapsed, told=self._tell, wake=self._poke
                    )
                except _Reloaded:
                    continue
        except Stopped:  # the process must end from here on, whatever still hangs
            self._notify("STOPPING=1")
            _log.info("stopping")
        except BaseException:
            stop.let_go()
            raise

    def _use(self, setup: Setup) -> None:
        """Use a configuration from now on."""
        self._setup = setup
        self._files_seen = self._look_at_files()
        self._memory_seen = _look(setup.memory.files)

    def _listen(self) -> None:
        """Begin to receive what arrives on the device's push channel, if that is to go anywhere."""
        setup, former = self._setup, self._listening_to
        if former is not None:
            former.stop()
            self._listening_to = None
        source = setup.sources[PRIMARY]
        if setup.receive is not None:
            self._listening_to = Listening(source, setup.receive)
            self._listening_to.start()
        elif hasattr(source, "receive"):
            _log.warning(
                "nothing is received: %s has no [receive] command, and a push service forgets a device that "
                "it does not hear of for 60 days",
                setup.path,
            )

    def _poke(self) -> None:
        """Look at once whether something has changed; from any thread."""
        self._wants_pass = True
        self._end_wait()

    def _handle_signals(self) -> None:
        if sys.platform != "win32":
            # A signal must end a wait at once: it is written into a pipe that the wait listens to.
            os.set_blocking(self._calling, False)

            def reload(_: int, __: FrameType | None) -> None:
                self._wants_reload = True
                self._end_wait()

            def poke(_: int, __: FrameType | None) -> None:
                self._poke()

            signal.signal(signal.SIGHUP, reload)
            signal.signal(signal.SIGUSR1, poke)
            # `nhagent.commands.actions.run` has blocked them.
            signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP, signal.SIGUSR1})

    def _say_what_is_kept(self, event: str) -> None:
        setup = self._setup
        _log.info("%s: %s, kept in %s (%s)", event, setup.agent, setup.agent.state_folder, setup.path)

    def _tell(self, news: News, seconds: float) -> None:
        """Log what happened, one line an event, and tell systemd where the device stands now.

        The daemon is ready after its first pass, however that ended: a boot waits for no hub.
        """
        if not self._is_ready:  # not before the first pass: a log that nobody reads holds up none
            self._say_what_is_kept("started")
        if isinstance(news, Verification):
            status = self._told_of_look(news, seconds)
        elif isinstance(news, NhagentError) or news.error is not None:
            status = self._told_of_failure(news, f"tried again in {_span(seconds)}")
        else:
            status = self._told_of_pass(news, f"next look in {_span(seconds)}")
        if self._refused:  # a pass follows a reload at once, and would hide it
            status = f"{status}; {self._refused}"
        ready = "" if self._is_ready else "READY=1\n"
        self._is_ready = True
        self._notify(f"{ready}WATCHDOG=1\nSTATUS={' '.join(status.split())}")
        self._metrics.write(self._setup)

    def _told_of_failure(self, news: Report | NhagentError, again: str) -> str:
        self._went_well = False
        if isinstance(news, NhagentError):
            word = "refused" if isinstance(news, HubError) and news.status is not None else "failed"
            status = f"{word}: {news}; {again}"
            _log.error("%s", status, extra=_facts(error=news))
        else:
            status = f"waiting: {news.error}; {again}"
            _log.warning("%s", status, extra=_facts(news))
        return status

    def _told_of_pass(self, report: Report, then: str) -> str:
        requests = counted(report.requests, "request")
        if report.steps:
            told = "; ".join(report.steps)
            _log.info("%s in %s: %s", report.outcome, requests, told, extra=_facts(report))
        elif not self._went_well:
            _log.info("well again: %s, %s", report.outcome, requests, extra=_facts(report))
        self._went_well = True
        errors = {name: str(error) for name, error in report.channel_errors.items() if not error.pending}
        for name, error in errors.items():
            if self._channel_errors.get(name) != error:
                _log.warning("the old channel stays in place: %s", error)
        for name in self._channel_errors.keys() - errors.keys():
            _log.info("%s: its source is well again", name)
        self._channel_errors = errors
        return f"{report.outcome}, {requests}; {then}"

    def _told_of_look(self, found: Verification, seconds: float) -> str:
        if found.in_sync:
            return f"verified: the hub holds what it accepted; next look in {_span(seconds)}"
        drift = "; ".join(map(str, found.drift)) or f"marked as expired: {', '.join(found.expired)}"
        _log.warning("the hub does not hold what it accepted: %s", drift, extra=_facts(found))
        return f"drifted: {drift}; looked at again in {_span(seconds)}"

    def _elapsed(self) -> float:
        """The machine's uptime in seconds, with what an injected sleep has skipped."""
        return uptime() + self._slept

    def _wait(self, seconds: float) -> bool:
        """Wait; True as soon as there is something to look at."""
        ends = self._elapsed() + seconds
        self._memory_seen = _look(self._setup.memory.files)  # up to here it was this daemon that wrote
        while True:
            if self._wants_reload:
                self._wants_reload = False
                self._reload()
                return True
            if self._wants_pass or self._has_new_file() or self._has_new_memory():
                self._wants_pass = False
                return True
            left = ends - self._elapsed()
            if left <= 0:
                return False
            step = min(left, LOOK_SECONDS, (self._watchdog or LOOK_SECONDS * 2) / 2)
            self._sleep(step)
            if self._counts_sleep:
                self._slept += step
            self._notify(systemd.ALIVE)

    def _end_wait(self) -> None:
        try:
            os.write(self._calling, b".")
        except BlockingIOError:  # enough is in the pipe to end it
            pass

    def _sleep_until_signal(self, seconds: float) -> None:
        if sys.platform == "win32":  # where there are no signals but the one that stops it
            sleep(seconds)
        elif select([self._listening], [], [], seconds)[0]:
            os.read(self._listening, 4096)

    def _has_new_file(self) -> bool:
        """Whether a file that a channel, or the connection string, comes from is another one now."""
        now = self._look_at_files()
        has_changed, self._files_seen = now != self._files_seen, now
        return has_changed

    def _look_at_files(self) -> Seen:
        return _look((*self._setup.channel_files.values(), *credential_sources.files()))

    def _has_new_memory(self) -> bool:
        """Whether another process has written: a command that enables the device, or unregisters it.

        What the user wants is in the identity file. The state file has what else a command may find, such as
        a record that the hub has lost. That is work, and done at once; with anything else in it two daemons
        over one folder must not wake each other for ever.
        """
        now = _look(self._setup.memory.files)
        if now == self._memory_seen:
            return False
        if now[0] != self._memory_seen[0]:
            return True
        if self._went_well and self._has_work():
            return True
        if not self._went_well or self._elapsed() < self._looks_at_state_after:
            return False
        self._looks_at_state_after = self._elapsed() + MIN_PASS_SECONDS
        return True

    def _has_work(self) -> bool:
        try:
            return self._setup.memory.has_work()
        except StateError:  # the next pass tells
            return False

    def _reload(self) -> None:
        """Read the configuration again; one that is wrong is told, and changes nothing."""
        self._notify(f"RELOADING=1\nMONOTONIC_USEC={int(monotonic() * systemd.MICROSECONDS)}")
        try:
            setup = self._read(self._config)
        except Exception as error:  # noqa: BLE001 - whatever is in the file, the daemon has one that is good
            why = str(error) if isinstance(error, NhagentError) else f"a fault in nhagent: {in_prose(error)}"
            _log.error("the new configuration is not used, the old one stays: %s", why)
            self._refused = f"the new configuration is not used: {' '.join(why.split())}"
            self._notify(f"READY=1\nSTATUS={self._refused}")
            return
        self._refused = ""
        self._use(setup)
        self._say_what_is_kept("the configuration was read again")
        self._notify("READY=1\nSTATUS=configuration read again")
        raise _Reloaded


class _Reloaded(Exception):
    """Ends the run of an agent whose configuration is no longer in use."""


def _facts(told: Report | Verification | None = None, error: NhagentError | None = None) -> dict[str, object]:
    """What a log line tells, for programs: logging takes it as ``extra``."""
    facts = {"error": error_to_plain(error)} if told is None else told.to_dict()
    return {FACTS: facts}


def _look(files: Iterable[str]) -> Seen:
    """What tells whether each file is still the same: replaced, written to, come or gone."""
    seen: list[tuple[int, int, int] | None] = []
    for path in files:
        try:
            facts = Path(path).stat()
            seen.append((facts.st_mtime_ns, facts.st_ino, facts.st_size))
        except (OSError, ValueError):  # the latter: no path can be like that
            seen.append(None)
    return tuple(seen)


def _span(seconds: float) -> str:
    if seconds < MAX_SHOWN_SECONDS:
        return f"{seconds:.0f} s"
    minutes = seconds / 60
    return f"{minutes:.0f} min" if minutes < MAX_SHOWN_MINUTES else f"{minutes / 60:.1f} h"
