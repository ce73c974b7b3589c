"""What the hub must forget: written down first, deleted after all writes, struck out when it has answered."""

from __future__ import annotations

import logging
from dataclasses import replace
from typing import TYPE_CHECKING

from nhagent.device.state import Accepted, Leaving
from nhagent.errors import ConcurrencyConflict, RecordNotFound, RegistrationGone
from nhagent.registrars import INSTALLATION, REGISTRATION, Step

if TYPE_CHECKING:
    from nhagent.hub.client import HubClient


_log = logging.getLogger(__name__)


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
    return Accepted(style=accepted.style, leaving=(*accepted.leaving, *gone)).deduplicated()


def in_style(style: str, accepted: Accepted, installation_id: str) -> Accepted:
    """What was accepted, as the records of this style; those of another leave. Pure."""
    if accepted.style in {style, ""}:
        return replace(accepted, style=style)
    return replace(all_leaving(accepted, installation_id), style=style)


def deletions(accepted: Accepted) -> list[Step]:
    """A DELETE for everything that must go."""
    return [
        Step("DELETE", entry.kind, entry.id, "no longer wanted", leaving=entry) for entry in accepted.leaving
    ]


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
