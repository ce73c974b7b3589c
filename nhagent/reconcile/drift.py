"""Verification: what the hub holds against what it accepted, field by field.

A hub accepts a write before it has carried it out, and a 200 proves little: a later look does.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Final, TypeAlias

from nhagent import validation
from nhagent.device.accepted import Accepted, Sweep
from nhagent.device.store import STATE
from nhagent.errors import ConfigurationError, NhagentError
from nhagent.hub.installations import channel_to_json
from nhagent.models import Platform, fingerprint, identity_of_channel, read_channel
from nhagent.reconcile.declaration import PRIMARY, Declaration
from nhagent.reconcile.identity import is_elsewhere, is_from_another_machine, known_identity
from nhagent.reconcile.intents import LOCK_SECONDS
from nhagent.reconcile.readings import known_channels, remembered_channels
from nhagent.registrars.deletions import is_of_style
from nhagent.registrars.protocol import WritePolicy
from nhagent.report import Drift, Verification
from nhagent.secret import NO_LOCALS

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import Any

    from nhagent.device.document import JsonObject
    from nhagent.device.state import State
    from nhagent.device.store import Memory
    from nhagent.models import PushChannel
    from nhagent.reconcile.inspector import Inspector
    from nhagent.registrars.protocol import Observed
    from nhagent.retry.state import Retries

NOTE_SECONDS: Final = 5.0
"""How long the lock is waited for to write down what was seen."""
MAX_EXPIRED: Final = 20
"""Dead channels that are remembered."""
_NEVER: Final = "none that is known: none was ever accepted"
Path: TypeAlias = tuple[str, ...]
# By path, since templates, tiles and push variables may bear the name of a field; "*" is any such name.
_TAGS: Final[frozenset[Path]] = frozenset(
    {
        ("tags",),
        ("templates", "*", "tags"),
        ("secondaryTiles", "*", "tags"),
        ("secondaryTiles", "*", "templates", "*", "tags"),
    }
)
_CHANNELS: Final[frozenset[Path]] = frozenset(
    {("channel",), ("pushChannel",), ("secondaryTiles", "*", "pushChannel")}
)
# Never compared: the service moves an expiry, and the id is how the record was found.
_IGNORED: Final[frozenset[Path]] = frozenset({("expirationTime",), ("installationId",)})
_DEEPEST: Final = len(("secondaryTiles", "TILE", "templates", "NAME", "headers", "HEADER"))


def drift_between(
    record: str, accepted: JsonObject, found: JsonObject | None, *, with_tags: bool
) -> Iterator[Drift]:
    """Give the fields in which two documents of a record differ.

    Args:
        record: its name.
        accepted: what the hub accepted.
        found: what it holds; None: nothing.
        with_tags: compare tags too.
    """
    if found is None:
        yield Drift(record, "", "a record", "none")
        return
    before, after = dict(_fields(accepted)), dict(_fields(found))
    for path in sorted(before.keys() | after.keys()):
        if not with_tags and _is_one_of(_TAGS, path):
            continue
        expected, held = before.get(path), after.get(path)
        platforms = accepted.get("platform"), found.get("platform")
        if _compared(path, expected, platforms[0]) == _compared(path, held, platforms[1]):
            continue
        if expected is None and _is_own_name(path, held):
            continue
        shown = _shown(path, expected, platforms[0]), _shown(path, held, platforms[1])
        yield Drift(record, ".".join(path), *shown)


def _fields(document: Mapping[str, Any], within: Path = ()) -> Iterator[tuple[Path, Any]]:
    for name, value in document.items():
        path = (*within, str(name))
        if _is_one_of(_IGNORED, path):
            continue
        if isinstance(value, Mapping) and len(path) < _DEEPEST and not _is_one_of(_CHANNELS, path):
            yield from _fields(value, path)
        elif value not in (None, [], {}, ""):  # the service leaves out what is empty
            yield path, value


def _is_one_of(places: Iterable[Path], path: Path) -> bool:
    return any(
        len(place) == len(path) and all(part in {"*", name} for part, name in zip(place, path, strict=True))
        for place in places
    )


def _compared(path: Path, value: object, platform: object) -> object:
    """A value as it is compared: tags in any order and case, a push channel by what makes it the same."""
    if isinstance(value, list) and _is_one_of(_TAGS, path):
        return {str(tag).lower() for tag in value}
    channel = _channel(path, value, platform)
    return value if channel is None else channel  # in the form that tells equal ones, its keys too


def _is_own_name(path: Path, value: object) -> bool:
    """Whether these are the tags that the service gives a template that has none: its name."""
    return path[-3:-2] == ("templates",) and _compared(path, value, None) == {path[-2].lower()}


def _shown(path: Path, value: object, platform: object) -> str:
    if value is None:
        return "nothing"
    if _is_one_of(_CHANNELS, path):
        channel = _channel(path, value, platform)
        return "no push channel" if channel is None else fingerprint(channel)
    if isinstance(value, list) and _is_one_of(_TAGS, path):
        value = sorted(str(tag) for tag in value)
    try:
        return validation.shown(value)
    except RecursionError:
        return "what is nested too deep to be shown"


def _channel(path: Path, value: object, platform: object) -> PushChannel | None:
    """The push channel that stands there; None where there belongs none, or stands none."""
    if not _is_one_of(_CHANNELS, path):
        return None
    try:
        return read_channel(Platform.parse(platform), value, path[-1])
    except ConfigurationError:
        return None


def verify(inspector: Inspector, retries: Retries) -> Verification:
    """Look at the hub, once; what it does not hold is marked, so that the next pass writes it whole.

    Args:
        inspector: what is known of the device.
        retries: what stands in its way, and until when.

    Raises:
        NhagentError: the hub could not be asked.
    """
    try:
        with NO_LOCALS, inspector.alone(LOCK_SECONDS):
            retries.check(inspector.recall().state.retry)
            try:
                return _Look(inspector).verify()
            finally:
                inspector.session.close()
    except NhagentError as error:
        retries.record(error)
        raise


class _Look:
    """One look at the hub."""

    def __init__(self, inspector: Inspector) -> None:
        self._inspector = inspector
        self._settings = inspector.settings
        self._store = inspector.store
        self._session = inspector.session
        self._registrar = inspector.registrar

    def verify(self) -> Verification:
        memory = self._inspector.recall()
        self._session.hide(lambda: [channel for _, channel in known_channels(memory.state)])
        if memory.is_disabled:
            return self._session.authorized(lambda: self._absence(memory))
        nothing = self._nothing_accepted(memory)
        if nothing:
            return self._unasked(nothing)
        return self._session.authorized(lambda: self._presence(memory))

    def _unasked(self, why: str) -> Verification:
        return Verification(False, (Drift(self._registrar.style, "", "a record", why),))

    def _nothing_accepted(self, memory: Memory) -> str:
        """Why there is nothing to ask the hub about; "" where there is something."""
        if STATE in memory.unreadable:
            return "none that is known: what this device remembered was damaged"
        if is_from_another_machine(memory, self._settings.machine()):
            return "none that is known: this disk was copied from another machine, whose records are its own"
        accepted = memory.state.accepted
        if accepted.records and not is_of_style(self._registrar.style, accepted):
            return f'none that is known: what it accepted is of style "{accepted.style}"'
        return "" if self._registrar.holds_device(accepted) else _NEVER

    def _presence(self, memory: Memory) -> Verification:
        """Whether the hub holds what it accepted, has accepted all, and holds nothing else of the device."""
        before = memory.state
        namespace = self._session.chain.namespace_at_any_cost()
        if is_elsewhere(before.namespace, namespace):
            return self._unasked(f"none that is known: what there is was accepted by {before.namespace}")
        observed = self._registrar.observe(before.accepted)
        drifted = tuple(self._drift(before.accepted, observed.records))
        missing = tuple(
            Drift(name, "", "a record", _NEVER)
            for name in self._wanted(before)
            if name not in observed.records
        )
        surplus = self._surplus(memory)
        strange = tuple(Drift(entry.kind, "", "none", entry.id) for entry in surplus.to_delete)
        in_sync = not drifted and not missing and not observed.expired and not strange
        at = observed.at or self._session.now()
        with self._store.lock(NOTE_SECONDS):
            state = self._inspector.recall().state
            if state.accepted.records == before.accepted.records:  # else another process has written since
                accepted = state.accepted
                for name in {part.record for part in drifted}:
                    accepted = accepted.doubting(name)
                accepted = accepted.deleting(*surplus.to_delete).changed(
                    lists_by_uri=surplus.lists_by_uri, rotated=surplus.rotated
                )
                # A loss that is not mended yet was counted when it was found.
                counted = before.accepted.in_doubt if before.has_lost else ()
                lost = [
                    name for name, found in observed.records.items() if found is None and name not in counted
                ]
                self._store.remember(
                    self._marked(state, observed, at).changed(
                        accepted=accepted,
                        losses=state.losses + len(lost),
                        has_lost=state.has_lost or bool(lost),
                        verified_at=at if in_sync else state.verified_at,
                        retry=None,  # it has answered: whatever stood in the way does so no more
                    )
                )
        drift = drifted + missing + strange
        return Verification(in_sync, drift, observed.expired, at, self._session.requests_sent)

    def _surplus(self, memory: Memory) -> Accepted:
        """Ask who else has the device's channels: what was accepted, with only that as to be deleted."""
        state, identity = memory.state, memory.identity
        accepted = state.accepted.changed(to_delete=())
        channels = remembered_channels(self._settings.platform, state.channels)
        if not self._settings.first_run_list or PRIMARY not in channels or identity is None:
            return accepted
        declaration = Declaration.from_json(state.declaration)
        device = declaration.installation(identity.installation_id, self._settings.platform, channels)
        learnt = self._registrar.learn(
            device, accepted, identity.installation_id, listing=True, complete=True
        ).accepted
        known = set(state.accepted.to_delete)
        return learnt.changed(to_delete=tuple(entry for entry in learnt.to_delete if entry not in known))

    def _marked(self, state: State, observed: Observed, at: datetime) -> State:
        """Mark the channels that are dead by now, and no more those that are alive again."""
        alive = set(self._identities(observed.alive, state))
        dead = tuple(self._identities(observed.expired, state))
        marks = tuple(dict.fromkeys((*(mark for mark in state.expired if mark not in alive), *dead)))
        expired_at = at if dead else state.expired_at
        return state.changed(expired=marks[-MAX_EXPIRED:], expired_at=expired_at if marks else None)

    def _drift(self, accepted: Accepted, found: Mapping[str, JsonObject | None]) -> Iterator[Drift]:
        for name, document in found.items():
            record = self._registrar.compared(accepted.records[name])
            yield from drift_between(name, record, document, with_tags=self._settings.owns_tags)

    def _wanted(self, state: State) -> Iterator[str]:
        """The names of all records that the last start knew of or wanted."""
        yield from state.accepted.records
        channels = remembered_channels(self._settings.platform, state.channels)
        if PRIMARY not in channels:
            return
        declaration = Declaration.from_json(state.declaration)
        installation = declaration.installation("probe", self._settings.platform, channels)
        steps = self._registrar.plan(installation, WritePolicy(), state.accepted, self._session.now())
        yield from (
            step.record for step in steps if step.writes and step.record not in state.accepted.records
        )

    def _absence(self, memory: Memory) -> Verification:
        """Whether nothing of an unregistered device is left; what is left is deleted by the next pass."""
        self._session.chain.namespace_at_any_cost()
        platform, by_uri = self._settings.platform, memory.state.accepted.lists_by_uri
        left = Accepted(lists_by_uri=by_uri)
        channels = remembered_channels(platform, memory.state.channels)
        if channels:
            sweeps = [Sweep(platform, channel_to_json(channel)) for channel in channels.values()]
            known = known_identity(memory)
            own_id = None if known is None else known.installation_id
            left = self._registrar.leftover(sweeps, left, own_id)
        if left.to_delete or left.lists_by_uri != by_uri:
            with self._store.lock(NOTE_SECONDS):
                state = self._inspector.recall().state
                accepted = state.accepted.changed(lists_by_uri=left.lists_by_uri)
                self._store.remember(state.changed(accepted=accepted.deleting(*left.to_delete)))
        drift = tuple(Drift(entry.kind, "", "none", f"{entry.id}") for entry in left.to_delete)
        at = self._session.now() if channels else None
        return Verification(not drift, drift, (), at, self._session.requests_sent)

    def _identities(self, names: Iterable[str], state: State) -> Iterator[str]:
        platform = self._settings.platform
        channels = remembered_channels(platform, state.channels)
        for name in names:
            if name in channels:
                yield identity_of_channel(platform, channels[name])
