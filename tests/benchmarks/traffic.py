"""What a start sends: requests by the hub's log, connections and bytes by a relay before it."""

from __future__ import annotations

from collections.abc import Iterable

from nhagent.emulator import Emulator
from tests.benchmarks.contestants import (
    FIRST,
    INSTALLATION,
    REGISTRATION,
    ROTATED,
    UNCHANGED,
    Contestant,
    others,
    ours,
)
from tests.benchmarks.processes import cost_of
from tests.benchmarks.relay import Relay
from tests.benchmarks.settings import Settings
from tests.benchmarks.starts import able
from tests.benchmarks.tables import NAME_WIDTH, print_notes
from tests.benchmarks.trials import Field, field_of

_TITLES = ("requests", "connections", "bytes sent", "bytes received")
_JOBS = ((FIRST, INSTALLATION), (FIRST, REGISTRATION), (ROTATED, INSTALLATION))


def traffic(settings: Settings) -> None:
    """Requests, connections, and bytes on the wire of one start."""
    compared, notes = others(settings.python)
    library = ours(settings.python)
    for tls in (True, False):
        with field_of(Emulator("h", tls=tls)) as field, Relay(field.hub_port) as relay:
            field.port = relay.port
            for job, style in _JOBS:
                print(f"\n-- {job}, {style}, {'TLS' if tls else 'plain http'}")
                print(f"{'':<{NAME_WIDTH}}{_cells(_TITLES)}  sends")
                for contestant in (library, *able(compared, style)):
                    _print_row(field, relay, contestant, job, style)
            _check_unchanged(field, relay, library)
    print("\nAn unchanged start of nhagent makes no connection.")
    print_notes(notes)


def _print_row(field: Field, relay: Relay, contestant: Contestant, job: str, style: str) -> None:
    folder = field.new_folder() if job == FIRST else field.registered(contestant, style)
    trial = field.trial(contestant, job, style, folder)
    relay.settled()
    cost_of(trial.command, trial.environment)
    requests = len(field.hub.log())
    field.check(trial)
    connections, sent, received = relay.settled()
    assert connections > 0, "it went past the relay"
    figures = _cells((requests, connections, sent, received))
    print(f"{contestant.name:<{NAME_WIDTH}}{figures}  {' + '.join(trial.sends)}")


def _cells(values: Iterable[object]) -> str:
    return "".join(f"{value:>{len(title) + 2}}" for value, title in zip(values, _TITLES, strict=True))


def _check_unchanged(field: Field, relay: Relay, library: Contestant) -> None:
    """Check that an unchanged start of nhagent makes no connection."""
    trial = field.trial(library, UNCHANGED, INSTALLATION, field.registered(library, INSTALLATION))
    relay.settled()
    cost_of(trial.command, trial.environment)
    field.check(trial)
    assert relay.settled() == (0, 0, 0)
