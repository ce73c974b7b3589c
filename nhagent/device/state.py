"""What a device remembers: who it is, what it was told to be, and what the hub last accepted.

Two documents. ``identity.json`` is written once, and again where an id is added: it must outlive everything.
``state.json`` is written around every exchange, and says whose it is. Both carry a schema number, and a sum
over their whole content; fields that this version does not know are kept and written back.
The declaration, channels and records are JSON as `nhagent.reconcile.declaration` and the registrars make
them: what is in them is not this module's business.
"""

from __future__ import annotations

from zlib import crc32

from nhagent.device.accepted import Accepted
from nhagent.device.document import (
    NOTHING,
    SCHEMA,
    Malformed,
    read_id,
    read_moment,
    read_object,
    read_schema,
    read_texts,
    take_fields,
    take_unknown,
    to_iso,
)
from nhagent.device.machine import Fingerprint
from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping
    from datetime import datetime
    from typing import Any, Final

    from nhagent.device.document import JsonObject


class Identity(Value):
    """Who this device is at one namespace.

    Attributes:
        installation_id: its lasting id.
        namespace: the namespace that knows it by this id; None before one was reached.
        disabled: the user unregistered the device; outranks every refresh. It stands here so that a lost
            ``state.json`` cannot bring an unregistered device back.
        machine: the machine that this was written on.
        is_derived: the id was derived from the machine, and stays whatever is exchanged in it.
        registrations: the ids that the hub gave, by record name: were they in ``state.json`` alone, rows on a
            channel that has changed since could not be found again.
        extra: fields of newer versions.
    """

    installation_id: str
    namespace: str | None = None
    disabled: bool = False
    machine: Fingerprint = Fingerprint()
    is_derived: bool = False
    registrations: Mapping[str, str] = NOTHING
    extra: Mapping[str, Any] = NOTHING
    _hidden = frozenset({"extra"})

    def to_json(self) -> JsonObject:
        """Give the document to be written."""
        return {
            "schema": SCHEMA,
            **self.extra,
            "installation_id": self.installation_id,
            "namespace": self.namespace,
            "disabled": self.disabled,
            "machine": self.machine.name,
            "hardware": " ".join(self.machine.hardware),
            "derived": self.is_derived,
            "registrations": dict(self.registrations),
        }

    def _first_sum(self) -> int:
        """The sum as the first edition wrote it."""
        known = (self.installation_id, str(self.namespace), str(self.disabled), str(self.machine.name))
        return crc32("\n".join(known).encode())

    @classmethod
    def from_json(cls, document: object) -> Identity:
        """Read an identity.

        Raises:
            Malformed: the document is not an identity.
        """
        fields = read_object(document)
        installation_id = read_id(fields.pop("installation_id", None))
        taken = take_fields(
            fields,
            {"disabled": False, "derived": False, "registrations": NOTHING},
            {"namespace": str, "machine": str, "hardware": str},
        )
        is_ours, written = read_schema(fields) <= SCHEMA, fields.pop("sum", None)
        identity = cls(
            installation_id,
            taken["namespace"],
            taken["disabled"],
            _read_machine(taken),
            taken["derived"],
            _read_ids(taken["registrations"]) if taken["registrations"] else NOTHING,
            take_unknown(fields),
        )
        if is_ours and written is not None and written != identity._first_sum():
            raise Malformed("the identity is not as it was written")
        return identity


class Owner(Value):
    """The device that a state belongs to.

    Attributes:
        installation_id: its id.
        machine: the machine that it was written on.
        former_id: the id that ``identity.json`` names where a crash came between the two files; else None.
    """

    installation_id: str
    machine: Fingerprint
    former_id: str | None = None

    def differs_from(self, other: Owner) -> bool:
        """Whether the other is another device, whatever is known of its machine by now."""
        return self.installation_id != other.installation_id or self.machine.is_of(other.machine) is False

    def to_json(self) -> JsonObject:
        """Give its part of the state document."""
        return {
            "installation_id": self.installation_id,
            "former_id": self.former_id,
            "machine": self.machine.name,
            "hardware": " ".join(self.machine.hardware),
        }

    @classmethod
    def take_from(cls, fields: JsonObject) -> Owner | None:
        """Take it out of the state document; None where that names nobody, as in the first edition.

        Raises:
            Malformed: a part of it was never written so.
        """
        taken = take_fields(
            fields, {}, {"installation_id": str, "former_id": str, "machine": str, "hardware": str}
        )
        if taken["installation_id"] is None:
            return None
        return cls(read_id(taken["installation_id"]), _read_machine(taken), taken["former_id"])


def _read_machine(taken: JsonObject) -> Fingerprint:
    return Fingerprint(taken["machine"], tuple((taken["hardware"] or "").split()))


def _read_ids(given: JsonObject) -> Mapping[str, str]:
    return {name: read_id(value) for name, value in given.items()}


