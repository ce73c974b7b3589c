"""What a device remembers: who it is, what it was told to be, and what the hub last accepted.

Two documents. ``identity.json`` is written once: it must outlive everything. ``state.json`` is written around
every exchange. Both carry a schema number; fields that this version does not know are kept and written back.
The declaration, channels and records are JSON as `nhagent.reconcile.declaration` and the registrars make
them: what is in them is not this module's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias
from zlib import crc32

from nhagent import validation
from nhagent.errors import ConfigurationError

SCHEMA: Final = 1
MAX_NUMBER: Final = 10**12

JsonObject: TypeAlias = dict[str, Any]


class Malformed(ValueError):
    """A document is not what this device would have written."""


@dataclass(frozen=True, slots=True)
class Identity:
    """Who this device is at one namespace.

    Attributes:
        installation_id: its lasting id.
        namespace: the namespace that knows it by this id; None where it has not been met yet.
        disabled: the user unregistered the device; outranks every refresh. It stands here so that a lost
            ``state.json`` cannot bring an unregistered device back.
        machine: keyed hash of the machine that this was written on; None where nothing tells it from others.
        extra: fields of newer versions.
    """

    installation_id: str
    namespace: str | None = None
    disabled: bool = False
    machine: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> JsonObject:
        return {
            "schema": SCHEMA,
            **self.extra,
            "installation_id": self.installation_id,
            "namespace": self.namespace,
            "disabled": self.disabled,
            "machine": self.machine,
            "sum": self._sum(),
        }

    def _sum(self) -> int:
        """Tells a flipped bit: it would make another device of this one, or a copy of another machine's."""
        return crc32(
            "\n".join(
                (self.installation_id, str(self.namespace), str(self.disabled), str(self.machine))
            ).encode()
        )

    @classmethod
    def from_json(cls, document: object) -> Identity:
        """Read an identity.

        Raises:
            Malformed: it is none.
        """
        fields = _object(document)
        installation_id = _id(fields.pop("installation_id", None))
        namespace, disabled = _text_or_none(fields, "namespace"), _flag(fields, "disabled")
        machine = _text_or_none(fields, "machine")
        is_ours, written = _schema(fields) <= SCHEMA, fields.pop("sum", None)
        identity = cls(installation_id, namespace, disabled, machine, _unknown(fields))
        if is_ours and written is not None and written != identity._sum():
            raise Malformed("the identity is not as it was written")
        return identity


@dataclass(frozen=True, slots=True)
class Leaving:
    """A record that the hub must forget: written down before, struck out when the hub has answered."""

    kind: str
    id: str
    etag: str = "*"


@dataclass(frozen=True, slots=True)
class Sweep:
    """A push channel, as JSON, on which nothing of this device may stay."""

    platform: str
    channel: Any = field(repr=False)


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the hub last accepted from this device.

    Attributes:
        style: which registrar made the records.
        records: the accepted documents by record name.
        in_doubt: names of records whose last write has no answer: the hub may hold either.
        leaving: what must go.
        sweep: push channels on which the hub must be asked what else is left of the device, before it is off.
        accepted_at: the hub's time of the last acceptance, aware.
        whole_at: the hub's time of the last acceptance of the whole, from which a refresh falls due.
        ahead: seconds that the hub's clock was ahead of ours then; 0 where the two were close.
        partial: a newer version wrote this: what is known may not be all, so that the next write is whole.
        fresh: the hub has just been asked, so that ``records`` is what it holds. Never stored.
        adopted: the hub has just been found to know the device. Never stored.
    """

    style: str = ""
    records: Mapping[str, JsonObject] = field(default_factory=dict, repr=False)
    in_doubt: frozenset[str] = frozenset()
    leaving: tuple[Leaving, ...] = ()
    sweep: tuple[Sweep, ...] = ()
    accepted_at: datetime | None = None
    whole_at: datetime | None = None
    ahead: int = 0
    partial: bool = False
    fresh: bool = False
    adopted: bool = False

    def doubting(self, name: str) -> Accepted:
        """Before a write of this record goes out."""
        return replace(self, in_doubt=self.in_doubt | {name})

    def having(
        self, name: str, record: JsonObject, at: datetime, *, whole: bool, fresh: bool = False
    ) -> Accepted:
        """After the hub's answer: it holds this, and was told (or told us) all of it or a part."""
        return replace(
            self,
            records={**self.records, name: record},
            in_doubt=self.in_doubt - {name},
            accepted_at=at,
            whole_at=at if whole else self.whole_at,
            fresh=fresh,
        )

    def dated(self, name: str, ahead: int) -> Accepted:
        """After the hub's answer: its clock was so many seconds ahead of ours; a row keeps its own time."""
        record = self.records.get(name)
        if record is None or "at" not in record:
            return replace(self, ahead=ahead)
        return replace(self, ahead=ahead, records={**self.records, name: {**record, "ahead": ahead}})

    def lacking(self, name: str) -> Accepted:
        """After the hub's answer: it does not hold this."""
        records = {key: record for key, record in self.records.items() if key != name}
        return replace(self, records=records, in_doubt=self.in_doubt - {name}, fresh=True)

    def deduplicated(self) -> Accepted:
        """With every record leaving once."""
        return replace(self, leaving=tuple(dict.fromkeys(self.leaving)))

    def without(self, gone: Leaving) -> Accepted:
        """After the hub's answer: it has forgotten this."""
        return replace(self, leaving=tuple(entry for entry in self.leaving if entry != gone))

    def swept(self, channel: Sweep, left: tuple[Leaving, ...]) -> Accepted:
        """After the hub's answer: this much of the device is left on a channel, and must go."""
        sweep = tuple(entry for entry in self.sweep if entry != channel)
        return replace(self, sweep=sweep, leaving=(*self.leaving, *left)).deduplicated()


