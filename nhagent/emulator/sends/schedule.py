"""Sends that wait for their time, by the hub's clock. They are kept with the hub's data."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from nhagent.emulator.agenda import Agenda
from nhagent.emulator.clock import LAST_SECOND, Clock, iso_time
from nhagent.emulator.http_messages import Refused
from nhagent.emulator.sends.send import Send, as_json, send_in
from nhagent.emulator.sends.sender import Sender, new_id
from nhagent.emulator.storage import Storage

DAYS = 7
"""How far ahead a notification can be scheduled, in days."""
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS scheduled_sends "
    "(id TEXT PRIMARY KEY, at REAL NOT NULL, state TEXT NOT NULL, send TEXT NOT NULL) WITHOUT ROWID"
)
WAITING, SENT, CANCELLED = "Enqueued", "Completed", "Cancelled"


class Schedule:
    """The scheduled sends of one hub.

    Args:
        storage: where they are kept.
        sender: sends them.
        agenda: wakes when one is due.
        clock: the hub's.
    """

    def __init__(self, storage: Storage, sender: Sender, agenda: Agenda, clock: Clock) -> None:
        self._storage = storage
        self._sender = sender
        self._agenda = agenda
        self._clock = clock
        with storage.lock:
            storage.database.execute(_SCHEMA)
        self.wait()

    def wait(self) -> None:
        """Send what waits in the database when its time comes."""
        with self._storage.lock:
            query = "SELECT id, at FROM scheduled_sends WHERE state = ?"
            waiting = self._storage.database.execute(query, (WAITING,)).fetchall()
        for send_id, at in waiting:
            self._agenda.add(at, self._sending(send_id))

    def add(self, send: Send, at: float) -> str:
        """Schedule a send, and return its id.

        Args:
            send: what is sent then.
            at: seconds since 1970. What is in the past is sent at once.

        Raises:
            Refused: 400 or 413, it is not valid, or too far ahead.
        """
        self._sender.check(send)
        now = self._clock.now()
        if at > now + DAYS * 86400:
            raise Refused(400, f"A notification cannot be scheduled more than {DAYS} days ahead.")
        send_id = new_id(now, "_")
        row = (send_id, at, WAITING, json.dumps(as_json(send)))
        with self._storage.writing():
            self._storage.database.execute("INSERT INTO scheduled_sends VALUES (?, ?, ?, ?)", row)
        self._agenda.add(at, self._sending(send_id))
        return send_id

    def cancel(self, send_id: str) -> None:
        """Cancel a send.

        Raises:
            Refused: 404, there is none that still waits.
        """
        if not self._change(send_id, CANCELLED):
            raise Refused(404, "There is no scheduled notification of this id that has not been sent.")

    def find(self, send_id: str) -> tuple[str, str, Send] | None:
        """Return a scheduled send's state, when it is due, and what it sends; None when there is none.

        Args:
            send_id: its id.
        """
        with self._storage.lock:
            query = "SELECT state, at, send FROM scheduled_sends WHERE id = ?"
            row = self._storage.database.execute(query, (send_id,)).fetchone()
        return None if row is None else (str(row[0]), iso_time(row[1]), send_in(json.loads(row[2])))

    def waiting(self) -> list[dict[str, Any]]:
        """Return ``id``, ``at``, ``format`` and ``expression`` of the sends that wait, earliest first."""
        with self._storage.lock:
            query = "SELECT id, at, send FROM scheduled_sends WHERE state = ? ORDER BY at, id"
            rows = self._storage.database.execute(query, (WAITING,)).fetchall()
        sends = [(send_id, at, send_in(json.loads(text))) for send_id, at, text in rows]
        return [
            {"id": send_id, "at": iso_time(at), "format": send.format, "expression": send.expression}
            for send_id, at, send in sends
        ]

    def taken(self) -> list[dict[str, Any]]:
        """Return every scheduled send as JSON, for `put_back`."""
        with self._storage.lock:
            query = "SELECT id, at, state, send FROM scheduled_sends ORDER BY id"
            rows = self._storage.database.execute(query).fetchall()
        return [
            dict(zip(("id", "at", "state", "send"), (*row, json.loads(text)), strict=True))
            for *row, text in rows
        ]

    def put_back(self, rows: list[Any]) -> None:
        """Keep these instead of the sends that are kept.

        Args:
            rows: what `taken` gave.

        Raises:
            ValueError: one of them is not.
        """
        kept = [self._checked(number, row) for number, row in enumerate(rows)]
        with self._storage.writing():
            self._storage.database.execute("DELETE FROM scheduled_sends")
            query = "INSERT OR REPLACE INTO scheduled_sends VALUES (?, ?, ?, ?)"
            self._storage.database.executemany(query, kept)

    def _checked(self, number: int, row: Any) -> tuple[str, float, str, str]:
        match row:
            case {"id": str(send_id), "at": float() | int() as at, "state": str(state), "send": dict(send)}:
                pass
            case _:
                raise ValueError(f"scheduled[{number}] has no id, at, state and send.")
        if state not in (WAITING, SENT, CANCELLED) or not 0 <= at <= LAST_SECOND:
            raise ValueError(f"scheduled[{number}]: its state or its time is not valid.")
        try:
            self._sender.check(send_in(send))
        except Refused as refused:
            raise ValueError(f"scheduled[{number}]: {refused.detail}") from refused
        except ValueError as error:
            raise ValueError(f"scheduled[{number}]: {error}") from error
        return send_id, float(at), state, json.dumps(send)

    def _sending(self, send_id: str) -> Callable[[], None]:
        def send_now() -> None:
            found = self.find(send_id)
            # Who cancels it at this moment either comes first, or is told that it is too late.
            if found is not None and self._change(send_id, SENT):
                try:
                    self._sender.send(found[2], send_id)
                except Refused:
                    # The hub's rules were checked when it was scheduled.
                    pass

        return send_now

    def _change(self, send_id: str, state: str) -> bool:
        with self._storage.writing():
            query = "UPDATE scheduled_sends SET state = ? WHERE id = ? AND state = ?"
            return self._storage.database.execute(query, (state, send_id, WAITING)).rowcount > 0
