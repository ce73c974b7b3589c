"""Lock and replace files safely: durable writes, and files that only their owner can read.

A durable write is a temporary file in the same folder, fsync, ``os.replace``, fsync of the folder: after a
power cut either the old or the new document is there, whole. Files are 0600 in 0700 folders, and belong to
the owner of the folder in which they are made, also where root makes them (`nhagent.places`).

Every start imports this module: ``os.path`` stands here in place of ``pathlib``, whose import costs more than
all the rest, and what only a write needs is imported by the write.
"""

from __future__ import annotations

import errno
import os
import stat
import sys
from time import monotonic

from nhagent.places import NOFOLLOW, close_as_owner, open_as_owner
from nhagent.regular_files import NEVER_BLOCKING, check_opened, read_in

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from contextlib import AbstractContextManager
    from typing import Final

    from nhagent.places import Folder

LOCK_POLL_SECONDS: Final = 0.02
"""Seconds between two attempts to take a lock, or to replace a file that another process reads."""
REPLACE_ATTEMPTS: Final = 50
"""How often a file is replaced before its reader counts as one that never closes it; on Windows alone."""
_OPENING: Final = NEVER_BLOCKING | NOFOLLOW
_MAKING: Final = os.O_CREAT | os.O_EXCL | _OPENING


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

    def _replace_unread(path: str, by: str) -> None:
        """Replace a file once nobody reads it, which Windows waits for."""
        from time import sleep

        for _ in range(REPLACE_ATTEMPTS):
            try:
                os.replace(by, path)
            except PermissionError:
                sleep(LOCK_POLL_SECONDS)
            else:
                return
        os.replace(by, path)

else:

    def _lock(file: int) -> None:
        """Take a lock, which ends with the process if not before.

        Raises:
            BlockingIOError: another process, or another thread, holds it.
        """
        import fcntl

        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)

    def _unlock(file: int) -> None:
        import fcntl

        fcntl.flock(file, fcntl.LOCK_UN)


class Disk:
    """A file system, one call at a time, on nhagent's own files. Every method may raise OSError."""

    def exists(self, path: str) -> bool:
        """Tell whether something has this path."""
        return os.path.lexists(path)

    def is_folder(self, path: str) -> bool:
        """Tell whether a folder has this path."""
        return os.path.isdir(path)

    def names(self, folder: Folder) -> list[str]:
        """List the names in a folder."""
        if folder.number is None:
            return os.listdir(folder.path)
        file = os.open(".", os.O_RDONLY, dir_fd=folder.number)
        try:
            return os.listdir(file)
        finally:
            os.close(file)

    open_folder = staticmethod(open_as_owner)
    close_folder = staticmethod(close_as_owner)
    read = staticmethod(read_in)
    write = staticmethod(os.write)
    sync = staticmethod(os.fsync)
    close = staticmethod(os.close)
    lock = staticmethod(_lock)
    unlock = staticmethod(_unlock)

    def make_folder(self, folder: Folder, name: str) -> None:
        """Make a folder in another one, 0700, which belongs to that one's owner."""
        os.mkdir(folder.at(name), 0o700, dir_fd=folder.number)

    def create(self, folder: Folder, name: str) -> int:
        """Open a new file for writing; what a crash left under its name is removed."""
        path = folder.at(name)
        try:
            return os.open(path, os.O_WRONLY | _MAKING, 0o600, dir_fd=folder.number)
        except FileExistsError:
            os.unlink(path, dir_fd=folder.number)
        return os.open(path, os.O_WRONLY | _MAKING, 0o600, dir_fd=folder.number)

    def replace(self, folder: Folder, name: str, by: str) -> None:
        """Put a file in the place of another one in the same folder, in one step."""
        if sys.platform == "win32":
            _replace_unread(folder.at(name), folder.at(by))
        else:
            os.replace(folder.at(by), folder.at(name), src_dir_fd=folder.number, dst_dir_fd=folder.number)

    def remove(self, folder: Folder, name: str) -> None:
        """Remove a file."""
        os.unlink(folder.at(name), dir_fd=folder.number)

    def sync_folder(self, folder: Folder) -> None:
        """Make the names in a folder durable, as far as its file system has a call for that."""
        if sys.platform == "win32":  # Windows has no such call; NTFS journals the rename
            return
        file = os.open(".", os.O_RDONLY, dir_fd=folder.number)
        try:
            os.fsync(file)
        except OSError as error:
            if error.errno != errno.EINVAL:  # some shared folders and FUSE have none either
                raise
        finally:
            os.close(file)

    def open_lock(self, folder: Folder, name: str) -> int:
        """Open a lock file: make it if it is missing, and open it read-only where it cannot be written."""
        path, number = folder.at(name), folder.number
        try:
            return os.open(path, os.O_RDWR | _MAKING, 0o600, dir_fd=number)
        except OSError as error:
            try:
                mode = os.stat(path, dir_fd=number, follow_symlinks=False).st_mode
            except FileNotFoundError:  # it is missing and cannot be made, which the first error says why
                raise error from None
            if not stat.S_ISREG(mode):
                raise
        try:
            file = os.open(path, os.O_RDWR | _OPENING, dir_fd=number)
        except OSError:
            file = os.open(path, os.O_RDONLY | _OPENING, dir_fd=number)
        try:
            check_opened(folder, file, name)
        except OSError:
            os.close(file)
            raise
        return file


def read_whole(disk: Disk, path: str, limit: int) -> bytes:
    """Read the first ``limit`` bytes of one of nhagent's own files.

    Raises:
        OSError: it cannot be read.
    """
    folder = disk.open_folder(os.path.dirname(path))
    try:
        return disk.read(folder, os.path.basename(path), limit)
    finally:
        disk.close_folder(folder)


def write_durably(disk: Disk, path: str, content: bytes) -> None:
    """Write a whole document in the place of the old one. The caller holds a lock."""
    above, _, name = path.rpartition(os.sep)
    temporary = f"{name}.new"  # under the lock one name is enough, and a crash leaves at most one file
    folder = disk.open_folder(above)
    try:
        file = disk.create(folder, temporary)
        try:
            while content:
                content = content[disk.write(file, content) :]
            disk.sync(file)
        finally:
            disk.close(file)
        disk.replace(folder, name, temporary)
        disk.sync_folder(folder)
    finally:
        disk.close_folder(folder)


def make_folders(disk: Disk, path: str) -> None:
    """Make a folder and its missing parents, each 0700 and each with a durable name in the one above."""
    missing = []
    while not disk.exists(path):
        missing.append(path)
        parent = os.path.dirname(path)
        if parent == path:
            break
        path = parent
    for path in reversed(missing):
        folder = disk.open_folder(os.path.dirname(path))
        try:
            disk.make_folder(folder, os.path.basename(path))
        except FileExistsError:
            if not disk.is_folder(path):  # else another process made it at the same time
                raise
        finally:
            try:
                disk.sync_folder(folder)
            finally:
                disk.close_folder(folder)


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
        folder = self._disk.open_folder(os.path.dirname(self._path))
        try:
            self._file = self._disk.open_lock(folder, os.path.basename(self._path))
        finally:
            self._disk.close_folder(folder)
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
