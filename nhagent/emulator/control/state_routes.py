"""Control routes that take down, put back and empty all that the hub holds, and say that it is there."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import Any

from nhagent.emulator.clock import iso_time
from nhagent.emulator.control.orders import Json, Order, OrderRefused, Route
from nhagent.emulator.json_text import NotJson, read_json
from nhagent.emulator.parts import Parts

SCHEMA = 1
"""The version of a snapshot's form."""
SNAPSHOT_LIMIT = 256 * 1024 * 1024
"""Largest snapshot that is read, in bytes."""
RESTORE = "/_emulator/restore"
"""The one route whose body may be as large as a snapshot."""


def snapshot(parts: Parts) -> Json:
    """Return all that the hub holds, for `restore`. Keys, log, deliveries and faults are not part of it.

    Args:
        parts: of the emulator.
    """
    hub = parts.present_hub()
    return {
        "schema": SCHEMA,
        "hub": hub.name,
        "at": iso_time(parts.clock.now()),
        **hub.taken(),
        "scheduled": parts.outbox.schedule.taken(),
    }


def restore(parts: Parts, document: Any) -> None:
    """Let the hub hold what a snapshot has, instead of what it holds.

    Args:
        parts: of the emulator.
        document: decoded JSON: a snapshot of this or another hub, or a hub's contents.

    Raises:
        ValueError: it is not a snapshot; the text says where. Nothing has changed then.
    """
    if not isinstance(document, dict):
        raise ValueError("A snapshot is a JSON object.")  # noqa: TRY004  what is wrong is a text from outside
    if document.get("schema", SCHEMA) != SCHEMA:
        raise ValueError(f"The snapshot has the form {document['schema']!r}; this emulator reads {SCHEMA}.")
    if "installations" not in document and "registrations" not in document:
        raise ValueError("The document has neither 'installations' nor 'registrations'.")
    scheduled = document.get("scheduled", [])
    if not isinstance(scheduled, list):
        raise ValueError("'scheduled' is not an array.")  # noqa: TRY004  likewise
    with parts.hub.writing():
        parts.hub.put_back(document)
        parts.outbox.schedule.put_back(scheduled)
    # Late writes were meant for what the hub held before.
    parts.agenda.clear()
    parts.outbox.schedule.wait()


def reset(parts: Parts) -> None:
    """Make it an emulator that nobody has used yet: an empty hub, no faults, no offset of the clock.

    Keys and the port stay, and so does the push service, which is another party.

    Args:
        parts: of the emulator.
    """
    restore(parts, {"installations": []})
    parts.faults.clear()
    parts.sender.deliveries.clear()
    parts.move_clock(0.0)
    parts.log.clear()


def seed(parts: Parts, path: str) -> None:
    """Fill an empty hub from a file. A hub that holds something is left as it is.

    Args:
        parts: of the emulator.
        path: a snapshot, a hub's contents, or installations and registrations as JSON, one a line.

    Raises:
        OSError: the file cannot be read.
        ValueError: it is too large, or its content is not that; the text says where.
    """
    if parts.hub.page_of_installations(0, 0, "")[1] or parts.hub.page_of_registrations(0, 0, "")[1]:
        return
    with Path(path).open("rb") as file:
        data = file.read(SNAPSHOT_LIMIT + 1)
    if len(data) > SNAPSHOT_LIMIT:
        raise ValueError(f"{path} is larger than {SNAPSHOT_LIMIT} bytes.")
    try:
        restore(parts, _document_in(data))
    except ValueError as error:
        raise ValueError(f"{path} is not a seed: {error}") from error


def _document_in(data: bytes) -> Any:
    """Return the snapshot in a file; records, one a line, are made one."""
    try:
        whole = read_json(data)
    except NotJson:
        lines = [(number, line) for number, line in enumerate(data.splitlines(), 1) if line.strip()]
        return _collected((number, _record_in(number, line)) for number, line in lines)
    return _collected([(1, whole)]) if _kind(whole) else whole


def _record_in(number: int, line: bytes) -> Any:
    try:
        return read_json(line)
    except NotJson as error:
        raise ValueError(f"Line {number} is not JSON: {error}") from error


def _collected(records: Iterable[tuple[int, Any]]) -> Json:
    document: Json = {"installations": [], "registrations": []}
    for number, record in records:
        kind = _kind(record)
        if kind is None:
            raise ValueError(f"Line {number} has neither 'installationId' nor 'registrationId'.")
        document[kind].append(record)
    return document


def _kind(record: Any) -> str | None:
    match record:
        case {"registrationId": _}:
            return "registrations"
        case {"installationId": _}:
            return "installations"
    return None


def _snapshot(parts: Parts, _: Order) -> Any:
    return snapshot(parts)


def _restore(parts: Parts, order: Order) -> None:
    try:
        restore(parts, read_json(order.request.body))
    except ValueError as error:
        raise OrderRefused(400, str(error)) from error


def _reset(parts: Parts, _: Order) -> None:
    reset(parts)


def _health(parts: Parts, _: Order) -> Any:
    return {"ok": True, "hub": parts.hub.name, "time": iso_time(parts.clock.now())}


ROUTES = (
    Route("GET", "/health", "answers as soon as the hub does", _health),
    Route("POST", "/reset", "empties the hub, the log, deliveries and faults, and sets the clock", _reset),
    Route("GET", "/snapshot", "all that the hub holds, for /restore", _snapshot),
    Route("POST", "/restore", "puts a snapshot in the place of what the hub holds", _restore),
)
"""The routes of this module."""
