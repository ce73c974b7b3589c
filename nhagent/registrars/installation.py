"""The device as one installation: the default style.

What its plan consists of is told in `nhagent.registrars.installation_plan`.
"""

from __future__ import annotations

from nhagent.device.accepted import Accepted, Deletion
from nhagent.errors import InvalidRequest, RecordNotFound
from nhagent.hub.installations import to_json
from nhagent.logs import Log
from nhagent.models import identity_of_channel
from nhagent.registrars.deletions import AskingForChannels, applied, deletions_of
from nhagent.registrars.installation_plan import InstallationPlanning
from nhagent.registrars.protocol import INSTALLATION, REGISTRATION, Learnt, Observed
from nhagent.registrars.records import (
    INSTALLATION_RECORD,
    InstallationRecord,
    due_by_our_clock,
)
from nhagent.steps import PatchRecord, PutRecord, ReadRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime, timedelta
    from typing import Any

    from nhagent.device.document import JsonObject
    from nhagent.errors import HubError
    from nhagent.hub.held import HeldRegistration
    from nhagent.hub.operations import HubOperations
    from nhagent.models import Installation
    from nhagent.registrars.protocol import WritePolicy
    from nhagent.steps import Step


_log = Log(__name__)


class InstallationRegistrar(AskingForChannels):
    """Keeps one installation at the hub; see `nhagent.registrars.protocol.Registrar`.

    Args:
        open_hub: gives the hub to ask; called when the first exchange is made, not before.
    """

    style = INSTALLATION
    carries_user_id = True

    def __init__(self, open_hub: Callable[[], HubOperations]) -> None:
        self._open_hub = open_hub

    def check(self, *, user_id: str | None, expires_after: timedelta | None) -> None:
        """Accept both: an installation carries them."""

    def learn(
        self,
        installation: Installation,
        accepted: Accepted,
        known_id: str | None,
        *,
        listing: bool,
        complete: bool,
    ) -> Learnt:
        """Find the installation that is ours from before a lost disk, by the tags of its registrations."""
        learnt = Learnt(known_id, accepted)
        if listing:
            from nhagent.registrars.first_run import ChannelLists, is_whole

            lists = ChannelLists(self._open_hub(), by_uri=accepted.lists_by_uri)
            listed = lists.of(installation)
            accepted = accepted.changed(lists_by_uri=lists.by_uri, rotated=False)
            learnt = adopted(known_id, [row for rows in listed.values() for row in rows], accepted)
            learnt = learnt.changed(is_whole=is_whole(listed))
        if learnt.installation_id is None or complete:
            return learnt
        return learnt.changed(declared=self._held(learnt.installation_id, installation))

    def observe(self, accepted: Accepted) -> Observed:
        """Read the installation: one GET, which the service throttles tightly."""
        record = InstallationRecord.of(accepted)
        if record is None:
            return Observed({})
        try:
            hub = self._open_hub()
            found = hub.get_installation(record.installation.installation_id)
        except RecordNotFound as error:
            return Observed({INSTALLATION_RECORD: None}, at=error.server_time)
        marks = {"channel": found.push_channel_expired}
        marks |= {
            f"tiles.{tile_id}": tile.push_channel_expired for tile_id, tile in found.secondary_tiles.items()
        }
        return Observed(
            {INSTALLATION_RECORD: to_json(found)},
            expired=tuple(name for name, is_dead in marks.items() if is_dead),
            alive=tuple(name for name, is_dead in marks.items() if not is_dead),
            at=hub.server_time,
        )

    def compared(self, record: JsonObject) -> JsonObject:
        """Give the record: it is the installation itself."""
        return record

    def doubt_all(self, accepted: Accepted, registrations: Mapping[str, str]) -> Accepted:
        """The hub may hold anything under the installation id, and rows of the other style must go."""
        left = [Deletion(REGISTRATION, registration_id) for registration_id in registrations.values()]
        return accepted.doubting(INSTALLATION_RECORD).deleting(*left)

    def retire(self, installation: Installation, accepted: Accepted) -> Accepted:
        """A record of another id must go."""
        wanted = installation.installation_id
        if accepted.to_delete:
            # A record that is wanted again stays: deletions come after writes and would undo them.
            accepted = accepted.without(Deletion(INSTALLATION, wanted))
        before = InstallationRecord.of(accepted)
        if before is None or before.installation.installation_id == wanted:
            return accepted
        gone = Deletion(INSTALLATION, before.installation.installation_id)
        return accepted.changed(records={}).deleting(gone)

    def plan(
        self, installation: Installation, policy: WritePolicy, accepted: Accepted, now: datetime
    ) -> Sequence[Step]:
        """Plan one write at most."""
        step = InstallationPlanning(installation, policy, accepted, now).write()
        return () if step is None else (step,)

    def plans_again_after(self, step: Step) -> bool:
        """After a read: it shows whether and how the installation has to be written."""
        return isinstance(step, ReadRecord)

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange with the hub."""
        hub = self._open_hub()
        if isinstance(step, PutRecord):
            put: Any = step.becomes
            hub.put_installation(put)
            return accepted.having(INSTALLATION_RECORD, to_json(put), hub.server_time or now, whole=True)
        if isinstance(step, PatchRecord):
            hub.patch_installation(step.id, step.operations)
            after, at = to_json(step.becomes), hub.server_time or now
            return accepted.having(INSTALLATION_RECORD, after, at, whole=False)
        if isinstance(step, ReadRecord):
            try:
                found = hub.get_installation(step.id)
            except RecordNotFound:
                return accepted.lacking(INSTALLATION_RECORD)
            at = hub.server_time or now
            return accepted.having(INSTALLATION_RECORD, to_json(found), at, whole=True, fresh=True)
        deleted = applied(hub, step, accepted)
        assert deleted is not None  # there is no other kind of step
        return deleted

    def recover(
        self,
        step: Step,
        error: HubError,
        accepted: Accepted,
        now: datetime,  # noqa: ARG002 - part of the port
        *,
        again: bool,
    ) -> tuple[Accepted, Sequence[Step] | None]:
        """A PATCH of what is not there, or that the hub does not take, is followed by the whole."""
        if again or not isinstance(step, PatchRecord):
            raise error
        if isinstance(error, RecordNotFound):
            return accepted.lacking(INSTALLATION_RECORD), None
        if isinstance(error, InvalidRequest) and not step.keeps_tags:
            return accepted.changed(partial=True), None
        raise error

    def holds_device(self, accepted: Accepted) -> bool:
        """Whether the hub has accepted an installation."""
        return InstallationRecord.of(accepted) is not None

    def due_at(self, policy: WritePolicy, accepted: Accepted) -> datetime | None:
        """Tell when the installation will be written again unchanged, by our clock."""
        record = InstallationRecord.of(accepted)
        due = None if record is None else record.due_at(policy)
        return due_by_our_clock(due, accepted.ahead)

    def registration_ids(self, accepted: Accepted) -> Mapping[str, str]:  # noqa: ARG002 - part of the port
        """None: the service makes an installation's registrations."""
        return {}

    def _held(self, installation_id: str, ours: Installation) -> Installation | None:
        """Read an installation for its declaration; one that shares no channel with ours has none for us."""
        try:
            held = self._open_hub().get_installation(installation_id)
        except RecordNotFound:
            return None
        if _identities(held).isdisjoint(_identities(ours)):
            _log.warning(
                "installation %s is on other push channels: nothing of it is taken over", installation_id
            )
            return None
        return held


