"""What the hub holds against what it accepted, field by field.

A hub accepts a write before it has carried it out, and a 200 proves little: a later look does.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Any, Final, TypeAlias

from nhagent import validation
from nhagent.device.state import Accepted, JsonObject, State, Sweep
from nhagent.device.store import STATE, Memory, Store
from nhagent.errors import ConfigurationError
from nhagent.hub.installations import channel_to_json
from nhagent.models import (
    BrowserChannel,
    Platform,
    PushChannel,
    fingerprint,
    identity_of_channel,
    read_channel,
)
from nhagent.reconcile.declaration import PRIMARY, Declaration, remembered_channels
from nhagent.reconcile.planner import is_disabled, is_from_another_machine, known_channels
from nhagent.reconcile.settings import Terms
from nhagent.registrars import Desired, Registrar
from nhagent.registrars.deletions import swept
from nhagent.session.hub_session import HubSession

LOCK_SECONDS: Final = 5.0
_NEVER: Final = "none that is known: none was ever accepted"
MAX_EXPIRED: Final = 20
"""How many dead channels are remembered."""
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


@dataclass(frozen=True, slots=True)
class Drift:
    """One field in which the hub holds something else than it accepted.

    Attributes:
        record: the record's name.
        field: its field, such as ``templates.alert.body``; "" where the hub has not the record at all, never
            accepted it, or still has it.
        expected: what it accepted, in short; a push channel as its fingerprint.
        found: what it holds.
    """

    record: str
    field: str
    expected: str
    found: str

    def __str__(self) -> str:
        name = f"{self.record} {self.field}".strip()
        return f"{name}: expected {self.expected}, the hub holds {self.found}"


@dataclass(frozen=True, slots=True)
class Verification:
    """What a look at the hub has shown.

    Attributes:
        in_sync: whether it has accepted every record and holds them so, and its channels are alive.
        drift: where it does not.
        expired: channels that it has marked as dead, by name: it sends nothing to them.
        verified_at: when, by the hub's clock; None where there was nothing to ask.
        requests: how many requests that took.
    """

    in_sync: bool
    drift: tuple[Drift, ...] = ()
    expired: tuple[str, ...] = ()
    verified_at: datetime | None = None
    requests: int = 0


def drift_between(
    record: str, accepted: JsonObject, found: JsonObject | None, *, with_tags: bool
) -> Iterator[Drift]:
    """The fields in which two documents of a record differ.

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
    if channel is None or isinstance(channel, BrowserChannel):  # whose keys count too
        return value
    return identity_of_channel(Platform.parse(platform), channel)


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


