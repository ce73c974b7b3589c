"""What a device remembers: who it is, what it was told to be, and what the hub last accepted.

Two documents. ``identity.json`` is written once: it must outlive everything. ``state.json`` is written around
every exchange. Both carry a schema number; fields that this version does not know are kept and written back.
The declaration, channels and records are JSON as `nhagent.declaration` and the registrars make them: what is
in them is not this module's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Final, TypeAlias

from nhagent import rules
from nhagent.errors import ConfigurationError

SCHEMA: Final = 1

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
        extra: fields of newer versions.
    """

    installation_id: str
    namespace: str | None = None
    disabled: bool = False
    extra: Mapping[str, Any] = field(default_factory=dict, repr=False)

    def to_json(self) -> JsonObject:
        return {
            "schema": SCHEMA,
            **self.extra,
            "installation_id": self.installation_id,
            "namespace": self.namespace,
            "disabled": self.disabled,
        }

    @classmethod
    def from_json(cls, document: object) -> Identity:
        """Read an identity.

        Raises:
            Malformed: it is none.
        """
        fields = _object(document)
        installation_id = _id(fields.pop("installation_id", None))
        namespace, disabled = _namespace(fields), _flag(fields, "disabled")
        _schema(fields)
        return cls(installation_id, namespace, disabled, _unknown(fields))


@dataclass(frozen=True, slots=True)
class Leaving:
    """A record that the hub must forget: written down before, struck out when the hub has answered."""

    kind: str
    id: str
    etag: str = "*"


@dataclass(frozen=True, slots=True)
class Accepted:
    """What the hub last accepted from this device.

    Attributes:
        style: which registrar made the records.
        records: the accepted documents by record name.
        in_doubt: names of records whose last write has no answer: the hub may hold either.
        leaving: what must go.
        accepted_at: the hub's time of the last acceptance, aware.
        whole_at: the hub's time of the last acceptance of the whole, from which a refresh falls due.
        partial: a newer version wrote this: what is known may not be all, so that the next write is whole.
        fresh: the hub has just been asked, so that ``records`` is what it holds. Never stored.
        adopted: the hub has just been found to know the device. Never stored.
    """

    style: str = ""
    records: Mapping[str, JsonObject] = field(default_factory=dict, repr=False)
    in_doubt: frozenset[str] = frozenset()
    leaving: tuple[Leaving, ...] = ()
    accepted_at: datetime | None = None
    whole_at: datetime | None = None
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
        extra: fields of newer versions.
    """

    declaration: JsonObject = field(default_factory=dict, repr=False)
    channels: JsonObject = field(default_factory=dict, repr=False)
    accepted: Accepted = Accepted()
    namespace: str | None = None
    disabled: bool = False
    listed: bool = False
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
            "style": accepted.style,
            "records": dict(accepted.records),
            "in_doubt": sorted(accepted.in_doubt),
            "leaving": [
                {"kind": entry.kind, "id": entry.id, "etag": entry.etag} for entry in accepted.leaving
            ],
            "accepted_at": None if accepted.accepted_at is None else accepted.accepted_at.isoformat(),
            "whole_at": None if accepted.whole_at is None else accepted.whole_at.isoformat(),
        }

    @classmethod
    def from_json(cls, document: object) -> State:
        """Read a state of this or a newer schema; there is no older one yet.

        Raises:
            Malformed: it is none.
        """
        fields = _object(document)
        records = _object(fields.pop("records", {}))
        accepted = Accepted(
            style=_text(fields.pop("style", "")),
            records={name: _object(record) for name, record in records.items()},
            in_doubt=frozenset(_text(name) for name in _list(fields.pop("in_doubt", []))),
            leaving=tuple(_leaving(entry) for entry in _list(fields.pop("leaving", []))),
            accepted_at=_moment(fields.pop("accepted_at", None)),
            whole_at=_moment(fields.pop("whole_at", None)),
            partial=_schema(fields) > SCHEMA,
        )
        return cls(
            declaration=_object(fields.pop("declaration", {})),
            channels=_object(fields.pop("channels", {})),
            accepted=accepted,
            namespace=_namespace(fields),
            disabled=_flag(fields, "disabled"),
            listed=_flag(fields, "listed"),
            extra=_unknown(fields),
        )


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


def _namespace(fields: JsonObject) -> str | None:
    namespace = fields.pop("namespace", None)
    return None if namespace is None else _text(namespace)


def _flag(fields: JsonObject, name: str) -> bool:
    flag = fields.pop(name, False)
    if not isinstance(flag, bool):
        raise Malformed(f"{name} is neither true nor false")
    return flag


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
        rules.check_installation_id(value)
    except ConfigurationError as error:
        raise Malformed(str(error)) from None
    return str(value)


def _leaving(value: object) -> Leaving:
    entry = _object(value)
    return Leaving(_text(entry.get("kind")), _id(entry.get("id")), _text(entry.get("etag", "*")))


def _moment(value: object) -> datetime | None:
    if value is None:
        return None
    try:
        moment = datetime.fromisoformat(_text(value))
    except ValueError:
        raise Malformed("a time is none") from None
    return moment if moment.tzinfo is not None else moment.replace(tzinfo=UTC)
