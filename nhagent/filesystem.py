"""The operations on files that all memory rests on: each can fail, or be the last before a power cut.

A durable write is a temporary file in the same folder, fsync, ``os.replace``, fsync of the folder: after a
power cut either the old or the new document is there, whole. Files are 0600 in 0700 folders, and belong to
whom the folder belongs in which they are made, also where root makes them.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import BinaryIO, Final

LOCK_POLL_SECONDS: Final = 0.02
REPLACE_TRIES: Final = 50


class Disk:
    """A file system, one call at a time. Every method may raise OSError."""

    def read(self, path: str, limit: int) -> bytes:
        """The first bytes of a file."""
        with open(path, "rb") as file:
            return file.read(limit)

    def exists(self, path: str) -> bool:
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        return os.path.isdir(path)

    def make_folder(self, path: str) -> None:
        os.mkdir(path, 0o700)
        _hand_over_folder(path)

    def create(self, path: str) -> int:
        """Open a new file to be written; what a crash left under its name is removed."""
        try:
            return _open_new(path, os.O_WRONLY)
        except FileExistsError:
            os.unlink(path)
        return _open_new(path, os.O_WRONLY)

    def write(self, file: int, content: bytes) -> int:
        """Write, and give how many bytes were taken: a full disk may take a part only."""
        return os.write(file, content)

    def sync(self, file: int) -> None:
        os.fsync(file)

    def close(self, file: int) -> None:
        os.close(file)

    def replace(self, path: str, by: str) -> None:
        """Put a file in another's place, at once."""
        for _ in range(REPLACE_TRIES):
            try:
                os.replace(by, path)
            except PermissionError:
                if sys.platform != "win32":
                    raise
                from time import sleep  # Windows replaces no file that somebody reads just now

                sleep(LOCK_POLL_SECONDS)
            else:
                return
        os.replace(by, path)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        if sys.platform == "win32":  # it has no such call; NTFS journals the rename
            return
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def open_lock(self, path: str) -> int:
        """Open a lock file: made if need be, and read only where it cannot be written."""
        try:
            return _open_new(path, os.O_RDWR)
        except OSError:
            if not os.path.isfile(path):
                raise
        try:
            return os.open(path, os.O_RDWR)
        except OSError:
            return os.open(path, os.O_RDONLY)

    def lock(self, file: int) -> None:
        """Take the lock, which ends with the process if not before.

        Raises:
            BlockingIOError: another one holds it.
        """
        _lock(file)

    def unlock(self, file: int) -> None:
        _unlock(file)


class NoRegularFile(OSError):
    """A folder, FIFO, socket or device, on which one could wait for ever."""


def open_regular(path: str) -> BinaryIO:
    """Open what others name as a file to be read; it is never waited for.

    Raises:
        NoRegularFile: it is something else.
        OSError: it cannot be opened.
    """
    _check_regular(os.stat(path), path)  # before it is opened: a device may act on that
    return open(path, "rb", opener=_open_at_once)


def write_durably(disk: Disk, path: str, content: bytes) -> None:
    """Write a whole document in place of the one that was there. Under a lock."""
    temporary = f"{path}.new"  # one name is enough under the lock, and a crash leaves one file at most
    file = disk.create(temporary)
    try:
        while content:
            content = content[disk.write(file, content) :]
        disk.sync(file)
    finally:
        disk.close(file)
    disk.replace(path, temporary)
    disk.sync_folder(os.path.dirname(path))


def make_folders(disk: Disk, folder: str) -> None:
    """Make a folder and its parents, each 0700 and each named durably in the one above."""
    missing = []
    while not disk.exists(folder):
        missing.append(folder)
        parent = os.path.dirname(folder)
        if parent == folder:
            break
        folder = parent
    for folder in reversed(missing):
        try:
            disk.make_folder(folder)
        except FileExistsError:
            if not disk.is_folder(folder):  # else another process made it at the same time
                raise
        disk.sync_folder(os.path.dirname(folder))


@contextmanager
def locked(disk: Disk, path: str, timeout: float, sleep: Callable[[float], None]) -> Iterator[None]:
    """Keep other processes and threads out. The lock file stays: removing it would part two that wait on it.

    Raises:
        BlockingIOError: another one did not finish in time.
        OSError: there is no such lock to be had.
    """
    file = disk.open_lock(path)
    try:
        _acquire(disk, file, timeout, sleep)
        try:
            yield
        finally:
            disk.unlock(file)
    finally:
        disk.close(file)


def _open_at_once(path: str, flags: int) -> int:
    file = os.open(path, flags | getattr(os, "O_NONBLOCK", 0))
    try:
        _check_regular(os.fstat(file), path)  # another may have come in its place
    except OSError:
        os.close(file)
        raise
    return file


def _check_regular(facts: os.stat_result, path: str) -> None:
    if not stat.S_ISREG(facts.st_mode):
        raise NoRegularFile(errno.EINVAL, "is no regular file", path)


def _open_new(path: str, access: int) -> int:
    """Make a file, and open it. One that is there is not taken: root would give away what it links to."""
    file = os.open(path, access | os.O_CREAT | os.O_EXCL, 0o600)
    try:
        _hand_over(file, os.path.dirname(path))
    except OSError:
        os.close(file)
        os.unlink(path)
        raise
    return file


def _acquire(disk: Disk, file: int, timeout: float, sleep: Callable[[float], None]) -> None:
    deadline = monotonic() + timeout
    waited = 0.0  # counted beside the clock, so that an injected sleep cannot wait for ever
    while True:
        try:
            disk.lock(file)
        except BlockingIOError:
            if waited >= timeout or monotonic() >= deadline:
                raise
        else:
            return
        sleep(LOCK_POLL_SECONDS)
        waited += LOCK_POLL_SECONDS


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

    def _hand_over(file: int, folder: str) -> None:
        """Windows gives what is made in a folder to those that the folder's access list names."""

    def _hand_over_folder(path: str) -> None:
        """See `_hand_over`."""

else:
    import fcntl

    def _lock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        fcntl.flock(file, fcntl.LOCK_UN)

    def _hand_over(file: int, folder: str) -> None:
        """Give what root made in a folder to the folder's owner: a service cannot read what is root's."""
        if os.geteuid() != 0:
            return
        made, owner = os.fstat(file), os.stat(folder)
        if (made.st_uid, made.st_gid) != (owner.st_uid, owner.st_gid):
            os.fchown(file, owner.st_uid, owner.st_gid)

    def _hand_over_folder(path: str) -> None:
        folder = os.open(path, os.O_RDONLY | os.O_DIRECTORY | os.O_NOFOLLOW)
        try:
            _hand_over(folder, os.path.dirname(path))
        except OSError:
            os.rmdir(path)
            raise
        finally:
            os.close(folder)
