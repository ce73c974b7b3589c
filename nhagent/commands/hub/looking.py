"""``hub list``, ``hub show`` and ``hub export``: what the hub holds, page by page."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from itertools import chain

from nhagent.commands.hub.documents import exported, exported_installation, listed
from nhagent.commands.hub.opening import opened
from nhagent.commands.hub.patience import Patience
from nhagent.commands.output import Result, as_json, print_line
from nhagent.commands.progress import Progress, waited_for
from nhagent.errors import ConfigurationError, RecordNotFound, RegistrationGone
from nhagent.models import Platform, fingerprint, read_channel
from nhagent.visible import visible

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator
    from typing import Any, Final, Self

    from nhagent.hub.client import HubClient
    from nhagent.hub.held import HeldRegistration, Page, Registrations

OK: Final = 0
UNKNOWN: Final = 1
_WIDTHS: Final = (42, 16, 10, 38)


def list_registrations(options: argparse.Namespace) -> Result:
    """Print the registrations that the hub holds; each line as soon as its page is there."""
    with opened(options) as client:
        platform = None if options.platform is None else Platform.parse(options.platform)
        found = _registrations(client, options, platform)
        rows = (row for row in found if _is_meant(row, platform, options.tag))
        with waited_for("asking the hub"):
            first = next(rows, None)
        if first is None:
            return Result(OK, None, "" if options.json else "no registration")
        if not options.json:
            _print_row("REGISTRATION", "KIND", "CHANNEL", "INSTALLATION", "TAGS")
        for row in chain([first], rows):
            facts = listed(row)
            if options.json:
                print_line(as_json(facts))
                continue
            # The service's own tag says what stands beside it already.
            tags = ", ".join(tag for tag in row.tags if not tag.startswith("$InstallationId:"))
            owner = facts["installationId"] or "-"
            _print_row(facts["registrationId"], facts["kind"], facts["channel"], owner, tags)
    return Result(OK, None, "")


def show(options: argparse.Namespace) -> Result:
    """Print one installation or registration."""
    with opened(options) as client:
        document = _found(client, options.id)
    if document is None:
        text = f"the hub holds neither an installation nor a registration {options.id}"
        return Result(UNKNOWN, {"found": None}, text)
    return Result(OK, {"found": document}, json.dumps(document, indent=2, ensure_ascii=False))


def export(options: argparse.Namespace) -> Result:
    """Print all that the hub holds as JSON, one record a line; ``nhagent emulator --seed`` reads it."""
    progress, patience = Progress("exported"), Patience()
    with opened(options) as client, _Owners() as owners:
        for page in patience.pages(client.registrations()):
            for row in page.items:
                owner = row.installation_id
                if owner is None:
                    document = exported(row, masked=options.mask)
                elif owners.is_new(owner):
                    try:
                        held = patience(lambda: client.get_installation(owner))  # noqa: B023 - called at once
                    except RecordNotFound:  # it has gone meanwhile
                        progress.skip()
                        continue
                    document = exported_installation(held, masked=options.mask)
                else:
                    continue
                print_line(as_json(document))
                progress.step()
    progress.end()
    return Result(OK, None, "")


class _Owners:
    """Remembers which installations were written, on disk: a hub may have millions."""

    def __enter__(self) -> Self:
        self._database = sqlite3.connect("")
        self._database.execute("CREATE TABLE seen (id TEXT PRIMARY KEY) WITHOUT ROWID")
        return self

    def __exit__(self, *_: object) -> None:
        self._database.close()

    def is_new(self, installation_id: str) -> bool:
        """Whether this one was not asked about before."""
        with closing(
            self._database.execute("INSERT OR IGNORE INTO seen VALUES (?)", (installation_id,))
        ) as made:
            return made.rowcount > 0


def _registrations(
    client: HubClient, options: argparse.Namespace, platform: Platform | None
) -> Iterator[HeldRegistration]:
    if options.channel is not None:
        if platform is None:
            raise ConfigurationError("--channel: of which platform is not said", "give --platform too")
        channel = read_channel(platform, options.channel, "--channel")
        found: Registrations = client.registrations_by_channel(channel, platform=platform)
    elif options.tag is not None:
        found = client.registrations_by_tag(options.tag)
    else:
        found = client.registrations()
    page: Page
    for page in Patience().pages(found):
        yield from page.items


def _is_meant(row: HeldRegistration, platform: Platform | None, tag: str | None) -> bool:
    """The hub filters by one of them alone."""
    if platform is not None and row.platform is not platform:
        return False
    return tag is None or tag.casefold() in map(str.casefold, row.tags)


def _found(client: HubClient, given: str) -> dict[str, Any] | None:
    """Return the record of an id, its push channels as fingerprints; None: the hub holds none."""
    try:
        held = client.get_installation(given)
    except RecordNotFound:
        pass
    else:
        document = exported_installation(held, masked=True)
        document["pushChannel"] = fingerprint(held.push_channel)
        for tile_id, tile in held.secondary_tiles.items():
            document["secondaryTiles"][tile_id]["pushChannel"] = fingerprint(str(tile.channel))
        return document
    try:
        return listed(client.get_registration(given))
    except (RecordNotFound, RegistrationGone):
        return None


def _print_row(*cells: str) -> None:
    *fixed, last = cells
    line = "".join(f"{cell:<{width}} " for cell, width in zip(fixed, _WIDTHS, strict=True))
    print_line(visible(line + last).rstrip())
