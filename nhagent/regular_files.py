"""Read files that others have named: regular ones only, up to a cap, and without ever blocking.

Every start imports this module.
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from nhagent.places import NOFOLLOW, ROOT, ForeignFile, enter, leave

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Final

    from nhagent.places import Folder

UTF8_MARK: Final = b"\xef\xbb\xbf"
"""With which editors of Windows begin a file. "utf-8-sig" drops it, and is a module of its own to load."""
READ_BYTES: Final = 256 * 1024
"""The most that is read from a file at once."""

NEVER_BLOCKING: Final = (
    getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
)
"""The flags with which a file is opened, whatever it turns out to be."""
_READING: Final = os.O_RDONLY | NEVER_BLOCKING | getattr(os, "O_BINARY", 0)


class NotARegularFile(OSError):
    """A folder, FIFO, socket or device stands where a file was expected; reading it could block for ever."""


class FileTooLarge(OSError):
    """A file is larger than anything that is read under its name."""


def read_regular(path: str, limit: int, *, check: Callable[[os.stat_result], None] | None = None) -> bytes:
    """Read the whole of a file that others have named, without ever blocking.

    Every file that the configuration, the environment or a caller names is read here.

    Args:
        path: the file's.
        limit: the most bytes that it may have.
        check: as for `read_start`.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device, or acts like one.
        FileTooLarge: it has more bytes.
        OSError: it cannot be read.
    """
    content = read_start(path, limit + 1, check=check)
    if len(content) > limit:
        raise FileTooLarge(errno.EFBIG, f"larger than {limit} bytes", path)
    return content


def read_start(path: str, limit: int, *, check: Callable[[os.stat_result], None] | None = None) -> bytes:
    """Read the first ``limit`` bytes of a file, without ever blocking.

    Args:
        path: the file's.
        limit: the most bytes that are read.
        check: is given what the open file is, before it is read; what it raises is not caught.

    Raises:
        NotARegularFile: as `read_regular`.
        OSError: it cannot be read.
    """
    folder, name = enter(path)
    try:
        return read_in(folder, name, limit, check=check)
    finally:
        leave(folder)


def read_in(
    folder: Folder, name: str, limit: int, *, check: Callable[[os.stat_result], None] | None = None
) -> bytes:
    """Read the first ``limit`` bytes of a file in an open folder; see `read_start`.

    Args:
        folder: the folder.
        name: the file's.
        limit: the most bytes that are read.
        check: as for `read_start`.
    """
    content, path = bytearray(), folder.at(name)
    follow = folder.number is None and not folder.is_ours
    try:
        # Looked at before it is opened: a device may act on that.
        if not stat.S_ISREG(os.stat(path, dir_fd=folder.number, follow_symlinks=follow).st_mode):
            raise _not_a_regular_file(name)
        file = os.open(path, _READING | (0 if follow else NOFOLLOW), dir_fd=folder.number)
        try:
            facts = check_opened(folder, file, name)
            if check is not None:
                check(facts)
            while len(content) < limit:
                part = os.read(file, min(limit - len(content), READ_BYTES))
                if not part:
                    break
                content += part
        finally:
            os.close(file)
    except BlockingIOError:  # such as /proc/kmsg, which says it is regular and yet waits for more
        raise _not_a_regular_file(name) from None
    return bytes(content)


def look_of(path: str) -> tuple[int, ...] | None:
    """Give what tells whether a file is still the same: replaced, written to, come or gone.

    Who writes it may set its time, as programs that copy do, but not that of its last change.
    """
    try:
        facts = os.stat(path)
    except (OSError, ValueError):  # the latter: no path can be like that
        return None
    return facts.st_mtime_ns, facts.st_ctime_ns, facts.st_ino, facts.st_size


def check_regular(path: str) -> None:
    """Check a file that a library of others will read, and would wait for.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device.
        OSError: it is not there.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _not_a_regular_file(path)


def check_opened(folder: Folder, file: int, name: str) -> os.stat_result:
    """Check what was opened: its path may name something else by now, or a file of root's.

    Args:
        folder: the folder that it was opened in.
        file: its descriptor.
        name: its name.

    Returns:
        What the file is.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device.
        ForeignFile: another user may have moved it here, or given it another name, to have root read it.
    """
    facts = os.fstat(file)
    if not stat.S_ISREG(facts.st_mode):
        raise _not_a_regular_file(name)
    if sys.platform == "win32" or folder.number is None or os.geteuid() != ROOT:
        return facts
    above = os.fstat(folder.number)
    is_placed_by_root = facts.st_uid == ROOT and facts.st_nlink == 1 and not folder.is_ours
    if above.st_uid not in {ROOT, facts.st_uid} and not is_placed_by_root:
        raise ForeignFile(errno.EPERM, "not the file of the user whose folder it is in", name)
    if above.st_mode & stat.S_IWOTH and facts.st_uid == ROOT and facts.st_nlink > 1:
        raise ForeignFile(errno.EPERM, "another name of a file of root's, where everybody may make one", name)
    return facts


def _not_a_regular_file(path: str) -> NotARegularFile:
    return NotARegularFile(errno.EINVAL, "not a regular file", path)
