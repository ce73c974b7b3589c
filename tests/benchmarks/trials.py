"""One run of a contestant: made ready, and checked afterwards against what the hub has seen."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory, mkdtemp

from requests.utils import DEFAULT_CA_BUNDLE_PATH

from nhagent.emulator import Emulator
from nhagent.emulator.log import LogEntry
from tests.benchmarks.contestants import AGAIN, FIRST, INSTALLATION, UNCHANGED, Contestant
from tests.benchmarks.processes import cost_of, with_scripts


@dataclass(frozen=True)
class Trial:
    """One run of a process.

    Attributes:
        command: program and arguments.
        environment: its variables.
        sends: the requests that the hub shall see, as `names_of` names them.
        handle: the push channel that the last of them shall bear.
        is_kept: the hub keeps what was written.
    """

    command: tuple[str, ...]
    environment: Mapping[str, str] = field(repr=False)
    sends: tuple[str, ...] = ()
    handle: str = ""
    is_kept: bool = True


class Field:
    """A hub, and folders for the contestants who register with it.

    Args:
        hub: the emulator.
        folder: where they keep what they remember.

    Attributes:
        hub: as given.
        port: where contestants ask: the hub's own, but where a relay stands before it.
    """

    def __init__(self, hub: Emulator, folder: Path) -> None:
        self.hub = hub
        self.port = self.hub_port
        self._folder = folder
        self._bundle = ""
        if hub.ca is not None:
            # What nhagent trusts: the usual authorities, and this one.
            parts = (Path(path).read_text() for path in (DEFAULT_CA_BUNDLE_PATH, hub.ca))
            trusted = folder / "trusted.pem"
            trusted.write_text("\n".join(parts))
            self._bundle = str(trusted)

    def trial(self, contestant: Contestant, job: str, style: str, folder: str) -> Trial:
        """Make a run ready.

        Args:
            contestant: who runs.
            job: see `tests.benchmarks.scripts`.
            style: ``installation`` or ``registration``.
            folder: where it keeps what it remembers.
        """
        handle = steady_handle(folder) if job in {AGAIN, UNCHANGED} else str(uuid.uuid4())
        trusted = self._bundle if contestant.takes_bundle else self.hub.ca or ""
        variables = {contestant.trust: trusted} if contestant.trust and trusted else {}
        connection = self.connection_of(contestant)
        return Trial(
            (*contestant.command, job, style, connection, trusted, folder, handle),
            with_scripts(**variables),
            contestant.sends(job, style),
            handle,
            is_kept=job != FIRST,
        )

    def connection_of(self, contestant: Contestant) -> str:
        """Return the connection string with the rights that a contestant needs."""
        connection = self.hub.full if contestant.has_all_rights else self.hub.listen
        return connection.replace(f":{self.hub_port}/", f":{self.port}/")

    @property
    def hub_port(self) -> int:
        """Where the hub itself listens."""
        return int(self.hub.endpoint.rpartition(":")[2])

    def new_folder(self) -> str:
        """Make an empty folder."""
        return mkdtemp(dir=self._folder)

    def registered(self, contestant: Contestant, style: str) -> str:
        """Let a contestant register a device that stays; return the folder of what it remembers."""
        folder = self.new_folder()
        trial = self.trial(contestant, FIRST, style, folder)
        cost_of((*trial.command[:-1], steady_handle(folder)), trial.environment)
        assert names_of(self.hub.log()) == trial.sends, self.hub.log()
        self.hub.clear_log()
        return folder

    def check(self, trial: Trial) -> None:
        """Check that a run did what it shall; then let the hub forget what it wrote, if that is wanted.

        Raises:
            AssertionError: it did something else.
        """
        check_log(self.hub, trial)
        if not trial.is_kept:
            forget(self.hub, self.hub.log())
        self.hub.clear_log()


def steady_handle(folder: str) -> str:
    """Return the push channel of the device that is remembered in a folder; no other device has it."""
    return Path(folder).name


@contextmanager
def field_of(hub: Emulator) -> Iterator[Field]:
    """Run a hub, and give a field with it."""
    with hub, TemporaryDirectory() as folder:
        yield Field(hub, Path(folder))


def check_log(hub: Emulator, trial: Trial) -> None:
    """Check that the hub has seen the requests of a run, and those alone.

    Raises:
        AssertionError: it has seen others, or refused one, or the last does not bear the push channel.
    """
    entries = hub.log()
    seen = names_of(entries)
    assert seen == trial.sends, f"{trial.command[:5]} sent {seen} instead of {trial.sends}"
    assert all(entry.status < 300 for entry in entries), entries
    if trial.sends:
        assert trial.handle.encode() in hub.bodies()[-1], trial.command


def names_of(entries: Iterable[LogEntry]) -> tuple[str, ...]:
    """Name requests shortly: ``list``, ``list of all``, ``POST id``, or by their method."""
    return tuple(map(_name_of, entries))


def forget(hub: Emulator, entries: Iterable[LogEntry]) -> None:
    """Let a hub forget every record that these requests have put."""
    for entry in entries:
        if entry.method != "PUT":
            continue
        _, kind, record = entry.path.strip("/").split("/")
        if kind == f"{INSTALLATION}s":
            hub.forget(installation=record)
        else:
            hub.forget(registration=record)


def _name_of(entry: LogEntry) -> str:
    resource = entry.path.strip("/").split("/")[-1].lower()
    if entry.method == "GET" and resource == "registrations":
        return "list" if "filter=" in entry.query else "list of all"
    return "POST id" if resource == "registrationids" else entry.method