@dataclass(frozen=True, slots=True)
class Trouble:
    """Why the last start did not end well.

    Attributes:
        kind: the error's class, by name.
        curve: how its tries are spaced, by name.
        at: when it was met last, by this device's clock, aware.
        tries: how many tries have met it, one after the other.
        until: when the next one is due.
    """

    kind: str
    curve: str
    at: datetime
    tries: int
    until: datetime

    def to_json(self) -> JsonObject:
        return {
            "kind": self.kind,
            "curve": self.curve,
            "at": self.at.isoformat(),
            "tries": self.tries,
            "until": self.until.isoformat(),
        }

    @classmethod
    def from_json(cls, document: object) -> Trouble | None:
        """Read it; None stays None.

        Raises:
            Malformed: it is none.
        """
        if document is None:
            return None
        fields = _object(document)
        at, until = _moment(fields.get("at")), _moment(fields.get("until"))
        if at is None or until is None:
            raise Malformed("a trouble has no time")
        return cls(_text(fields.get("kind")), _text(fields.get("curve")), at, _count(fields, "tries"), until)


@dataclass(frozen=True, slots=True)
class State:
    """What ``state.json`` holds.

    Attributes:
        declaration: what the app declared, and update, add_tags and remove_tags changed.
        channels: the push channels that the sources last gave, by name.
        accepted: what the hub last accepted.
        namespace: the namespace that accepted it; None where none was met yet.
        disabled: as in `Identity`, and here too, so that neither file's loss brings the device back.
        listed: the hub has been asked what it holds for the device's channels.
        foreign: channels of the machine that this disk was copied from; see `identity_of_channel`.
        expired: channels that the hub has marked as dead, not to be sent again; as ``foreign``.
        trouble: what stands in the way since the last start that went well; None: nothing.
        early_starts: starts in a row at which our clock was before the last acceptance: it is wrong.
        verified_at: the hub's time when it was last seen to hold what it had accepted.
        writes: how many writes of a record the hub has accepted.
        losses: how many records the hub was found to have lost.
        extra: fields of newer versions.
    """

    declaration: JsonObject = field(default_factory=dict, repr=False)
    channels: JsonObject = field(default_factory=dict, repr=False)
    accepted: Accepted = Accepted()
    namespace: str | None = None
    disabled: bool = False
    listed: bool = False
    foreign: tuple[str, ...] = field(default=(), repr=False)
    expired: tuple[str, ...] = field(default=(), repr=False)
    trouble: Trouble | None = None
    early_starts: int = 0
    verified_at: datetime | None = None
    writes: int = 0
    losses: int = 0
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> JsonObject:
        accepted = self.accepted
        return {
            "schema": SCHEMA,
            **self.extra,
            "declaration": self.declaration,
            "channels": self.channels,
            "namespace": self.namespace,
            "disabled": self.disabled,
            "listed": self.listed,
            "foreign": list(self.foreign),
            "expired": list(self.expired),
            "early_starts": self.early_starts,
            "verified_at": None if self.verified_at is None else self.verified_at.isoformat(),
            "writes": self.writes,
            "losses": self.losses,
            "trouble": None if self.trouble is None else self.trouble.to_json(),
            "style": accepted.style,
            "records": dict(accepted.records),
            "sum": _sum_of_ids(accepted.records),
            "in_doubt": sorted(accepted.in_doubt),
            "leaving": [
                {"kind": entry.kind, "id": entry.id, "etag": entry.etag} for entry in accepted.leaving
            ],
            "sweep": [{"platform": entry.platform, "channel": entry.channel} for entry in accepted.sweep],
            "accepted_at": None if accepted.accepted_at is None else accepted.accepted_at.isoformat(),
            "whole_at": None if accepted.whole_at is None else accepted.whole_at.isoformat(),
            "ahead": accepted.ahead,
        }

    @classmethod
    def from_json(cls, document: object) -> State:
        """Read a state of this or a newer schema; there is no older one yet.

        Raises:
            Malformed: it is none.
        """
        fields = _object(document)
        records = {name: _object(record) for name, record in _object(fields.pop("records", {})).items()}
        # What else a flipped bit changes is mended as a difference; another id would make an orphan.
        if fields.pop("sum", _sum_of_ids(records)) != _sum_of_ids(records):
            raise Malformed("a registration id is not as it was written")
        accepted = Accepted(
            style=_text(fields.pop("style", "")),
            records=records,
            in_doubt=frozenset(_text(name) for name in _list(fields.pop("in_doubt", []))),
            leaving=tuple(_leaving(entry) for entry in _list(fields.pop("leaving", []))),
            sweep=tuple(_sweep(entry) for entry in _list(fields.pop("sweep", []))),
            accepted_at=_moment(fields.pop("accepted_at", None)),
            whole_at=_moment(fields.pop("whole_at", None)),
            ahead=_whole_number(fields, "ahead"),
            partial=_schema(fields) > SCHEMA,
        )
        return cls(
            declaration=_object(fields.pop("declaration", {})),
            channels=_object(fields.pop("channels", {})),
            accepted=accepted,
            namespace=_text_or_none(fields, "namespace"),
            disabled=_flag(fields, "disabled"),
            listed=_flag(fields, "listed"),
            foreign=tuple(_text(entry) for entry in _list(fields.pop("foreign", []))),
            expired=tuple(_text(entry) for entry in _list(fields.pop("expired", []))),
            early_starts=_count(fields, "early_starts"),
            verified_at=_moment(fields.pop("verified_at", None)),
            writes=_count(fields, "writes"),
            losses=_count(fields, "losses"),
            trouble=Trouble.from_json(fields.pop("trouble", None)),
            extra=_unknown(fields),
        )


