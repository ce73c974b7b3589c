"""What the hub last accepted from this device, and what it must forget."""

from __future__ import annotations

from zlib import crc32

from nhagent.device.document import (
    MAX_NUMBER,
    NOTHING,
    SCHEMA,
    Malformed,
    read_id,
    read_moment,
    read_object,
    read_schema,
    read_text,
    read_texts,
    take_fields,
    to_iso,
)
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any, Final

    from nhagent.device.document import JsonObject


class Deletion(Value):
    """A record that the hub must forget: written down before, struck out when the hub has answered.

    Attributes:
        kind: ``installation`` or ``registration``.
        id: its id at the hub.
        etag: only the record that has it may be deleted; ``*``: any.
    """

    kind: str
    id: str
    etag: str = "*"


class Sweep(Value):
    """A push channel on which nothing of this device may stay.

    Attributes:
        platform: the platform's name.
        channel: the push channel as JSON.
    """

    platform: str
    channel: Any
    _hidden = frozenset({"channel"})

    def __hash__(self) -> int:
        return hash(self.platform)  # the channel may be a JSON object


class Accepted(Value):
    """What the hub last accepted from this device.

    Attributes:
        style: which registrar made the records.
        records: the accepted documents by record name.
        in_doubt: names of records whose last write has no answer: the hub may hold either.
        to_delete: records that must go.
        sweep: push channels for which the hub must be asked what else is left of the device.
        accepted_at: the hub's time of the last acceptance, aware.
        whole_at: the hub's time of the last acceptance of the whole, from which a refresh falls due.
        ahead: seconds that the hub's clock was ahead of ours then; 0 where the two were close.
        lists_by_uri: the hub refuses a list by the platform's own field, and takes one by any platform's.
        rotated: a push channel has changed since the hub was last asked who else has it.
        granted: the members of the installation that a backend granted otherwise than they were sent.
        etag: of the installation at a backend, as it was shown last; empty where there is none.
        partial: a newer version wrote this: what is known may not be all, so that the next write is whole.
        fresh: the hub has just been asked, so that ``records`` is what it holds. Never stored.
        adopted: the hub has just been found to know the device. Never stored.
    """

    style: str = ""
    records: Mapping[str, JsonObject] = NOTHING
    in_doubt: frozenset[str] = frozenset()
    to_delete: tuple[Deletion, ...] = ()
    sweep: tuple[Sweep, ...] = ()
    accepted_at: datetime | None = None
    whole_at: datetime | None = None
    ahead: int = 0
    lists_by_uri: bool = False
    rotated: bool = False
    granted: Mapping[str, Any] = NOTHING
    etag: str = ""
    partial: bool = False
    fresh: bool = False
    adopted: bool = False
    _hidden = frozenset({"records", "granted"})

    def is_stored_as(self, other: Accepted) -> bool:
        """Tell whether another one makes the same document."""
        never_stored = {"fresh": False, "adopted": False}
        return {**self.__dict__, **never_stored} == {**other.__dict__, **never_stored}

    def doubting(self, name: str) -> Accepted:
        """Mark a record before a write of it goes out."""
        return self.changed(in_doubt=self.in_doubt | {name})

    def having(
        self, name: str, record: JsonObject, at: datetime, *, whole: bool, fresh: bool = False
    ) -> Accepted:
        """Record the hub's answer: it holds this, and was told (or told us) all of it or a part."""
        before = self.records.get(name)
        return self.changed(
            rotated=self.rotated or (before is not None and _have_parted(before, record)),
            records={**self.records, name: record},
            in_doubt=self.in_doubt - {name},
            accepted_at=at,
            whole_at=at if whole else self.whole_at,
            fresh=fresh,
        )

    def dated(self, name: str, ahead: int) -> Accepted:
        """Record how far the hub's clock was ahead of ours at its answer; a row keeps its own."""
        record = self.records.get(name)
        if record is None or "at" not in record:
            return self.changed(ahead=ahead)
        return self.changed(ahead=ahead, records={**self.records, name: {**record, "ahead": ahead}})

    def lacking(self, name: str) -> Accepted:
        """Record the hub's answer: it does not hold this."""
        records = {key: record for key, record in self.records.items() if key != name}
        return self.changed(records=records, in_doubt=self.in_doubt - {name}, fresh=True)

    def deleting(self, *deletions: Deletion) -> Accepted:
        """Add what must go, each record once."""
        return self.changed(to_delete=tuple(dict.fromkeys((*self.to_delete, *deletions))))

    def without(self, gone: Deletion) -> Accepted:
        """Record the hub's answer: it has forgotten this."""
        return self.changed(to_delete=tuple(entry for entry in self.to_delete if entry != gone))

    def swept(self, channel: Sweep, left: tuple[Deletion, ...]) -> Accepted:
        """Record the hub's answer: this much of the device is left on a channel, and must go."""
        sweep = tuple(entry for entry in self.sweep if entry != channel)
        return self.changed(sweep=sweep).deleting(*left)

    def to_json(self) -> JsonObject:
        """Give its part of the state document."""
        return {
            "style": self.style,
            "records": dict(self.records),
            "in_doubt": sorted(self.in_doubt),
            "leaving": [{"kind": entry.kind, "id": entry.id, "etag": entry.etag} for entry in self.to_delete],
            "sweep": [{"platform": entry.platform, "channel": entry.channel} for entry in self.sweep],
            "accepted_at": to_iso(self.accepted_at),
            "whole_at": to_iso(self.whole_at),
            "ahead": self.ahead,
            **({"lists_by_uri": True} if self.lists_by_uri else {}),
            **({"rotated": True} if self.rotated else {}),
            **({"granted": dict(self.granted)} if self.granted else {}),
            **({"etag": self.etag} if self.etag else {}),
        }

    @classmethod
    def take_from(cls, fields: JsonObject) -> Accepted:
        """Take it out of the state document.

        Raises:
            Malformed: a part of the document was never written so.
        """
        taken = take_fields(fields, _KINDS, _NULLABLE)
        records, ahead = taken["records"], taken["ahead"]
        for record in records.values():
            if type(record) is not dict:
                raise Malformed("a record is not an object")
        if taken["sum"] is not None and taken["sum"] != _sum_of_ids(records):
            raise Malformed("a registration id is not as it was written")
        if ahead is not None and abs(ahead) > MAX_NUMBER:
            raise Malformed("ahead is not a number that was ever written")
        return cls(
            style=taken["style"],
            records=records,
            in_doubt=frozenset(read_texts(taken["in_doubt"]) if taken["in_doubt"] else ()),
            to_delete=tuple(map(_deletion, taken["leaving"])),
            sweep=tuple(map(_sweep, taken["sweep"])),
            accepted_at=read_moment(taken["accepted_at"]),
            whole_at=read_moment(taken["whole_at"]),
            ahead=ahead or 0,
            lists_by_uri=taken["lists_by_uri"],
            rotated=taken["rotated"],
            granted=taken["granted"],
            etag=taken["etag"],
            partial=read_schema(fields) > SCHEMA,
        )