class Verifier:
    """Looks at the hub, once; what it does not hold is marked, so that the next turn writes it whole.

    Args:
        store: the device's files.
        access: its way to the hub.
        registrar: knows its records.
        terms: what the agent holds for true.
        recall: gives what is on disk.
        machine: gives the keyed hash of this machine's name, or None.
    """

    def __init__(
        self,
        store: Store,
        access: HubSession,
        registrar: Registrar,
        terms: Terms,
        recall: Callable[[], Memory],
        machine: Callable[[], str | None],
    ) -> None:
        self._store = store
        self._access = access
        self._registrar = registrar
        self._terms = terms
        self._recall = recall
        self._machine = machine

    def verify(self) -> Verification:
        """Look.

        Raises:
            NhagentError: the hub could not be asked.
        """
        memory = self._recall()
        self._access.hide(channel for _, channel in known_channels(memory.state))
        try:
            if is_disabled(memory):
                return self._access.authorized(lambda: self._absence(memory))
            nothing = self._nothing_accepted(memory)
            if nothing:
                return self._unasked(nothing)
            return self._access.authorized(lambda: self._presence(memory.state))
        finally:
            self._access.close()

    def _unasked(self, why: str) -> Verification:
        return Verification(False, (Drift(self._registrar.style, "", "a record", why),))

    def _nothing_accepted(self, memory: Memory) -> str:
        """Why there is nothing to ask the hub about; "" where there is something."""
        if STATE in memory.unreadable:
            return "none that is known: what this device remembered was damaged"
        if is_from_another_machine(memory, self._machine()):
            return "none that is known: this disk was copied from another machine, whose records are its own"
        accepted = memory.state.accepted
        if accepted.records and accepted.style not in {self._registrar.style, ""}:
            return f'none that is known: what it accepted is of style "{accepted.style}"'
        return "" if self._registrar.holds_device(accepted) else _NEVER

    def _presence(self, before: State) -> Verification:
        """Whether the hub holds what it accepted, and has accepted all."""
        namespace = self._access.namespace_at_any_cost()
        if before.namespace not in {None, namespace}:
            return self._unasked(f"none that is known: what there is was accepted by {before.namespace}")
        observed = self._registrar.observe(before.accepted)
        drifted = tuple(self._drift(before.accepted, observed.records))
        missing = tuple(
            Drift(name, "", "a record", _NEVER)
            for name in self._wanted(before)
            if name not in observed.records
        )
        drift = drifted + missing
        in_sync = not drift and not observed.expired
        at = observed.at or self._access.now()
        with self._store.lock(LOCK_SECONDS):
            state = self._recall().state
            if state.accepted.records == before.accepted.records:  # else another process has written since
                for name in {part.record for part in drifted}:
                    state = replace(state, accepted=state.accepted.doubting(name))
                dead = _identities(observed.expired, self._terms.platform, state)
                expired = tuple(dict.fromkeys((*state.expired, *dead)))[-MAX_EXPIRED:]
                verified_at = at if in_sync else state.verified_at
                # It has answered: whatever stood in the way does so no more.
                state = replace(state, expired=expired, verified_at=verified_at, trouble=None)
                self._store.remember(state)
        return Verification(in_sync, drift, observed.expired, at, self._access.requests_sent)

    def _drift(self, accepted: Accepted, found: Mapping[str, JsonObject | None]) -> Iterator[Drift]:
        for name, document in found.items():
            record = accepted.records[name]
            yield from drift_between(
                name, record.get("registration", record), document, with_tags=self._terms.owns_tags
            )

    def _wanted(self, state: State) -> Iterator[str]:
        """The names of all records that the last start knew of or wanted."""
        yield from state.accepted.records
        channels = remembered_channels(self._terms.platform, state.channels)
        if PRIMARY not in channels:
            return
        declaration = Declaration.from_json(state.declaration)
        installation = declaration.installation("probe", self._terms.platform, channels)
        plan = self._registrar.plan(Desired(installation), state.accepted, self._access.now())
        yield from (step.record for step in plan if step.writes and step.record not in state.accepted.records)

    def _absence(self, memory: Memory) -> Verification:
        """Whether nothing of an unregistered device is left; what is left is deleted by the next turn."""
        self._access.namespace_at_any_cost()
        platform, left = self._terms.platform, Accepted()
        channels = remembered_channels(platform, memory.state.channels)
        for channel in channels.values():
            left = swept(self._access.open(), Sweep(platform, channel_to_json(channel)), left)
        if left.leaving:
            with self._store.lock(LOCK_SECONDS):
                state = self._recall().state
                leaving = (*state.accepted.leaving, *left.leaving)
                accepted = replace(state.accepted, leaving=leaving).deduplicated()
                self._store.remember(replace(state, accepted=accepted))
        drift = tuple(Drift(entry.kind, "", "none", f"{entry.id}") for entry in left.leaving)
        at = self._access.now() if channels else None
        return Verification(not drift, drift, (), at, self._access.requests_sent)


def _identities(names: Iterable[str], platform: Platform, state: State) -> Iterator[str]:
    channels = remembered_channels(platform, state.channels)
    for name in names:
        if name in channels:
            yield identity_of_channel(platform, channels[name])