def _identities(installation: Installation) -> set[str]:
    """What makes the channels of an installation and of its tiles the same as others."""
    channels = [
        installation.push_channel,
        *(str(tile.channel) for tile in installation.secondary_tiles.values()),
    ]
    return {identity_of_channel(installation.platform, channel) for channel in channels}


def adopted(known_id: str | None, rows: Iterable[HeldRegistration], accepted: Accepted) -> Learnt:
    """Choose the installation to go on with among those on our channels; all the rest must go. Pure.

    Args:
        known_id: the id that the device has already, if it has one.
        rows: what the hub lists. A row without an owner is a registration of its own: a stale duplicate.
        accepted: what is remembered all the same.
    """
    found = deletions_of(rows)
    owners = dict.fromkeys(entry.id for entry in found if entry.kind == INSTALLATION)
    # Racers must choose alike: the id that is known, else the smallest.
    ours = known_id or min(owners, default=None)
    if ours in owners:
        # In doubt: the hub holds it, but this device has not written it; it goes if the device does.
        accepted = accepted.doubting(INSTALLATION_RECORD).changed(adopted=True)
    surplus = [Deletion(INSTALLATION, owner) for owner in owners if owner != ours]
    surplus += [entry for entry in found if entry.kind != INSTALLATION]
    return Learnt(ours, accepted.changed(style=INSTALLATION).deleting(*surplus))
