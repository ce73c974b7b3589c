"""The device as one installation that the app's backend writes to the hub.

It is planned as at a hub. What was sent counts as accepted; what the backend has granted of it is remembered
beside it, and plans nothing. A conflict is met once, by a GET and the whole with the ETag that this shows.
"""

from __future__ import annotations

from nhagent.device.accepted import Deletion, Sweep
from nhagent.errors import ConcurrencyConflict, ConfigurationError, RecordNotFound
from nhagent.hub.installations import to_json
from nhagent.logs import Log
from nhagent.models import altered
from nhagent.registrars.installation import InstallationRegistrar
from nhagent.registrars.protocol import INSTALLATION, REGISTRATION, Learnt, Observed
from nhagent.registrars.records import INSTALLATION_RECORD
from nhagent.steps import DeleteRecord, PatchRecord, PutRecord, ReadRecord, SweepChannel

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any, Final

    from nhagent.device.accepted import Accepted
    from nhagent.device.document import JsonObject
    from nhagent.errors import HubError
    from nhagent.hub.backend_operations import BackendOperations, Granted
    from nhagent.models import Installation
    from nhagent.steps import Step

_TAGS: Final = "tags"

_log = Log(__name__)


class BackendRegistrar(InstallationRegistrar):
    """Keeps one installation at the app's backend; see `nhagent.registrars.protocol.Registrar`.

    Args:
        open_hub: gives the backend to ask; called when the first exchange is made, not before.
    """

    def learn(
        self,
        installation: Installation,
        accepted: Accepted,
        known_id: str | None,
        *,
        listing: bool,  # noqa: ARG002 - a backend lists nothing
        complete: bool,
    ) -> Learnt:
        """Ask what the backend holds under the known id. Its tags are what was granted, not declared."""
        learnt = super().learn(installation, accepted, known_id, listing=False, complete=complete)
        if learnt.declared is None:
            return learnt
        return learnt.changed(
            accepted=learnt.accepted.changed(adopted=True),
            declared=altered(learnt.declared, tags=(), user_id=None),
        )

    def observe(self, accepted: Accepted) -> Observed:
        """Read the installation; what the backend had granted otherwise than it was sent is no drift."""
        observed = super().observe(accepted)
        found = observed.records.get(INSTALLATION_RECORD)
        if found is None:
            return observed
        sent = accepted.records[INSTALLATION_RECORD]
        records = {INSTALLATION_RECORD: as_was_sent(found, sent, accepted.granted)}
        return observed.changed(records=records)

    def plans_again_after(self, step: Step) -> bool:
        """After a read: the whole follows, over what that has shown."""
        return isinstance(step, ReadRecord)

    def apply(self, step: Step, accepted: Accepted, now: datetime) -> Accepted:
        """Make one exchange with the backend."""
        backend: BackendOperations = self._open_hub()  # type: ignore[assignment]
        if isinstance(step, PutRecord):
            put: Any = step.becomes
            granted = backend.write(put, accepted.etag or None if accepted.fresh else None)
            return _having(accepted, put, granted, backend.server_time or now, whole=True)
        if isinstance(step, PatchRecord):
            granted = backend.patch(step.id, step.operations, accepted.etag or None)
            return _having(accepted, step.becomes, granted, backend.server_time or now, whole=False)
        if isinstance(step, ReadRecord):
            try:
                etag = backend.read_etag(step.id) or ""
            except RecordNotFound:
                return accepted.lacking(INSTALLATION_RECORD).changed(etag="", granted={})
            # In doubt, so that the whole is written: what the others have changed is not ours to merge.
            return accepted.doubting(INSTALLATION_RECORD).changed(etag=etag, fresh=True)
        if isinstance(step, SweepChannel):
            return accepted.swept(Sweep(step.platform, step.channel), ())
        if isinstance(step, DeleteRecord) and step.record == REGISTRATION:
            _log.warning("registration %s at the hub is left to the backend, which has the key", step.id)
            return accepted.without(Deletion(step.record, step.id, step.etag))
        return super().apply(step, accepted, now)

    def recover(
        self, step: Step, error: HubError, accepted: Accepted, now: datetime, *, again: bool
    ) -> tuple[Accepted, Sequence[Step] | None]:
        """Changed since it was read: read again, once. Not taken in part: whole."""
        if isinstance(error, ConcurrencyConflict):
            if again or accepted.fresh or not isinstance(step, PutRecord | PatchRecord):
                raise error
            reason = "changed by somebody else since this device wrote it"
            return accepted, [ReadRecord(INSTALLATION_RECORD, step.id, reason)]
        accepted, instead = super().recover(step, error, accepted, now, again=again)
        return (accepted.changed(etag="", granted={}) if accepted.fresh else accepted), instead

    def leftover(self, sweeps: Iterable[Sweep], accepted: Accepted, installation_id: str | None) -> Accepted:
        """Ask for the installation: a backend lists nothing."""
        del sweeps
        if installation_id is None:
            return accepted
        try:
            self._open_hub().get_installation(installation_id)
        except RecordNotFound:
            return accepted
        return accepted.deleting(Deletion(INSTALLATION, installation_id))