_KINDS: Final[Mapping[str, Any]] = {
    "style": "", "records": NOTHING, "in_doubt": [], "leaving": [], "sweep": [], "lists_by_uri": False,
    "rotated": False, "granted": NOTHING, "etag": "",
}  # fmt: skip
_NULLABLE: Final = {"sum": int, "accepted_at": str, "whole_at": str, "ahead": int}


def _have_parted(before: JsonObject, after: JsonObject) -> bool:
    """Whether a stored record had other push channels before; one that had none yet had no others."""
    channels = _channels_in(before)
    return None not in channels and channels != _channels_in(after)


def _channels_in(record: JsonObject) -> list[Any]:
    """The push channels of a stored record: of an installation and its tiles, or of a row."""
    document = record.get("registration", record)
    if type(document) is not dict:
        return []
    tiles = document.get("secondaryTiles")
    parts = [document, *(tiles.values() if type(tiles) is dict else ())]
    return [part.get("pushChannel", part.get("channel")) for part in parts if type(part) is dict]


def _sum_of_ids(records: Mapping[str, JsonObject]) -> int:
    """The sum as the first edition wrote it."""
    ids = sorted([str(record.get("id", "")) for record in records.values()])
    return crc32("\n".join(ids).encode())


def _deletion(value: object) -> Deletion:
    entry = read_object(value)
    return Deletion(read_text(entry.get("kind")), read_id(entry.get("id")), read_text(entry.get("etag", "*")))


def _sweep(value: object) -> Sweep:
    entry = read_object(value)
    return Sweep(read_text(entry.get("platform")), entry.get("channel"))
