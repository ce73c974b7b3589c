"""Lock and replace files safely: durable writes, and files that only their owner can read.

A durable write is a temporary file in the same folder, fsync, ``os.replace``, fsync of the folder: after a
power cut either the old or the new document is there, whole. Files are 0600 in 0700 folders, and belong to
the owner of the folder in which they are made, also where root makes them.

Every start imports this module: ``os.path`` stands here in place of ``pathlib``, whose import costs more than
all the rest, and what only a write needs is imported by the write.
"""

from __future__ import annotations

import os
import sys
from time import monotonic

from nhagent.regular_files import open_without_blocking, read_start

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Final

LOCK_POLL_SECONDS: Final = 0.02
"""Seconds between two attempts to take a lock, or to replace a file that another process reads."""
REPLACE_ATTEMPTS: Final = 50
"""How often a file is replaced before its reader counts as one that never closes it; on Windows alone."""


class Disk:
    """A file system, one call at a time. Every method may raise OSError."""

    read = staticmethod(read_start)

    def exists(self, path: str) -> bool:
        """Tell whether something has this path."""
        return os.path.exists(path)

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder has this path."""
        return os.path.isdir(path)

    def make_folder(self, path: str) -> None:
        """Make a folder, 0700, which belongs to the owner of the one above it."""
        os.mkdir(path, 0o700)
        _hand_over_folder(path)

    def create(self, path: str) -> int:
        """Open a new file for writing; what a crash left under its name is removed."""
        try:
            return _open_new(path, os.O_WRONLY)
        except FileExistsError:
            os.unlink(path)
        return _open_new(path, os.O_WRONLY)

    def write(self, file: int, content: bytes) -> int:
        """Write, and give the number of bytes written: a full disk may take only a part."""
        return os.write(file, content)

    def sync(self, file: int) -> None:
        """Make a file's content durable."""
        os.fsync(file)

    def close(self, file: int) -> None:
        """Close a file."""
        os.close(file)

    def replace(self, path: str, by: str) -> None:
        """Put the file ``by`` in the place of another one, in one step."""
        for _ in range(REPLACE_ATTEMPTS):
            try:
                os.replace(by, path)
            except PermissionError:
                if sys.platform != "win32":
                    raise
                from time import sleep  # Windows does not replace a file while somebody reads it

                sleep(LOCK_POLL_SECONDS)
            else:
                return
        os.replace(by, path)

    def sync_folder(self, path: str) -> None:
        """Make the names in a folder durable."""
        if sys.platform == "win32":  # Windows has no such call; NTFS journals the rename
            return
        file = os.open(path, os.O_RDONLY)
        try:
            os.fsync(file)
        finally:
            os.close(file)

    def open_lock(self, path: str) -> int:
        """Open a lock file: make it if it is missing, and open it read-only where it cannot be written."""
        try:
            return _open_new(path, os.O_RDWR)
        except OSError:
            if not os.path.isfile(path):
                raise
        try:
            return open_without_blocking(path, os.O_RDWR)
        except OSError:
            return open_without_blocking(path, os.O_RDONLY)

    def lock(self, file: int) -> None:
        """Take the lock, which ends with the process if not before.

        Raises:
            BlockingIOError: another process, or another thread, holds it.
        """
        _lock(file)

    def unlock(self, file: int) -> None:
        """Release the lock."""
        _unlock(file)


def write_durably(disk: Disk, path: str, content: bytes) -> None:
    """Write a whole document in the place of the old one. The caller holds a lock."""
    temporary = f"{path}.new"  # under the lock one name is enough, and a crash leaves at most one file
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
    """Make a folder and its missing parents, each 0700 and each with a durable name in the one above."""
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


def locked(
    disk: Disk, path: str, timeout: float, sleep: Callable[[float], None]
) -> AbstractContextManager[None]:
    """Keep other processes and threads out while a ``with`` block runs.

    The lock file stays: two processes that wait would otherwise wait on two files.

    Args:
        disk: the file system.
        path: the lock file's.
        timeout: seconds to wait for whoever holds the lock.
        sleep: waits so many seconds.

    Returns:
        The context manager; entering it takes the lock.

    Raises:
        BlockingIOError: the lock was not released in time.
        OSError: the lock file cannot be opened or locked.
    """
    return _Locked(disk, path, timeout, sleep)


class _Locked:
    """See `locked`. A class, since ``contextlib`` would cost every start its import."""

    def __init__(self, disk: Disk, path: str, timeout: float, sleep: Callable[[float], None]) -> None:
        self._disk = disk
        self._path = path
        self._timeout = timeout
        self._sleep = sleep

    def __enter__(self) -> None:
        self._file = self._disk.open_lock(self._path)
        _OPEN_LOCKS.add(self)
        try:
            _acquire(self._disk, self._file, self._timeout, self._sleep)
        except BaseException:
            self.let_go()
            raise

    def __exit__(self, *_: object) -> None:
        if self not in _OPEN_LOCKS:
            return  # in a forked child: the lock is its parent's
        try:
            self._disk.unlock(self._file)
        finally:
            self.let_go()

    def let_go(self) -> None:
        """Close the lock file; a lock on it stays while another process has it open."""
        _OPEN_LOCKS.discard(self)
        self._disk.close(self._file)


_OPEN_LOCKS: Final[set[_Locked]] = set()


def _let_go_of_all() -> None:
    """Close the lock files of the parent in a forked child, which would keep them locked for its life."""
    for lock in tuple(_OPEN_LOCKS):
        try:
            lock.let_go()
        except OSError:
            pass


if sys.platform != "win32":
    os.register_at_fork(after_in_child=_let_go_of_all)


def _open_new(path: str, access: int) -> int:
    """Make a file and open it. One that exists is refused: root would hand over what it links to."""
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
    waited = 0.0  # counted as well: with an injected sleep the clock may stand still
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

    def _lock(file: int) -> None:
        import msvcrt

        try:
            msvcrt.locking(file, msvcrt.LK_NBLCK, 1)
        except PermissionError as error:
            raise BlockingIOError from error

    def _unlock(file: int) -> None:
        import msvcrt

        os.lseek(file, 0, os.SEEK_SET)
        msvcrt.locking(file, msvcrt.LK_UNLCK, 1)

    def _hand_over(file: int, folder: str) -> None:
        """Do nothing: Windows gives a new file to those whom the folder's access list names."""

    def _hand_over_folder(path: str) -> None:
        """Do nothing; see `_hand_over`."""

else:

    def _lock(file: int) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)

    def _hand_over(file: int, folder: str) -> None:
        """Give what root made in a folder to the folder's owner: a service cannot read root's files."""
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
