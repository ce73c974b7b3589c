"""What a device remembers, as far as the commands look at it."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Final

from nhagent.device.store import IDENTITY, LOCK, STATE, Store
from nhagent.reconcile.planner import CREDENTIALS_REFUSED
from nhagent.reconcile.readings import WAIT_FOR_ANOTHER, known_channels, why_refused
from nhagent.registrars.records import rows_in

NOTE_SECONDS: Final = 2.0
"""How long the lock is waited for to strike something out."""

if TYPE_CHECKING:
    from nhagent.models import Platform, PushChannel


class Memory:
    """What a device remembers, read again at each question.

    Args:
        folder: the device's state folder.

    Attributes:
        files: the files that change with what is remembered: the identity's, which has what a command was
            asked for, and the state's.
        lock: the file that whoever writes holds locked.
    """

    def __init__(self, folder: str) -> None:
        self.files = (str(Path(folder, IDENTITY)), str(Path(folder, STATE)))
        self.lock = str(Path(folder, LOCK))
        self._store = Store(folder)

    def has_record(self) -> bool:
        """Whether the hub has accepted the device, in either style, and is not known to have lost it."""
        return bool(self._store.load().state.accepted.records)

    def holds_device(self) -> bool:
        """Whether the hub has accepted the device, and no record is known to be lost."""
        state = self._store.load().state
        return bool(state.accepted.records) and not state.has_lost

    def registrations(self) -> list[str]:
        """The ids of the registrations that the hub has accepted; none for an installation."""
        rows = rows_in(self._store.load().state.accepted).values()
        return [row.id for row in rows if row.id and row.row is not None]

    def has_work(self) -> bool:
        """Whether there is something to do at the hub that does not wait for a refresh: a command left it."""
        state = self._store.load().state
        accepted = state.accepted
        return bool(accepted.in_doubt or accepted.to_delete or accepted.sweep or state.has_lost)

    def forget_refusal(self) -> None:
        """Strike out that the hub refused the key, once it has accepted one.

        Raises:
            StateError: that cannot be done now.
        """
        if self._was_refused():
            with self._store.lock(NOTE_SECONDS):
                if self._was_refused():
                    self._store.note(None)

    def _was_refused(self) -> bool:
        retry = self._store.load().state.retry
        return retry is not None and retry.kind in CREDENTIALS_REFUSED

    def channels(self) -> list[PushChannel]:
        """Give the push channels that the device has, or had."""
        return [channel for _, channel in known_channels(self._store.load().state)]

    def refusal_of(self, platform: Platform, channel: PushChannel) -> tuple[str, str] | None:
        """Say why a push channel must not be sent, and what to do; None where it may be."""
        fact = why_refused(platform, channel, self._store.load().state)
        return None if fact is None else (fact, WAIT_FOR_ANOTHER)
