"""What is planned for the device as one installation. Pure.

There is at most one write: the PATCH that says what changed, or a PUT of the whole where PATCH cannot say it,
would be longer, or where it is not certain what the hub holds. Where the backend owns the tags, the
installation is read before it is written whole, so that the tags go back as they were.
"""

from __future__ import annotations

from datetime import UTC, timedelta

from nhagent.errors import ConfigurationError
from nhagent.hub.installations import compact, patch_between, to_json
from nhagent.models import altered
from nhagent.registrars.records import INSTALLATION_RECORD, InstallationRecord, by_hubs_clock, differing
from nhagent.steps import PatchRecord, PutRecord, ReadRecord

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from datetime import datetime
    from typing import Any, Final

    from nhagent.device.accepted import Accepted
    from nhagent.models import Installation, SecondaryTile, Template
    from nhagent.registrars.protocol import WritePolicy
    from nhagent.steps import Step

_LEAST_TOLERANCE: Final = timedelta(minutes=1)
_MOST_TOLERANCE: Final = timedelta(hours=1)
"""By how much an expiry may be off before it is another one."""


class InstallationPlanning:
    """Plans the write of one installation."""

    def __init__(
        self, installation: Installation, policy: WritePolicy, accepted: Accepted, now: datetime
    ) -> None:
        self._installation = installation
        self._policy = policy
        self._accepted = accepted
        self._now = now
        self._record = InstallationRecord.of(accepted)

    def write(self) -> Step | None:
        """The write that is needed, or the read before it; None: the hub holds what it shall."""
        reason = self._reason_for_whole()
        if not self._policy.owns_tags:
            return self._write_without_tags(reason)
        if reason:
            return self._put(self._installation, reason)
        assert self._record is not None  # else there was a reason
        after = self._installation
        if self._policy.expires_after is not None:  # a PATCH leaves it as it is
            after = altered(after, expiration_time=self._record.installation.expiration_time)
        patch = patch_between(self._record.installation, after)
        if patch == []:
            return None
        if patch is None or self._accepted.partial or self._renews_expiry(patch):
            return self._put(after, "changed in a way that PATCH cannot say", self._record.installation)
        if len(compact(patch)) >= len(compact(to_json(after))):
            return self._put(after, "changed so much that the whole is shorter", self._record.installation)
        return PatchRecord(INSTALLATION_RECORD, after.installation_id, "changed", after, patch)

    def _write_without_tags(self, reason: str) -> Step | None:
        """The tags are the backend's: never written but as they were just read."""
        after, fresh, record = self._installation, self._accepted.fresh, self._record
        if reason and not fresh:
            return self._read(reason)
        if record is None or record.installation.installation_id != after.installation_id:
            return self._put(after, reason)
        patch = patch_between(record.installation, after, with_tags=False)
        if patch == []:
            return None
        kept = _with_tags_of(record.installation, after)
        if patch is not None:
            return PatchRecord(
                INSTALLATION_RECORD, after.installation_id, "changed", kept, patch, keeps_tags=True
            )
        if not fresh:
            return self._read("PATCH cannot say it")
        return self._put(kept, "changed in a way that PATCH cannot say", record.installation)

    def _reason_for_whole(self) -> str:
        """Why it must be written whole whatever looks equal; "" where nothing asks for it."""
        accepted, record = self._accepted, self._record
        if record is None and accepted.adopted:
            return "adopted: the hub knows this channel by it"
        if INSTALLATION_RECORD in accepted.in_doubt:
            return "what the hub holds is in doubt"
        if record is None:
            return "the hub does not hold it" if accepted.fresh else "not at the hub yet"
        if record.installation.installation_id != self._installation.installation_id:
            return "a new installation id"
        if accepted.fresh:
            return ""
        if self._policy.refresh_now:
            return "a refresh was asked for"
        if self._policy.owns_tags and self._expiry_changes(record):
            return "its expiry changes"
        return "the refresh is due" if record.is_due(self._policy, self._now) else ""

    def _expiry_changes(self, record: InstallationRecord) -> bool:
        """Whether the hub holds another expiry than is wanted, but for what a slow exchange makes of it."""
        wanted, held = self._policy.expires_after, record.installation.expiration_time
        if wanted is None or held is None or record.whole_at is None:
            return (wanted is None) is not (held is None)
        tolerance = min(max(wanted / 10, _LEAST_TOLERANCE), _MOST_TOLERANCE)
        return abs(held - record.whole_at - wanted) > tolerance

    def _renews_expiry(self, patch: Iterable[Mapping[str, Any]]) -> bool:
        """Setting a push channel by PATCH resets the service's expiration time to never; a PUT keeps ours."""
        return self._policy.expires_after is not None and any(
            operation["path"].endswith("/pushChannel") for operation in patch
        )

    def _read(self, reason: str) -> Step:
        reason = f"{reason}; the backend owns its tags"
        return ReadRecord(INSTALLATION_RECORD, self._installation.installation_id, reason)

    def _put(self, installation: Installation, reason: str, before: Installation | None = None) -> Step:
        """Write it whole.

        Args:
            installation: as it shall be.
            reason: why.
            before: what the hub accepted, where the difference is the reason.
        """
        fields = () if before is None else differing(to_json(before), to_json(installation))
        becomes = altered(installation, expiration_time=self._expiration())
        return PutRecord(INSTALLATION_RECORD, becomes.installation_id, reason, becomes, changed_fields=fields)

    def _expiration(self) -> datetime | None:
        if self._policy.expires_after is None:
            return None
        try:
            return (by_hubs_clock(self._now, self._accepted) + self._policy.expires_after).astimezone(UTC)
        except OverflowError:
            raise ConfigurationError(
                "expires_after: ends beyond the calendar", "give a shorter one"
            ) from None


def _with_tags_of(before: Installation, after: Installation) -> Installation:
    """Give an installation with the tags that the hub holds."""

    def retagged(old: Mapping[str, Template], new: Mapping[str, Template]) -> dict[str, Template]:
        return {
            name: altered(template, tags=old[name].tags) if name in old else template
            for name, template in new.items()
        }

    def tile_kept(tile_id: str, tile: SecondaryTile) -> SecondaryTile:
        old = before.secondary_tiles.get(tile_id)
        if old is None:
            return tile
        return altered(tile, tags=old.tags, templates=retagged(old.templates, tile.templates))

    return altered(
        after,
        tags=before.tags,
        templates=retagged(before.templates, after.templates),
        secondary_tiles={
            tile_id: tile_kept(tile_id, tile) for tile_id, tile in after.secondary_tiles.items()
        },
    )
