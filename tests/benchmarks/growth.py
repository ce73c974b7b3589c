"""How a start grows: with templates and tiles, and with what the hub holds of others."""

from __future__ import annotations

from contextlib import ExitStack
from functools import partial

from nhagent.emulator import Emulator
from tests.benchmarks.contestants import FIRST, INSTALLATION, STYLES, UNCHANGED, Contestant, by_hand, ours
from tests.benchmarks.processes import cost_of, run_script, with_scripts
from tests.benchmarks.races import Entries, Ready, race
from tests.benchmarks.settings import Settings
from tests.benchmarks.tables import print_costs, print_notes
from tests.benchmarks.trials import Field, Trial, field_of, steady_handle

_SIZES = ((0, 0), (10, 0), (50, 0), (0, 10), (0, 50))
"""Templates and tiles."""
_OTHERS = (0, 1_000, 10_000, 100_000)
"""Registrations of other devices."""


def growth(settings: Settings) -> None:
    """Starts of nhagent with more templates or tiles, over plain http."""
    for job, style in ((UNCHANGED, INSTALLATION), *((FIRST, style) for style in STYLES)):
        print(f"\n-- {job}, {style}")
        with field_of(Emulator("h")) as field:
            names = {size: _name_of(*size) for size in _SIZES}
            entries: Entries = {
                name: (field, _grown(field, settings.python, job, style, size))
                for size, name in names.items()
            }
            requests = {name: str(len(_sends(job, style, *size))) for size, name in names.items()}
            print_costs(race(entries, settings.half_rounds), names[_SIZES[0]], "requests", requests)


def crowd(settings: Settings) -> None:
    """First starts at a hub that holds more and more registrations of other devices, over plain http."""
    with ExitStack() as hubs:
        fields = {size: hubs.enter_context(field_of(Emulator("h"))) for size in _OTHERS}
        for size, field in fields.items():
            field.hub.restore({"registrations": [_other(number) for number in range(size)]})
            assert len(field.hub.contents()["registrations"]) == size
        library, requests = ours(settings.python), by_hand(settings.python, "requests")
        for contestant, style in (*((library, style) for style in STYLES), (requests, INSTALLATION)):
            print(f"\n-- {contestant.name}, {style}")
            entries: Entries = {
                f"{size:,} others" if size else "no others": (field, _first(field, contestant, style))
                for size, field in fields.items()
            }
            print_costs(race(entries, settings.half_rounds), next(iter(entries)))
    print_notes(["the wall time has the emulator's own in it, the CPU time has not"])


def _name_of(templates: int, tiles: int) -> str:
    parts = [f"{count} {what}" for count, what in ((templates, "templates"), (tiles, "tiles")) if count]
    return ", ".join(parts) or "no templates, no tiles"


def _first(field: Field, contestant: Contestant, style: str) -> Ready:
    return lambda: field.trial(contestant, FIRST, style, field.new_folder())


def _other(number: int) -> dict[str, object]:
    return {
        "registrationId": f"{number}-{number}-1",
        "kind": "Gcm",
        "channel": f"of-another-{number}",
        "tags": ["everybody", f"device:{number}"],
    }


def _grown(field: Field, python: str, job: str, style: str, size: tuple[int, int]) -> Ready:
    """Return the start of a device of some size."""

    def trial(of: str, folder: str) -> Trial:
        handle = f"https://push.example/{steady_handle(folder)}"
        numbers = (str(number) for number in size)
        command = run_script(python, "ours_grown", of, style, field.hub.listen, *numbers, folder, handle)
        is_kept = of == UNCHANGED
        # The last request of many bears a tile's channel, which begins with the device's.
        return Trial(command, with_scripts(), _sends(of, style, *size), handle, is_kept=is_kept)

    if job == FIRST:
        return lambda: trial(job, field.new_folder())
    folder = field.new_folder()
    registered = trial(FIRST, folder)
    cost_of(registered.command, registered.environment)
    field.hub.clear_log()
    return partial(trial, job, folder)


def _sends(job: str, style: str, templates: int, tiles: int) -> tuple[str, ...]:
    if job == UNCHANGED:
        return ()
    lists = ("list",) * (1 + tiles)
    writes = ("PUT",) if style == INSTALLATION else ("POST id", "PUT") * (1 + templates + tiles)
    return (*lists, *writes)
