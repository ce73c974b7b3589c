"""Durable files and the lock between processes.

A write is a temporary file in the same folder, fsync, ``os.replace``, fsync of the folder: after a power cut
either the old or the new document is there, whole. Files are 0600 in a 0700 folder. Reading needs no lock;
writing does, and the lock file is never removed: removing it would part two processes that wait on it.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from time import monotonic, sleep
from typing import Final

from nhagent.device.state import Identity, Malformed, State
from nhagent.errors import StateLocked, StateUnreadable, StateUnwritable

IDENTITY: Final = "identity.json"
STATE: Final = "state.json"
LOCK: Final = "lock"
LOCK_POLL_SECONDS: Final = 0.02
MAX_FILE_BYTES: Final = 8 * 1024 * 1024
EMPTY: Final = State()


@dataclass(frozen=True, slots=True)
class Memory:
    """What was found on disk.

    Attributes:
        identity: who the device is; None where that is not known yet.
        state: what else it remembers.
        unreadable: names of files that are there and make no sense.
    """

    identity: Identity | None = None
    state: State = EMPTY
    unreadable: tuple[str, ...] = ()


class Store:
    """The files of one device.

    Args:
        folder: its absolute path; made at the first write.
        sleep: waits some seconds while another process holds the lock.
    """

    def __init__(self, folder: str, *, sleep: Callable[[float], None] = sleep) -> None:
        self.folder = folder
        self._sleep = sleep

    def load(self) -> Memory:
        """Read what is on disk; absent is not unreadable.

        Raises:
            StateUnwritable: the files are another user's.
        """
        memory = Memory()
        for name in (IDENTITY, STATE):
            try:
                document = self._read(name)
                if document is None:
                    continue
                if name == IDENTITY:
                    memory = replace(memory, identity=Identity.from_json(document))
                else:
                    memory = replace(memory, state=State.from_json(document))
            except (StateUnreadable, Malformed):
                memory = replace(memory, unreadable=(*memory.unreadable, name))
        return memory

    def save_identity(self, identity: Identity) -> None:
        """Write the identity durably. Under the lock.

        Raises:
            StateUnwritable: it is not on disk.
        """
        self._write(IDENTITY, identity.to_json())

    def save_state(self, state: State) -> None:
        """Write the state durably. Under the lock.

        Raises:
            StateUnwritable: it is not on disk.
        """
        self._write(STATE, state.to_json())

    def keep_aside(self, name: str, now: datetime) -> str | None:
        """Keep a file that makes no sense under a dated name as well: nothing is lost. Under the lock.

        It stays where it is until its successor takes its place: were it gone for a moment, a power cut would
        make an unreadable file an absent one.

        Returns:
            The other name, or None where there was no such file.

        Raises:
            StateUnwritable: the folder cannot be changed.
        """
        stem, dot, suffix = name.partition(".")
        path = os.path.join(self.folder, name)
        aside = f"{stem}.{now.strftime('%Y%m%dT%H%M%S%f')}{dot}{suffix}"
        try:
            if os.path.isdir(path):  # a file cannot take a folder's place
                os.replace(path, os.path.join(self.folder, aside))
            else:
                with open(path, "rb") as file:
                    self._write_bytes(aside, file.read(MAX_FILE_BYTES))
            self._sync_folder(self.folder)
        except FileNotFoundError:
            return None
        except OSError as error:
            raise self._unwritable(error) from error
        return aside

    @contextmanager
    def lock(self, timeout: float) -> Iterator[None]:
        """Keep other processes and threads from writing.

        Args:
            timeout: seconds to wait for them.

        Raises:
            StateLocked: another one did not finish in time.
            StateUnwritable: the folder cannot be made, or not locked.
        """
        try:
            self._make_folder()
            file = os.open(os.path.join(self.folder, LOCK), os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise self._unwritable(error) from error
        try:
            self._acquire(file, timeout)
            try:
                yield
            finally:
                _unlock(file)
        finally:
            os.close(file)

    def _acquire(self, file: int, timeout: float) -> None:
        deadline = monotonic() + timeout
        waited = 0.0  # counted beside the clock, so that an injected sleep cannot wait for ever
        while True:
            try:
                _lock(file)
            except BlockingIOError:
                pass
            except OSError as error:
                raise self._unwritable(error) from error
            else:
                return
            if waited >= timeout or monotonic() >= deadline:
                raise StateLocked(
                    f"state folder {self.folder!r}: another process of this app is at work on it and did not "
                    f"finish within {timeout:g} s; try again, or stop the other one"
                )
            self._sleep(LOCK_POLL_SECONDS)
            waited += LOCK_POLL_SECONDS

    def _read(self, name: str) -> object:
        path = os.path.join(self.folder, name)
        try:
            with open(path, "rb") as file:
                content = file.read(MAX_FILE_BYTES + 1)
            if len(content) > MAX_FILE_BYTES:
                raise StateUnreadable(f"state file {path!r}: is larger than anything that nhagent writes")
            document: object = json.loads(content)
            json.dumps(document, ensure_ascii=False).encode()  # half a character could not be written back
        except (FileNotFoundError, NotADirectoryError):
            return None
        except PermissionError as error:
            raise self._unwritable(error) from error
        except (OSError, ValueError, RecursionError) as error:
            raise StateUnreadable(
                f"state file {path!r}: makes no sense ({error}); it will be set aside"
            ) from error
        if document is None:
            raise StateUnreadable(f"state file {path!r}: holds nothing; it will be set aside")
        return document

    def _write(self, name: str, document: object) -> None:
        try:
            self._write_bytes(name, json.dumps(document, indent=1, ensure_ascii=False).encode())
        except OSError as error:
            raise self._unwritable(error) from error

    def _write_bytes(self, name: str, content: bytes) -> None:
        path = os.path.join(self.folder, name)
        temporary = f"{path}.new"  # one name is enough under the lock, and a crash leaves one file at most
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC | getattr(os, "O_NOFOLLOW", 0)
        file = os.open(temporary, flags, 0o600)
        try:
            _write_all(file, content)
            os.fsync(file)
        finally:
            os.close(file)
        os.replace(temporary, path)
        self._sync_folder(self.folder)

    def _make_folder(self) -> None:
        """Make the folder and its parents, each 0700 and each named durably in the one above."""
        missing = []
        folder = self.folder
        while not os.path.exists(folder):
            missing.append(folder)
            parent = os.path.dirname(folder)
            if parent == folder:
                break
            folder = parent
        for folder in reversed(missing):
            try:
                os.mkdir(folder, 0o700)
            except FileExistsError:
                if not os.path.isdir(folder):  # else another process made it at the same time
                    raise
            self._sync_folder(os.path.dirname(folder))

    @staticmethod
    def _sync_folder(folder: str) -> None:
        if sys.platform == "win32":  # it has no such call; NTFS journals the rename
            return
        file = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def _unwritable(self, error: OSError) -> StateUnwritable:
        return StateUnwritable(
            f"state folder {self.folder!r}: cannot be used ({error.strerror or error}); "
            "make room or give nhagent a folder of its own that it may write"
        )


def _write_all(file: int, content: bytes) -> None:
    while content:
        content = content[os.write(file, content) :]  # a full disk may take a part only


if sys.platform == "win32":
    import msvcrt

    def _lock(file: int) -> None:
        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error

    def _unlock(file: int) -> None:
        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)
