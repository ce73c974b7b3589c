"""The typed steps of a plan: each is one exchange with the hub, and why it is needed."""

from __future__ import annotations

from nhagent.values import Value

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, ClassVar

    from nhagent.models import Installation, Registration


class Step(Value):
    """One exchange with the hub.

    Attributes:
        method: the HTTP method.
        record: the name of the record that it concerns.
        id: the record's id at the hub; empty before the hub has given one.
        reason: why it is needed, in words.
        operations: of a PATCH in the hub's dialect; empty for others.
        writes: whether the record may be another one at the hub afterwards, even if its answer is lost; a
            deletion that is lost is made again.
    """

    method: ClassVar[str] = ""
    operations: ClassVar[Sequence[dict[str, Any]]] = ()
    writes: ClassVar[bool] = False

    record: str
    id: str
    reason: str

    @property
    def changes(self) -> tuple[str, ...]:
        """The names of the fields that it changes."""
        paths = (operation["path"].strip("/").replace("/", ".") for operation in self.operations)
        return tuple(dict.fromkeys(paths))

    def __str__(self) -> str:
        fields = ", ".join(self.changes)
        name = " ".join(part for part in (self.method, self.record, self.id) if part)
        return f"{name}: {self.reason}" + (f" ({fields})" if fields else "")


class CreateId(Step):
    """POST: the hub makes a registration id, which must be on disk before it is used."""

    method = "POST"


class ReadRecord(Step):
    """GET of one record, before a write that keeps what the backend owns of it."""

    method = "GET"


class PutRecord(Step):
    """PUT of a whole record.

    Attributes:
        becomes: what the hub holds once it has accepted it.
        keeps_tags: it goes out with the tags that a `ReadRecord` has just read, if they are still the same.
        changed_fields: the names of the fields in which it differs from what the hub accepted; empty where
            that is not the reason for it.
    """

    method = "PUT"
    writes = True

    becomes: Installation | Registration
    keeps_tags: bool = False
    changed_fields: tuple[str, ...] = ()
    _hidden = frozenset({"becomes", "changed_fields"})

    @property
    def changes(self) -> tuple[str, ...]:
        """The names of the fields that it changes."""
        return self.changed_fields


class PatchRecord(Step):
    """PATCH of an installation.

    Attributes:
        becomes: what the hub holds once it has accepted it.
        operations: the changes, in the hub's dialect.
        keeps_tags: the tags are the backend's, so that a PUT of the whole cannot take its place.
    """

    method = "PATCH"
    writes = True

    becomes: Installation
    operations: Sequence[dict[str, Any]]  # type: ignore[misc]  # its own here, none for all others
    keeps_tags: bool = False
    _hidden = frozenset({"becomes", "operations"})


class DeleteRecord(Step):
    """DELETE of a record that must go.

    Attributes:
        etag: only the record that has it is deleted; ``*``: any.
    """

    method = "DELETE"

    etag: str


class SweepChannel(Step):
    """GET of all that the hub holds for a push channel: what is left of the device there must go too.

    Attributes:
        platform: the platform's name.
        channel: the push channel as JSON.
    """

    method = "GET"

    platform: str
    channel: Any
    _hidden = frozenset({"channel"})
