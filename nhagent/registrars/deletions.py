"""What the hub must forget: written down first, deleted after all writes, struck out when it has answered."""

from __future__ import annotations

from nhagent.device.accepted import Accepted, Deletion, Sweep
from nhagent.logs import Log
from nhagent.registrars.protocol import INSTALLATION, REGISTRATION
from nhagent.registrars.records import INSTALLATION_RECORD
from nhagent.steps import DeleteRecord, SweepChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Final

    from nhagent.hub.held import HeldRegistration
    from nhagent.hub.operations import HubOperations
    from nhagent.steps import Step

CHANNEL: Final = "channel"
"""The record name of a step that asks about a push channel."""

_log = Log(__name__)


def delete_all(accepted: Accepted, installation_id: str) -> Accepted:
    """Write down as to be deleted everything that the hub holds, or may hold, of a device. Pure."""
    gone = [
        Deletion(INSTALLATION, record["installationId"])
        if "installationId" in record
        else Deletion(REGISTRATION, record["id"])
        for record in accepted.records.values()
        if isinstance(record.get("installationId", record.get("id")), str)
    ]
    if INSTALLATION_RECORD in accepted.in_doubt and installation_id:
        gone.append(Deletion(INSTALLATION, installation_id))
    kept = {name: getattr(accepted, name) for name in ("style", "to_delete", "sweep", "lists_by_uri")}
    return Accepted(**kept).deleting(*gone)


def is_of_style(style: str, accepted: Accepted) -> bool:
    """Whether what was accepted may be of this style."""
    return accepted.style in {style, ""}


def in_style(style: str, accepted: Accepted, installation_id: str) -> Accepted:
    """Give what was accepted as records of this style; those of another must go. Pure."""
    if accepted.style == style:
        return accepted
    if not is_of_style(style, accepted):
        accepted = delete_all(accepted, installation_id)
    return accepted.changed(style=style)


def deletions(accepted: Accepted) -> list[Step]:
    """Plan a DELETE for everything that must go, then a look at the next channel where more of it may be."""
    steps: list[Step] = [
        DeleteRecord(entry.kind, entry.id, "no longer wanted", entry.etag) for entry in accepted.to_delete
    ]
    # The plan is made again after each look.
    for entry in accepted.sweep[:1]:
        reason = "what else the hub holds for it must go too"
        steps.append(SweepChannel(CHANNEL, "", reason, entry.platform, entry.channel))
    return steps


def applied(hub: HubOperations, step: Step, accepted: Accepted) -> Accepted | None:
    """Make the exchange of a step that deletes, or looks for what to delete; None: it is another step.

    Raises:
        HubError: the hub did not do it.
    """
    if isinstance(step, DeleteRecord):
        return _deleted(hub, Deletion(step.record, step.id, step.etag), accepted)
    if isinstance(step, SweepChannel):
        return swept(hub, Sweep(step.platform, step.channel), accepted)
    return None


def swept(hub: HubOperations, sweep: Sweep, accepted: Accepted) -> Accepted:
    """Ask the hub what it still holds for a channel: registrations, and installations by their tags."""
    from nhagent.errors import ConfigurationError
    from nhagent.models import Platform, read_channel
    from nhagent.registrars.first_run import ChannelLists

    try:
        platform = Platform.parse(sweep.platform)
        channel = read_channel(platform, sweep.channel, CHANNEL)
    except ConfigurationError:  # the entry was damaged, and says nothing that could be asked
        return accepted.swept(sweep, ())
    lists = ChannelLists(hub, by_uri=accepted.lists_by_uri)
    left = tuple(deletions_of(lists.of_channel(platform, channel)))
    return accepted.changed(lists_by_uri=lists.by_uri).swept(sweep, left)


class AskingForChannels:
    """The part of a registrar that asks a hub, by push channel, what is left of a device."""

    _open_hub: Callable[[], HubOperations]

    def leftover(
        self,
        sweeps: Iterable[Sweep],
        accepted: Accepted,
        installation_id: str | None,  # noqa: ARG002 - part of the port
    ) -> Accepted:
        """As `nhagent.registrars.protocol.Registrar.leftover`."""
        for sweep in sweeps:
            accepted = swept(self._open_hub(), sweep, accepted)
        return accepted


def deletions_of(rows: Iterable[HeldRegistration]) -> list[Deletion]:
    """What to delete so that the hub forgets these rows: a row of an installation goes with all of it."""
    gone: list[Deletion] = []
    for row in rows:
        if row.installation_id is not None:
            gone.append(Deletion(INSTALLATION, row.installation_id))
        else:
            gone.append(Deletion(REGISTRATION, row.registration_id, row.etag or "*"))
    return gone


def _deleted(hub: HubOperations, gone: Deletion, accepted: Accepted) -> Accepted:
    """Delete one record; one that the hub does not hold is as good, and one that somebody changed stays."""
    from nhagent.errors import ConcurrencyConflict, RecordNotFound, RegistrationGone

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