class RetryState(Value):
    """Why the last pass did not end well, and when the next attempt may be made: decided once.

    Attributes:
        kind: the error's class, by name.
        failures: how many consecutive attempts have failed on its curve.
        not_before: when the next attempt may be made, by this device's clock, aware.
        curve: how the attempts are spaced, by name.
        met_at: when the error was met, by this device's clock, aware.
        binds: whether every process waits until then; else the one that met the error does, and to others it
            only says what happened.
    """

    kind: str
    failures: int
    not_before: datetime
    curve: str
    met_at: datetime
    binds: bool = True

    def to_json(self) -> JsonObject:
        """Give its part of the state file."""
        return {
            "kind": self.kind,
            "curve": self.curve,
            "at": self.met_at.isoformat(),
            "tries": self.failures,
            "until": self.not_before.isoformat(),
            **({} if self.binds else {"binds": False}),
        }

    @classmethod
    def from_json(cls, document: object) -> RetryState | None:
        """Read it; None stays None.

        Raises:
            Malformed: the document is not a retry state.
        """
        if document is None:
            return None
        taken = take_fields(
            read_object(document),
            {"kind": "", "curve": "", "tries": 0, "binds": True},
            {"at": str, "until": str},
        )
        at, until = read_moment(taken["at"]), read_moment(taken["until"])
        if at is None or until is None:
            raise Malformed("a retry state without its times")
        return cls(taken["kind"], taken["tries"], until, taken["curve"], at, taken["binds"])


class State(Value):
    """What ``state.json`` holds.

    Attributes:
        declaration: what the app declared, and update, add_tags and remove_tags changed.
        channels: the push channels that the sources last gave, by name.
        accepted: what the hub last accepted.
        namespace: the namespace that accepted it; None before one was reached.
        disabled: as in `Identity`, and here too, so that neither file's loss brings the device back.
        listed: the hub has been asked what it holds for the device's channels.
        foreign: channels of the machine that this disk was copied from; see `identity_of_channel`.
        expired: channels that the hub has marked as dead, not to be sent again; as ``foreign``.
        expired_at: the hub's time when the last of them was seen to be dead; None where there is none.
        retry: what stands in the way since the last start that went well; None: nothing.
        early_starts: consecutive starts at which our clock was before the last acceptance: it is wrong.
        verified_at: the hub's time when it was last seen to hold what it had accepted.
        writes: how many writes of a record the hub has accepted.
        losses: how many records the hub was found to have lost.
        has_lost: one of them was found to be lost, and was not written again yet.
        owner: the device that it belongs to; None before that was known.
        extra: fields of newer versions.
    """

    declaration: JsonObject = NOTHING
    channels: JsonObject = NOTHING
    accepted: Accepted = Accepted()
    namespace: str | None = None
    disabled: bool = False
    listed: bool = False
    foreign: tuple[str, ...] = ()
    expired: tuple[str, ...] = ()
    expired_at: datetime | None = None
    retry: RetryState | None = None
    early_starts: int = 0
    verified_at: datetime | None = None
    writes: int = 0
    losses: int = 0
    has_lost: bool = False
    owner: Owner | None = None
    extra: Mapping[str, Any] = NOTHING
    _hidden = frozenset({"declaration", "channels", "foreign", "expired", "extra"})

    def is_stored_as(self, other: State) -> bool:
        """Tell whether another state makes the same document, but for what can wait for the next write.

        That is whose it is where the document does not say so yet, and what is known by now of his machine.
        """
        before, now = self.owner, other.owner
        if before is not now and before is not None and now is not None and before.differs_from(now):
            return False
        besides = {"owner": None, "accepted": None}
        return {**self.__dict__, **besides} == {**other.__dict__, **besides} and self.accepted.is_stored_as(
            other.accepted
        )

    def to_json(self) -> JsonObject:
        """Give the document to be written."""
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
            "expired_at": to_iso(self.expired_at),
            "early_starts": self.early_starts,
            "verified_at": to_iso(self.verified_at),
            "writes": self.writes,
            "losses": self.losses,
            "has_lost": self.has_lost,
            "trouble": None if self.retry is None else self.retry.to_json(),
            **(_NOBODY if self.owner is None else self.owner.to_json()),
            **self.accepted.to_json(),
        }

    @classmethod
    def from_json(cls, document: object) -> State:
        """Read a state of any schema; one of the first edition names no owner.

        Raises:
            Malformed: the document is not a state.
        """
        fields = read_object(document)
        accepted = Accepted.take_from(fields)
        taken = take_fields(fields, _KINDS, {"namespace": str, "verified_at": str, "expired_at": str})
        foreign, expired = taken.pop("foreign"), taken.pop("expired")
        return cls(
            accepted=accepted,
            retry=RetryState.from_json(fields.pop("trouble", None)),
            owner=Owner.take_from(fields),
            foreign=tuple(read_texts(foreign)) if foreign else (),
            expired=tuple(read_texts(expired)) if expired else (),
            verified_at=read_moment(taken.pop("verified_at")),
            expired_at=read_moment(taken.pop("expired_at")),
            **taken,
            extra=take_unknown(fields),
        )


_NOBODY: Final = {"installation_id": None, "former_id": None, "machine": None, "hardware": ""}
_KINDS: Final[Mapping[str, Any]] = {
    "declaration": NOTHING,
    "channels": NOTHING,
    "disabled": False,
    "listed": False,
    "foreign": [],
    "expired": [],
    "early_starts": 0,
    "writes": 0,
    "losses": 0,
    "has_lost": False,
}