def _having(accepted: Accepted, sent: Any, granted: Granted, at: datetime, *, whole: bool) -> Accepted:
    document = to_json(sent)
    otherwise = {} if granted.document is None else granted_otherwise(document, granted.document)
    accepted = accepted.having(INSTALLATION_RECORD, document, at, whole=whole)
    return accepted.changed(granted=otherwise, etag=granted.etag or "")


def granted_otherwise(sent: JsonObject, granted: JsonObject) -> JsonObject:
    """Give the members that a backend has granted otherwise than they were sent; None: it left one out. Pure.

    Args:
        sent: the installation as it was sent.
        granted: as the backend holds it.
    """
    names = (sent.keys() | granted.keys()) - {"installationId", "expirationTime"}
    return {
        name: granted.get(name)
        for name in sorted(names)
        if _comparable(name, sent.get(name)) != _comparable(name, granted.get(name))
    }


def as_was_sent(found: JsonObject, sent: JsonObject, granted: Mapping[str, Any]) -> JsonObject:
    """Give what a backend holds, with what it had granted otherwise put back to what was sent. Pure.

    What it holds is then compared with what was sent. A tag that was granted and is held no more is missing;
    tags that the backend has added since are its own matter.

    Args:
        found: what it holds now.
        sent: what was sent.
        granted: what it granted otherwise then, from `granted_otherwise`.
    """
    shown = dict(found)
    for name in granted:
        if name != _TAGS and _comparable(name, found.get(name)) == _comparable(name, granted[name]):
            shown[name] = sent.get(name)
    wanted = list(sent.get(_TAGS) or ())
    held = _comparable(_TAGS, found.get(_TAGS))
    before = _comparable(_TAGS, granted[_TAGS]) if _TAGS in granted else _comparable(_TAGS, wanted)
    shown[_TAGS] = [tag for tag in wanted if tag.lower() in held or tag.lower() not in before]
    return {name: value for name, value in shown.items() if value is not None}


def _comparable(name: str, value: Any) -> Any:
    if name != _TAGS:
        return value
    return frozenset(str(tag).lower() for tag in value or ())


def check_settings(given: dict[str, Any]) -> None:
    """Refuse what does not go together with a backend.

    Args:
        given: the arguments of `nhagent.agent.Agent`, by name.

    Raises:
        ConfigurationError: something does not.
    """
    pairs = {
        "connection_string": given["connection_string"] is not None,
        "token": given["token"] is not None,
        "endpoint": given["endpoint"] is not None,
        "ca_bundle": given["ca_bundle"] is not None,
        "allow_full_access": bool(given["allow_full_access"]),
    }
    for name, is_given in pairs.items():
        if is_given:
            raise ConfigurationError(
                f"{name}: is for a hub, and the device is registered at a backend",
                f"drop it{', and give it to the Backend' if name in {'token', 'ca_bundle'} else ''}",
            )
    if given["style"] != INSTALLATION:
        raise ConfigurationError(
            f'style "{given["style"]}": a backend takes installations alone', f'take style "{INSTALLATION}"'
        )
    if given["owns_tags"] is False:
        raise ConfigurationError(
            "owns_tags=False: a backend decides which tags are granted in any case", "leave owns_tags out"
        )