def _sum_of_ids(records: Mapping[str, JsonObject]) -> int:
    return crc32("\n".join(sorted(str(record.get("id", "")) for record in records.values())).encode())


def _schema(fields: JsonObject) -> int:
    schema = fields.get("schema")
    if not isinstance(schema, int) or isinstance(schema, bool) or schema < 1:
        raise Malformed(f"schema {schema!r} was never written")
    return schema


def _unknown(fields: JsonObject) -> JsonObject:
    """What a newer version wrote, its schema number among it: it must find its own file again."""
    if fields["schema"] <= SCHEMA:
        del fields["schema"]
    return fields


def _text_or_none(fields: JsonObject, name: str) -> str | None:
    text = fields.pop(name, None)
    return None if text is None else _text(text)


def _flag(fields: JsonObject, name: str) -> bool:
    flag = fields.pop(name, False)
    if not isinstance(flag, bool):
        raise Malformed(f"{name} is neither true nor false")
    return flag


def _count(fields: JsonObject, name: str) -> int:
    count = _whole_number(fields, name)
    if count < 0:
        raise Malformed(f"{name} is no count")
    return count


def _whole_number(fields: JsonObject, name: str) -> int:
    number = fields.pop(name, 0)
    if not isinstance(number, int) or isinstance(number, bool) or abs(number) > MAX_NUMBER:
        raise Malformed(f"{name} is no number that was ever written")
    return number


def _object(value: object) -> JsonObject:
    if not isinstance(value, dict):
        raise Malformed(f"{type(value).__name__} where an object belongs")
    return dict(value)


def _list(value: object) -> list[Any]:
    if not isinstance(value, list):
        raise Malformed(f"{type(value).__name__} where a list belongs")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise Malformed(f"{type(value).__name__} where text belongs")
    return value


def _id(value: object) -> str:
    try:
        validation.check_installation_id(value)
    except ConfigurationError as error:
        raise Malformed(str(error)) from None
    return str(value)


def _leaving(value: object) -> Leaving:
    entry = _object(value)
    return Leaving(_text(entry.get("kind")), _id(entry.get("id")), _text(entry.get("etag", "*")))


def _sweep(value: object) -> Sweep:
    entry = _object(value)
    return Sweep(_text(entry.get("platform")), entry.get("channel"))


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        raise Malformed("a time is none") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
