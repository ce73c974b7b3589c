"""Whole starts against others: unchanged, with another channel, and the first."""

from __future__ import annotations

import subprocess
from collections.abc import Iterable
from functools import partial
from pathlib import Path

from nhagent.emulator import Emulator
from tests.benchmarks.contestants import (
    AGAIN,
    FIRST,
    INSTALLATION,
    REGISTRATION,
    ROTATED,
    STYLES,
    UNCHANGED,
    Contestant,
    by_hand,
    by_hand_with_file,
    others,
    ours,
)
from tests.benchmarks.processes import clean_environment
from tests.benchmarks.races import BARE, Entries, Ready, bare_python, race
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import print_costs, print_notes
from tests.benchmarks.trials import Field, Trial, field_of, steady_handle

CONFIG = """
app = "a"
device = {{ platform = "gcm" }}
channel = {{ value = "{handle}" }}
[hub]
name = "h"
"""


def unchanged(settings: Settings) -> None:
    """An unchanged start, against bare Python and what others send at every start."""
    compared, notes = others(settings.python)
    for tls in (True, False):
        print(f"\n-- unchanged, {_transport(tls=tls)}")
        with field_of(Emulator("h", tls=tls)) as field:
            entries: Entries = {BARE: (None, bare_python(settings.python))}
            entries |= _library(field, settings.python)
            entries |= _commands(field, settings.python)
            kept = by_hand_with_file(settings.python)
            folder = field.registered(by_hand(settings.python, "requests"), INSTALLATION)
            entries[kept.name] = (field, partial(field.trial, kept, UNCHANGED, INSTALLATION, folder))
            for other in compared:
                folder = field.registered(other, INSTALLATION)
                entries[other.name] = (field, partial(field.trial, other, AGAIN, INSTALLATION, folder))
            _run(entries, settings.rounds, BARE)
    print_notes([*notes, "who does not compare with what is kept sends a PUT at every start"])


def rotated(settings: Settings) -> None:
    """A start with another channel: what is kept is read, the hub is told, and that is kept."""
    _jobs(settings, ROTATED)


def first(settings: Settings) -> None:
    """A first start: the hub is asked for the channel, the device is written, and its id is kept."""
    _jobs(settings, FIRST)


def able(contestants: Iterable[Contestant], style: str) -> list[Contestant]:
    """Return those who can write a style."""
    return [contestant for contestant in contestants if style in contestant.styles]


def _jobs(settings: Settings, job: str) -> None:
    """Let everybody do a job as nhagent does it, in each style, over TLS and over plain http."""
    compared, notes = others(settings.python)
    for style in STYLES:
        for tls in (True, False):
            print(f"\n-- {job}, {style}, {_transport(tls=tls)}")
            with field_of(Emulator("h", tls=tls)) as field:
                entries: Entries = {BARE: (None, bare_python(settings.python))}
                for contestant in (ours(settings.python), *able(compared, style)):
                    entries[contestant.name] = (field, _ready(field, contestant, job, style))
                _run(entries, settings.rounds, by_hand(settings.python, "requests").name)
    print_notes(notes)


def _ready(field: Field, contestant: Contestant, job: str, style: str) -> Ready:
    if job == ROTATED:
        folder = field.registered(contestant, style)
        return partial(field.trial, contestant, job, style, folder)
    return lambda: field.trial(contestant, job, style, field.new_folder())


def _library(field: Field, python: str) -> Entries:
    """Return the unchanged start through the library, in each style."""
    library, entries = ours(python), Entries()
    for style, name in zip(STYLES, (library.name, f"{library.name}, {REGISTRATION}"), strict=True):
        folder = field.registered(library, style)
        entries[name] = (field, partial(field.trial, library, UNCHANGED, style, folder))
    return entries


def _commands(field: Field, python: str) -> Entries:
    """Return the unchanged start by the command: as a module, and by the script that pip has made."""
    folder = field.new_folder()
    config = Path(folder, "config.toml")
    trusted = f'ca_bundle = "{field.hub.ca}"\n' if field.hub.ca else ""
    config.write_text(CONFIG.format(handle=steady_handle(folder)) + trusted)
    variables = {"NHAGENT_CONNECTION_STRING": field.hub.listen, "NHAGENT_STATE_DIR": folder}
    environment = clean_environment(PYTHONSAFEPATH="1", **variables)
    arguments = ("register", "--config", str(config))
    as_module = (python, "-m", "nhagent", *arguments)
    commands: dict[str, tuple[str, ...]] = {"nhagent, python -m nhagent": as_module}
    script = Path(python).parent / "nhagent"
    if script.exists():
        commands["nhagent, command"] = (str(script), *arguments)
    said = [
        subprocess.check_output(command, env=environment, text=True)
        for command in (as_module, *commands.values())
    ]
    assert [text.split()[0] for text in said] == ["registered", *["unchanged"] * len(commands)], said
    field.hub.clear_log()
    return {name: (field, partial(Trial, command, environment)) for name, command in commands.items()}


def _transport(*, tls: bool) -> str:
    return "TLS" if tls else "plain http"


def _run(entries: Entries, rounds: int, baseline: str) -> None:
    sends = {name: " + ".join(ready().sends) or "nothing" for name, (_, ready) in entries.items()}
    print_costs(race(entries, rounds), baseline, "sends", sends)
