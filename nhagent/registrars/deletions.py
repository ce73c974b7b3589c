"""What the hub must forget: written down first, deleted after all writes, struck out when it has answered."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from nhagent.device.state import Accepted, Leaving, Sweep
from nhagent.errors import ConcurrencyConflict, ConfigurationError, RecordNotFound, RegistrationGone
from nhagent.logs import Log
from nhagent.models import Platform, read_channel
from nhagent.registrars import CHANNEL, INSTALLATION, REGISTRATION, Step
from nhagent.registrars.first_run import list_channel, owner_of

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient


_log = Log(__name__)


def all_leaving(accepted: Accepted, installation_id: str) -> Accepted:
    """Everything that the hub holds, or may hold, of a device, written down as leaving. Pure."""
    gone = [
        Leaving(INSTALLATION, record["installationId"])
        if "installationId" in record
        else Leaving(REGISTRATION, record["id"])
        for record in accepted.records.values()
        if isinstance(record.get("installationId", record.get("id")), str)
    ]
    if INSTALLATION in accepted.in_doubt and installation_id:
        gone.append(Leaving(INSTALLATION, installation_id))
    leaving = (*accepted.leaving, *gone)
    return Accepted(style=accepted.style, leaving=leaving, sweep=accepted.sweep).deduplicated()


def in_style(style: str, accepted: Accepted, installation_id: str) -> Accepted:
    """What was accepted, as the records of this style; those of another leave. Pure."""
    if accepted.style in {style, ""}:
        return replace(accepted, style=style)
    return replace(all_leaving(accepted, installation_id), style=style)


def deletions(accepted: Accepted) -> list[Step]:
    """A DELETE for everything that must go, then a look at every channel where more of it may be."""
    known = [
        Step("DELETE", entry.kind, entry.id, "no longer wanted", leaving=entry) for entry in accepted.leaving
    ]
    looks = [
        Step("GET", CHANNEL, "", "what else the hub holds for it must go too", sweep=entry, plan_again=True)
        for entry in accepted.sweep[:1]  # the plan is made again after each
    ]
    return known + looks


def swept(hub: HubClient, sweep: Sweep, accepted: Accepted) -> Accepted:
    """Ask the hub what it still holds for a channel: registrations, and installations by their tags."""
    try:
        platform = Platform.parse(sweep.platform)
        channel = read_channel(platform, sweep.channel, CHANNEL)
    except ConfigurationError:  # the entry was damaged, and says nothing that could be asked
        return accepted.swept(sweep, ())
    left: list[Leaving] = []
    for row in list_channel(hub, platform, channel):
        owner = owner_of(row)
        if owner is not None:
            left.append(Leaving(INSTALLATION, owner))
        else:
            left.append(Leaving(REGISTRATION, str(row.registration_id), row.etag or "*"))
    return accepted.swept(sweep, tuple(left))


def deleted(hub: HubClient, gone: Leaving, accepted: Accepted) -> Accepted:
    """Delete one record; one that the hub does not hold is as good, and one that somebody changed stays."""
    try:
        if gone.kind == INSTALLATION:
            hub.delete_installation(gone.id)
        else:
            hub.delete_registration(gone.id, gone.etag)
    except (RecordNotFound, RegistrationGone):
        pass
    except ConcurrencyConflict:
        _log.warning(
            "%s %s was changed since it was listed, and is left to whoever did so", gone.kind, gone.id
        )
    return accepted.without(gone)
