"""Read files that others have named: regular ones only, up to a cap, and without ever blocking.

Every start imports this module.
"""

from __future__ import annotations

import errno
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Final

READ_BYTES: Final = 256 * 1024
"""The most that is read from a file at once."""

_NEVER_BLOCKING: Final = (
    getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0) | getattr(os, "O_CLOEXEC", 0)
)


class NotARegularFile(OSError):
    """A folder, FIFO, socket or device stands where a file was expected; reading it could block for ever."""


class FileTooLarge(OSError):
    """A file is larger than anything that is read under its name."""


def read_regular(path: str, limit: int) -> bytes:
    """Read the whole of a file that others have named, without ever blocking.

    Every file that the configuration, the environment or a caller names is read here.

    Args:
        path: the file's.
        limit: the most bytes that it may have.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device, or acts like one.
        FileTooLarge: it has more bytes.
        OSError: it cannot be read.
    """
    content = read_start(path, limit + 1)
    if len(content) > limit:
        raise FileTooLarge(errno.EFBIG, f"larger than {limit} bytes", path)
    return content


def read_start(path: str, limit: int) -> bytes:
    """Read the first ``limit`` bytes of a file, without ever blocking.

    Raises:
        NotARegularFile: as `read_regular`.
        OSError: it cannot be read.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):  # before it is opened: a device may act on that
        raise _not_a_regular_file(path)
    content = bytearray()
    file = os.open(path, os.O_RDONLY | _NEVER_BLOCKING | getattr(os, "O_BINARY", 0))
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):  # the path may name something else by now
            raise _not_a_regular_file(path)
        while len(content) < limit:
            part = os.read(file, min(limit - len(content), READ_BYTES))
            if not part:
                break
            content += part
    except BlockingIOError:  # such as /proc/kmsg, which says it is regular and yet waits for more
        raise _not_a_regular_file(path) from None
    finally:
        os.close(file)
    return bytes(content)


def check_regular(path: str) -> None:
    """Check a file that a library of others will read, and would wait for.

    Raises:
        NotARegularFile: it is a folder, FIFO, socket or device.
        OSError: it is not there.
    """
    if not stat.S_ISREG(os.stat(path).st_mode):
        raise _not_a_regular_file(path)


def open_without_blocking(path: str, flags: int) -> int:
    """Open a regular file, and give its descriptor.

    Args:
        path: the file's.
        flags: of `os.open`.

    Raises:
        NotARegularFile: as `read_regular`.
        OSError: it cannot be opened.
    """
    file = os.open(path, flags | _NEVER_BLOCKING)
    try:
        if not stat.S_ISREG(os.fstat(file).st_mode):  # the path may name something else by now
            raise _not_a_regular_file(path)
    except OSError:
        os.close(file)
        raise
    return file


def _not_a_regular_file(path: str) -> NotARegularFile:
    return NotARegularFile(errno.EINVAL, "not a regular file", path)
